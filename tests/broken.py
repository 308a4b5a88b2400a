"""Schedulers that are wrong on purpose, and a spider that dies at the worst moment.

The tests show by them that what they check can fail.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider, signals

from civitai_crawler.ledger.scheduler import LedgerScheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

    from scrapy.crawler import Crawler
    from scrapy.http import Response

    from civitai_crawler.ledger.queue import Row

#: Seconds between the two halves of a commit, so that a kill finds the place between them.
GAP = 0.05


class SlowCommit(LedgerScheduler):
    """Right, but slow: between the feeds' bytes and the commit a kill is likely."""

    def _commit(self) -> None:
        self.ledger.feeds.write_out()
        time.sleep(GAP)
        super()._commit()


class RowsFirst(LedgerScheduler):
    """Commits rows and items before their lines are written."""

    def _commit(self) -> None:
        self.ledger.db.execute("COMMIT")
        time.sleep(GAP)
        self.ledger.db.execute("BEGIN")
        super()._commit()


class LengthsNever(LedgerScheduler):
    """Leaves on disk what was written and never committed."""

    def _commit(self) -> None:
        self.ledger.feeds.write_out()
        time.sleep(GAP)
        super()._commit()

    def open(self, spider: Spider) -> None:
        # As if there were no uncommitted bytes to be cut: puts the cut ones back.
        for aside in sorted(Path(self.crawler.settings["JOBDIR"], "cut").glob("*")):
            name = aside.name.split("-", 1)[1]
            for path, file in self.ledger.feeds._files.items():
                if path.name == name:
                    file.write(aside.read_bytes())
            aside.unlink()
        super().open(spider)


class SettledEarly(LedgerScheduler):
    """Takes a callback that has ended for a row that is done."""

    def settle(self, row: Row) -> None:
        if row.exhausted:
            row.children = row.items = 0
        super().settle(row)


class PagesSpider(Spider):
    """A page with two children and two items; dies when the first item has left the pipelines.

    With one worker (``CONCURRENT_ITEMS = 1``) that is kept busy by a slow signal handler, the
    generator has ended and the item is done, but the other one still lies in Scrapy's own queue.
    """

    name = "pages"
    dies: str = ""

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.die_slowly, signals.item_scraped)
        return spider

    async def start(self) -> AsyncIterator[Any]:
        yield Request("data:,page", self.parse)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        yield {"id": "page"}
        yield {"id": "other"}
        yield Request("data:,one", self.parse_child)
        yield Request("data:,two", self.parse_child)

    def parse_child(self, response: Response) -> Iterator[Any]:
        yield {"id": response.text}

    async def die_slowly(self, item: Any) -> None:
        if self.dies:
            await asyncio.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
