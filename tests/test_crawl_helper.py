"""The helper that runs whole crawls: what goes in, what comes out."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.crawl import crawl
from tests.servers import serve


async def test_items_stats_and_environment():
    async def site(request):
        return web.json_response({"path": request.path})

    async with serve(site) as server:
        requests = [{"url": f"{server.url}/x"}, {"url": "http://127.0.0.9:9/"}]
        result = await crawl(settings={"RETRY_ENABLED": False}, requests=requests)
    answered, failed = sorted(result.items, key=lambda item: "error" in item)
    assert answered["body"] == '{"path": "/x"}'
    assert failed["error"] == "DownloadConnectionRefusedError"
    assert result.reason == "finished"
    assert result.stats["item_scraped_count"] == 2
    assert result.max_rss > 20 << 20
    assert server.paths() == ["/x"]


async def test_interrupt():
    arrived = asyncio.Event()

    async def site(_):
        arrived.set()
        return web.json_response({})

    async with serve(site) as server:
        requests = [{"url": f"{server.url}/{n}"} for n in range(50)]
        settings = {"DOWNLOAD_DELAY": 0.2, "CONCURRENT_REQUESTS": 1}
        result = await crawl(settings=settings, requests=requests, stop_when=arrived)
    assert result.reason == "shutdown"
    assert len(server.seen) < 50


async def test_a_crawl_that_cannot_start_tells_why():
    with pytest.raises(AssertionError, match="No module named"):
        await crawl("tests.nowhere:Spider")
