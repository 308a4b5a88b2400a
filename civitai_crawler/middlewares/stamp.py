"""Tells every item when and from which call it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

from civitai_crawler.items import Record
from civitai_crawler.ledger.origin import stamp_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler
    from scrapy.http import Response


class StampMiddleware(BaseSpiderMiddleware):
    """Spider middleware: fills ``archive``, ``fetched_at`` and ``source`` where they are open."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        #: The last answer and its stamp: a page has hundreds of items.
        self._last: tuple[Response, dict[str, str]] | None = None

    def get_processed_item(self, item: Any, response: Response | None) -> Any:
        if isinstance(item, Record) and response is not None:
            stamp = self._stamp(response)
            item.fetched_at = item.fetched_at or stamp["fetched_at"]
            item.source = item.source or stamp["source"]
            item.archive = item.archive or getattr(self.crawler.spider, "archive", "")
        return item

    def _stamp(self, response: Response) -> dict[str, str]:
        if self._last is None or self._last[0] is not response:
            self._last = response, response.meta.get("civitai_origin") or stamp_of(response)
        return self._last[1]
