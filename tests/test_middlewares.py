"""Backing off, giving up, slots: in whole crawls against a server that refuses."""

from __future__ import annotations

import asyncio
import errno
import json
import time
from typing import Any

import pytest
from aiohttp import web
from scrapy import Request
from scrapy.exceptions import DownloadTimeoutError, IgnoreRequest
from scrapy.http import Response

from civitai_crawler.exceptions import GaveUpError
from civitai_crawler.middlewares.answers import AnswersMiddleware
from civitai_crawler.middlewares.backoff import BackoffMiddleware
from civitai_crawler.middlewares.judging import TRIES, Judge
from civitai_crawler.middlewares.slots import SlotsMiddleware
from tests.crawl import crawl
from tests.servers import serve
from tests.test_pacing import PACED, api, crawler_with

FAST = {**PACED, "CIVITAI_REQUEST_INTERVAL": 0.02, "CIVITAI_RETRY_TIMES": 2}
SITE = "https://civitai.com"
HTML = {"Content-Type": "text/html"}


class Engine:
    """As much of Scrapy's engine as the middlewares know."""

    def __init__(self) -> None:
        self.running = True
        self.closed: list[str] = []

    async def close_spider_async(self, *, reason: str) -> None:
        self.closed.append(reason)


@pytest.fixture
def crawler():
    crawler = crawler_with(CIVITAI_REQUEST_INTERVAL=0, CIVITAI_RETRY_TIMES=2)
    crawler.engine = Engine()  # type: ignore[assignment] # as much of it as is needed
    return crawler


@pytest.fixture
def backoff(crawler):
    return BackoffMiddleware.from_crawler(crawler)


def asked(path="/api/v1/me", route="api", **meta) -> Request:
    return Request(SITE + path, meta={"civitai_route": route, **meta}, priority=7)


async def test_a_retry_is_the_request_itself(backoff):
    request = asked(mine=1, download_slot="site")
    again = await backoff.process_response(request, Response(request.url, status=500))
    assert isinstance(again, Request)
    assert (again.url, again.priority, again.dont_filter) == (request.url, 7, True)
    assert again.meta == {"civitai_route": "api", "mine": 1, "download_slot": "site", TRIES: 1}


async def test_a_redirected_copy_is_never_repeated(backoff):
    meta = {
        "redirect_urls": [f"{SITE}/first", f"{SITE}/second"],
        "redirect_times": 2,
        "redirect_ttl": 18,
        "redirect_reasons": [307, 307],
    }
    request = asked("/third?signed", "page", **meta)
    again = await backoff.process_response(request, Response(request.url, status=500))
    assert again.url == f"{SITE}/first"
    assert again.meta == {"civitai_route": "page", TRIES: 1}


async def test_tries_end_in_an_error(backoff, crawler):
    request = asked()
    for _ in range(2):
        request = await backoff.process_response(request, Response(request.url, status=500))
    with pytest.raises(GaveUpError) as caught:
        await backoff.process_response(request, Response(request.url, status=500))
    found = caught.value
    assert (found.reason, found.status, found.final) == ("server_error", 500, False)
    assert found.message
    assert SITE not in str(found)
    assert crawler.stats.get_value("civitai/backoff/server_error") == 3
    assert crawler.stats.get_value("civitai/backoff/gave_up") == 1


async def test_broken_connections_are_tried_again(backoff):
    request = asked()
    for _ in range(2):
        request = await backoff.process_exception(request, DownloadTimeoutError())
    with pytest.raises(GaveUpError) as caught:
        await backoff.process_exception(request, DownloadTimeoutError())
    assert (caught.value.reason, caught.value.status) == ("network", None)


async def test_tries_that_move_bytes_use_up_none(backoff):
    request = asked(route="download", civitai_stream="x")
    for _ in range(10):
        request.meta["civitai_progress"] = True
        request = await backoff.process_exception(request, DownloadTimeoutError())
        assert request.meta[TRIES] == 1
        assert "civitai_progress" not in request.meta


async def test_errors_of_the_disk_and_of_others_pass(backoff):
    stream = asked(route="download", civitai_stream="x")
    assert await backoff.process_exception(stream, OSError(errno.ENOSPC, "full")) is None
    assert await backoff.process_exception(asked(), IgnoreRequest()) is None
    assert await backoff.process_exception(asked(), OSError()) is not None


@pytest.mark.parametrize(
    "request_",
    [
        Request("data:,x", meta={"civitai_route": "api"}),
        Request(f"{SITE}/robots.txt"),
    ],
)
async def test_what_is_not_ours_passes(crawler, request_):
    response = Response(request_.url, status=500, headers={"Location": "/login"})
    backoff = BackoffMiddleware.from_crawler(crawler)
    answers = AnswersMiddleware.from_crawler(crawler)
    assert await backoff.process_response(request_, response) is response
    assert await backoff.process_exception(request_, DownloadTimeoutError()) is None
    moved = response.replace(status=307)
    assert answers.process_response(request_, moved) is moved


async def test_statuses_that_are_asked_for_pass(backoff):
    request = asked(handle_httpstatus_list=[401, 403, 500])
    response = Response(request.url, status=401)
    assert await backoff.process_response(request, response) is response
    challenge = Response(request.url, status=403, headers={"cf-mitigated": "challenge"})
    request.meta[TRIES] = 2
    with pytest.raises(GaveUpError, match="Cloudflare"):
        await backoff.process_response(request, challenge)
    failing = Response(request.url, status=500)
    assert await backoff.process_response(request, failing) is failing  # after its last try


async def test_streamed_answers_pass_and_calm(backoff, crawler):
    pacer = Judge.of(crawler).pacer
    pacer.hold(0)
    assert pacer.streak == 1
    request = asked(route="download")
    response = Response(request.url, headers=HTML, flags=["streamed"])
    assert await backoff.process_response(request, response) is response
    assert pacer.streak == 0


async def test_429_holds_and_slows_only_the_site(backoff, crawler):
    pacer = Judge.of(crawler).pacer
    pacer.interval = 1
    later = {"Retry-After": "30"}
    for _ in range(3):  # a burst
        await backoff.process_response(asked(), Response(SITE, status=429, headers=later))
    assert pacer.held
    assert pacer.streak == 1
    assert pacer.pace == pytest.approx(2 * (1 + pacer.margin))


async def test_503_holds_but_does_not_slow(backoff, crawler):
    pacer = Judge.of(crawler).pacer
    pacer.interval = 1
    await backoff.process_response(asked(), Response(SITE, status=503))
    assert pacer.held
    assert pacer.pace == pytest.approx(1 + pacer.margin)


async def test_other_hosts_wait_alone(backoff, crawler):
    request = Request("https://image.civitai.com/x", meta={"civitai_route": "media"})
    started = time.monotonic()
    later = {"Retry-After": "0.2"}
    again = await backoff.process_response(request, Response(SITE, status=429, headers=later))
    assert again.url == request.url
    assert time.monotonic() - started >= 0.2
    assert not Judge.of(crawler).pacer.held


async def test_storage_is_told_from_the_site(backoff, crawler):
    request = asked(route="download")
    refused = Response(request.url, status=403, body=b"<Error/>", flags=["storage"])
    with pytest.raises(GaveUpError) as caught:
        await backoff.process_response(request, refused)
    assert caught.value.reason == "storage_refused"
    busy = Response(request.url, status=503, headers={"Retry-After": "0"}, flags=["storage"])
    assert await backoff.process_response(request, busy) is not None
    assert not Judge.of(crawler).pacer.held


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/login?returnUrl=x", "login_required"),
        ("/region-blocked", "region_blocked"),
        ("https://elsewhere.example/", "unexpected_redirect"),
        ("/user/lantern", None),
    ],
)
async def test_redirects(crawler, location, reason):
    answers = AnswersMiddleware.from_crawler(crawler)
    request = asked("/posts/1", "page")
    response = Response(request.url, status=307, headers={"Location": location})
    if reason is None:
        assert answers.process_response(request, response) is response
        return
    with pytest.raises(GaveUpError) as caught:
        answers.process_response(request, response)
    assert caught.value.reason == reason
    await asyncio.sleep(0)
    assert crawler.engine.closed == (["region_blocked"] if reason == "region_blocked" else [])
    request.meta["handle_httpstatus_list"] = [307]
    assert answers.process_response(request, response) is response


@pytest.mark.parametrize(
    ("url", "meta", "slot"),
    [
        (f"{SITE}/api/v1/me", {"civitai_route": "api"}, "site"),
        (f"{SITE}/posts/1", {}, "site"),
        (f"{SITE}/api/download/models/1", {"civitai_route": "download"}, "storage"),
        ("https://image.civitai.com/x", {"civitai_route": "media"}, "cdn"),
        ("https://b2.civitai.com/x", {"civitai_route": "api", "download_slot": "site"}, "storage"),
        ("data:,x", {}, None),
    ],
)
def test_slots(crawler, url, meta, slot):
    request = Request(url, meta=meta)
    SlotsMiddleware.from_crawler(crawler).process_request(request)
    assert request.meta.get("download_slot") == slot
    if slot is not None:
        assert request.meta["autothrottle_dont_adjust_delay"] is (slot == "site")


def test_one_judge_per_crawler(crawler):
    assert Judge.of(crawler) is Judge.of(crawler) is not Judge.of(crawler_with())


async def test_a_crawl_among_refusals():
    """Each refusal costs its own request and no other."""
    counts: dict[str, int] = {}
    early = {"error": "Early Access", "deadline": "2026-09-30T00:00:00.000Z"}
    cap = {"error": "too many pages, use cursors"}

    async def site(request):
        path = request.path
        counts[path] = counts.get(path, 0) + 1
        if path == "/api/html" and counts[path] == 1:
            return web.Response(text="<title>We'll be right back</title>", content_type="text/html")
        answers: dict[str, tuple[int, Any, dict[str, str]]] = {
            "/api/cap": (429, cap, {}),
            "/api/download/quota": (429, {"error": "unusual amount"}, {}),
            "/api/download/early": (403, early, {}),
            "/api/gone": (404, {"error": "gone"}, {}),
            "/api/broken": (500, {"error": "x"}, {}),
        }
        status, body, headers = answers.get(path, (200, {"ok": path}, {}))
        return web.json_response(body, status=status, headers=headers)

    async with serve(site) as server:
        requests = [api(f"{server.url}/api/{name}") for name in ("html", "cap", "gone", "broken")]
        requests += [
            {"url": f"{server.url}/api/download/{name}", "meta": {"civitai_route": "download"}}
            for name in ("quota", "early")
        ]
        requests.append({"url": "data:,fine", "meta": {"civitai_route": "api"}})
        started = time.monotonic()
        settings = {**FAST, "CIVITAI_BASE_URL": server.url}
        result = await crawl(settings=settings, requests=requests)
    by_path = {
        item["url"].removeprefix(server.url): item.get("reason", item.get("status"))
        for item in result.items
    }
    assert by_path == {
        "/api/html": 200,
        "/api/cap": "bad_request",
        "/api/gone": "not_found",
        "/api/broken": "server_error",
        "/api/download/quota": "quota",
        "/api/download/early": "early_access",
        "data:,fine": 200,
    }
    assert counts["/api/broken"] == 3
    assert counts["/api/html"] == 2
    assert [counts[path] for path in ("/api/cap", "/api/gone", "/api/download/quota")] == [1, 1, 1]
    deadlines = [item["retry_at"] for item in result.items if item.get("retry_at")]
    assert deadlines == ["2026-09-30T00:00:00.000Z"]
    assert result.reason == "finished"
    assert time.monotonic() - started < 12


async def test_a_blocked_region_stops_the_crawl_once():
    async def site(_):
        return web.json_response({"error": "x", "code": "REGION_BLOCKED"}, status=451)

    async with serve(site) as server:
        settings = {**FAST, "CIVITAI_BASE_URL": server.url, "CIVITAI_REQUEST_INTERVAL": 0.1}
        requests = [api(f"{server.url}/api/{n}") for n in range(30)]
        result = await crawl(settings=settings, requests=requests, timeout=20)
    assert result.reason == "region_blocked"
    assert len(server.seen) <= 2
    assert result.log.count("Closing spider (region_blocked)") == 1
    assert result.items[0]["final"] is True
    assert "Traceback" not in result.log


async def test_downloads_never_hold_the_sites_slot(tmp_path):
    """Two slow files under way, and the site's pace does not change."""
    done = asyncio.Event()

    async def storage(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await done.wait()
        return response

    async def site(request):
        if request.path.startswith("/file"):
            raise web.HTTPTemporaryRedirect(f"{host.url}/f?sig=SIGNED")
        if request.path == "/api/last":
            done.set()
        return web.json_response({})

    async with serve(site) as server, serve(storage, "127.0.0.2") as host:
        requests: list[dict[str, Any]] = [
            {
                "url": f"{server.url}/file{n}",
                "meta": {
                    "civitai_route": "download",
                    "civitai_stream": str(tmp_path / f"{n}.part"),
                },
            }
            for n in range(4)
        ]
        requests += [api(f"{server.url}/api/{n}") for n in range(20)]
        requests.append({**api(f"{server.url}/api/last"), "priority": -9})
        settings = {
            **FAST,
            "CIVITAI_BASE_URL": server.url,
            "DOWNLOAD_SLOTS": {
                "site": {"concurrency": 1, "delay": 0.001},
                "storage": {"concurrency": 2, "delay": 0.001},
            },
        }
        result = await crawl(settings=settings, requests=requests, timeout=30)
    assert len([item for item in result.items if item.get("status") == 200]) == 25
    assert {item["slot"] for item in result.items} == {"site", "storage"}
    assert "SIGNED" not in result.log + json.dumps(result.items)
