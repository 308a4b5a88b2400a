"""The media hosts: originals, stills and thumbnails by uuid and transform."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from aiohttp import web

from civitai_crawler.standin import bodies, media
from civitai_crawler.standin.state import STATE

if TYPE_CHECKING:
    from civitai_crawler.standin.records import Picture

IMMUTABLE = {"Cache-Control": "public, max-age=31536000"}
LEAKS = ("Authorization", "Cookie")
THUMBNAIL = (96, 96)


def _transform(text: str) -> dict[str, str]:
    """``transcode=true,original=true`` as a dict."""
    return dict(part.partition("=")[::2] for part in text.split(","))


async def _original(request: web.Request, picture: Picture) -> web.StreamResponse:
    data = request.app[STATE].world.media(picture)
    etag = hashlib.blake2b(data, digest_size=8).hexdigest()
    kind = media.CONTENT_TYPES[picture.format]
    return await bodies.send(
        request, bodies.from_bytes(data, kind, etag, f"media:{picture.uuid}"), IMMUTABLE
    )


async def _preview(request: web.Request, seed: int, form: str) -> web.StreamResponse:
    data = media.still(seed, *THUMBNAIL, form)
    uuid = request.match_info["uuid"]
    body = bodies.from_bytes(data, f"image/{form}", f"still-{seed}-{form}", f"media:{uuid}")
    return await bodies.send(request, body, IMMUTABLE)


async def first(request: web.Request) -> web.StreamResponse:
    """``/{bucket}/{uuid}/{transform}/{any name}``; some originals lie on the second host."""
    if any(name in request.headers for name in LEAKS):
        return web.Response(status=400, text="credentials have no business here")
    world, uuid = request.app[STATE].world, request.match_info["uuid"]
    picture = world.by_uuid.get(uuid)
    avatars = {user.avatar: user.id for user in world.users.values() if user.avatar}
    if uuid in avatars:
        return await _preview(request, avatars[uuid], "jpeg")
    if picture is None or picture.cdn == "missing":
        return web.Response(status=404, text="not found")
    return await _form(request, picture)


async def _form(request: web.Request, picture: Picture) -> web.StreamResponse:
    """One transform of a picture: a preview, a redirect or the original."""
    wanted = _transform(request.match_info["transform"])
    if wanted.get("anim") == "false" or "original" not in wanted:
        return await _preview(request, picture.id, "jpeg")
    if picture.still_first and "transcode" in wanted:
        return await _preview(request, picture.id, "webp")
    if picture.cdn == "moved":
        second_host = request.app[STATE].urls.second
        location = f"{second_host}/file/civitai-media-cache/{picture.uuid}/original"
        return web.Response(status=301, headers={"Location": location})
    return await _original(request, picture)


async def second(request: web.Request) -> web.StreamResponse:
    """Serve the cache host: ``/file/civitai-media-cache/{uuid}/original``."""
    uuid = request.match_info["uuid"]
    if any(name in request.headers for name in LEAKS):
        return web.Response(status=400, text="credentials have no business here")
    picture = request.app[STATE].world.by_uuid.get(uuid)
    if picture is None or picture.cdn != "moved":
        return web.Response(status=404, text="not found")
    return await _original(request, picture)
