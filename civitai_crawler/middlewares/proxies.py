"""Scrapy's proxy middleware, behind a look at whether a crawl can use the proxy that is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware

from civitai_crawler.handlers.proxies import proxy_for

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler


class ProxyMiddleware(HttpProxyMiddleware):
    """Ends the crawl at its start where every request of it would fail; raises UsageError then."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        made = super().from_crawler(crawler)
        for name in ("CIVITAI_BASE_URL", "CIVITAI_MEDIA_URL"):
            proxy_for(str(crawler.settings.get(name) or ""))
        return made
