"""The pace, kept at the last await before the socket.

Everything that a request can go through on its way (slots, retries, redirects, media pipelines,
robots.txt) ends in the download handler, so nothing gets past the pacer, and a pause asked for by
the site holds whatever has not been sent yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.utils.misc import build_from_crawler

from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.streaming import StreamingDownloads

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response


class PacedDownloadHandler(BaseDownloadHandler):
    """Scrapy's own handler for http and https, behind the pacer; big bodies go to the disk.

    Requests with ``civitai_stream`` in their meta (the path of a part file) are streamed.
    """

    # The middlewares come first and name a wrong setting; a handler's error would only be logged.
    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._pacer = Pacer.of(crawler)
        self._plain = build_from_crawler(HTTP11DownloadHandler, crawler)
        # Twisted repeats a request at once when a kept-alive connection breaks, past the pacer.
        # Only the pool can tell it not to, and Scrapy has no public name for its pool.
        self._plain._pool.retryAutomatically = False  # noqa: SLF001  # see above
        self._streaming = StreamingDownloads(crawler, self._pacer)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def download_request(self, request: Request) -> Response:
        if "civitai_stream" in request.meta:
            return await self._streaming.fetch(request)
        if not self._pacer.is_site(request.url):
            return await self._plain.download_request(request)
        start = await self._pacer.turn()
        try:
            response = await self._plain.download_request(request)
        except Exception:
            self._pacer.broke()
            raise
        self._pacer.answered(start)
        return response

    async def close(self) -> None:
        await self._streaming.close()
        await self._plain.close()
