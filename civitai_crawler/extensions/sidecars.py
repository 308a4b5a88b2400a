"""Writes the sidecars of the archive when a crawl has ended, whatever ended it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.exceptions import NotConfigured

from civitai_crawler import sidecars
from civitai_crawler.options import words_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)


class Sidecars:
    """Extension: once the feeds are closed; CIVITAI_SIDECARS says which (``none`` turns it off).

    A crawl that was killed leaves them to the next one. One that has added nothing to the feeds
    does not read them.
    """

    def __init__(self, crawler: Crawler, wish: sidecars.Wish) -> None:
        self._crawler = crawler
        self._wish = wish

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        formats = words_of(crawler.settings["CIVITAI_SIDECARS"])
        if not formats:
            raise NotConfigured
        highest = crawler.settings.getint("CIVITAI_PREVIEW_LEVEL")
        extension = cls(crawler, sidecars.Wish(formats=formats, highest=highest))
        crawler.signals.connect(extension.feeds_closed, signals.feed_exporter_closed)
        return extension

    async def feeds_closed(self) -> None:
        home = getattr(self._crawler.spider, "home", None)
        if home is None:
            return
        try:
            outcome = await asyncio.to_thread(self._write, home(self._crawler.settings))
        except OSError as error:  # a full disk has already ended the crawl with a sentence
            logger.warning("The sidecars cannot be written: %s", error.strerror)
            return
        if outcome is not None:
            self._crawler.stats.set_value("civitai/sidecars/written", outcome.written)
            if outcome.written:
                logger.info("Wrote %d sidecars and previews", outcome.written)

    def _write(self, folder: Path) -> sidecars.Outcome | None:
        return sidecars.write(folder, self._wish, _warn) if folder.is_dir() else None


def _warn(sentence: str) -> None:
    logger.warning("%s", sentence)
