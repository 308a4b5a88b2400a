"""Knows when a row is done: counts what a callback yielded and what became of it.

Scrapy reads a callback's output through a queue, so a generator that has ended does not mean that
its requests were scheduled or its items processed. Both are counted as outstanding until they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Request, signals

from civitai_crawler.ledger.changes import digest
from civitai_crawler.ledger.scheduler import LedgerScheduler
from civitai_crawler.ledger.store import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure

    from civitai_crawler.ledger.queue import Row

#: The field of each item class that names what it is counted under.
_PARENTS = {
    "ModelVersion": "model_id",
    "ModelFile": "version_id",
    "Image": "post_id",
    "GenerationData": "post_id",
}


class LedgerMiddleware:
    """Spider middleware, nearest to the engine, so that it sees what is really handed over."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.ledger = Ledger.of(crawler)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        middleware = cls(crawler)
        for handler, signal in (
            (middleware.item_scraped, signals.item_scraped),
            (middleware.item_dropped, signals.item_dropped),
            (middleware.item_error, signals.item_error),
            (middleware.spider_error, signals.spider_error),
        ):
            crawler.signals.connect(handler, signal)
        return middleware

    def _row(self, response: Response | Failure | None) -> Row | None:
        meta = getattr(getattr(response, "request", None), "meta", {})
        return self.ledger.queue.open.get(meta.get("civitai_row", 0))

    def _settle(self, row: Row) -> None:
        scheduler = self.crawler.engine.scheduler
        if isinstance(scheduler, LedgerScheduler):
            scheduler.settle(row)

    def process_spider_input(self, response: Response) -> None:
        if row := self._row(response):
            row.answered = True

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        row = self._row(response)
        async for output in result:
            if row is not None:
                row.outstanding += 1
                if isinstance(output, Request):
                    output.meta["civitai_parent"] = row.id
            yield output
        if row is not None:
            row.exhausted = True
            self._settle(row)

    def _item_left(self, response: Response | None, error: str | None = None) -> None:
        if row := self._row(response):
            row.outstanding -= 1
            row.error = row.error or error
            self._settle(row)

    def item_scraped(self, item: Any, response: Response | None) -> None:
        kind = type(item).__name__
        adapter = ItemAdapter(item)
        if "id" in adapter:
            parent = adapter.get(_PARENTS.get(kind, ""))
            self.ledger.add_item(kind, adapter["id"], parent, digest(item))
        self._item_left(response)

    def item_dropped(self, item: Any, response: Response | None) -> None:
        self._item_left(response)

    def item_error(self, item: Any, response: Response | None, failure: Failure) -> None:
        self._item_left(response, f"item: {type(failure.value).__name__}")

    def spider_error(self, failure: Failure, response: Response | None) -> None:
        if row := self._row(response):
            row.exhausted = True
            row.error = f"callback: {type(failure.value).__name__}"
            self._settle(row)
