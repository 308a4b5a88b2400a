"""Says where a crawl stands: live bars on a terminal, a line a minute elsewhere.

In place of Scrapy's counts of pages and items.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from scrapy import signals
from scrapy.exceptions import NotConfigured

from civitai_crawler.extensions.screen import Screen, is_live
from civitai_crawler.extensions.standing import line
from civitai_crawler.extensions.watching import Watch

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

#: Seconds between two drawings.
_FRAME = 0.5


class Progress:
    """Extension: bars, or a line every ``LOGSTATS_INTERVAL`` seconds (60; 0 turns both off).

    ``CIVITAI_PROGRESS``: ``auto``, ``lines`` (never bars) or ``none``. With the log in a file
    (``LOG_FILE``) there are both, each in its place.
    """

    #: All crawls of this process share one terminal.
    _watches: ClassVar[list[Watch]] = []
    _screen: ClassVar[Screen | None] = None

    def __init__(self, crawler: Crawler, interval: float, *, bars: bool, lines: bool) -> None:
        self._watch = Watch(crawler)
        self._interval = interval
        self._bars = bars
        self._lines = lines
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        settings = crawler.settings
        interval = settings.getfloat("LOGSTATS_INTERVAL")
        wish = settings.get("CIVITAI_PROGRESS", "auto")
        if interval <= 0 or wish == "none":
            raise NotConfigured
        bars = wish == "auto" and is_live(sys.stderr, os.environ)
        lines = not bars or bool(settings.get("LOG_FILE"))
        extension = cls(crawler, interval, bars=bars, lines=lines)
        crawler.signals.connect(extension.spider_opened, signals.spider_opened)
        crawler.signals.connect(extension.spider_closed, signals.spider_closed)
        return extension

    def spider_opened(self) -> None:
        self._watch.begin()
        loop = asyncio.get_running_loop()
        if self._lines:
            self._tasks.append(loop.create_task(self._report()))
        if self._bars:
            self._watches.append(self._watch)
            if Progress._screen is None:
                Progress._screen = Screen()
                Progress._screen.open()
            self._tasks.append(loop.create_task(self._draw(Progress._screen)))

    async def spider_closed(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._watch in self._watches:
            if len(self._watches) == 1 and Progress._screen is not None:
                Progress._screen.show([self._watch.look()])
                Progress._screen.close()
                Progress._screen = None
            self._watches.remove(self._watch)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            logger.info("%s", self.line())

    async def _draw(self, screen: Screen) -> None:
        """Draw all crawls; the first of them does it."""
        with suppress(OSError):  # a terminal that was closed is no reason to end a crawl
            while True:
                if self._watches[0] is self._watch:
                    now = [watch.look() for watch in self._watches]
                    # Not in the loop: a slow terminal must not hold up the downloads.
                    await asyncio.to_thread(screen.show, now)
                await asyncio.sleep(_FRAME)

    def line(self) -> str:
        """Say where the crawl stands."""
        return line(self._watch.look())
