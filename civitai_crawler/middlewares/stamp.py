"""Tells every item when and from which call it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.spidermiddlewares.base import BaseSpiderMiddleware

from civitai_crawler.items import Record
from civitai_crawler.ledger.origin import stamp_of

if TYPE_CHECKING:
    from scrapy.http import Response


class StampMiddleware(BaseSpiderMiddleware):
    """Spider middleware: fills ``archive``, ``fetched_at`` and ``source`` where they are open."""

    def get_processed_item(self, item: Any, response: Response | None) -> Any:
        if isinstance(item, Record) and response is not None:
            stamp = response.meta.get("civitai_origin") or stamp_of(response)
            item.fetched_at = item.fetched_at or stamp["fetched_at"]
            item.source = item.source or stamp["source"]
            item.archive = item.archive or getattr(self.crawler.spider, "archive", "")
        return item
