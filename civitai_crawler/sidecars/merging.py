"""What the formats share when they meet a file that is already there."""

from __future__ import annotations

from typing import Any


def fill_missing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Fill missing keys only: what is there the user may have written."""
    return {**old, **{key: value for key, value in new.items() if key not in old}}


def mapping(value: Any) -> dict[str, Any]:
    """Return *value* where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
