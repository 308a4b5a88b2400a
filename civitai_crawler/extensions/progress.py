"""A line a minute about where a crawl stands, in place of Scrapy's counts of pages and items."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.exceptions import NotConfigured

from civitai_crawler.ledger import Ledger

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_MEGABYTE = 1_000_000
_SHOWN = 3


class Progress:
    """Extension: logs every ``LOGSTATS_INTERVAL`` seconds (60; 0 turns it off)."""

    def __init__(self, crawler: Crawler, interval: float) -> None:
        self._crawler = crawler
        self._interval = interval
        self._arriving: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        interval = crawler.settings.getfloat("LOGSTATS_INTERVAL")
        if interval <= 0:
            raise NotConfigured
        extension = cls(crawler, interval)
        for handler, signal in (
            (extension.spider_opened, signals.spider_opened),
            (extension.spider_closed, signals.spider_closed),
            (extension.download_begins, signals.request_reached_downloader),
            (extension.download_ends, signals.request_left_downloader),
        ):
            crawler.signals.connect(handler, signal)
        return extension

    def spider_opened(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._report())

    def spider_closed(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def download_begins(self, request: Request) -> None:
        if part := request.meta.get("civitai_stream"):
            self._arriving.add(part)

    def download_ends(self, request: Request) -> None:
        self._arriving.discard(request.meta.get("civitai_stream", ""))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            logger.info("%s", self.line())

    def line(self) -> str:
        """Say where the crawl stands."""
        stats, queue = self._crawler.stats, Ledger.of(self._crawler).queue
        bytes_ = sum(stats.get_value(f"civitai/{word}/bytes", 0) for word in ("files", "images"))
        said = (
            f"{stats.get_value('downloader/request_count', 0)} requests, "
            f"{stats.get_value('item_scraped_count', 0)} items, "
            f"{bytes_ / _MEGABYTE:.1f} MB of media; "
            f"{len(queue) + len(queue.open)} requests are known to be left"
        )
        if not self._arriving:
            return said
        parts = sorted(self._arriving)
        more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
        return f"{said}; downloading {', '.join(map(_arrived, parts[:_SHOWN]))}{more}"


def _arrived(part: str) -> str:
    """Name a part by its kind and id, with what has arrived of it."""
    file = Path(part)
    try:
        size = file.stat().st_size
    except OSError:
        size = 0
    return f"{file.stem.replace('-', ' ').replace('_', ' ')} ({size / _MEGABYTE:.1f} MB)"
