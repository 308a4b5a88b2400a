"""Spiders that do what a scheduler must stand, for ``tests.crawl``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider
from scrapy.exceptions import CloseSpider

from civitai_crawler.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scrapy.http import Response
    from twisted.python.failure import Failure

#: Nobody listens here.
REFUSED = "http://127.0.0.1:9/"


class OddSpider(Spider):
    """Does the odd thing named by ``what`` in its first stage, and an ordinary one in the next.

    If the row of the first stage were never settled, the second would never start.
    """

    name = "odd"
    what: str

    async def start(self) -> AsyncIterator[Any]:
        url = REFUSED if self.what.startswith("errback") else "data:,first"
        yield Request(url, getattr(self, self.what, self.nothing), errback=self.refused)
        yield Request("data:,later", self.later, meta={"civitai_stage": 1})

    def later(self, response: Response) -> Iterator[Any]:
        yield {"id": "later"}

    def nothing(self, response: Response) -> None:
        pass

    def yields_none(self, response: Response) -> Iterator[Any]:
        yield None
        yield {"id": "first"}

    def yields_what_is_no_item(self, response: Response) -> Iterator[Any]:
        yield 7
        yield {"name": "an item without id"}

    def yields_what_cannot_be_stored(self, response: Response) -> Iterator[Any]:
        yield Request("data:,x", callback=print)
        yield Request("data:,y", self.later, cb_kwargs={"name": object()})
        yield {"id": "first"}

    def yields_its_own_request(self, response: Response) -> Iterator[Any]:
        assert response.request is not None
        if response.text == "first":
            yield response.request.replace(url="data:,copy")
        yield {"id": response.text}

    def raises(self, response: Response) -> Iterator[Any]:
        yield {"id": "first"}
        raise ZeroDivisionError

    def closes(self, response: Response) -> Iterator[Any]:
        yield {"id": "first"}
        raise CloseSpider("enough")

    def breaks_the_ledger(self, response: Response) -> Iterator[Any]:
        Ledger.of(self.crawler).db.close()
        yield {"id": "first"}
        yield Request("data:,child", self.child)

    def loses_its_feed(self, response: Response) -> Iterator[Any]:
        for path in self.settings["FEEDS"]:
            Path(path).mkdir(parents=True)
        yield {"id": "first"}
        yield Request("data:,slow", self.takes_its_time)

    async def takes_its_time(self, response: Response) -> None:
        await asyncio.sleep(1)

    def refused(self, failure: Failure) -> Any:
        return getattr(self, f"after_{self.what}")(failure)

    def after_errback_yields(self, failure: Failure) -> Iterator[Any]:
        yield None
        yield {"id": "first"}
        yield Request("data:,child", self.child)

    def child(self, response: Response) -> Iterator[Any]:
        yield {"id": "child"}

    async def after_errback_awaits(self, failure: Failure) -> list[Any]:
        return [{"id": "first"}]

    def after_errback_raises(self, failure: Failure) -> None:
        raise ZeroDivisionError

    def after_errback_says_nothing(self, failure: Failure) -> None:
        pass

    def after_errback_passes_on(self, failure: Failure) -> Failure:
        return failure
