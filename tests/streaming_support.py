"""A site that redirects its downloads to a storage with faults, and a handler between them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from scrapy import Request

from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.site import Site
from civitai_crawler.handlers.streaming import Streamed, StreamingDownloads
from tests.servers import Server, serve
from tests.test_pacing import crawler_with

if TYPE_CHECKING:
    from pathlib import Path

    from scrapy.crawler import Crawler

BODY = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRETS = {"Cookie": "civ=TOPSECRET", "Authorization": "Bearer TOPSECRET"}
OLD = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Storage:
    """A file host with faults: each request takes the next one."""

    body: bytes = BODY
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    faults: list[Any] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, dict):
            return web.Response(**fault)
        start, status, headers = 0, 200, {"Content-Type": "application/x-test; q=1", **self.headers}
        asked = request.headers.get("Range")
        known = headers.get("ETag") or headers.get("Last-Modified")
        if asked and self.ranges and request.headers.get("If-Range") == known:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                total = {"Content-Range": f"bytes */{len(self.body)}"}
                return web.Response(status=416, headers=total)
            status = 206
            end = len(self.body) - 1
            headers["Content-Range"] = f"bytes {start}-{end}/{len(self.body)}"
        rest = self.body[start:]
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(rest)
        await response.prepare(request)
        if fault is None:
            await response.write(rest)
            return response
        kind, count = fault
        await response.write(rest[:count])
        if kind == "stall":
            await asyncio.sleep(30)
        assert request.transport is not None
        request.transport.close()
        return response


@dataclass
class Place:
    """A site that redirects its downloads to a storage, and what fetches from them."""

    site: Server
    storage: Server
    host: Storage
    downloads: StreamingDownloads
    crawler: Crawler
    part: Path

    def request(self, path: str = "/api/download/models/1", base: str | None = None) -> Request:
        meta = {"civitai_stream": str(self.part), "civitai_route": "download"}
        headers = {**SECRETS, "User-Agent": "tests/1", "X-Own": "here", "Referer": "https://a/b"}
        return Request((base or self.site.url) + path, headers=headers, meta=meta)

    async def fetch(self, request: Request | None = None) -> Streamed:
        request = request or self.request()
        response = await self.downloads.fetch(request)
        assert (response.status, response.flags, response.body) == (200, ["streamed"], b"")
        assert response.url == request.url
        streamed: Streamed = request.meta["civitai_streamed"]
        assert self.part.read_bytes() == self.host.body
        assert streamed.sha256 == hashlib.sha256(self.host.body).hexdigest()
        assert streamed.size == len(self.host.body)
        assert streamed.head == self.host.body[:512]
        return streamed

    def stat(self, name: str) -> Any:
        return self.crawler.stats.get_value(f"civitai/stream/{name}")


@asynccontextmanager
async def placed(part, settings=None, site=None):
    host = Storage()
    signed = 0

    async def redirecting(request):
        nonlocal signed
        signed += 1
        response = web.Response(status=307, text="SIGNED", headers={"Set-Cookie": "civ=rolled"})
        response.headers["Location"] = f"{storage.url}/f%2Fx?sig=SIGNED{signed}&a=%20b"
        return response

    async with serve(site or redirecting) as server, serve(host, "127.0.0.2") as storage:
        crawler = crawler_with(DOWNLOAD_VERIFY_CERTIFICATES=True, **(settings or {}))
        downloads = StreamingDownloads(crawler, Pacer(0, site=Site(server.url)))
        try:
            yield Place(server, storage, host, downloads, crawler, part)
        finally:
            await downloads.close()
