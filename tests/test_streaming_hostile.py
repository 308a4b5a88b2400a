"""Bodies from servers that are odd, slow, mistaken or changing, and parts that a kill has left."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from scrapy.exceptions import (
    DownloadCancelledError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)

from civitai_crawler.handlers import ring
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.partfile import PartFile, in_thread, side
from civitai_crawler.handlers.site import Site
from tests.streaming_support import BODY, OLD, placed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

LATER = "Mon, 01 Jan 2024 01:00:00 GMT"

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture
def part(tmp_path):
    return tmp_path / "parts" / "file.part"


@pytest.fixture
async def place(part):
    async with placed(part) as found:
        yield found


async def broken_off(place, headers=None):
    """Leave a part of some 700 kB."""
    if headers is not None:
        place.host.headers = headers
    place.host.faults = [("cut", 700_000)]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    return place.part.stat().st_size


@asynccontextmanager
async def raw(pieces: Iterable[bytes], between: float = 0.0) -> AsyncIterator[str]:
    """Answer every connection with *pieces* as they are, then close it."""
    open_ones: set[tuple[Any, asyncio.StreamWriter]] = set()

    async def answer(reader, writer):
        open_ones.add((asyncio.current_task(), writer))
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(between)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.2", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task, _ in open_ones:
            task.cancel()
        await asyncio.gather(*(task for task, _ in open_ones), return_exceptions=True)
        for _, writer in open_ones:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED, chunk(BODY[:1000]), chunk(BODY[1000:]), chunk(b"")],
        [OK + b"\r\n", BODY],
        [OK + b"Content-Encoding: identity\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY],
    ],
    ids=["chunked", "until the end", "no encoding"],
)
async def test_bodies_of_every_form(place, pieces):
    async with raw(pieces) as url:
        streamed = await place.fetch(place.request("/x", base=url))
    assert streamed.size == len(BODY)


@pytest.mark.parametrize("encoding", [b"gzip, chunked", b"Chunked, deflate"])
async def test_a_body_compressed_on_the_way_is_no_file(place, encoding):
    head = OK + b"Transfer-Encoding: " + encoding + b"\r\n\r\n"
    async with raw([head, chunk(gzip.compress(BODY)), chunk(b"")]) as url:
        with pytest.raises(DownloadFailedError):
            await place.downloads.fetch(place.request("/x", base=url))
    assert not place.part.exists()


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED, chunk(BODY), b"10\r\nhalf of i"],
        [CHUNKED, chunk(BODY)],
        [CHUNKED, chunk(BODY), b"no number\r\n"],
        [OK + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1), BODY],
    ],
    ids=["chunk cut", "no last chunk", "garbled", "too short"],
)
async def test_a_body_that_ends_early_is_no_file(place, pieces):
    async with raw(pieces) as url:
        with pytest.raises(ResponseDataLossError):
            await place.downloads.fetch(place.request("/x", base=url))
    assert place.stat("files") is None


async def test_more_bytes_than_announced_are_not_taken(place):
    place.host.body = BODY[:1000]
    head = OK + b"Content-Length: 1000\r\n\r\n"
    async with raw([head + BODY[:1000], BODY[1000:]], between=0.1) as url:
        assert (await place.fetch(place.request("/x", base=url))).size == 1000
    # All at once they can also be taken for a broken answer, but never for the file.
    async with raw([head + BODY]) as url:
        with contextlib.suppress(DownloadFailedError, ResponseDataLossError):
            await place.fetch(place.request("/x", base=url))


async def test_slow_is_not_silent(part):
    """Longer than the idle timeout altogether, but never between two bytes."""
    head = OK + b"Content-Length: 8\r\n\r\n"
    async with placed(part, {"CIVITAI_IDLE_TIMEOUT": 1.0}) as place:
        place.host.body = b"slowly.."
        async with raw([head, *(b"%c" % byte for byte in b"slowly..")], between=0.2) as url:
            assert (await place.fetch(place.request("/x", base=url))).size == 8
        async with raw([head, b"slow"], between=3) as url:
            with pytest.raises(DownloadTimeoutError):
                await place.downloads.fetch(place.request("/x", base=url))


async def test_a_busy_disk_is_no_silence_of_the_server(part, monkeypatch):
    write = PartFile.write

    def slowly(self, chunks):
        if self.size < 1 << 20:
            time.sleep(1.2)
        write(self, chunks)

    monkeypatch.setattr(PartFile, "write", slowly)
    monkeypatch.setattr(ring, "BATCH", 1 << 18)
    monkeypatch.setattr(ring, "ROOM", 1 << 20)
    async with placed(part, {"CIVITAI_IDLE_TIMEOUT": 0.5}) as place:
        await place.fetch()


# --- ranges -------------------------------------------------------------------------------------


async def test_a_range_that_is_shorter_than_the_rest_is_taken_and_the_rest_asked_for(place):
    have = await broken_off(place)
    end = have + 300_000
    headers = {"Content-Range": f"bytes {have}-{end - 1}/{len(BODY)}", "ETag": '"one"'}
    place.host.faults = [{"status": 206, "body": BODY[have:end], "headers": headers}]
    with pytest.raises(ResponseDataLossError):
        await place.downloads.fetch(place.request())
    assert (await place.fetch()).resumed_from == end


async def test_ranges_in_parts_start_anew(place):
    have = await broken_off(place)
    body = b"--x\r\nContent-Range: bytes %d-%d/%d\r\n\r\n" % (have, len(BODY) - 1, len(BODY))
    headers = {"Content-Type": "multipart/byteranges; boundary=x", "ETag": '"one"'}
    place.host.faults = [{"status": 206, "body": body + BODY[have:], "headers": headers}]
    assert (await place.fetch()).resumed_from == 0


@pytest.mark.parametrize(
    ("length", "told", "resumed"),
    [
        (len(BODY), f"bytes */{len(BODY)}", True),
        (len(BODY), "", True),
        (len(BODY), f"bytes */{len(BODY) + 1}", False),
        (len(BODY) - 9, "", False),
        (len(BODY) - 9, f"bytes */{len(BODY) - 9}", False),
    ],
)
async def test_nothing_left_to_send(place, length, told, resumed):
    """Only a part as long as it was to be is complete, whatever the server says now."""
    await place.fetch()
    with place.part.open("r+b") as file:
        file.truncate(length)
    place.host.faults = [{"status": 416, "headers": {"Content-Range": told}}]
    assert (await place.fetch()).resumed_from == (length if resumed else 0)


@pytest.mark.parametrize("status", [304, 412])
async def test_a_host_that_takes_no_condition_is_asked_for_all(place, status):
    """Else every try would end with the same answer, for each of them names the same part."""
    await broken_off(place, {"ETag": '"one"'})
    place.host.faults = [{"status": status}]
    assert (await place.fetch()).resumed_from == 0
    assert place.part.read_bytes() == BODY
    assert "range" not in place.storage.seen[-1].headers


async def test_a_condition_refused_where_none_was_set_is_an_answer(place):
    place.host.faults = [{"status": 412}]
    assert (await place.downloads.fetch(place.request())).status == 412


async def test_an_old_date_is_enough_to_resume(place):
    have = await broken_off(place, {"Last-Modified": OLD, "Date": LATER})
    assert (await place.fetch()).resumed_from == have
    assert place.storage.seen[-1].headers["if-range"] == OLD


async def test_a_file_of_backblaze_is_resumed_by_its_id(place):
    """It has no ETag there, and its id cannot be asked for: the answer has to name it."""
    have = await broken_off(place, {"X-Bz-File-Id": "4_z1"})
    where = {"Content-Range": f"bytes {have}-{len(BODY) - 1}/{len(BODY)}", "X-Bz-File-Id": "4_z1"}
    place.host.faults = [{"status": 206, "body": BODY[have:], "headers": where}]
    assert (await place.fetch()).resumed_from == have
    assert place.storage.seen[-1].headers["range"] == f"bytes={have}-"
    assert "if-range" not in place.storage.seen[-1].headers


@pytest.mark.parametrize("named", [{"X-Bz-File-Id": "4_z2"}, {}])
async def test_another_file_of_backblaze_starts_anew(place, named):
    have = await broken_off(place, {"X-Bz-File-Id": "4_z1"})
    where = {"Content-Range": f"bytes {have}-{len(BODY) - 1}/{len(BODY)}", **named}
    place.host.faults = [{"status": 206, "body": BODY[have:], "headers": where}]
    assert (await place.fetch()).resumed_from == 0


# --- what a kill leaves -------------------------------------------------------------------------


async def test_a_torn_note_starts_anew(place):
    await broken_off(place)
    note = side(place.part).read_bytes()
    kept = place.part.read_bytes()
    for length in (0, 1, len(note) // 2, len(note) - 1):
        place.part.write_bytes(kept)
        side(place.part).write_bytes(note[:length])
        assert (await place.fetch()).resumed_from == 0


@pytest.mark.parametrize("lost", ["note", "part", "folder"])
async def test_half_of_what_was_left_is_nothing(place, lost):
    await broken_off(place)
    if lost == "note":
        side(place.part).unlink()
    else:
        place.part.unlink()
    if lost == "folder":
        side(place.part).unlink()
        place.part.parent.rmdir()
    assert (await place.fetch()).resumed_from == 0


async def test_no_bytes_ever_lie_beside_the_note_of_another_state(place, monkeypatch):
    """Whatever is killed at whichever call, the next run does not take old bytes for new ones."""
    await broken_off(place)
    states = []
    for owner, name in ((type(place.part), "unlink"), (type(place.part), "write_text")):
        call = getattr(owner, name)

        def watched(path, *args, call=call, **more):
            states.append(look())
            result = call(path, *args, **more)
            states.append(look())
            return result

        monkeypatch.setattr(owner, name, watched)

    def look():
        note = side(place.part)
        found = json.loads(note.read_bytes())["validator"] if note.exists() else None
        return found, place.part.stat().st_size > 0

    place.host.headers, place.host.body = {"ETag": '"two"'}, BODY[::-1]
    await place.fetch()
    assert ('"two"', True) not in states
    assert (None, True) in states


# --- cancelled ----------------------------------------------------------------------------------


async def test_a_cancelled_download_leaves_no_thread_behind(place, monkeypatch):
    busy = 0
    write = PartFile.write

    def slowly(self, chunks):
        nonlocal busy
        busy += 1
        time.sleep(0.3)
        write(self, chunks)
        busy -= 1

    monkeypatch.setattr(PartFile, "write", slowly)
    task = asyncio.create_task(place.downloads.fetch(place.request()))
    while not busy:  # noqa: ASYNC110  # a thread makes it so
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert busy == 0
    monkeypatch.undo()
    left = place.part.read_bytes()
    assert left
    assert BODY.startswith(left)
    assert (await place.fetch()).resumed_from == len(left)


async def test_a_cancelled_wait_for_a_thread_waits_for_its_end():
    ended = False

    def work():
        nonlocal ended
        time.sleep(0.2)
        ended = True
        raise ValueError

    task = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_an_empty_file_is_a_file(place):
    place.host.body = b""
    assert (await place.fetch()).size == 0


async def test_cookies_of_other_hosts_are_neither_kept_nor_shown(place):
    place.host.headers = {"ETag": '"one"', "Set-Cookie": "storage=1"}
    request = place.request()
    response = await place.downloads.fetch(request)
    assert response.headers.getlist("Set-Cookie") == [b"civ=rolled"]
    await place.fetch()
    assert "cookie" not in place.storage.seen[-1].headers


async def test_a_circle_of_redirects_ends(part):
    places: list[Any] = []

    async def site(request):
        raise web.HTTPFound(f"{places[0].storage.url}/a")

    async with placed(part, site=site) as place:
        places.append(place)
        here, there = ({"status": 302, "headers": {"Location": path}} for path in ("/b", "/a"))
        place.host.faults = [here, there] * 9
        with pytest.raises(Exception, match="redirected too often"):
            await place.downloads.fetch(place.request())
    assert len(place.storage.seen) < 9


async def test_headers_of_any_encoding(place):
    name = 'attachment; filename="k\xe4se"'.encode("latin-1")
    lines = [b"HTTP/1.1 404 Not Found", b"Content-Length: 3", b"Content-Disposition: " + name]
    async with raw([b"\r\n".join([*lines, b"", b"all"])]) as url:
        response = await place.downloads.fetch(place.request("/f", base=url))
    assert response.headers["Content-Disposition"] == name


async def test_bytes_that_come_again_are_no_progress(place):
    """Else a host that knows no ranges and always breaks off would be asked for ever."""
    place.host.ranges = False
    request, marks = place.request(), []
    for count in (700_000, 700_000, 2_000_000, 1_000_000, 2_000_000):
        place.host.faults = [("cut", count)]
        with pytest.raises(ResponseDataLossError):
            await place.downloads.fetch(request)
        marks.append(request.meta.pop("civitai_progress", False))
    assert marks == [True, False, True, False, False]


async def test_a_range_that_is_longer_than_the_rest_starts_anew(place):
    had = await broken_off(place)
    headers = {"ETag": '"one"', "Content-Range": f"bytes {had}-{len(BODY) - 1}/{len(BODY)}"}
    place.host.faults = [{"status": 206, "body": BODY, "headers": headers}]
    assert (await place.fetch()).resumed_from == 0


async def test_a_stopping_crawl_does_not_wait_for_an_error_in_full(part):
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\n"
    async with placed(part) as place, raw([head, *[b"slow"] * 20], between=0.3) as url:
        begun = time.monotonic()
        place.downloads._pacer = Pacer(
            0, site=Site(place.site.url), stopping=lambda: time.monotonic() > begun + 0.5
        )
        with pytest.raises(DownloadCancelledError):
            await place.downloads.fetch(place.request("/f", base=url))
    assert time.monotonic() < begun + 4
