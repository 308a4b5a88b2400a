"""The pace: exact, first come first served, held for everybody, past nothing."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadCancelledError
from scrapy.settings import Settings
from scrapy.spiders import Spider

from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers.pacing import RECOVERY, SLOWEST, Pacer, pause
from civitai_crawler.handlers.shared import Noted
from civitai_crawler.handlers.site import Site
from tests.crawl import ROOT, crawl
from tests.servers import serve

if TYPE_CHECKING:
    from pathlib import Path

INTERVAL = 0.2
#: What makes up addresses that are easily misread.
PIECES = (
    "https", "http", ":", "/", "://", "civitai.com", "evil.example", "@", "?", "#", "\\", "\n", " ",
    ":443", ":80", ".",
)  # fmt: skip
HANDLERS = dict.fromkeys(("http", "https"), "civitai_crawler.handlers.paced.PacedDownloadHandler")
PACED = {
    "DOWNLOAD_HANDLERS": HANDLERS,
    "CONCURRENT_REQUESTS": 0,
    "DOWNLOAD_DELAY": 0.001,
    "CIVITAI_REQUEST_INTERVAL": INTERVAL,
    "DOWNLOADER_MIDDLEWARES": {
        "civitai_crawler.middlewares.backoff.BackoffMiddleware": 560,
        "civitai_crawler.middlewares.answers.AnswersMiddleware": 610,
        "civitai_crawler.middlewares.slots.SlotsMiddleware": 720,
        "civitai_crawler.middlewares.login.LoginMiddleware": 950,
        "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    },
    "COOKIES_ENABLED": False,
}


def crawler_with(**settings: object) -> Crawler:
    crawler = Crawler(Spider, Settings({"TWISTED_REACTOR_ENABLED": False, **settings}))
    crawler._apply_settings()
    return crawler


def gaps(pacer: Pacer) -> list[float]:
    return [later - earlier for earlier, later in pairwise(pacer.starts)]


def api(url: str, **meta: object) -> dict[str, Any]:
    return {"url": url, "meta": {"civitai_route": "api", **meta}}


@pytest.mark.parametrize(
    ("interval", "margin"), [(1.5, 0.015), (0.2, 0.002), (0.05, 0.0005), (60, 0.02), (0, 0)]
)
def test_margin_costs_little(interval, margin):
    assert Pacer(interval).margin == pytest.approx(margin)


@pytest.mark.alone
async def test_turns_keep_the_interval_and_their_order():
    pacer = Pacer(0.03)
    order = []

    async def take(number):
        await pacer.turn()
        order.append(number)

    await asyncio.gather(*(take(number) for number in range(8)))
    assert order == list(range(8))
    assert min(gaps(pacer)) >= 0.03
    assert pacer.min_gap == min(gaps(pacer))
    assert sum(gaps(pacer)) <= 7 * 0.03 * 1.2  # the timer of a busy machine, no more


async def test_hold_moves_those_who_wait_already():
    pacer = Pacer(0.02)
    await pacer.turn()
    waiting = [asyncio.create_task(pacer.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    held = time.monotonic()
    pacer.hold(0.2)
    pacer.hold(0.05)  # a shorter one takes nothing away
    await asyncio.gather(*waiting)
    assert pacer.starts[1] >= held + 0.2
    assert min(gaps(pacer)) >= 0.02


async def test_a_cancelled_turn_takes_nobody_elses():
    pacer = Pacer(0.05)
    await pacer.turn()
    first, second = (asyncio.create_task(pacer.turn()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert len(pacer.starts) == 2


async def test_slower_and_back():
    pacer = Pacer(1, margin=0)
    pacer.slower()
    assert pacer.pace == 2
    for _ in range(RECOVERY - 1):
        pacer.calm()
    assert 1 < pacer.pace < 1.1
    pacer.calm()
    assert pacer.pace == pytest.approx(1)
    for _ in range(10):
        pacer.slower()
    assert pacer.pace == SLOWEST


async def test_one_burst_counts_once():
    pacer = Pacer(1, margin=0)
    for _ in range(3):  # three requests were under way
        pacer.slower()
        pacer.hold(60)
    assert (pacer.pace, pacer.streak) == (2, 1)
    pacer.calm()  # as is a good one, sent before the site asked
    assert (pacer.pace, pacer.streak) == (2, 1)


async def test_the_end_sends_everybody_away():
    pacer = Pacer(30)
    await pacer.turn()
    waiting = [asyncio.create_task(pacer.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    pacer.end()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [DownloadCancelledError] * 3


async def test_pause_ends_with_the_crawl():
    with pytest.raises(DownloadCancelledError):
        await pause(30, lambda: True)
    await pause(0, lambda: True)


@pytest.mark.parametrize("value", ["-1", "fast", "nan", "inf", "", None, [1]])
def test_wrong_interval(value):
    crawler = crawler_with(CIVITAI_REQUEST_INTERVAL=value)
    if value is None:
        assert Pacer.of(crawler).interval == 1.5
        return
    with pytest.raises(UsageError, match="CIVITAI_REQUEST_INTERVAL"):
        Pacer.of(crawler)


def test_one_pacer_per_crawler():
    one, other = crawler_with(), crawler_with()
    assert Pacer.of(one) is Pacer.of(one) is not Pacer.of(other)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://civitai.com/api/v1/me", True),
        ("https://civitai.com:443", True),
        ("https://CIVITAI.com/", True),
        ("http://civitai.com/", False),
        ("https://civitai.com:8443/", False),
        ("https://image.civitai.com/", False),
        ("https://civitai.com.evil.example/", False),
        ("https://civitai.com@evil.example/", False),
        ("data:,x", False),
        ("https://[broken", False),
        ("https://civitai.com?next=/a/b", True),
        ("https://evil.example?https://civitai.com/", False),
        ("https:/\n/civitai.com/a", True),  # as urllib and browsers read it
    ],
)
def test_site(url, expected):
    assert Site("https://civitai.com/").holds(url) is expected


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9))
def test_the_beginning_of_an_address_tells_as_much_as_all_of_it(pieces):
    url = "".join(pieces)
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or {"https": 443}.get(parts.scheme)
    except ValueError:
        host, port = "", None
    is_there = (parts.scheme, host, port) == ("https", "civitai.com", 443) if host else False
    assert Site("https://civitai.com").holds(url) is is_there


@pytest.mark.parametrize("url", ["civitai.com", "ftp://civitai.com", "https://", "http://a:b"])
def test_wrong_base_url(url):
    with pytest.raises(UsageError, match="CIVITAI_BASE_URL"):
        Site(url)


@pytest.mark.alone
async def test_every_request_of_a_crawl_keeps_the_pace(tmp_path: Path):
    """Errors, broken connections, redirects and downloads included, as the server sees it."""
    seen: dict[str, int] = {}

    async def site(request):
        seen[request.path] = seen.get(request.path, 0) + 1
        first = seen[request.path] == 1
        if request.path == "/api/error" and first:
            return web.Response(status=500)
        if request.path in ("/api/cut", "/api/download") and first:
            request.transport.abort()
        if request.path == "/api/moved":
            raise web.HTTPFound("/api/there")
        if request.path == "/api/download":
            raise web.HTTPFound(f"{cdn.url}/file")
        return web.json_response({})

    async def body(_):
        return web.Response(body=b"x" * 1000)

    async with serve(site) as server, serve(body, "127.0.0.2") as cdn:
        requests = [api(f"{server.url}/api/{n}") for n in range(10)]
        requests += [api(f"{server.url}/api/{name}") for name in ("error", "cut", "moved")]
        part = str(tmp_path / "file.part")
        requests.append(
            {
                "url": f"{server.url}/api/download",
                "meta": {"civitai_route": "download", "civitai_stream": part},
            }
        )
        result = await crawl(settings={**PACED, "CIVITAI_BASE_URL": server.url}, requests=requests)
    assert [item.get("status", item.get("error")) for item in result.items] == [200] * 14
    sent = len(server.seen)
    assert sent == 14 + 4
    first, *gaps = server.gaps()
    # The way to the server is not ours. The first request of a process opens a connection as well:
    # on a busy machine it arrives later than the pacer makes up for (a quarter of the interval).
    assert first >= INTERVAL / 2
    assert min(gaps) >= INTERVAL - 0.02
    assert result.stats["civitai/pacer/min_gap"] >= INTERVAL
    assert result.stats["civitai/pacer/turns"] == sent


@pytest.mark.alone
async def test_a_429_holds_the_site_and_nobody_else():
    sent = 0

    async def site(request):
        nonlocal sent
        sent += 1
        if sent == 3:
            return web.json_response({}, status=429, headers={"Retry-After": "2"})
        return web.json_response({})

    async def other(_):
        return web.Response(text="ok")

    async with serve(site) as server, serve(other, "127.0.0.2") as cdn:
        requests = [api(f"{server.url}/api/{n}") for n in range(6)]
        requests += [
            {"url": f"{cdn.url}/{n}", "meta": {"civitai_route": "media"}} for n in range(20)
        ]
        settings = {
            **PACED,
            "CIVITAI_BASE_URL": server.url,
            "DOWNLOAD_SLOTS": {"cdn": {"concurrency": 1, "delay": 0.05}},
        }
        result = await crawl(settings=settings, requests=requests)
    assert len(server.seen) == 7
    pauses = server.gaps()
    assert max(pauses) >= 2
    assert pauses.index(max(pauses)) in (2, 3)  # at most one more was under way
    assert min(pauses[3:]) >= INTERVAL - 0.01
    assert max(cdn.gaps()) < 0.5
    assert result.stats["civitai/backoff/rate_limited"] == 1
    assert all(item["status"] == 200 for item in result.items)


async def test_ctrl_c_does_not_wait_for_turns():
    arrived = asyncio.Event()

    async def site(_):
        arrived.set()
        return web.json_response({})

    async with serve(site) as server:
        settings = {**PACED, "CIVITAI_BASE_URL": server.url, "CIVITAI_REQUEST_INTERVAL": 30}
        requests = [api(f"{server.url}/api/{n}") for n in range(4)]
        result = await crawl(settings=settings, requests=requests, stop_when=arrived, timeout=15)
    assert result.reason == "shutdown"
    assert len(server.seen) == 1


def test_crawls_of_one_site_share_its_turns():
    site = {"CIVITAI_BASE_URL": "https://shared.example", "CIVITAI_SHARED_PACE": "false"}
    one, two = (Pacer.of(crawler_with(**site)) for _ in range(2))
    other = Pacer.of(crawler_with(CIVITAI_BASE_URL="https://other.example"))

    for pacer in (one, two, other):
        pacer._crawl_stops = lambda: False  # these crawls never start

    async def turns():
        one.interval = two.interval = 0.05
        one.margin = two.margin = 0.0
        await asyncio.gather(one.turn(), two.turn(), one.turn(), two.turn())

    asyncio.run(turns())
    assert one.starts is two.starts
    assert len(one.starts) == 4
    assert min(gaps(one)) >= 0.05
    two.hold(60)
    assert one.held
    assert not other.held
    one.end()
    assert one.stopping()
    assert not two._ended


PROCESS = """
import asyncio, sys, time
from pathlib import Path
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.shared import Noted
async def main():
    pacer = Pacer(float(sys.argv[2]), noted=Noted(Path(sys.argv[1])))
    for _ in range(int(sys.argv[3])):
        await pacer.turn()
        print(time.time(), flush=True)
asyncio.run(main())
"""


async def take_turns(path: Path, interval: float, number: int):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROCESS, str(path), str(interval), str(number)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_processes_share_their_turns(tmp_path: Path):
    both = [await take_turns(tmp_path / "pace", 0.1, 12) for _ in range(2)]
    told = [(await process.communicate())[0].split() for process in both]
    times = sorted(float(each) for lines in told for each in lines)
    assert len(times) == 24
    # A start is noted as planned; a late timer of a busy machine may take off a little.
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.1 - 0.03
    assert times[-1] - times[0] >= 23 * 0.1 - 0.03


async def test_a_killed_process_leaves_its_last_start_and_no_lock(tmp_path: Path):
    killed = await take_turns(tmp_path / "pace", 1.0, 99)
    first = float(await killed.stdout.readline())
    killed.kill()
    await killed.wait()
    after = await take_turns(tmp_path / "pace", 1.0, 1)
    second = float((await after.communicate())[0])
    assert second - first >= 1.0


async def test_a_stopped_process_that_holds_the_lock_stops_nobody(tmp_path: Path):
    path = tmp_path / "pace"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        pacer = Pacer(0.01, noted=Noted(path))
        async with asyncio.timeout(20):
            await pacer.turn()
    assert len(pacer.starts) == 1


@pytest.mark.parametrize("text", ["", "no number", "99999999999.0", "nan"])
async def test_a_note_that_cannot_be_true_does_not_count(tmp_path: Path, text):
    (tmp_path / "pace").write_text(text)
    assert await Noted(tmp_path / "pace").reserve(1) == 0
    assert 0.5 < await Noted(tmp_path / "pace").reserve(1) <= 1


async def test_a_pause_holds_the_other_processes(tmp_path: Path):
    one, other = (Pacer(0.01, noted=Noted(tmp_path / "pace")) for _ in range(2))
    one.hold(0.4)
    await asyncio.gather(*one._notes)
    begun = time.monotonic()
    await other.turn()
    assert time.monotonic() - begun >= 0.35


def test_the_note_is_kept_for_real_sites_only(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    far, near = Site("https://civitai.com"), Site("http://127.0.0.1:8080")
    found = Noted.of(Settings({}), far)
    assert found is not None
    assert found.path.parent == tmp_path / "civitai_crawler"
    assert Noted.of(Settings({}), near) is None
    assert Noted.of(Settings({"CIVITAI_SHARED_PACE": "false"}), far) is None
    assert Noted.of(Settings({"CIVITAI_SHARED_PACE": "true"}), near) is not None
