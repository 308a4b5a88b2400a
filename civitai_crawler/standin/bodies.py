"""Bodies of files and media: ranges, validators, and the faults that cut or stall them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from civitai_crawler.standin.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OK, PARTIAL, UNSATISFIABLE = 200, 206, 416
FAULT: web.RequestKey[str] = web.RequestKey("fault", str)
PIECE = 65_536
FOREVER = 3600.0


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes to send: ``pieces(start, stop)`` yields them, ``key`` names the logical request."""

    size: int
    pieces: Callable[[int, int], Iterator[bytes]]
    content_type: str
    etag: str
    key: str


def from_bytes(data: bytes, content_type: str, etag: str, key: str) -> Body:
    """Return a body that is at hand."""

    def pieces(start: int, stop: int) -> Iterator[bytes]:
        for offset in range(start, stop, PIECE):
            yield data[offset : min(offset + PIECE, stop)]

    return Body(len(data), pieces, content_type, etag, key)


def _range(request: web.Request, body: Body, etag: str) -> tuple[int, int] | None:
    """Return the asked range as (start, stop), ``None`` for all; ValueError beyond the end."""
    text = request.headers.get("Range", "")
    if request.app[STATE].faults.ignore_range or request.headers.get("If-Range", etag) != etag:
        return None
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(body.size - int(last), 0), body.size
    start, stop = int(first), min(int(last) + 1, body.size) if last else body.size
    if start >= body.size or start >= stop:
        raise ValueError(text)
    return start, stop


def _etag(request: web.Request, body: Body) -> str:
    """Return the body's ETag; another one at each request when the switch is on."""
    state = request.app[STATE]
    if not state.faults.change_etag:
        return f'"{body.etag}"'
    state.links["etags"] = state.links.get("etags", 0) + 1
    return f'"{body.etag}-{state.links["etags"]}"'


async def send(
    request: web.Request, body: Body, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Return the body or the asked part of it, with the request's fault if it has one."""
    etag = _etag(request, body)
    common = {"Accept-Ranges": "bytes", "ETag": etag, **(headers or {})}
    try:
        part = _range(request, body, etag)
    except ValueError:
        common["Content-Range"] = f"bytes */{body.size}"
        return web.Response(status=UNSATISFIABLE, headers=common)
    start, stop = part or (0, body.size)
    if part is not None:
        common["Content-Range"] = f"bytes {start}-{stop - 1}/{body.size}"
    response = web.StreamResponse(status=OK if part is None else PARTIAL, headers=common)
    response.content_type = body.content_type
    response.content_length = stop - start
    await response.prepare(request)
    if request.method != "HEAD":
        await _write(request, response, body, (start, stop))
    return response


async def _write(
    request: web.Request, response: web.StreamResponse, body: Body, part: tuple[int, int]
) -> None:
    state, fault = request.app[STATE], request.get(FAULT, "")
    start, stop = part
    end = start + (stop - start) // 2 if fault else stop
    for piece in body.pieces(start, end):
        if state.faults.body_delay:
            await asyncio.sleep(state.faults.body_delay)
        await response.write(piece)
    if fault == "stall":
        await asyncio.sleep(FOREVER)
    if fault and request.transport is not None:
        request.transport.close()
    if not fault:
        state.dice.settle(body.key)
