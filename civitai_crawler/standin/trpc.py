"""tRPC transport: origin gate, single calls and batches, both encodings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiohttp import web

from civitai_crawler.standin.encoding import wire
from civitai_crawler.standin.state import STATE, State, viewer
from civitai_crawler.standin.trpc_calls import CALLS
from civitai_crawler.standin.trpc_input import Ask, TrpcError, plain

if TYPE_CHECKING:
    from civitai_crawler.standin.state import Viewer

OK, MIXED = 200, 207
SHARED = "public, max-age=60, s-maxage=60, stale-while-revalidate=30"
SHARED_CALLS = {"model.getAll", "user.getCreator"}


def _from_site(request: web.Request) -> bool:
    """Whether Origin or Referer name the site itself."""
    own = urlsplit(request.app[STATE].urls.site).netloc
    named = (request.headers.get(name, "") for name in ("Origin", "Referer"))
    return any(urlsplit(value).netloc in {own, request.host} for value in named if value)


def _origin_gate(request: web.Request, who: Viewer) -> None:
    if who.by != "key" and not _from_site(request):
        raise TrpcError("UNAUTHORIZED", "Please use the public API instead")


async def _inputs(request: web.Request, *, batch: bool) -> list[Any]:
    """Return the input envelopes in the order of the calls, from the query or a POST body."""
    text = await request.text() if request.method == "POST" else request.query.get("input")
    if not text:
        return []
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise TrpcError("PARSE_ERROR", str(error)) from None
    if not batch:
        return [parsed]
    return [parsed.get(str(number)) for number in range(len(parsed))]


def _call(state: State, who: Viewer, name: str, envelope: Any) -> Any:
    if name not in CALLS:
        raise TrpcError("NOT_FOUND", f'No "query"-procedure on path "{name}"')
    return CALLS[name](Ask(state, who, plain(envelope)))


def failure(error: TrpcError, path: str, *, as_devalue: bool) -> dict[str, Any]:
    """Return an error envelope."""
    return {"error": wire(error.data(path), as_devalue=as_devalue)}


async def answer(request: web.Request) -> web.Response:
    """``/api/trpc/{call}`` or ``/api/trpc/{call},{call}?batch=1``, 207 for mixed fates."""
    state, who = request.app[STATE], viewer(request)
    names, batch = request.match_info["calls"].split(","), request.query.get("batch") == "1"
    bodies: list[dict[str, Any]] = []
    statuses: list[int] = []
    encoding = state.faults.devalue
    for number, name in enumerate(names):
        try:
            _origin_gate(request, who)
            inputs = await _inputs(request, batch=batch)
            envelope = inputs[number] if number < len(inputs) else None
            data = wire(_call(state, who, name, envelope), as_devalue=encoding)
            bodies.append({"result": {"data": data}})
            statuses.append(OK)
        except TrpcError as error:
            bodies.append(failure(error, name, as_devalue=encoding))
            statuses.append(error.status)
    status = statuses[0] if len({*statuses}) == 1 else MIXED
    response = web.json_response(bodies if batch else bodies[0], status=status)
    shareable = not who.signed_in or (not batch and names[0] in SHARED_CALLS)
    if status == OK and shareable:
        response.headers["Cache-Control"] = SHARED
    return response
