"""Log lines for a person: short, without items, and never with an address that is a secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.logformatter import LogFormatter

from civitai_crawler.exceptions import UnfinishedError

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.logformatter import LogFormatterResult
    from twisted.python.failure import Failure


class QuietLogFormatter(LogFormatter):
    """Names an item by its class and id instead of printing it; dropping one is no warning."""

    def __init__(self, *, details: bool = True) -> None:
        super().__init__()
        self._details = details

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        # Making a line takes as long as storing the item, also for a log that leaves it out.
        level = logging.getLevelName(str(crawler.settings["LOG_LEVEL"]).upper())
        return cls(details=not isinstance(level, int) or level <= logging.DEBUG)

    def crawled(  # type: ignore[override]  # None is documented: no line
        self, request: Any, response: Response, spider: Spider
    ) -> LogFormatterResult | None:
        # A step of our own asked nobody.
        if not self._details or not request.url.startswith("http"):
            return None
        return super().crawled(request, response, spider)

    def scraped(  # type: ignore[override]  # None is documented: no line
        self, item: Any, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult | None:
        if not self._details:
            return None
        return {"level": logging.DEBUG, "msg": "Kept %(item)s", "args": {"item": _name(item)}}

    def dropped(
        self,
        item: Any,
        exception: BaseException,
        response: Response | Failure | None,
        spider: Spider,
    ) -> LogFormatterResult:
        return {"level": logging.DEBUG, "msg": "Dropped: %(why)s", "args": {"why": str(exception)}}

    def item_error(
        self,
        item: Any,
        exception: BaseException,
        response: Response | Failure | None,
        spider: Spider,
    ) -> LogFormatterResult:
        # Whoever ended the crawl has said why; Scrapy adds a traceback for each file under way.
        told = isinstance(exception, UnfinishedError)
        return {
            "level": logging.DEBUG if told else logging.ERROR,
            "msg": "Could not finish %(item)s; it is taken up again in the next run",
            "args": {"item": _name(item)},
        }


def _name(item: Any) -> str:
    return f"{type(item).__name__} {getattr(item, 'id', '')}".strip()
