"""Scrapy's scheduler on the ledger."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Any

from scrapy.core.scheduler import BaseScheduler
from scrapy.exceptions import DownloadCancelledError

from civitai_crawler.ledger.codec import decode, encode
from civitai_crawler.ledger.queue import FILE, SITE, Row
from civitai_crawler.ledger.store import HANDLED, Ledger, LedgerError
from civitai_crawler.ledger.tracking import tracked

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


#: What a user reads, whichever part is the first to meet it.
FULL = "The disk is full. Make room and start again: the crawl goes on from here."


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
        self._closing: asyncio.Task[None] | None = None
        self._spider: Spider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

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
        try:
            self.ledger.close(finished=finished)
        except (OSError, sqlite3.Error, LedgerError) as error:
            if self._closing is None:
                self._tell(error)

    def has_pending_requests(self) -> bool:
        return bool(self._again or len(self.ledger.queue))

    def enqueue_request(self, request: Request) -> bool:
        if request.meta.get("civitai_row") in self.ledger.queue.open:
            self._again.append(request)
            return True
        parent = self.ledger.queue.open.get(request.meta.pop("civitai_parent", 0))
        try:
            return self._store(request)
        except (TypeError, ValueError) as error:
            # A bug of the spider. Its row is tried again in the next run; the crawl goes on.
            logger.exception("Cannot write down %s", request)
            if parent is not None:
                parent.error = type(error).__name__
            return False
        except sqlite3.Error as error:
            self._end(error)
            return False
        finally:
            if parent is not None:
                parent.children -= 1
                self.settle(parent)

    def _store(self, request: Request) -> bool:
        request.meta.pop("civitai_row", None)
        again = bool(request.meta.get("civitai_again"))
        fingerprint = None
        if again or not request.dont_filter:
            fingerprint = self.crawler.request_fingerprinter.fingerprint(request)
        if again and fingerprint is not None:
            fingerprint = b"again " + fingerprint
        stored = self.ledger.queue.add(
            fingerprint,
            encode(request, self._spider),
            lane=request.meta.get("civitai_lane", SITE),
            stage=request.meta.get("civitai_stage", 0),
            priority=request.priority,
            renew=again,
        )
        self.crawler.stats.inc_value("civitai/ledger/stored" if stored else "dupefilter/filtered")
        self.commit_soon()
        return stored

    def next_request(self) -> Request | None:
        if self._again:
            return self._again.popleft()
        if self.ledger.broken is not None:
            return None
        try:
            return self._next_row()
        except sqlite3.Error as error:
            self._end(error)
            return None

    def _next_row(self) -> Request | None:
        for lane, bounds in ADMITTED.items():
            while self._admits(lane, *bounds) and (taken := self.ledger.queue.take(lane)):
                if request := self._revive(*taken):
                    return request
        return None

    def _admits(self, lane: str, awaiting: int, in_all: int) -> bool:
        now_awaiting, now_in_all = self.ledger.queue.in_flight(lane)
        return now_awaiting < awaiting and now_in_all < in_all

    def _revive(self, row: Row, data: str) -> Request | None:
        """Make the request of a row again; a row that cannot be read is left to the next run."""
        try:
            request = decode(data, self._spider)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            logger.error("A stored request cannot be read (%s); it is kept", type(error).__name__)  # noqa: TRY400  # told in one line
            row.error, row.exhausted = type(error).__name__, True
            self.settle(row)
            return None
        row.errback = request.errback

        def failed(failure: Failure) -> Any:
            return self._failed(row, failure)

        request = request.replace(errback=failed)
        request.meta["civitai_row"] = row.id
        return request

    def _failed(self, row: Row, failure: Failure) -> Any:
        """Let the spider's errback see a failure, and settle the row."""
        self.ledger.queue.answer(row)
        row.error = type(failure.value).__name__
        if isinstance(failure.value, DownloadCancelledError) and self._is_ending():
            # Says nothing about the request, so nobody is told; the next run asks again.
            return self._exhaust(row, None)
        try:
            output = failure if row.errback is None else row.errback(failure)
        except BaseException:
            self._exhaust(row, None)
            raise
        # A final refusal is an answer: it is told once and not asked again in this pass. So is one
        # in whose place the spider has asked something else.
        if output is HANDLED or getattr(failure.value, "final", False):
            row.error = None
        if output is HANDLED:
            output = None
        if output is None or output is failure:
            return self._exhaust(row, output)
        return tracked(output, row, self.settle, self.ledger.under_way)

    def _exhaust(self, row: Row, output: Any) -> Any:
        row.exhausted = True
        self.settle(row)
        return output

    def _is_ending(self) -> bool:
        # True as well while too much waits in memory, where it does no harm: nothing is cancelled.
        return self.crawler.engine.needs_backout()

    def settle(self, row: Row) -> None:
        """Close *row* if it waits for nothing more, and see to it that this becomes durable."""
        try:
            settled = self.ledger.queue.settle(row)
        except sqlite3.Error as error:
            self._end(error)
        else:
            if settled:
                self.commit_soon()

    def commit_soon(self) -> None:
        if self._commit_due is None:
            loop = asyncio.get_running_loop()
            self._commit_due = loop.call_later(COMMIT_WITHIN, self._commit)

    def _commit(self) -> None:
        self._commit_due = None
        try:
            self.ledger.commit()
        except (OSError, sqlite3.Error, LedgerError) as error:
            self._end(error)
        else:
            if self.ledger.broken is not None:
                self._end(self.ledger.broken)

    def _end(self, error: Exception) -> None:
        """End the crawl, once, because nothing can be read or committed any more."""
        self.ledger.broken = error
        if self._closing is None:
            closing = self.crawler.engine.close_spider_async(reason=self._tell(error))
            self._closing = asyncio.get_running_loop().create_task(closing)

    def _tell(self, error: Exception) -> str:
        """Say in one sentence why nothing can be committed; return the reason to end with."""
        if isinstance(error, LedgerError):
            logger.error("%s", error)
            return "feed_unusable"
        if _is_full(error):
            self._tell_full()
            return "disk_full"
        logger.error("The ledger or a feed cannot be used any more: %s", error)
        return "ledger_unusable"

    def _tell_full(self) -> None:
        # A media pipeline counts and tells the same when it is the first to meet it.
        self.crawler.stats.inc_value("civitai/disk_full")
        if self.crawler.stats.get_value("civitai/disk_full") == 1:
            logger.error(FULL)


def _is_full(error: Exception) -> bool:
    """Tell a full disk by the system's number, or by the words of SQLite, which has none of it."""
    if isinstance(error, sqlite3.Error):
        return "full" in str(error)
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
