"""The tRPC lists: models, posts, images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import catalog, enums, trpc_models, trpc_pictures, trpc_posts
from civitai_crawler.standin.dates import from_text, iso
from civitai_crawler.standin.encoding import UNDEFINED
from civitai_crawler.standin.paging import BadCursorError, Order, by_key, by_offset, capped
from civitai_crawler.standin.trpc_input import TrpcError, invalid

if TYPE_CHECKING:
    from civitai_crawler.standin.paging import Key
    from civitai_crawler.standin.records import Model, Picture, Post
    from civitai_crawler.standin.trpc_input import Ask

MOST_MODELS, DEFAULT, MOST = 100, 100, 200
_DATABASE = ("postId", "postIds", "collectionId", "reactions", "imageId")
_NARROW = ("username", "userId", "modelVersionId")


def _sort(ask: Ask, allowed: tuple[str, ...], default: str) -> str:
    sort = ask.text("sort") or default
    if sort not in allowed:
        raise invalid("sort", "|".join(allowed), sort)
    return sort


def _kept(ask: Ask, *, poi: bool, minor: bool) -> bool:
    """Whether flagged content passes the caller's own switches."""
    return not (poi and ask.flag("disablePoi")) and not (minor and ask.flag("disableMinor"))


def _visible(ask: Ask, pictures: list[Picture], level: int) -> list[Picture]:
    return [p for p in pictures if p.level & level and _kept(ask, poi=p.poi, minor=p.minor)]


def _shown_models(ask: Ask, level: int) -> list[tuple[Model, list[Picture]]]:
    """Models with a showcase picture at the level; the others are dropped silently."""
    found = []
    owner = ask.owner()
    types, bases = ask.values.get("types") or [], {*(ask.values.get("baseModels") or [])}
    for model in catalog.listed_models(ask.state):
        wanted = (
            (owner is None or model.user is owner)
            and (not types or model.type in types)
            and (not bases or bool(bases & {*model.base_models}))
            and (model.mode != "Archived" or ask.flag("archived"))
            and _kept(ask, poi=model.poi, minor=model.minor)
        )
        if wanted and model.public_versions:
            pictures = [p for v in model.public_versions for p in v.pictures]
            shown = _visible(ask, pictures, level)
            if shown:
                found.append((model, shown))
    return found


def _text_cursor(ask: Ask) -> str | None:
    cursor = ask.values.get("cursor")
    return None if cursor is None else str(cursor)


def model_get_all(ask: Ask) -> dict[str, Any]:
    """model.getAll; signed in on the uncapped host it is empty without a level."""
    faults = ask.state.faults
    uncapped = ask.who.cap == enums.EVERYTHING and "browsingLevel" not in ask.values
    shown = {} if uncapped else {m.id: (m, p) for m, p in _shown_models(ask, ask.level())}
    sort = _sort(ask, enums.MODEL_SORTS, "Highest Rated")
    try:
        key = catalog.model_key(sort, _text_cursor(ask))
    except BadCursorError as error:
        raise TrpcError("BAD_REQUEST", str(error)) from None
    order = catalog.MODEL_ORDERS[sort]
    limit = capped(ask.limit(MOST_MODELS, MOST_MODELS), faults.page_cap)
    models = [model for model, _ in shown.values()]
    page = by_key(models, order, limit, key, faults)
    if faults.empty_page_with_cursor and key is None and page.rows and order.inclusive:
        return {"items": [], "nextCursor": catalog.model_cursor(sort, order.key(page.rows[0]))}
    items = [trpc_models.item(ask.state, model, shown[model.id][1]) for model in page.rows]
    cursor = catalog.model_cursor(sort, page.next)
    return {"items": items, "nextCursor": UNDEFINED if cursor is None else cursor}


def _post_key(sort: str, cursor: Any) -> Key | None:
    """``ISO|id`` or ``count|id``; plain ids are accepted as well."""
    if cursor is None:
        return None
    try:
        first, bar, number = str(cursor).partition("|")
        if not bar:
            return (from_text(iso(int(first))), 0)
        return (from_text(first) if sort == "Newest" else int(first), int(number))
    except ValueError:
        raise TrpcError("BAD_REQUEST", "Invalid cursor") from None


def post_get_infinite(ask: Ask) -> dict[str, Any]:
    """post.getInfinite: an unknown user name gives everybody's posts, not an error."""
    sort = _sort(ask, enums.POST_SORTS, "Most Reactions")
    name = ask.text("username")
    owner = None if name is None else ask.state.world.user(name)
    level = ask.level()
    version_id, ids = ask.number("modelVersionId"), ask.values.get("ids")
    shown: dict[int, list[Picture]] = {}
    posts: list[Post] = []
    for post in ask.state.world.posts.values():
        pictures = _visible(ask, post.pictures, level)
        wanted = (
            post.visible
            and (owner is None or post.user is owner)
            and (version_id is None or (post.version is not None and post.version.id == version_id))
            and (ids is None or post.id in ids)
        )
        if wanted and pictures:
            posts.append(post)
            shown[post.id] = pictures
    order = catalog.POST_ORDERS["Newest" if sort == "Newest" else "Most Reactions"]
    limit = capped(ask.limit(DEFAULT, MOST), ask.state.faults.posts_page_cap)
    key = _post_key(sort, ask.values.get("cursor"))
    page = by_key(posts, order, limit, key, ask.state.faults)
    cursor: Any = UNDEFINED
    if page.next is not None:
        first = iso(page.next[0]) if sort == "Newest" else str(page.next[0])
        cursor = f"{first}|{page.next[1]}"
    items = [trpc_posts.post_item(ask.state, post, shown[post.id]) for post in page.rows]
    return {"nextCursor": cursor, "items": items}


def _matching(ask: Ask) -> list[Picture]:
    """Pictures that fit the filters, before level and paging."""
    post_ids = set(ask.values.get("postIds") or [])
    numbers = {
        name: ask.number(name) for name in ("postId", "modelId", "modelVersionId", "imageId")
    }
    if numbers["postId"] is not None:
        post_ids.add(numbers["postId"])
    owner, types = ask.owner(), ask.values.get("types") or []
    version_id = numbers["modelVersionId"]
    return [
        picture
        for picture in catalog.visible_pictures(ask.state)
        if (not post_ids or picture.post.id in post_ids)
        and (numbers["imageId"] is None or picture.id == numbers["imageId"])
        and (numbers["modelId"] is None or catalog.model_of(picture) == numbers["modelId"])
        and (version_id is None or catalog.uses_version(picture, version_id))
        and (owner is None or picture.user is owner)
        and (not types or picture.type in types)
        and (not ask.flag("requiringMeta") or bool(picture.shown_meta))
    ]


def _database_page(ask: Ask, pictures: list[Picture], sort: str, limit: int) -> dict[str, Any]:
    """One post by position; anything else by id, losing a row per page edge unless Oldest."""
    faults = ask.state.faults
    one_post = ask.values.get("postId") is not None
    order: Order[Picture]
    if one_post:
        order = Order(lambda picture: (picture.index, picture.id), (False, False))
    else:
        order = Order(lambda picture: (picture.id,), (sort != "Oldest",))
    cursor = ask.number("cursor")
    if faults.false_end > 0 and ({"postId", "postIds"} & {*ask.values}):
        faults.false_end -= 1
        return {"nextCursor": UNDEFINED, "items": []}
    key: Key | None = None
    if cursor is not None:
        key = (cursor, 0) if one_post else (cursor,)
    page = by_key(pictures, order, limit, key, faults)
    include = set(ask.values.get("include") or [])
    items = [trpc_pictures.picture_database(ask.state, p, include) for p in page.rows]
    return {"nextCursor": page.next[0] if page.next else UNDEFINED, "items": items}


def image_get_infinite(ask: Ask) -> dict[str, Any]:
    """image.getInfinite: posts (and single images) from the database, the rest from the index."""
    sort = _sort(ask, enums.IMAGE_SORTS, "Most Reactions")
    pictures = _visible(ask, _matching(ask), ask.level())
    limit = capped(ask.limit(DEFAULT, MOST), ask.state.faults.images_page_cap)
    model_alone = "modelId" in ask.values and not {*_NARROW} & {*ask.values}
    if model_alone or any(ask.values.get(name) is not None for name in _DATABASE):
        return _database_page(ask, pictures, sort, limit)
    indexed = [picture for picture in pictures if picture.indexed]
    ordered = catalog.sorted_pictures(indexed, sort)
    try:
        rows, cursor = by_offset(ordered, limit, _text_cursor(ask), ask.state.faults)
    except BadCursorError as error:
        raise TrpcError("BAD_REQUEST", str(error)) from None
    include = set(ask.values.get("include") or [])
    return {
        "nextCursor": UNDEFINED if cursor is None else cursor,
        "items": [trpc_pictures.picture_index(picture, include) for picture in rows],
        "source": "meili",
    }
