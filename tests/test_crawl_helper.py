from __future__ import annotations
from aiohttp import web
from tests.crawl import crawl
from tests.servers import serve


async def test_crawl():
    async def ok(request):
        return web.json_response({"a": 1})

    async with serve(ok) as s:
        r = await crawl(requests=[{"url": s.url + "/x"}])
    print(r)
    assert r.items[0]["body"] == '{"a": 1}'
    assert r.reason == "finished"
    assert s.paths() == ["/x"]
