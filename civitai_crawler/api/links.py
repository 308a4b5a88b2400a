"""Ids and names as people paste them, and the forms of media addresses.

What is pasted may be a bare id or name, or any link to the site's pages and API. Nothing here talks
to the site: a good id may still name nothing. Errors never repeat the query of a link, where keys
can hide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

#: The largest id of the site: its database keeps 32-bit integers.
MAX_ID = 2_147_483_647

#: The site's names; ``www.`` may stand in front.
_HOSTS = frozenset(
    {"civitai.com", "civitai.red", "civitai.green", "civitaired.com", "civitaic.com"}
)
_SCHEME = re.compile(r"[a-z]+://", re.IGNORECASE)
#: Today's names hold letters, digits and underscores; some older ones dots and hyphens too.
_NAME = re.compile(r"(?=.*[A-Za-z0-9_])[A-Za-z0-9_.-]+")
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
_SEPARATORS = re.compile(r"[\s,]+")

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Transforms that give the original, best first, and the ending that the server wants with them.
_FORMS = {
    "image": (("original=true", "original=true,quality=100"), "jpeg"),
    "video": (
        ("transcode=true,original=true", "original=true", "original=true,quality=100"),
        "mp4",
    ),
    "audio": (("original=true",), "mp3"),
}

T = TypeVar("T")


def username(text: str) -> str:
    """Read ``name``, ``@name`` or a link to any page of a user (``/user/name/models``).

    The spelling is kept; the site compares without case. Raises ``UsageError``.
    """
    link = _link(text)
    if link is None:
        name = text.strip().removeprefix("@")
    else:
        steps = _steps(link)
        name = steps[1] if len(steps) > 1 and steps[0].lower() == "user" else ""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{_shown(text)} is no Civitai user: give a name of letters, digits, '_', '.' and '-', "
            "or a link like https://civitai.com/user/NAME"
        )
    return name


def model_id(text: str) -> int:
    """Read a model id or a link like ``/models/ID/slug``. Raises ``UsageError``."""
    return _id(text, "model", "models")


def version_id(text: str) -> int:
    """Read a version id, or a link that names one.

    Links like ``/models/1?modelVersionId=ID``, ``/model-versions/ID`` and download links do. Raises
    ``UsageError``.
    """
    link = _link(text)
    if link is not None:
        asked = parse_qs(link.query).get("modelVersionId")
        if asked:
            return _number(asked[-1], text, "model version")
    return _id(text, "model version", "model-versions", "download/models")


def post_id(text: str) -> int:
    """Read a post id or a link like ``/posts/ID``. Raises ``UsageError``."""
    return _id(text, "post", "posts")


def image_id(text: str) -> int:
    """Read an image id or a link like ``/images/ID`` (``/gallery/ID`` on old ones).

    Raises ``UsageError``.
    """
    return _id(text, "image", "images", "gallery")


def id_list(text: str, parse: Callable[[str], T]) -> list[T]:
    """Read many ids, names or links with one of the functions above.

    Commas and white space separate them, ``#`` begins a comment (alone or after white space),
    repeats are dropped and the first order stays. An empty text gives an empty list.
    """
    words = _SEPARATORS.split(_COMMENT.sub("", text.lstrip("\ufeff")))
    found: dict[object, T] = {}
    for word in filter(None, words):
        value = parse(word)
        found.setdefault(value.casefold() if isinstance(value, str) else value, value)
    return list(found.values())


def media_uuid(url_or_uuid: str) -> str | None:
    """Find the uuid of a media address, or of a bare uuid; ``None`` where there is none.

    Only the groups of hex digits count: the uuids of 2023 are not valid by the standard.
    """
    steps = _split(url_or_uuid.strip()).path.split("/")
    return next((step for step in steps if _UUID.fullmatch(step)), None)


def image_id_from_url(url: str) -> int | None:
    """Find the image id that showcase images have as file name; ``None`` where it is no number."""
    name = _split(url).path.rpartition("/")[2]
    stem, dot, _ = name.partition(".")
    return _in_range(stem) if dot else None


def media_base(url: str) -> str | None:
    """Find scheme, host and bucket of a full media address, to build other forms on.

    ``None`` where nothing can be built on it: a bare uuid, or the address of a cached copy.
    """
    parts = _split(url)
    steps = parts.path.split("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    if len(steps) < 4 or not _UUID.fullmatch(steps[2]) or "=" not in steps[3]:  # noqa: PLR2004  # /bucket/uuid/transform/
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{steps[1]}"


def media_forms(base: str, uuid: str, type_: str) -> tuple[str, ...]:
    """List the addresses of an original in the order to try them.

    ``type_`` is ``image``, ``video`` or ``audio``; anything else is asked for as an image. The
    ending follows the type, not the content: only the answer tells what the bytes are.
    """
    forms, ending = _FORMS.get(type_, _FORMS["image"])
    return tuple(f"{base.rstrip('/')}/{uuid}/{form}/{uuid}.{ending}" for form in forms)


def _id(text: str, kind: str, *places: str) -> int:
    """Read the id of ``kind``: bare, or behind one of ``places`` in the path of a link."""
    link = _link(text)
    if link is None:
        return _number(text.strip(), text, kind)
    steps = _steps(link)
    for place in places:
        depth = place.count("/") + 1
        if "/".join(steps[:depth]).lower() == place and len(steps) > depth:
            return _number(steps[depth], text, kind)
    raise UsageError(f"{_shown(text)} is no link to a Civitai {kind}, like /{places[0]}/ID")


def _number(digits: str, text: str, kind: str) -> int:
    number = _in_range(digits)
    if number is None:
        raise UsageError(
            f"{_shown(text)} is no {kind} id: ids are whole numbers from 1 to {MAX_ID}"
        )
    return number


def _in_range(digits: str) -> int | None:
    if not re.fullmatch("[0-9]+", digits):
        return None
    # Length first: Python refuses to read thousands of digits.
    significant = digits.lstrip("0")
    if not 0 < len(significant) <= len(str(MAX_ID)) or int(significant) > MAX_ID:
        return None
    return int(significant)


def _link(text: str) -> SplitResult | None:
    """Split a link to the site; ``None`` for a bare word. Refuses links to elsewhere."""
    text = text.strip()
    if "/" not in text and text.lower().removeprefix("www.") not in _HOSTS:
        return None
    link = _split(text if _SCHEME.match(text) else f"https://{text.removeprefix('//')}")
    host = (link.hostname or "").removeprefix("www.")
    if link.scheme not in {"http", "https"} or host not in _HOSTS:
        raise UsageError(f"{_shown(text)} is no link to Civitai")
    return link


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # a broken host in brackets
        return SplitResult("", "", "", "", "")


def _steps(link: SplitResult) -> list[str]:
    """List the parts of a link's path, without the prefix of the API."""
    path = re.sub(r"^/api(/v1)?/", "/", link.path)
    return [unquote(step) for step in path.split("/") if step]


def _shown(text: str) -> str:
    """Quote what was pasted for a message: without query and account, and not at any length."""
    address = re.split(r"[?#]", text.strip())[0]
    return repr(re.sub(r"^([a-z]*:?//)?[^/]+@", r"\1", address)[:80])
