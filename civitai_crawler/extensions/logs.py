"""Log lines for a person: short, without items, and never with an address that is a secret."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from scrapy.logformatter import LogFormatter

from civitai_crawler.exceptions import UnfinishedError

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.http import Response
    from scrapy.logformatter import LogFormatterResult
    from twisted.python.failure import Failure


#: Where Scrapy's lines about items go.
_SCRAPER = logging.getLogger("scrapy.core.scraper")


class QuietLogFormatter(LogFormatter):
    """Names an item by its class and id instead of printing it; dropping one is no warning."""

    def crawled(  # type: ignore[override]  # None is documented: no line
        self, request: Any, response: Response, spider: Spider
    ) -> LogFormatterResult | None:
        if not request.url.startswith("http"):
            return None  # a step of our own asked nobody
        return super().crawled(request, response, spider)

    def scraped(  # type: ignore[override]  # None is documented: no line
        self, item: Any, response: Response | Failure | None, spider: Spider
    ) -> LogFormatterResult | None:
        if not _SCRAPER.isEnabledFor(logging.DEBUG):
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
