"""HTML pages with the embedded data of their server-side queries."""

from __future__ import annotations

import html
import json
from typing import Any

from aiohttp import web

from civitai_crawler.standin import trpc_pictures, trpc_posts
from civitai_crawler.standin.encoding import UNDEFINED, wire
from civitai_crawler.standin.state import STATE, viewer
from civitai_crawler.standin.trpc_calls import user_get_creator, user_profile_overview
from civitai_crawler.standin.trpc_input import Ask, TrpcError

DEFAULT_TITLE = "Civitai | Share your models"
MOMENT = 1_777_717_900_000
NOT_FOUND = 404
ESCAPES = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"))


def _query(path: str, data: Any, given: Any, kind: str = "query") -> dict[str, Any]:
    """One finished query as the page's client cache holds it."""
    key = [path.split("."), {"input": given, "type": kind}]
    state = {
        "data": data,
        "dataUpdateCount": 1,
        "dataUpdatedAt": MOMENT,
        "error": None,
        "errorUpdateCount": 0,
        "isInvalidated": False,
        "status": "success",
        "fetchStatus": "idle",
    }
    text = json.dumps(key, separators=(",", ":"))
    return {"dehydratedAt": MOMENT, "state": state, "queryKey": key, "queryHash": text}


def _hidden() -> dict[str, Any]:
    names = ("hiddenImages", "hiddenTags", "hiddenModels", "hiddenUsers", "blockedUsers")
    return _query("hiddenPreferences.getHidden", {name: [] for name in names}, {})


def _props(request: web.Request, queries: list[dict[str, Any]], extra: Any) -> dict[str, Any]:
    state, who = request.app[STATE], viewer(request)
    trpc = wire({"mutations": [], "queries": queries}, as_devalue=state.faults.devalue)
    session = {"user": {"id": state.accounts.id, "username": state.accounts.username}}
    return {
        **extra,
        "trpcState": trpc,
        "session": session if who.signed_in else None,
        "flags": {"isGreen": state.colour == "com", "canViewNsfw": state.colour == "red"},
        "domain": "green" if state.colour == "com" else "blue",
        "host": request.host,
        "region": {"countryCode": "KR", "regionCode": None},
    }


def _page(
    title: str, body: str, props: dict[str, Any], query: Any, status: int = 200
) -> web.Response:
    data = {"props": {"pageProps": props, "__N_SSP": True}, "query": query, "buildId": "standin"}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character, escape in ESCAPES:
        text = text.replace(character, escape)
    shown = html.escape(title, quote=True)
    robots = '<meta name="robots" content="noindex,nofollow"/>' if props.get("adsGated") else ""
    return web.Response(
        status=status,
        content_type="text/html",
        text=f'<!DOCTYPE html><html lang="en"><head><meta charSet="utf-8"/><title>{shown}</title>'
        f'{robots}</head><body><div id="__next">{body}</div>'
        f'<script id="__NEXT_DATA__" type="application/json">{text}</script></body></html>',
    )


def missing(request: web.Request) -> web.Response:
    """Return the 404 page."""
    return _page(DEFAULT_TITLE, "not found", _props(request, [], {}), {}, NOT_FOUND)


async def post(request: web.Request) -> web.Response:
    """``/posts/{id}``: the post at every level, images at the viewer's cap, a card if gated."""
    state, text = request.app[STATE], request.match_info["id"]
    found = state.world.posts.get(int(text)) if text.isdecimal() else None
    if found is None or not found.visible:
        return missing(request)
    cap = viewer(request).cap
    shown = [picture for picture in found.pictures if picture.level & cap]
    items = [trpc_pictures.picture_database(state, picture, set()) for picture in shown]
    pages = {"pages": [{"nextCursor": UNDEFINED, "items": items}], "pageParams": [None]}
    queries = [
        _query("post.get", trpc_posts.post_detail(found), {"id": found.id}),
        _query("image.getInfinite", pages, {"postId": found.id}, "infinite"),
        _hidden(),
    ]
    gated = not found.level & cap
    body = "<p>mature content lives on the other domain</p>" if gated else "<h1>post</h1>"
    title = found.title or f"Image post by {found.user.name}"
    props = _props(request, queries, {"postId": found.id, "adsGated": gated})
    return _page(f"{title} | Civitai", body, props, {"postId": text})


async def image(request: web.Request) -> web.Response:
    """``/images/{id}``: a missing image is a 200 with the default title and without its query."""
    state, text = request.app[STATE], request.match_info["id"]
    found = state.world.pictures.get(int(text)) if text.isdecimal() else None
    if found is None or not found.post.visible:
        props = _props(request, [_hidden()], {"adsGated": False})
        return _page(DEFAULT_TITLE, "not found", props, {"imageId": text})
    queries = [
        _query("image.get", trpc_pictures.picture_detail(state, found), {"id": found.id}),
        _query("image.getGenerationData", trpc_pictures.generation(found), {"id": found.id}),
        _hidden(),
    ]
    kind = "Video" if found.type == "video" else "Image"
    gated = not found.level & viewer(request).cap
    props = _props(request, queries, {"adsGated": gated})
    title = f"{kind} posted by {found.user.name}"
    return _page(title, "<main>image</main>", props, {"imageId": text})


async def user_models(request: web.Request) -> web.Response:
    """``/user/{name}/models``: profile and counts, no list of models."""
    name = request.match_info["name"]
    ask = Ask(request.app[STATE], viewer(request), {"username": name})
    try:
        profile, overview = user_get_creator(ask), user_profile_overview(ask)
    except TrpcError:
        return missing(request)
    queries = [
        _query("userProfile.get", profile, {"username": name}),
        _query("userProfile.overview", overview, {"username": name}),
    ]
    title = f"{profile['username']} Creator Profile | Civitai"
    return _page(title, "<h1>user</h1>", _props(request, queries, {}), {"username": name})


async def plain(request: web.Request) -> web.Response:
    """Login, region and model pages: 200 HTML that a careless client might keep as a file."""
    return _page(DEFAULT_TITLE, f"<p>{html.escape(request.path)}</p>", _props(request, [], {}), {})


async def version(request: web.Request) -> web.Response:
    """``/model-versions/{id}``: 308 to the model's page."""
    text = request.match_info["id"]
    found = request.app[STATE].world.versions.get(int(text)) if text.isdecimal() else None
    if found is None:
        return missing(request)
    location = f"/models/{found.model.id}?modelVersionId={found.id}"
    return web.Response(status=308, headers={"Location": location})


async def unknown(request: web.Request) -> web.Response:
    """Everything else; ``/api/v1/posts`` too, which does not exist."""
    return missing(request)
