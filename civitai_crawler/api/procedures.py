"""tRPC procedures: one function per procedure; ``trpc.url`` makes the address.

The inputs are those of the site's own pages. ``None`` stands for what a browser sends as undefined.
Cursors are opaque and go back with the JSON type they came with: a number stays a number.
``authed`` belongs on requests that carry credentials, and only there: it keeps a signed-in answer
apart from the anonymous one in shared caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.api.endpoints import ALL_LEVELS
from civitai_crawler.api.trpc import Call

if TYPE_CHECKING:
    from collections.abc import Sequence


def model_get_all(  # noqa: PLR0913  # one keyword per input field
    *,
    username: str,
    cursor: str | int | None = None,
    limit: int | None = 100,
    level: int | None = ALL_LEVELS,
    sort: str | None = "Oldest",
    archived: bool = True,
    authed: bool = False,
    types: Sequence[str] = (),
    base_models: Sequence[str] = (),
    excluded_tag_ids: Sequence[int] = (),
    disable_poi: bool = True,
    disable_minor: bool = True,
) -> Call:
    """Ask for one page of a creator's models, at most 100, with the payload of the models page.

    Models without a showcase image at ``level`` are missing from the answer; a missing level makes
    it empty on some hosts. ``archived`` adds the archived ones.
    """
    values: dict[str, Any] = {
        "periodMode": "published",
        "sort": sort,
        "username": username,
        "period": "AllTime",
        "pending": False,
        "hidden": False,
        "followed": False,
        "earlyAccess": False,
        "fromPlatform": False,
        "supportsGeneration": False,
        "isFeatured": False,
        "browsingLevel": level,
        "excludedTagIds": list(excluded_tag_ids),
        "disablePoi": disable_poi,
        "disableMinor": disable_minor,
        "cursor": cursor,
    }
    filters = {"limit": limit, "archived": archived, "types": types, "baseModels": base_models}
    return _call("model.getAll", values, filters, authed=authed)


def model_get_by_id(model_id: int) -> Call:
    """Ask for one model with its versions and files, without images."""
    return _call("model.getById", {"id": model_id})


def post_get(post_id: int, *, authed: bool = False) -> Call:
    """Ask for one post: title, text, version, owner, tags."""
    return _call("post.get", {"id": post_id}, authed=authed)


def post_get_infinite(
    *,
    username: str,
    cursor: str | int | None = None,
    limit: int | None = 200,
    level: int | None = ALL_LEVELS,
    authed: bool = False,
    disable_poi: bool = True,
    disable_minor: bool = True,
) -> Call:
    """Ask for one page of a creator's posts, at most 200, newest first.

    An unknown name answers everybody's posts: check the owner of each. Other orders leave out posts
    without reactions.
    """
    values = {
        "username": username,
        "period": "AllTime",
        "periodMode": "published",
        "sort": "Newest",
        "browsingLevel": level,
        "disablePoi": disable_poi,
        "disableMinor": disable_minor,
        "cursor": cursor,
    }
    return _call("post.getInfinite", values, {"limit": limit}, authed=authed)


def image_get_infinite(  # noqa: PLR0913  # one keyword per input field
    *,
    post_id: int | None = None,
    post_ids: Sequence[int] = (),
    model_version_id: int | None = None,
    username: str | None = None,
    cursor: str | int | None = None,
    limit: int | None = 200,
    level: int | None = ALL_LEVELS,
    authed: bool = False,
    include: Sequence[str] = ("metaSelect", "tagIds"),
    sort: str | None = "Oldest",
    pending: bool = True,
    excluded_tag_ids: Sequence[int] = (),
    disable_poi: bool = True,
    disable_minor: bool = True,
) -> Call:
    """Ask for one page of images, at most 200: of one post, several posts, a version or a user.

    ``metaSelect`` brings the generation data along. With several posts only ``Oldest`` keeps every
    image at page edges; one post has its own order. ``pending`` adds the viewer's own images that
    are not scanned yet.
    """
    values: dict[str, Any] = {
        "pending": pending,
        "browsingLevel": level,
        "withMeta": False,
        "include": list(include),
        "excludedTagIds": list(excluded_tag_ids),
        "disablePoi": disable_poi,
        "disableMinor": disable_minor,
        "cursor": cursor,
    }
    filters = {
        "postId": post_id,
        "postIds": post_ids,
        "modelVersionId": model_version_id,
        "username": username,
        "sort": sort,
        "limit": limit,
    }
    return _call("image.getInfinite", values, filters, authed=authed)


def image_get(image_id: int, *, authed: bool = False) -> Call:
    """Ask for one image: post, media type, file name; no generation data."""
    return _call("image.get", {"id": image_id}, authed=authed)


def image_get_generation_data(image_id: int, *, authed: bool = False) -> Call:
    """Ask for prompt, settings and resolved resources of one image."""
    return _call("image.getGenerationData", {"id": image_id}, authed=authed)


def user_get_creator(username: str, *, authed: bool = False) -> Call:
    """Ask for a creator's account and counters; answers null for the site's own account."""
    return _call("user.getCreator", {"username": username}, authed=authed)


def user_profile_overview(username: str, *, authed: bool = False) -> Call:
    """Ask for the site's own counts of a creator's models, posts, images at the viewer's level."""
    return _call("userProfile.overview", {"username": username}, authed=authed)


def _call(
    procedure: str,
    values: dict[str, Any],
    filters: dict[str, Any] | None = None,
    *,
    authed: bool = False,
) -> Call:
    """Join what is always sent with the filters that are set; these are never marked undefined."""
    chosen = {
        key: value if isinstance(value, str | int) else list(value)
        for key, value in (filters or {}).items()
        if value
    }
    return Call(procedure, values | chosen | ({"authed": True} if authed else {}))
