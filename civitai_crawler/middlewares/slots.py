"""Puts every request into the slot of the host that does the work.

Slots bound how many requests run at once; the pace to the site is the pacer's. A model file is one
request to the site and then an hour of bytes from a file host, so it never takes a place among the
site's. Scrapy writes a slot into a request once and keeps it over redirects to other hosts; here it
is decided anew on every pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.handlers.pacing import Pacer

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler

SITE, CDN, STORAGE = "site", "cdn", "storage"
_BY_ROUTE = {"download": STORAGE, "media": CDN}


class SlotsMiddleware:
    """Names the slot ``site``, ``cdn`` or ``storage`` (settings: ``DOWNLOAD_SLOTS``)."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(Pacer.of(crawler))

    def process_request(self, request: Request) -> None:
        if not request.url.startswith(("http:", "https:")):
            return
        by_route = _BY_ROUTE.get(request.meta.get("civitai_route", ""))
        on_site = self._pacer.is_site(request.url)
        slot = by_route or (SITE if on_site else STORAGE)
        request.meta["download_slot"] = slot
        # The pacer owns the pace to the site; AutoThrottle would take a slow answer for a reason to
        # wait longer than the interval.
        request.meta["autothrottle_dont_adjust_delay"] = slot == SITE
