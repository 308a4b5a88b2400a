"""What every value that reaches an item must be: writable as JSON, and free of access tokens."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_MAX_DEPTH = 100
#: Types whose values are as they should be; looked at first, for most values are of one.
_SAFE = frozenset({int, bool, type(None)})
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_SECRET = re.compile(r"(?:^|[?&])(?:token|x-amz-[a-z-]+)=", re.IGNORECASE)


def json_safe(value: Any, depth: int = 0) -> Any:
    """Copy decoded JSON so that every writer can take it.

    NaN and the infinities become ``None`` (as JavaScript writes them), halves of broken surrogate
    pairs become U+FFFD, whole-URL texts lose their access tokens, and what is nested deeper than
    100 levels becomes JSON text.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, (dict, list)):
        return value
    if depth >= _MAX_DEPTH:
        return _flattened(value)
    if isinstance(value, list):
        return [entry if type(entry) in _SAFE else json_safe(entry, depth + 1) for entry in value]
    return {
        _text(str(key)): entry if type(entry) in _SAFE else json_safe(entry, depth + 1)
        for key, entry in value.items()
    }


def plain_url(url: str) -> str:
    """Give the URL without the query parameters that let anybody in (``token``, ``X-Amz-...``)."""
    if _SECRET.search(url) is None:
        return url
    rest, hash_, fragment = url.partition("#")
    address, _, query = rest.partition("?")
    kept = [part for part in query.split("&") if part and _SECRET.match(part) is None]
    return address + ("?" + "&".join(kept) if kept else "") + hash_ + fragment


def without_storage(value: Any) -> Any:
    """Copy decoded JSON without internal storage addresses, the ``url`` of ``files`` entries."""
    if isinstance(value, list):
        return [without_storage(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _bare_files(entry) if key == "files" else without_storage(entry)
        for key, entry in value.items()
    }


def _bare_files(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare_files(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return without_storage({key: entry for key, entry in value.items() if key != "url"})


def _text(value: str) -> str:
    if not value.isascii():
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value[:4].lower() != "http":  # told sooner than by the pattern
        return value
    return plain_url(value) if _URL.fullmatch(value) else value


def _flattened(value: Any) -> str:
    try:
        return _text(json.dumps(value, default=str))
    except (RecursionError, ValueError):
        return "nested too deeply"
