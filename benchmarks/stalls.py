"""Measures how long the event loop of a crawl stands still. A Scrapy extension, for calm.py."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy import signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from scrapy.crawler import Crawler

TICK = 0.005
#: What of the crawl's stats goes along.
_STATS = ("civitai/files/bytes", "civitai/images/stored", "elapsed_time_seconds")


async def watch() -> AsyncIterator[float]:
    """Yield by how many seconds each tick came too late."""
    while True:
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        yield time.perf_counter() - due


class Stalls:
    """Writes the stalls of a crawl to the file that the environment names as STALLS."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.found: list[float] = []
        self.task: asyncio.Task[None] | None = None
        crawler.signals.connect(self.opened, signals.spider_opened)
        crawler.signals.connect(self.closed, signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def opened(self) -> None:
        self.task = asyncio.create_task(self.measure())

    async def measure(self) -> None:
        async for stall in watch():
            self.found.append(stall)

    def closed(self) -> None:
        assert self.task is not None
        self.task.cancel()
        figures = {name: self.crawler.stats.get_value(name) for name in _STATS}
        Path(os.environ["STALLS"]).write_text(json.dumps({"stalls": self.found, **figures}))
