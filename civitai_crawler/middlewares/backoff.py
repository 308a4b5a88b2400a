"""Tries again what may succeed, and gives up on what will not; in place of Scrapy's retries.

Order 560: the body is unpacked by then and redirects have been followed, and a 429 has not yet been
seen by anything further out. Replaces ``RetryMiddleware``, which knows neither ``Retry-After`` nor
the site's words and would repeat signed links.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from scrapy.exceptions import DownloadCancelledError
from scrapy.utils.misc import load_object

from civitai_crawler.api import backoff
from civitai_crawler.handlers.pacing import pause
from civitai_crawler.middlewares.judging import LIMITED_TRIES, TRIES, Judge, route
from civitai_crawler.middlewares.offline import Offline, concerns

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

logger = logging.getLogger(__name__)

#: What Scrapy's redirects leave in a request's meta; a repeated request has none of it.
_REDIRECTED = ("redirect_urls", "redirect_times", "redirect_ttl", "redirect_reasons")
_DEFAULT_PATIENCE = 600.0


class BackoffMiddleware:
    """Carries out the verdicts about answers, and about requests that got none."""

    def __init__(
        self, judge: Judge, retried: tuple[type[Exception], ...], offline: Offline
    ) -> None:
        self._judge = judge
        self._retried = retried
        self._offline = offline

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        names = crawler.settings.getlist("RETRY_EXCEPTIONS")
        patience = crawler.settings.getfloat("CIVITAI_OFFLINE_PATIENCE", _DEFAULT_PATIENCE)
        retried = tuple(load_object(name) for name in names)
        return cls(Judge.of(crawler), retried, Offline(patience))

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        if (where := route(request)) is None:
            return response
        if self._judge.pacer.is_site(request.url):
            self._offline.answered()
        if "streamed" in response.flags:
            self._judge.pacer.calm()
            return response
        verdict = self._judge.verdict(request, response, where)
        self._judge.note(request, response, verdict)
        if verdict.action == "retry":
            return await self._again(request, verdict)
        wanted = response.status in request.meta.get("handle_httpstatus_list", ())
        if verdict.action == "accept" or (wanted and verdict.reason != "challenge"):
            return response
        raise self._judge.gave_up(verdict, response.status)

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        if route(request) is None or not isinstance(exception, self._retried):
            return None
        if isinstance(exception, OSError) and "civitai_stream" in request.meta:
            return None  # of the disk; the network's are Scrapy's own by now
        verdict = backoff.network(
            attempt=self._judge.attempt(request),
            max_attempts=self._judge.max_attempts,
            pace=self._judge.pacer.interval,
        )
        self._judge.count(verdict)
        if self._judge.pacer.is_site(request.url):
            self._offline.failed(request.url, exception)
        if verdict.action == "retry":
            return await self._again(request, verdict)
        if self._offline.lost and concerns(exception):
            return await self._wait_for_network(request, verdict)
        raise self._judge.gave_up(verdict)

    async def _wait_for_network(self, request: Request, verdict: backoff.Verdict) -> Request:
        """Try once more after a while; ends the crawl when that has been so for too long."""
        wait = self._offline.wait()
        if wait is not None:
            return await self._again(request, replace(verdict, wait=wait))
        message = (
            f"The site cannot be asked: no connection to it for {self._offline.patience:.0f} s "
            "(network); the same command goes on from here."
        )
        self._judge.gave_up(replace(verdict, action="stop", message=message))
        # Says nothing about this request, which the next run asks again.
        raise DownloadCancelledError("The crawl is stopping.")

    async def _again(self, request: Request, verdict: backoff.Verdict) -> Request:
        """Give the request as it was first made, after its own wait; the pacer keeps the site's."""
        attempt = self._judge.attempt(request)
        logger.debug("Try %d of %s failed: %s", attempt, request, verdict.message)
        wait = verdict.wait
        if verdict.hold is not None and not self._judge.pacer.is_site(request.url):
            wait = verdict.hold
        await pause(wait, self._judge.pacer.stopping)
        meta = {key: value for key, value in request.meta.items() if key not in _REDIRECTED}
        meta.pop("civitai_progress", None)
        if verdict.reason in backoff.LIMITED:
            counts = meta.get(LIMITED_TRIES, {})
            meta[LIMITED_TRIES] = {**counts, verdict.reason: counts.get(verdict.reason, 0) + 1}
        first = request.meta.get("redirect_urls", [request.url])[0]
        return request.replace(url=first, meta={**meta, TRIES: attempt}, dont_filter=True)
