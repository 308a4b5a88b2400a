"""The storage host: model files behind signed links that expire."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from aiohttp import web

from civitai_crawler.standin import bodies, payload
from civitai_crawler.standin.downloads import signature
from civitai_crawler.standin.state import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from civitai_crawler.standin.records import File

LEAKS = ("Authorization", "Cookie", "Referer")


def _error(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


def _is_valid(request: web.Request) -> bool:
    """Whether the link was signed here and has not expired."""
    query = request.query
    signed = query.get("Authorization") or query.get("X-Amz-Signature") or ""
    expires, _, given = signed.partition("_")
    if not expires.isdigit() or int(expires) < time.time() * 1000:
        return False
    right = signature(request.app[STATE], request.path, int(expires))
    return hmac.compare_digest(given, right)


def _body(file: File) -> bodies.Body:
    def pieces(start: int, stop: int) -> Iterator[bytes]:
        return payload.pieces(file, start, stop)

    etag = f"{file.id:x}-{file.size:x}"
    return bodies.Body(file.size, pieces, "application/octet-stream", etag, f"storage:{file.id}")


async def serve(request: web.Request) -> web.StreamResponse:
    """Serve a model file; refuse what is meant for the site only, HEAD and bad signatures."""
    leaked = next((name for name in LEAKS if name in request.headers), None)
    if leaked is not None:
        return _error(400, f"InvalidArgument.{leaked}")
    if request.method != "GET" or not _is_valid(request):
        return _error(403, "AccessDenied")
    file = request.app[STATE].world.files.get(int(request.match_info["file"]))
    if file is None:
        return _error(404, "NoSuchKey")
    query = request.query
    names = ("b2ContentDisposition", "response-content-disposition")
    disposition = next(query[name] for name in names if name in query)
    return await bodies.send(request, _body(file), {"Content-Disposition": disposition})
