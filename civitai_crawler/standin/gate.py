"""What every request passes: the log, the latency, the faults, the common headers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from civitai_crawler.standin import downloads
from civitai_crawler.standin.bodies import FAULT
from civitai_crawler.standin.faults import BODY_RATES, SITE_RATES
from civitai_crawler.standin.queries import RefusalError
from civitai_crawler.standin.state import STATE, roll_cookie
from civitai_crawler.standin.trpc import failure
from civitai_crawler.standin.trpc_input import TrpcError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from civitai_crawler.standin.log import Entry
    from civitai_crawler.standin.state import State

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROLE: web.AppKey[str] = web.AppKey("role", str)
CHALLENGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
BACK_SOON = "<!DOCTYPE html><html><head><title>We'll be right back | Civitai</title></head></html>"
PUBLIC = "public, s-maxage=300, stale-while-revalidate=150"
HASHES = "public, s-maxage=3600, stale-while-revalidate=1800"
PRIVATE = "max-age=0, private, no-cache"
UNAVAILABLE, TOO_MANY, REGION = 503, 429, 451
TRPC_NAMES = {
    "429": "TOO_MANY_REQUESTS",
    "503": "SERVICE_UNAVAILABLE",
    "500": "INTERNAL_SERVER_ERROR",
}


def _route(request: web.Request) -> str:
    """``trpc``, ``download``, ``api`` or ``page``."""
    path = request.path
    if path.startswith("/api/trpc/"):
        return "trpc"
    if path.startswith("/api/download/"):
        return "download"
    return "api" if path.startswith("/api/") else "page"


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")


def _after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


def _busy(request: web.Request, fault: str, state: State) -> web.Response:
    """429, 503 and 500 in the shape of the route."""
    route, status = _route(request), int(fault)
    if route == "page":
        return _html(BACK_SOON, status)
    if route == "trpc":
        names = request.match_info.get("calls", "").split(",")
        error = TrpcError(TRPC_NAMES[fault], "The server is busy")
        bodies = [failure(error, name, as_devalue=state.faults.devalue) for name in names]
        batch = request.query.get("batch") == "1"
        return web.json_response(bodies if batch else bodies[0], status=status)
    waits = {TOO_MANY: state.faults.retry_after_429, UNAVAILABLE: state.faults.retry_after_503}
    headers = {"Cache-Control": "no-store", **_after(waits.get(status))}
    body: dict[str, Any] = {"error": "The server is busy, retry shortly"}
    if status not in waits:
        body = {"message": "An unexpected error occurred", "error": "connection closed"}
    return web.json_response(body, status=status, headers=headers)


def _rates(request: web.Request, state: State) -> tuple[tuple[str, str], ...]:
    """Which faults can hit this request at all."""
    route = _route(request)
    left_out: set[str] = set()
    if route in {"download", "page"}:
        left_out = {"bad_json", "html"}
    if route == "download" and state.faults.retry_after_429 is None:
        left_out |= {"429"}  # without Retry-After it would read as the quota
    return tuple(rate for rate in SITE_RATES if rate[0] not in left_out)


def _region(request: web.Request, state: State) -> web.Response | None:
    if not (state.faults.region_blocked or request.headers.get("x-isuk") == "true"):
        return None
    route = _route(request)
    if route in {"api", "trpc"}:
        body = {"error": "Not available in your region", "code": "REGION_BLOCKED"}
        return web.json_response(body, status=REGION)
    if route == "page" and request.path != "/region-blocked":
        return web.Response(status=307, headers={"Location": "/region-blocked"})
    return None


def reset(request: web.Request) -> web.Response:
    """Close the connection at once; the returned response cannot be sent any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _instead(request: web.Request, fault: str, state: State) -> web.Response | None:
    """Return what a fault answers in the handler's place."""
    if fault == "reset":
        return reset(request)
    if fault == "challenge":
        response = _html(CHALLENGE, 403)
        response.headers["cf-mitigated"] = "challenge"
        return response
    if fault == "html":
        return _html(BACK_SOON)
    return _busy(request, fault, state) if fault in TRPC_NAMES else None


async def _site(request: web.Request, handler: Handler, entry: Entry) -> web.StreamResponse:
    state = request.app[STATE]
    blocked = _region(request, state)
    if blocked is not None:
        return blocked
    last = _route(request) != "download"
    key = f"site:{request.path_qs}{entry.body}"
    fault = entry.fault = state.dice.roll(key, _rates(request, state), last_hop=last)
    instead = _instead(request, fault, state)
    if instead is not None:
        return instead
    try:
        answer = await handler(request)
    except RefusalError as error:
        answer = web.json_response(error.body, status=error.status, headers=error.headers)
    if fault == "bad_json" and isinstance(answer, web.Response) and answer.body:
        whole = answer.text or ""
        return web.json_response(text=whole[: len(whole) // 2], status=answer.status)
    return answer


def _decorate(request: web.Request, response: web.StreamResponse) -> None:
    """Cache headers by route, and the session cookie's exchange."""
    route, path = _route(request), request.path
    if route == "api" and response.status != UNAVAILABLE:
        private = path in {"/api/v1/me", "/api/auth/session"}
        public = HASHES if "/by-hash/" in path else PUBLIC
        response.headers.setdefault("Cache-Control", PRIVATE if private else public)
        response.headers.setdefault("Access-Control-Allow-Origin", "*")
    if route == "trpc":
        response.headers.setdefault("Cache-Control", PRIVATE)
    if route in {"api", "trpc"}:
        response.headers.setdefault("X-Handled-By", "standin")
    if route == "download":
        response.headers.setdefault("Cache-Control", downloads.NO_STORE["Cache-Control"])
    if not response.prepared:
        roll_cookie(request, response)


async def _hosts(request: web.Request, handler: Handler, entry: Entry) -> web.StreamResponse:
    """Storage and media: faults of bodies only."""
    role, state = request.app[ROLE], request.app[STATE]
    name = request.match_info.get("file" if role == "storage" else "uuid", "")
    key = f"{'storage' if role == 'storage' else 'media'}:{name}"
    fault = entry.fault = state.dice.roll(key, BODY_RATES, last_hop=False)
    if fault == "reset":
        return reset(request)
    request[FAULT] = fault
    return await handler(request)


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log the request, waits the latency, applies faults, answers."""
    state, role = request.app[STATE], request.app[ROLE]
    entry = state.log.begin(role, request)
    if request.method == "POST":
        entry.body = await request.text()
    status = 0
    try:
        if state.faults.latency:
            await asyncio.sleep(state.faults.latency)
        if role == "site":
            response = await _site(request, handler, entry)
            _decorate(request, response)
        else:
            response = await _hosts(request, handler, entry)
        status = 0 if entry.fault == "reset" else response.status
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        state.log.finish(entry, status)
    return response
