"""REST: model lists, one model, one version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiohttp import web

from civitai_crawler.standin import catalog, enums, rest_shapes
from civitai_crawler.standin.paging import BadCursorError, by_key, capped
from civitai_crawler.standin.payload import fingerprint
from civitai_crawler.standin.queries import LARGEST_ID, InvalidError, Query, RefusalError, number
from civitai_crawler.standin.state import STATE, viewer

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.standin.records import File, Model, User
    from civitai_crawler.standin.state import State

MOST = 100
DEEPEST = 1000
NOT_FOUND, TOO_MANY, UNAUTHORIZED, BAD, DOWN = 404, 429, 401, 400, 500
_NOT_AS_TEXT = ("browsingLevel", "collectionId", "pending", "disablePoi", "disableMinor")
_OF_A_USER = ("favorites", "hidden")


@dataclass(frozen=True, slots=True)
class Wish:
    """A parsed model list query."""

    limit: int
    page: int | None
    sort: str
    nsfw: bool
    archived: bool
    types: list[str]
    bases: list[str]
    ids: list[int]
    version_ids: list[int]
    tag: str | None
    text: str | None
    cursor: str | None
    primary_only: bool


def _parse(query: Query) -> Wish:
    for name in _NOT_AS_TEXT:
        if name in query:
            raise InvalidError(
                name, "invalid_type", "Invalid input: expected number, received text"
            )
    query.choice("period", enums.PERIODS, "AllTime")
    for name in _OF_A_USER:
        query.strict(name)
    return Wish(
        limit=query.limit(MOST, 0, MOST),
        page=query.number("page", 1),
        sort=query.choice("sort", enums.MODEL_SORTS, "Highest Rated"),
        nsfw=bool(query.strict("nsfw")),
        archived=query.coerced("archived"),
        types=query.choices("types", enums.MODEL_TYPES),
        bases=query.choices("baseModels"),
        ids=query.numbers("ids"),
        version_ids=query.numbers("modelVersionIds"),
        tag=query.text("tag"),
        text=query.text("query"),
        cursor=query.text("cursor"),
        primary_only=bool(query.strict("primaryFileOnly")),
    )


def _filters(wish: Wish, user: User | None) -> list[Callable[[Model], bool]]:
    def mature_enough(model: Model) -> bool:
        if wish.nsfw:
            return not model.minor and not catalog.has_addon_tag(model)
        return bool(model.level & 1)

    tests: list[tuple[Any, Callable[[Model], bool]]] = [
        (True, mature_enough),
        (True, lambda m: not m.poi),
        (not wish.archived, lambda m: m.mode != "Archived"),
        (user, lambda m: m.user is user),
        (wish.types, lambda m: m.type in wish.types),
        (wish.bases, lambda m: bool({*m.base_models} & {*wish.bases})),
        (wish.ids, lambda m: m.id in wish.ids),
        (wish.version_ids, lambda m: any(v.id in wish.version_ids for v in m.public_versions)),
        (wish.tag, lambda m: wish.tag in [name for _, name in m.tags]),
        (wish.text, lambda m: (wish.text or "").lower() in m.name.lower()),
    ]
    return [test for wanted, test in tests if wanted]


def _page(state: State, wish: Wish, user: User | None) -> tuple[list[Model], str | None]:
    """Return the models of a page and the next cursor's text."""
    tests = _filters(wish, user)
    rows = [m for m in catalog.listed_models(state) if all(test(m) for test in tests)]
    limit = capped(wish.limit, state.faults.page_cap)
    if wish.text is not None:
        start = int(wish.cursor or 0)
        more = start + limit < len(rows)
        return rows[start : start + limit], str(start + limit) if more else None
    key = None if wish.page else catalog.model_key(wish.sort, wish.cursor)
    page = by_key(rows, catalog.MODEL_ORDERS[wish.sort], limit, key, state.faults)
    return page.rows, catalog.model_cursor(wish.sort, page.next)


def metadata(request: web.Request, page: int | None, limit: int, cursor: Any) -> dict[str, Any]:
    """``nextCursor`` and ``nextPage``; a page number is printed but moves nothing."""
    found: dict[str, Any] = {}
    base = f"{request.app[STATE].urls.site}{request.path}"
    values = [(name, value) for name, value in request.query.items() if name != "cursor"]
    if cursor is not None:
        found["nextCursor"] = cursor
        change = ("cursor", str(cursor)) if page is None else ("page", str(page + 1))
        kept = [pair for pair in values if pair[0] != change[0]]
        found["nextPage"] = f"{base}?{urlencode([*kept, change], quote_via=quote)}"
    if page is not None:
        found |= {"currentPage": page, "pageSize": limit}
    return found


def refuse_depth(page: int | None, limit: int) -> None:
    """Page numbers end at a thousand rows."""
    if page is not None and page * limit > DEEPEST:
        raise RefusalError(TOO_MANY, {"error": "Too many pages requested, use cursors instead"})


def _broken(state: State, items: list[dict[str, Any]], wish: Wish) -> list[dict[str, Any]]:
    """Add the switched broken record, on first pages only."""
    if wish.cursor is not None or not items:
        return items
    if state.faults.broken_record == "model":
        return [*items, {**items[0], "id": "not-a-number", "modelVersions": []}]
    if state.faults.broken_record == "version" and items[0]["modelVersions"]:
        version = dict(items[0]["modelVersions"][0])
        del version["id"]
        return [{**items[0], "modelVersions": [*items[0]["modelVersions"], version]}, *items[1:]]
    return items


def _owner(state: State, query: Query) -> User | None:
    """Return the user asked for; an unknown one is a 404."""
    name = query.text("username")
    if name is None:
        return None
    user = state.world.user(name)
    if user is None:
        raise RefusalError(NOT_FOUND, {"message": "User not found"})
    return user


def _only_primary(items: list[dict[str, Any]]) -> None:
    for item in items:
        for version in item["modelVersions"]:
            version["files"] = [file for file in version["files"] if file.get("primary")]


async def models(request: web.Request) -> web.Response:
    """``GET /api/v1/models``."""
    state, query = request.app[STATE], Query(request.query)
    if state.faults.models_down:
        raise RefusalError(DOWN, {"message": "An unexpected error occurred", "error": "timeout"})
    try:
        wish = _parse(query)
    except InvalidError as error:
        raise error.as_object() from None
    if any(name in query for name in _OF_A_USER) and not viewer(request).signed_in:
        raise RefusalError(UNAUTHORIZED, {"error": "Unauthorized"})
    if wish.text is not None and wish.page is not None:
        raise RefusalError(BAD, {"error": "Cannot use page param with query search"})
    refuse_depth(wish.page, wish.limit)
    try:
        rows, cursor = _page(state, wish, _owner(state, query))
    except BadCursorError as error:
        raise RefusalError(BAD, {"message": str(error)}) from None
    items = [rest_shapes.model_item(state, model, mature=wish.nsfw) for model in rows]
    if wish.primary_only:
        _only_primary(items)
    items = _broken(state, items, wish)
    return web.json_response(
        {"items": items, "metadata": metadata(request, wish.page, wish.limit, cursor)}
    )


def path_id(request: web.Request) -> int:
    """Return the id in the path, or a 400 in the site's words."""
    try:
        return number("id", request.match_info["id"], 0, LARGEST_ID)
    except InvalidError as error:
        raise error.as_text() from None


async def model(request: web.Request) -> web.Response:
    """``GET /api/v1/models/{id}``: archived ones and every level; nothing unpublished or poi."""
    state, wanted = request.app[STATE], path_id(request)
    found = state.world.models.get(wanted)
    if found is None or not found.public or found.poi or not found.level:
        raise RefusalError(NOT_FOUND, {"error": f"No model with id {wanted}"})
    return web.json_response(rest_shapes.model_detail(state, found))


async def version(request: web.Request) -> web.Response:
    """``GET /api/v1/model-versions/{id}``: an unrated version is a 404 too."""
    state = request.app[STATE]
    found = state.world.versions.get(path_id(request))
    visible = found is not None and found.status == "Published" and found.model.public
    if found is None or not visible or not found.level:
        raise RefusalError(NOT_FOUND, {"error": "Model not found"})
    return web.json_response(rest_shapes.version_detail(state, found))


def _has_hash(state: State, file: File, wanted: str) -> bool:
    """Only the published hashes count, of whatever kind."""
    if not file.scanned:
        return False
    fingerprint(file)
    return wanted.upper() in rest_shapes.hashes(state, file).values()


async def version_by_hash(request: web.Request) -> web.Response:
    """``GET /api/v1/model-versions/by-hash/{hash}``: the oldest version with such a file."""
    state, wanted = request.app[STATE], request.match_info["hash"]
    versions = [v for v in state.world.versions.values() if v.status == "Published"]
    for found in sorted(versions, key=lambda v: v.published):
        if found.model.public and any(_has_hash(state, file, wanted) for file in found.files):
            return web.json_response(rest_shapes.version_detail(state, found, zoned=True))
    raise RefusalError(NOT_FOUND, {"error": "Model not found"})
