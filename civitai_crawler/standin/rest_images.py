"""REST: image lists, by search index or by database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from civitai_crawler.standin import catalog, enums, prompts, rest_shapes
from civitai_crawler.standin.dates import iso
from civitai_crawler.standin.paging import BadCursorError, Order, by_key, by_offset, capped
from civitai_crawler.standin.queries import InvalidError, Query, RefusalError
from civitai_crawler.standin.rest_models import metadata, refuse_depth
from civitai_crawler.standin.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.standin.records import Picture
    from civitai_crawler.standin.state import State

DEFAULT, MOST = 100, 200
NOT_FOUND, BAD = 404, 400
_NUMBERS = ("postId", "modelId", "modelVersionId", "imageId", "userId")


def _level(query: Query) -> int:
    """Return the mask: ``browsingLevel`` wins, nothing means PG, ``nsfw=true`` R and up."""
    mask = query.number("browsingLevel", 0, 63)
    if mask is not None:
        return mask
    word = query.text("nsfw")
    if word in enums.LEVEL_WORDS:
        return enums.LEVEL_WORDS[word]
    return enums.MATURE if query.strict("nsfw") else 1


def _tests(state: State, query: Query) -> list[Callable[[Picture], bool]]:
    """One test per parameter; minor and poi content is always left out."""
    level = _level(query)
    wanted = {name: query.number(name) for name in _NUMBERS}
    checks: dict[str, Callable[[Picture, Any], bool]] = {
        "postId": lambda picture, value: picture.post.id == value,
        "modelId": lambda picture, value: catalog.model_of(picture) == value,
        "modelVersionId": catalog.uses_version,
        "imageId": lambda picture, value: picture.id == value,
        "userId": lambda picture, value: picture.user.id == value,
    }

    def match(name: str, value: int) -> Callable[[Picture], bool]:
        return lambda picture: checks[name](picture, value)

    tests = [match(name, value) for name, value in wanted.items() if value is not None]
    tests.append(lambda picture: bool(picture.level & level) and not picture.excluded)
    if "type" in query:
        kind = query.choice("type", enums.MEDIA_TYPES, "image")
        tests.append(lambda picture: picture.type == kind)
    if query.strict("requiringMeta"):
        tests.append(lambda picture: bool(picture.shown_meta))
    name = query.text("username")
    if name is not None:
        user = _owner(state, name)
        tests.append(lambda picture: picture.user is user)
    return tests


def _owner(state: State, name: str) -> Any:
    if not re.fullmatch(r"\w*", name, re.ASCII):
        raise InvalidError("username", "invalid_format", "Invalid string: must match pattern")
    user = state.world.user(name)
    if user is None:
        raise RefusalError(NOT_FOUND, {"error": "User not found", "code": "NOT_FOUND"})
    return user


def item(state: State, picture: Picture, query: Query, *, database: bool) -> dict[str, Any]:
    """One image; ``meta`` only when asked for, nested on the database path unless flat."""
    meta: Any = None
    if query.strict("withMeta"):
        meta = prompts.listed(picture.shown_meta)
        if database and not query.strict("flatMeta"):
            meta = {"id": picture.id, "meta": meta}
    record: dict[str, Any] = {
        "id": picture.id,
        "url": rest_shapes.picture_url(state, picture, picture.uuid),
        "hash": rest_shapes.BLURHASH if picture.id % 8 else None,
        "width": picture.width if picture.id % 17 else None,
        "height": picture.height if picture.id % 17 else None,
        "nsfwLevel": enums.LEVEL_NAMES[picture.level],
        "type": picture.type,
        "nsfw": picture.level > 1,
        "browsingLevel": picture.level,
        "createdAt": iso(picture.created if database else picture.post.published),
        "postId": picture.post.id,
        "stats": {
            "cryCount": 0,
            "laughCount": 1,
            "likeCount": picture.likes,
            "dislikeCount": 0,
            "heartCount": 7,
            "commentCount": 2,
        },
        "meta": meta,
        "username": picture.user.name,
        "baseModel": picture.resources[0][0].base_model if picture.resources else "",
        "modelVersionIds": picture.version_ids,
    }
    if query.strict("withTags"):
        record["tags"] = [{"id": tag, "name": "night"} for tag in picture.tags]
    return record


def _is_database(query: Query) -> bool:
    alone = {*query.values} & {*_NUMBERS, "username"} == {"modelId"}
    return "imageId" in query or alone


def _rows(
    state: State, query: Query, limit: int, tests: list[Callable[[Picture], bool]]
) -> tuple[list[Picture], Any]:
    """Return a page of pictures and the next cursor."""
    pictures = catalog.visible_pictures(state)
    found = [picture for picture in pictures if all(test(picture) for test in tests)]
    cursor = query.text("cursor")
    if _is_database(query):
        if cursor is not None and not cursor.isdigit():
            raise BadCursorError("Invalid cursor")
        order: Order[Picture] = Order(lambda picture: (picture.id,), (True,))
        key = None if cursor is None else (int(cursor),)
        page = by_key(found, order, limit, key, state.faults)
        return page.rows, page.next[0] if page.next else None
    sort = query.choice("sort", enums.IMAGE_SORTS, "Most Reactions")
    if sort == "Random":
        raise BadCursorError("Random sort requires a collection")
    indexed = [picture for picture in found if picture.indexed]
    ordered = catalog.sorted_pictures(indexed, sort)
    return by_offset(ordered, limit, cursor, state.faults)


async def images(request: web.Request) -> web.Response:
    """``GET /api/v1/images``."""
    state, query = request.app[STATE], Query(request.query)
    try:
        limit, page = query.limit(DEFAULT, 0, MOST), query.number("page", 1)
        refuse_depth(page, limit)
        tests = _tests(state, query)
        shown = capped(limit, state.faults.images_page_cap)
        rows, cursor = _rows(state, query, shown, tests)
        database = _is_database(query)
        items = [item(state, picture, query, database=database) for picture in rows]
    except InvalidError as error:
        raise error.as_object() from None
    except BadCursorError as error:
        raise RefusalError(BAD, {"error": str(error), "code": "BAD_REQUEST"}) from None
    if state.faults.broken_record == "image" and items and query.text("cursor") is None:
        items.append({**items[0], "id": "not-a-number"})
    return web.json_response({"items": items, "metadata": metadata(request, page, limit, cursor)})
