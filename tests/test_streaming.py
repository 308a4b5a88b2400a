"""Bodies to the disk: resumed, verified, never along with a secret, in constant memory."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
from typing import Any

import pytest
from aiohttp import web
from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)

from civitai_crawler.handlers import hops, partfile
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.partfile import PartFile, discard, keep, side
from civitai_crawler.handlers.ranges import Range, differs, validator
from civitai_crawler.handlers.site import Site
from civitai_crawler.handlers.streaming import Streamed
from tests.crawl import crawl
from tests.servers import serve
from tests.streaming_support import BODY, OLD, SECRETS, SHA256, placed
from tests.test_pacing import PACED

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "parts"


@pytest.fixture
async def place(folder):
    async with placed(folder / "file.part") as found:
        yield found


def traces(error: BaseException | None) -> str:
    """All text that a log could show of *error*."""
    text = ""
    while error is not None:
        text += f"{error!r}{error}"
        error = error.__cause__ or error.__context__
    return text


async def test_complete(place):
    streamed = await place.fetch()
    assert streamed == Streamed(
        path=str(place.part),
        size=len(BODY),
        sha256=SHA256,
        head=BODY[:512],
        content_type="application/x-test",
        resumed_from=0,
        final_host="127.0.0.2",
    )
    assert (place.stat("bytes"), place.stat("files")) == (len(BODY), 1)


async def test_secrets_stay_with_the_site(place):
    response = await place.downloads.fetch(place.request())
    at_site, at_storage = place.site.seen[0].headers, place.storage.seen[0].headers
    assert at_site["cookie"] == SECRETS["Cookie"]
    assert at_site["authorization"] == SECRETS["Authorization"]
    assert set(at_storage) == {"host", "user-agent", "accept", "accept-encoding"}
    assert at_storage["accept-encoding"] == at_site["accept-encoding"] == "identity"
    assert at_storage["user-agent"] == "tests/1"
    assert place.storage.paths() == ["/f%2Fx?sig=SIGNED1&a=%20b"]  # byte for byte
    assert response.headers.getlist("Set-Cookie") == [b"civ=rolled"]  # for LoginMiddleware
    assert "Location" not in response.headers
    left = str(response.headers) + str(place.request().meta) + side(place.part).read_text()
    assert "SIGNED" not in left
    assert "://" not in left


async def test_secrets_do_not_go_to_a_request_elsewhere(place):
    await place.fetch(place.request("/image", base=place.storage.url))
    assert set(place.storage.seen[0].headers) == {"host", "user-agent", "accept", "accept-encoding"}


async def test_cut_and_resumed(place):
    place.host.faults = [("cut", 700_000), ("cut", 900_000)]
    request = place.request()
    for _ in range(2):
        with pytest.raises(ResponseDataLossError):
            await place.downloads.fetch(request)
        assert request.meta["civitai_progress"] is True
    streamed = await place.fetch(request)
    assert 0 < streamed.resumed_from <= 1_600_000
    assert "civitai_progress" not in request.meta
    assert place.stat("bytes") == len(BODY)  # not one byte twice
    assert place.stat("resumed") == 1
    asked = [seen.headers.get("range") for seen in place.storage.seen]
    assert asked[0] is None
    assert asked[2] == f"bytes={streamed.resumed_from}-"
    assert place.storage.seen[2].headers["if-range"] == '"one"'


async def test_no_progress_no_mark(place):
    place.host.faults = [("cut", 1000)]
    request = place.request()
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(request)
    assert "civitai_progress" not in request.meta


@pytest.mark.parametrize("change", ["etag", "no ranges", "wrong start", "other total", "garbled"])
async def test_what_does_not_fit_starts_anew(place, change):
    place.host.faults = [("cut", 700_000)]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    if change == "etag":
        place.host.headers, place.host.body = {"ETag": '"two"'}, BODY[::-1]
    elif change == "no ranges":
        place.host.ranges = False
    else:
        text = {
            "wrong start": f"bytes 5-{len(BODY) - 1}/{len(BODY)}",
            "other total": f"bytes {place.part.stat().st_size}-8999999/9000000",
            "garbled": "all of it",
        }[change]
        headers = {"Content-Range": text, "ETag": '"one"'}
        place.host.faults = [{"status": 206, "body": b"wrong", "headers": headers}]
    streamed = await place.fetch()
    assert streamed.resumed_from == 0
    assert place.stat("restarted") == 1


async def test_a_206_of_another_state_starts_anew(place):
    place.host.faults = [("cut", 700_000)]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    have = place.part.stat().st_size
    headers = {"Content-Range": f"bytes {have}-{len(BODY) - 1}/{len(BODY)}", "ETag": '"two"'}
    place.host.faults = [{"status": 206, "body": BODY[have:], "headers": headers}]
    assert (await place.fetch()).resumed_from == 0


@pytest.mark.parametrize("headers", [{"ETag": 'W/"weak"'}, {}, {"ETag": "bare"}])
async def test_without_a_validator_nothing_is_resumed(place, headers):
    place.host.headers = headers
    place.host.faults = [("cut", 700_000)]
    request = place.request()
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(request)
    assert "civitai_progress" not in request.meta  # else the tries would never end
    assert (await place.fetch()).resumed_from == 0
    assert "range" not in place.storage.seen[-1].headers


async def test_complete_part_of_a_killed_run(place):
    await place.fetch()
    streamed = await place.fetch()
    assert streamed.resumed_from == len(BODY)
    assert streamed.content_type == "application/x-test"
    assert place.stat("bytes") == len(BODY)


async def test_a_part_longer_than_the_file_starts_anew(place):
    await place.fetch()
    with place.part.open("ab") as file:
        file.write(b"more")
    assert (await place.fetch()).resumed_from == 0


async def test_a_changed_part_is_seen_by_its_hash(place):
    place.host.faults = [("cut", 700_000)]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    with place.part.open("r+b") as file:
        file.write(b"broken")
    request = place.request()
    await place.downloads.fetch(request)
    assert request.meta["civitai_streamed"].sha256 != SHA256


async def test_expired_links_are_asked_for_anew(place):
    place.host.faults = [("cut", 700_000), {"status": 403}, {"status": 400}]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    streamed = await place.fetch()
    assert streamed.resumed_from > 0
    assert [path.partition("SIGNED")[2][0] for path in place.storage.paths()] == list("1234")
    assert place.stat("renewed_links") == 2


async def test_renewals_end(place):
    place.host.faults = [{"status": 403, "text": "<Error>SIGNED</Error>"}] * 9
    response = await place.downloads.fetch(place.request())
    assert (response.status, response.flags) == (403, ["storage"])
    assert len(place.site.seen) == 3
    assert "civitai_streamed" not in place.request().meta


async def test_an_expired_answer_of_the_first_host_is_final(place):
    place.host.faults = [{"status": 403, "text": "no"}]
    response = await place.downloads.fetch(place.request("/x", base=place.storage.url))
    assert (response.status, response.body, response.flags) == (403, b"no", [])


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"headers": {"Location": "/login?reason=download-auth"}}, 307),
        ({"text": '{"error": "Unauthorized"}'}, 401),
        ({"text": "<html>", "content_type": "text/html"}, 200),
    ],
)
async def test_what_the_site_itself_says_is_handed_on(folder, answer, status):
    async def site(_):
        return web.Response(status=status, **answer)

    async with placed(folder / "file.part", site=site) as place:
        response = await place.downloads.fetch(place.request())
    assert response.status == status
    assert response.flags == []
    assert "civitai_streamed" not in place.request().meta
    assert not place.part.exists()
    if status == 307:
        assert response.headers["Location"].startswith(b"/login")


async def test_long_errors_are_cut(place):
    place.host.faults = [{"status": 500, "body": b"e" * 1_000_000}]
    response = await place.downloads.fetch(place.request())
    assert (response.status, len(response.body)) == (500, 65536)


async def test_redirects_of_the_cdn_are_followed_but_not_back_to_the_site(place):
    first = f"{place.storage.url}/a"
    place.host.faults = [{"status": 301, "headers": {"Location": "/b"}}]
    await place.fetch(place.request("/a", base=place.storage.url))
    assert place.storage.paths() == ["/a", "/b"]
    place.host.faults = [{"status": 302, "headers": {"Location": f"{place.site.url}/x"}}]
    response = await place.downloads.fetch(place.request("/a", base=place.storage.url))
    assert response.status == 302
    assert response.url == first
    assert place.site.seen == []


async def test_redirects_end(place):
    place.host.faults = [{"status": 301, "headers": {"Location": "/again"}}] * 20
    with pytest.raises(DownloadFailedError, match="too often"):
        await place.downloads.fetch(place.request())
    assert len(place.storage.seen) < 10


async def test_compressed_files_are_refused(place):
    place.host.headers = {"Content-Encoding": "gzip", "ETag": '"one"'}
    with pytest.raises(DownloadFailedError, match="compresses"):
        await place.downloads.fetch(place.request())


async def test_bytes_nobody_asked_for_are_refused(place):
    place.host.faults = [{"status": 206, "body": b"tail"}]
    with pytest.raises(DownloadFailedError, match="not asked for"):
        await place.downloads.fetch(place.request())


async def test_silence_is_a_timeout_and_can_be_resumed(folder):
    async with placed(folder / "file.part", {"CIVITAI_IDLE_TIMEOUT": 0.3}) as place:
        place.host.faults = [("stall", 1_500_000)]
        with pytest.raises(DownloadTimeoutError) as caught:
            await place.downloads.fetch(place.request())
        assert "SIGNED" not in traces(caught.value)
        assert (await place.fetch()).resumed_from > 0


async def test_no_error_names_a_signed_link(folder):
    """Neither its text nor anything in its chain, which a traceback would show."""
    location = ""

    async def site(_):
        return web.Response(status=307, headers={"Location": location})

    errors = []
    async with placed(folder / "file.part", site=site) as place:
        for link, expected in (
            ("http://127.0.0.9:9/f?sig=SIGNED", DownloadConnectionRefusedError),
            ("http://nobody.invalid/f?sig=SIGNED", CannotResolveHostError),
            ("http://127.0.0.2:99999/f?sig=SIGNED", DownloadFailedError),
            (f"{place.storage.url.replace('http', 'https')}/f?sig=SIGNED", Exception),
        ):
            location = link
            with pytest.raises(expected) as caught:
                await place.downloads.fetch(place.request())
            errors.append(traces(caught.value))
            assert caught.value.__context__ is None  # aiohttp's own may name it one day
        location = f"{place.storage.url}/f?sig=SIGNED"
        place.host.faults = [("cut", 10)]
        with pytest.raises(ResponseDataLossError) as caught:
            await place.downloads.fetch(place.request())
        errors.append(traces(caught.value))
        assert caught.value.__context__ is None
    assert all(errors)
    assert not [text for text in errors if "SIGNED" in text]


async def test_a_stopping_crawl_keeps_the_part(folder):
    part = folder / "file.part"
    first = True

    def stopping():
        return first and part.exists() and part.stat().st_size > 0

    async with placed(part) as place:
        place.downloads._pacer = Pacer(0, site=Site(place.site.url), stopping=stopping)
        place.host.faults = [("stall", 1_500_000)]
        with pytest.raises(DownloadCancelledError):
            await place.downloads.fetch(place.request())
        first = False
        assert (await place.fetch()).resumed_from > 0


@pytest.mark.parametrize("hold", [999, 1000])
async def test_a_small_body_is_handed_on_where_that_is_asked_for(place, hold):
    place.host.body = BODY[:1000]
    place.host.faults = [("cut", 400)]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    assert side(place.part).exists()
    place.host.headers["ETag"] = '"two"'
    request = place.request()
    request.meta["civitai_hold"] = hold
    await place.downloads.fetch(request)
    streamed = request.meta["civitai_streamed"]
    assert (streamed.size, streamed.head) == (1000, BODY[:512])
    assert streamed.sha256 == hashlib.sha256(BODY[:1000]).hexdigest()
    held = hold == 1000
    assert streamed.body == (BODY[:1000] if held else None)
    # Nothing of the other state is left beside it.
    assert place.part.exists() is not held
    assert not (held and side(place.part).exists())


async def test_a_held_body_that_is_cut_is_none(place):
    place.host.body, place.host.faults = BODY[:1000], [("cut", 400)]
    request = place.request()
    request.meta["civitai_hold"] = 1000
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(request)
    assert not place.part.exists()


async def test_one_writer_per_part(place):
    both = await asyncio.gather(place.fetch(), place.fetch())
    assert sorted(each.resumed_from for each in both) == [0, len(BODY)]


async def test_a_full_disk_is_told_as_it_is(place, monkeypatch):
    monkeypatch.setattr(partfile, "SPARE", 1 << 62)
    with pytest.raises(OSError, match=r"No space") as caught:
        await place.downloads.fetch(place.request())
    assert caught.value.errno == errno.ENOSPC


async def test_a_failing_disk_is_told_as_it_is(place, monkeypatch):
    def broken(self, chunks):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(PartFile, "write", broken)
    with pytest.raises(OSError, match="Input/output") as caught:
        await place.downloads.fetch(place.request())
    assert caught.value.errno == errno.EIO


async def test_tls_is_not_given_up():
    class Answer:
        status = 302
        headers = {"Location": "http://127.0.0.2/f"}

    site = Site("https://civitai.com")
    answer: Any = Answer()
    assert hops.target("https://civitai.com/x", answer, site) is None
    assert hops.target("http://civitai.com/x", answer, site) == "http://127.0.0.2/f"
    answer.headers = {"Location": "ftp://127.0.0.2/f"}
    assert hops.target("https://civitai.com/x", answer, site) is None
    answer.headers = {"Location": "https://[::1/f"}
    assert hops.target("https://civitai.com/x", answer, site) is None


def test_proxy_by_host(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    plain = Request("https://civitai.com/x")
    other = "https://b2.example/f"
    assert hops.proxy(plain, other, environment=True) is None
    monkeypatch.setenv("https_proxy", "http://user:pass@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "near.example")
    assert hops.proxy(plain, other, environment=True) == "http://user:pass@proxy.example:3128"
    assert hops.proxy(plain, other, environment=False) is None
    chosen = Request(
        "https://civitai.com/x",
        meta={"proxy": "proxy.example:3128"},
        headers={"Proxy-Authorization": "Basic dXNlcjpwJTo="},
    )
    for url in (chosen.url, other):
        assert hops.proxy(chosen, url, environment=True) == "http://user:p%25%3A@proxy.example:3128"
    assert hops.proxy(chosen, "https://near.example/f", environment=True) is None
    chosen.headers["Proxy-Authorization"] = "Bearer x"
    assert hops.proxy(chosen, other, environment=True) == "http://proxy.example:3128"


async def test_through_a_proxy(folder):
    seen = []

    async def proxy(request):
        seen.append((request.raw_path, request.headers.get("Proxy-Authorization")))
        return web.Response(body=BODY)

    async with (
        placed(folder / "file.part", {"HTTPPROXY_ENABLED": False}) as place,
        serve(proxy, "127.0.0.3") as server,
    ):
        request = place.request("/image", base="http://cdn.invalid")
        request.meta["proxy"] = server.url
        request.headers["Proxy-Authorization"] = "Basic dXNlcjpwYXNz"
        streamed = await place.fetch(request)
    assert streamed.final_host == "cdn.invalid"
    assert seen == [("http://cdn.invalid/image", "Basic dXNlcjpwYXNz")]


def test_keep_and_discard(tmp_path):
    part = PartFile(tmp_path / "x.part")
    part.restart('"v"', 3, "image/png")
    part.write([b"abc"])
    part.close()
    keep(part.path, tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    discard(part.path)
    part.restart('"v"')
    part.close()
    discard(part.path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    with pytest.raises(ValueError, match="not open"):
        part.write([b"abc"])


@pytest.mark.parametrize(
    "note", ["", "[]", "{}", '{"validator": 1}', '{"validator": "v", "total": "3"}', "{"]
)
def test_broken_notes_are_no_notes(tmp_path, note):
    path = tmp_path / "x.part"
    path.write_bytes(b"abc")
    side(path).write_text(note)
    part = PartFile(path)
    part.load(lambda: None)
    part.close()
    assert (part.size, part.validator) == (0, None)


def test_loading_can_be_ended(tmp_path):
    part = PartFile(tmp_path / "x.part")
    part.restart('"v"')
    part.write([b"abc"])
    part.close()

    def check():
        raise DownloadCancelledError

    again = PartFile(part.path)
    with pytest.raises(DownloadCancelledError):
        again.load(check)
    again.close()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": OLD, "Date": "Mon, 01 Jan 2024 00:01:00 GMT"}, OLD),
        ({"Last-Modified": OLD, "Date": "Mon, 01 Jan 2024 00:00:59 GMT"}, None),
        ({"Last-Modified": OLD}, None),
        ({"Last-Modified": "long ago", "Date": OLD}, None),
        ({"ETag": '""'}, None),
        ({}, None),
    ],
)
def test_validator(headers, expected):
    assert validator(headers) == expected


def test_differs():
    assert differs('"a"', {"ETag": '"b"'})
    assert not differs('"a"', {"Last-Modified": OLD})
    assert differs(OLD, {"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 5-9/10", Range(5, 10)),
        ("bytes 5-9/*", Range(5, None)),
        ("BYTES */10", Range(None, 10)),
        ("bytes 5-9", None),
        ("items 5-9/10", None),
        ("", None),
    ],
)
def test_content_range(text, expected):
    assert Range.of({"Content-Range": text}) == expected


async def test_crawl_resumes_and_memory_stays_flat(folder):
    """200 MB, cut on the way, over more tries than a request has: in bounded memory."""
    total, piece = 200 << 20, bytes(range(256)) * 4096
    expected = hashlib.sha256()
    for _ in range(total // len(piece)):
        expected.update(piece)
    cuts = iter([20, 40, 60, 80, 100, 120, 140])

    async def storage(request):
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=")[:-1])
        headers = {"ETag": '"big"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        response.content_length = total - start
        await response.prepare(request)
        cut = next(cuts, 10**6) << 20
        while start < total:
            if start >= cut:
                request.transport.close()
                break
            chunk = piece[start % len(piece) :]
            await response.write(chunk)
            start += len(chunk)
        return response

    async def site(_):
        raise web.HTTPTemporaryRedirect(f"{host.url}/big?sig=SIGNED")

    part = folder / "big.part"
    async with serve(site) as server, serve(storage, "127.0.0.2") as host:
        meta = {"civitai_route": "download", "civitai_stream": str(part)}
        settings = {
            **PACED,
            "CIVITAI_BASE_URL": server.url,
            "CIVITAI_REQUEST_INTERVAL": 0.02,
            "CIVITAI_RETRY_TIMES": 1,
            # The bounds of bodies in memory, far too small for this one.
            "DOWNLOAD_MAXSIZE": 1 << 20,
            "DOWNLOAD_TIMEOUT": 1,
        }
        idle = await crawl(settings=settings, requests=[])
        result = await crawl(settings=settings, requests=[{"url": f"{server.url}/d", "meta": meta}])
    streamed = result.items[0]["streamed"]
    assert (streamed["size"], streamed["sha256"]) == (total, expected.hexdigest())
    assert result.stats["civitai/stream/bytes"] == total
    assert result.stats["civitai/backoff/network"] == 7
    assert result.max_rss - idle.max_rss < 40 << 20
    assert "SIGNED" not in result.log
    assert "SIGNED" not in json.dumps(result.items)
