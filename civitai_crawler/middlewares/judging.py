"""What middlewares do with verdicts of ``api.backoff``: count, tell the pacer, give up, stop."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from civitai_crawler.api import backoff
from civitai_crawler.exceptions import GaveUpError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.middlewares.credentials import credentials

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

logger = logging.getLogger(__name__)

#: Tries so far, in the meta of a repeated request.
TRIES = "civitai_tries"
#: The same by reason, for reasons that have a number of tries of their own.
LIMITED_TRIES = "civitai_limited_tries"
_DEFAULT_RETRIES = 5
_TOO_MANY = 429
_EXPIRED = "The login has expired: renew the credential, the same command goes on from here."


def route(request: Request) -> str | None:
    """Give the route of a request that is ours to judge; ``None`` for all others."""
    if not request.url.startswith(("http:", "https:")):
        return None
    found: str | None = request.meta.get("civitai_route")
    return found


class Judge:
    """Asks for verdicts and carries out what concerns more than one request. One per crawler."""

    _judges: WeakKeyDictionary[Crawler, Judge] = WeakKeyDictionary()

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self.pacer = Pacer.of(crawler)
        #: Tries in all: the first one and ``CIVITAI_RETRY_TIMES`` more.
        self.max_attempts = crawler.settings.getint("CIVITAI_RETRY_TIMES", _DEFAULT_RETRIES) + 1
        self._signed_in = credentials(crawler.settings).kind != "none"
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, crawler: Crawler) -> Judge:
        """Give the judge of *crawler*; raises UsageError for settings it cannot use."""
        if crawler not in cls._judges:
            cls._judges[crawler] = cls(crawler)
        return cls._judges[crawler]

    def verdict(self, request: Request, response: Response, where: str) -> backoff.Verdict:
        """Judge *response* to a request of route *where*."""
        if "storage" in response.flags:
            where = "storage"
        elif where == "download" and not self.pacer.is_site(request.url):
            where = "media"  # a file's link to another host
        answer = backoff.Answer(
            status=response.status,
            headers={
                name.decode("latin-1").lower(): (response.headers[name] or b"").decode("latin-1")
                for name in response.headers
            },
            body=response.body,
            route=where,
            url=request.url,
        )
        found = backoff.verdict(
            answer,
            attempt=self.attempt(request),
            now=time.time(),
            max_attempts=self.max_attempts,
            signed_in=self._signed_in,
            earlier=request.meta.get(LIMITED_TRIES, {}),
            streak=self.pacer.streak + (not self.pacer.held),
            pace=self.pacer.interval,
        )
        # The site knew the account when the crawl began, and does no more.
        if found.reason == "login_required" and getattr(self._crawler.spider, "signed_in", False):
            return replace(found, action="stop", reason="login_expired", message=_EXPIRED)
        return found

    def attempt(self, request: Request) -> int:
        """Give the number of this try, from 1; a try that moved bytes uses up none."""
        if request.meta.get("civitai_progress"):
            return 1
        return int(request.meta.get(TRIES, 0)) + 1

    def note(self, request: Request, response: Response, verdict: backoff.Verdict) -> None:
        """Count *verdict*, and tell the pacer of an answer by the site."""
        if not self.pacer.is_site(request.url):
            if verdict.reason:
                self._count(verdict.reason)
            return
        if verdict.action == "accept":
            self.pacer.calm()
            return
        self._count(verdict.reason)
        if verdict.hold is not None:
            logger.info("%s Waiting %.0f s.", verdict.message, verdict.hold)
            if response.status == _TOO_MANY:
                self.pacer.slower()
            self.pacer.hold(verdict.hold)

    def count(self, verdict: backoff.Verdict) -> None:
        """Count a verdict about a request without an answer."""
        self._count(verdict.reason)

    def gave_up(self, verdict: backoff.Verdict, status: int | None = None) -> GaveUpError:
        """Give the error to be raised; ``stop`` also closes the spider, once."""
        self._crawler.stats.inc_value("civitai/backoff/gave_up")
        if verdict.action == "stop":
            self._stop(verdict)
        return GaveUpError(
            verdict.reason,
            verdict.message,
            status=status,
            retry_at=verdict.retry_at,
            final=verdict.final,
        )

    def _stop(self, verdict: backoff.Verdict) -> None:
        if self._closing is not None:
            return
        logger.error("%s The crawl stops.", verdict.message)
        self.pacer.end()
        closing = self._crawler.engine.close_spider_async(reason=verdict.reason)
        self._closing = asyncio.get_running_loop().create_task(closing)

    def _count(self, reason: str) -> None:
        self._crawler.stats.inc_value(f"civitai/backoff/{reason}")
