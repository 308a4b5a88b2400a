"""JSON values into Python values; each gives ``None`` for a value that is not of its kind."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_LARGEST = 2**63 - 1
_HUGE = 1e300
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


def integer(value: Any) -> int | None:
    """Take whole numbers of any size, also as digits in a text; booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _INTEGER.fullmatch(digits := value.strip()):
        return int(digits)  # of itself it takes off fewer kinds of blanks
    return None


def record_id(value: Any) -> int | None:
    """Take whole numbers that a database holds: the site's own has 32 bits for an id."""
    found = integer(value)
    return None if found is None or abs(found) > _LARGEST else found


def number(value: Any) -> float | None:
    """Take finite numbers, also as text, that stay finite when they are reckoned with."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()  # which takes off more kinds of blanks than float() does
        if not _NUMBER.fullmatch(value):
            return None
    if not isinstance(value, (int, float, str)):
        return None
    try:
        converted = float(value)
    except OverflowError:
        return None
    return converted if abs(converted) < _HUGE else None  # neither is NaN


def text(value: Any) -> str | None:
    """Take texts as they are, numbers as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return None


def flag(value: Any) -> bool | None:
    """Take booleans, also as 0 and 1 or as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return _FLAGS.get(str(value).strip().lower())
    return None


def mapping(value: Any) -> dict[str, Any] | None:
    """Take JSON objects."""
    return value if isinstance(value, dict) else None


def objects(value: Any) -> list[dict[str, Any]] | None:
    """Take lists of JSON objects only."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return value
    return None


def texts(value: Any) -> list[str] | None:
    """Take lists of texts; a single text is a list of one."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return None
    entries = [text(entry) for entry in value]
    return None if None in entries else [entry for entry in entries if entry is not None]


def integers(value: Any) -> list[int] | None:
    """Take lists of whole numbers."""
    if not isinstance(value, list):
        return None
    entries = [integer(entry) for entry in value]
    return None if None in entries else [entry for entry in entries if entry is not None]


def names(value: Any) -> list[str] | None:
    """Take tags as texts, as numbers (kept as text), as ``{name}`` or as ``{tag: {name}}``."""
    if not isinstance(value, list):
        return texts(value)
    return texts([_name(entry) for entry in value])


def ids(value: Any) -> list[int] | None:
    """Take ids as numbers or as ``{id}`` objects."""
    if not isinstance(value, list):
        return None
    return integers([entry.get("id") if isinstance(entry, dict) else entry for entry in value])


def commercial_use(value: Any) -> list[str] | None:
    """Read the allowed commercial uses: a list, one word or Postgres text ``{Image,RentCivit}``.

    The word ``None`` stands for an empty list.
    """
    if isinstance(value, str):
        value = [part.strip(' "') for part in value.strip(" {}").split(",")]
    uses = texts(value)
    return None if uses is None else [use for use in uses if use not in {"", "None"}]


def hashes(value: Any) -> dict[str, str] | None:
    """Take hashes by type, from a map or from a list of ``{type, hash}``."""
    if isinstance(value, list):
        pairs = [_hash(entry) for entry in value]
    elif isinstance(value, dict):
        pairs = [(key, entry) for key, entry in value.items() if entry is not None]
    else:
        return None
    if not all(isinstance(name, str) and isinstance(entry, str) for name, entry in pairs):
        return None
    return dict(pairs)


def _name(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    tag = entry.get("tag")
    return tag.get("name") if isinstance(tag, dict) else entry.get("name")


def _hash(entry: Any) -> tuple[Any, Any]:
    return (entry.get("type"), entry.get("hash")) if isinstance(entry, dict) else (None, None)
