"""Post and image pages: what the server put into their HTML for the browser.

A page carries the answers of its tRPC queries in a JSON script, encoded in superjson or devalue.
They are found by query key, never by place. A page that only shows a card (sign in, other domain,
not rated) carries them all the same. Where the queries are missing, as on old pages, the patterns
below them are the fallback.
"""

from __future__ import annotations

import html as markup
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from civitai_crawler.api import devalue
from civitai_crawler.exceptions import UnexpectedShapeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRIPT = re.compile(r'<script\b[^>]*\bid="__NEXT_DATA__"[^>]*>(.*?)</script>', re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title>")
_UNTITLED = re.compile(r"Image post by (\S+)")
_POST_LINK = re.compile(r'rel="canonical" href="[^"]*/posts/[0-9]')
_VERSION = re.compile(r'"modelVersionId"\s*:\s*([0-9]+)')


@dataclass(frozen=True, slots=True)
class PostPage:
    """What the page of one post tells."""

    title: str | None
    """The creator's title; ``None`` for a post without one."""
    version_id: int | None
    """The model version that the post shows; ``None`` when it belongs to none."""
    username: str | None
    """The owner."""
    post: dict[str, Any] | None
    """The data of ``post.get`` as received; ``None`` when the page has none."""
    images: list[dict[str, Any]]
    """The items of ``image.getInfinite`` as received: only those the viewer's level admits."""


@dataclass(frozen=True, slots=True)
class ImagePage:
    """What the page of one image tells. A missing image has a page too, with nothing on it."""

    post_ids: list[int]
    """The image's post; several on old pages that name more than one."""
    image: dict[str, Any] | None
    """The data of ``image.get`` as received."""
    generation: dict[str, Any] | None
    """The data of ``image.getGenerationData`` as received."""


def next_data(html: str) -> dict[str, Any]:
    """Read the JSON script of a page. Raises ``UnexpectedShapeError`` when there is none."""
    script = _SCRIPT.search(html)
    if script is None:
        raise UnexpectedShapeError("an HTML page without the site's data")
    try:
        data = json.loads(script[1])
    except (ValueError, RecursionError) as error:
        raise UnexpectedShapeError("an HTML page whose data is broken") from error
    if not isinstance(data, dict):
        raise UnexpectedShapeError("an HTML page whose data is no object")
    return data


def post_page(html: str) -> PostPage:
    """Read the page of a post. Raises ``UnexpectedShapeError`` when it is no such page."""
    data = _next_data_or_none(html)
    state = _state(data)
    post = _query(state, "post.get")
    images = list(_items(_query(state, "image.getInfinite")))
    if post is None:
        return _old_post_page(html, data, images)
    version = post.get("modelVersionId") or _object(post.get("modelVersion")).get("id")
    return PostPage(
        title=_text(post.get("title")),
        version_id=_id(version),
        username=_text(_object(post.get("user")).get("username")),
        post=post,
        images=images,
    )


def image_page(html: str) -> ImagePage:
    """Read the page of an image. Raises ``UnexpectedShapeError`` when it is no such page.

    The page of a missing image is a page: it has neither ids nor image.
    """
    data = next_data(html)
    state = _state(data)
    image = _query(state, "image.get")
    if image is None and not _route(data).startswith(("/images/", "/gallery/")):
        raise UnexpectedShapeError("an HTML page that is no image page")
    if image is not None and "postId" in image:
        found = [image["postId"]]
    else:
        found = [*_found(state, "postId"), *_found(data, "postId")]
    post_ids = dict.fromkeys(id_ for id_ in map(_id, found) if id_ is not None)
    return ImagePage(list(post_ids), image, _query(state, "image.getGenerationData"))


def _old_post_page(
    html: str, data: dict[str, Any] | None, images: list[dict[str, Any]]
) -> PostPage:
    """Read a post page without the post's query from its title and its raw text.

    A title alone proves nothing: the site's maintenance page has one of the same form.
    """
    version = _VERSION.search(html)
    route = _route(data)
    known = route.startswith("/posts/") if route else version or _POST_LINK.search(html)
    if not known:
        raise UnexpectedShapeError("an HTML page that is no post page")
    title, username = _post_title(html)
    return PostPage(title, _id(version[1]) if version else None, username, None, images)


def _post_title(html: str) -> tuple[str | None, str | None]:
    """Read title and owner from ``<title>``; the site's default title is none."""
    element = _TITLE.search(html)
    text = markup.unescape(element[1]).strip() if element else ""
    title, _, site = text.rpartition("|")
    title = title.rstrip()
    if site.strip() != "Civitai" or not title:
        return None, None
    untitled = _UNTITLED.fullmatch(title)
    return (None, untitled[1]) if untitled else (title, None)


def _next_data_or_none(html: str) -> dict[str, Any] | None:
    try:
        return next_data(html)
    except UnexpectedShapeError:
        return None


def _route(data: dict[str, Any] | None) -> str:
    """Name the route that made the page, like ``/posts/[postId]``; empty when it does not tell."""
    return _text(_object(data).get("page")) or ""


def _state(data: dict[str, Any] | None) -> Any:
    """Decode the answers that a page carries; ``None`` when it carries none that can be read."""
    props = _object(_object(data).get("props"))
    state = _object(props.get("pageProps")).get("trpcState")
    if isinstance(state, str):
        try:
            return devalue.unflatten(state)
        except UnexpectedShapeError:
            return None
    return _object(state).get("json", state)


def _query(state: Any, procedure: str) -> dict[str, Any] | None:
    """Find the data of one procedure's query; ``None`` when it is not there or failed."""
    for query in map(_object, _list(_object(state).get("queries"))):
        name, *_ = _list(query.get("queryKey")) or [None]
        if (".".join(map(str, name)) if isinstance(name, list) else name) == procedure:
            data = _object(query.get("state")).get("data")
            if isinstance(data, dict):
                return data
    return None


def _items(data: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    pages = _object(data).get("pages")
    for page in _list(pages):
        items = _list(_object(page).get("items"))
        yield from (item for item in items if isinstance(item, dict))


def _found(value: Any, key: str) -> Iterator[Any]:
    """Find every value of ``key`` at any depth, in the order of the page."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if key in value:
                yield value[key]
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    """Keep a text that says something."""
    return value if isinstance(value, str) and value.strip() else None


def _id(value: Any) -> int | None:
    """Read an id that may be a number or its digits; ``None`` for everything else."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
