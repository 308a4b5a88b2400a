"""Sorting, cursors and picking of models and pictures, shared by REST and tRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.standin.blueprints import ADDON_TAG
from civitai_crawler.standin.dates import from_text, sql
from civitai_crawler.standin.paging import BadCursorError, Order

if TYPE_CHECKING:
    from civitai_crawler.standin.paging import Key
    from civitai_crawler.standin.records import Model, Picture, Post
    from civitai_crawler.standin.state import State

_DATED = ("Newest", "Oldest")


def _counted(first: str) -> Order[Model]:
    """Most of something first, then most thumbs, then the lowest id."""

    def key(model: Model) -> Key:
        pairs = {
            "downloads": (model.downloads or 0, model.thumbs),
            "thumbs": (model.thumbs, model.downloads or 0),
            "comments": (model.comments, model.thumbs),
            "collected": (model.collected, model.thumbs),
        }
        return (*pairs[first], model.id)

    return Order(key, (True, True, False))


MODEL_ORDERS: dict[str, Order[Model]] = {
    "Newest": Order(lambda model: (model.published, model.id), (True, True)),
    "Oldest": Order(lambda model: (model.published, model.id), (False, False)),
    "Most Downloaded": _counted("downloads"),
    "Highest Rated": _counted("thumbs"),
    "Most Liked": _counted("thumbs"),
    "Most Discussed": _counted("comments"),
    "Most Collected": _counted("collected"),
    "Most Images": _counted("collected"),
}
POST_ORDERS: dict[str, Order[Post]] = {
    "Newest": Order(lambda post: (post.published, post.id), (True, True), keeps_edge=True),
    "Most Reactions": Order(
        lambda post: (sum(p.likes for p in post.pictures), post.id), (True, True), keeps_edge=True
    ),
}


def model_cursor(sort: str, key: Key | None) -> str | None:
    """``2026-02-03 04:05:06.789|501004`` or ``2890|402|501001``."""
    if key is None:
        return None
    first = sql(key[0]) if sort in _DATED else str(key[0])
    return "|".join((first, *map(str, key[1:])))


def model_key(sort: str, cursor: str | None) -> Key | None:
    """Return the cursor's columns; BadCursorError when they are not those of the sort."""
    if cursor is None:
        return None
    parts = cursor.split("|")
    wanted = len(MODEL_ORDERS[sort].down)
    if len(parts) != wanted:
        message = f"expected {wanted} value(s) for this sort, received {len(parts)}"
        raise BadCursorError(f"Invalid cursor: {message}")
    try:
        first = from_text(parts[0]) if sort in _DATED else int(parts[0])
        return (first, *map(int, parts[1:]))
    except ValueError:
        raise BadCursorError("Invalid cursor: not a value of this sort") from None


def has_addon_tag(model: Model) -> bool:
    return ADDON_TAG in model.tags


def listed_models(state: State) -> list[Model]:
    """Models that any list may show."""
    return [m for m in state.world.models.values() if m.public]


def visible_pictures(state: State) -> list[Picture]:
    """Pictures of posts that anybody may see."""
    return [p for p in state.world.pictures.values() if p.post.visible]


def uses_version(picture: Picture, version_id: int) -> bool:
    """Made with the version, or in its showcase."""
    shown = picture.post.version
    return version_id in picture.version_ids or (shown is not None and shown.id == version_id)


def model_of(picture: Picture) -> int | None:
    """Return the model whose showcase the picture is in."""
    return picture.post.version.model.id if picture.post.version else None


PICTURE_SORTS = {
    "Newest": lambda picture: (-picture.post.published, -picture.id),
    "Oldest": lambda picture: (picture.post.published, picture.id),
}


def sorted_pictures(pictures: list[Picture], sort: str) -> list[Picture]:
    """In the search index's order; all Most-sorts count likes here."""
    if sort in PICTURE_SORTS:
        return sorted(pictures, key=PICTURE_SORTS[sort])
    return sorted(pictures, key=lambda picture: (-picture.likes, -picture.id))
