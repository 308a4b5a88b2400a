"""Scrapy's scheduler on the ledger."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from scrapy.core.scheduler import BaseScheduler
from scrapy.exceptions import CloseSpider

from civitai_crawler.ledger.codec import decode, encode
from civitai_crawler.ledger.queue import FILE, SITE, Row
from civitai_crawler.ledger.store import Ledger

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request, Spider
    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

logger = logging.getLogger(__name__)

#: Seconds within which settled rows are committed together. A kill repeats at most these.
COMMIT_WITHIN = 0.2
#: Rows handed out per lane: awaiting their answer, and in all (their items may wait for media).
ADMITTED = {SITE: (8, 64), FILE: (4, 4)}


class LedgerScheduler(BaseScheduler):
    """Hands out rows of the ledger; a repeated request stays in memory beside its row.

    ``CONCURRENT_REQUESTS`` is off, because pending media would fill it and stop the requests to
    the site; the bounds above admit work instead.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.ledger = Ledger.of(crawler)
        self._again: deque[Request] = deque()
        self._commit_due: asyncio.TimerHandle | None = None
        self._spider: Spider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        try:
            return cls(crawler)
        except Exception as error:
            logger.error("%s", error)  # noqa: TRY400 - one sentence, the cause is in it
            raise CloseSpider("job_unusable") from error

    def open(self, spider: Spider) -> None:
        self._spider = spider
        if self.ledger.resumed:
            logger.info("Going on with %d requests of the last run", len(self.ledger.queue))

    def close(self, reason: str) -> None:
        if self._commit_due is not None:
            self._commit_due.cancel()
        finished = (
            reason == "finished" and not len(self.ledger.queue) and not self.ledger.queue.open
        )
        self.ledger.close(finished=finished)

    def has_pending_requests(self) -> bool:
        return bool(self._again or len(self.ledger.queue))

    def enqueue_request(self, request: Request) -> bool:
        if request.meta.get("civitai_row") in self.ledger.queue.open:
            self._again.append(request)
            return True
        parent = self.ledger.queue.open.get(request.meta.pop("civitai_parent", 0))
        stored = self._store(request)
        if parent is not None:
            parent.outstanding -= 1
            self.settle(parent)
        return stored

    def _store(self, request: Request) -> bool:
        request.meta.pop("civitai_row", None)
        fingerprint = None
        if not request.dont_filter:
            fingerprint = self.crawler.request_fingerprinter.fingerprint(request)
        stored = self.ledger.queue.add(
            fingerprint,
            encode(request, self._spider),
            lane=request.meta.get("civitai_lane", SITE),
            stage=request.meta.get("civitai_stage", 0),
            priority=request.priority,
        )
        self.crawler.stats.inc_value("civitai/ledger/stored" if stored else "dupefilter/filtered")
        self.commit_soon()
        return stored

    def next_request(self) -> Request | None:
        if self._again:
            return self._again.popleft()
        for lane in (SITE, FILE):
            if self._admits(lane) and (taken := self.ledger.queue.take(lane)):
                return self._revive(*taken)
        return None

    def _admits(self, lane: str) -> bool:
        awaiting, in_all = ADMITTED[lane]
        rows = [row for row in self.ledger.queue.open.values() if row.lane == lane]
        return len(rows) < in_all and sum(not row.answered for row in rows) < awaiting

    def _revive(self, row: Row, data: str) -> Request:
        request = decode(data, self._spider)
        original = request.errback

        def failed(failure: Failure) -> Any:
            row.error = type(failure.value).__name__
            row.answered = row.exhausted = True
            try:
                return original(failure) if original is not None else failure
            finally:
                # A final refusal is an answer: it is told once and not asked again in this pass.
                if getattr(failure.value, "final", False):
                    row.error = None
                self.settle(row)

        request = request.replace(errback=failed)
        request.meta["civitai_row"] = row.id
        return request

    def settle(self, row: Row) -> None:
        """Close *row* if it waits for nothing more, and see to it that this becomes durable."""
        if self.ledger.queue.settle(row):
            self.commit_soon()

    def commit_soon(self) -> None:
        if self._commit_due is None:
            loop = asyncio.get_running_loop()
            self._commit_due = loop.call_later(COMMIT_WITHIN, self._commit)

    def _commit(self) -> None:
        self._commit_due = None
        self.ledger.commit()
