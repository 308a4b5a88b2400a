"""Knows when a row is done: counts what a callback yielded and what became of it.

Scrapy reads a callback's output through a queue, so a generator that has ended does not mean that
its requests were scheduled or its items processed. Both are counted as outstanding until they are.
"""

from __future__ import annotations

import inspect
import sqlite3
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Request, signals
from scrapy.utils.asyncgen import as_async_generator
from scrapy.utils.spider import iterate_spider_output

from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.items import Failure, Record
from civitai_crawler.ledger.changes import digest
from civitai_crawler.ledger.store import Ledger
from civitai_crawler.ledger.underway import PARENTS, RepeatedItem, key_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Self

    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.ledger.queue import Row
    from civitai_crawler.ledger.underway import UnderWay


async def tracked(
    output: Any, row: Row, settle: Callable[[Row], None], under_way: UnderWay
) -> AsyncIterator[Any]:
    """Pass on what a callback or errback of *row* yields, counting it as outstanding.

    Requests go first, then the items: these may stay in the pipelines for as long as their
    originals take, and behind them the site would be kept waiting.
    """
    items: list[Any] = []
    broken: Exception | None = None
    try:
        if inspect.isawaitable(output):
            output = await output
        async for each in as_async_generator(iterate_spider_output(output)):
            if isinstance(each, Request):
                row.children += 1
                yield _child(each, row)
            elif each is not None:  # Scrapy drops that without a word
                row.items += 1
                under_way.enter(each)
                items.append(each)
    except Exception as error:  # noqa: BLE001  # raised below, behind what was yielded before
        broken = error
    else:
        row.exhausted = True
        settle(row)
    for each in items:
        yield each
    if broken is not None:
        raise broken


def _child(request: Request, row: Row) -> Request:
    """Mark a request as yielded for *row*; a copy of the row's own is a child like any other."""
    if request.meta.pop("civitai_row", None) == row.id:
        request = request.replace(errback=row.errback)
    request.meta["civitai_parent"] = row.id
    return request


#: Stat: failure records of this run. One receiver of Scrapy's signal less than counting elsewhere.
FAILURES = "civitai/failures"


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

    def _row(self, response: Response | TwistedFailure | None) -> Row | None:
        meta = getattr(getattr(response, "request", None), "meta", {})
        return self.ledger.queue.open.get(meta.get("civitai_row", 0))

    def _settle(self, row: Row) -> None:
        settle: Callable[[Row], None] | None = getattr(
            self.crawler.engine.scheduler, "settle", None
        )
        if settle is not None:
            settle(row)

    def process_spider_input(self, response: Response) -> None:
        if row := self._row(response):
            self.ledger.queue.answer(row)

    async def process_spider_output(
        self, response: Response, result: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        row = self._row(response)
        output = (
            result if row is None else tracked(result, row, self._settle, self.ledger.under_way)
        )
        async for each in output:
            yield each

    def _item_left(
        self, item: Any, response: Response | None, error: str | None = None, **how: bool
    ) -> None:
        self.ledger.under_way.leave(item, **how)
        if row := self._row(response):
            row.items -= 1
            row.error = row.error or error
            self._settle(row)

    def item_scraped(self, item: Any, response: Response | None) -> None:
        # Scrapy runs the handlers of one signal in one turn of the loop, so no commit comes between
        # the exporter's line and this.
        try:
            self._note(item)
        except sqlite3.Error as error:
            self.ledger.broken = error  # the scheduler ends the crawl
        finally:
            self._item_left(item, response)

    def _note(self, item: Any) -> None:
        kind, number = key_of(item)
        if isinstance(item, Failure):
            self.crawler.stats.inc_value(FAILURES)
        if not isinstance(item, Record) and ItemAdapter.is_item(item):
            number = ItemAdapter(item).get("id")
        if number is not None:
            parent = getattr(item, PARENTS.get(kind, ""), None)
            self.ledger.add_item(kind, number, parent, digest(item))

    def item_dropped(self, item: Any, response: Response | None, exception: BaseException) -> None:
        self._item_left(item, response, repeated=isinstance(exception, RepeatedItem))

    def item_error(self, item: Any, response: Response | None, failure: TwistedFailure) -> None:
        unfinished = isinstance(failure.value, UnfinishedError)
        error = f"item: {type(failure.value).__name__}"
        self._item_left(item, response, error, unfinished=unfinished)

    def spider_error(self, failure: TwistedFailure, response: Response | None) -> None:
        if row := self._row(response):
            row.exhausted = True
            row.error = row.error or f"callback: {type(failure.value).__name__}"
            self._settle(row)
