"""The two ways the site writes tRPC data: superjson (JSON with notes) and devalue (a list)."""

from __future__ import annotations

import json
from typing import Any, Final


class Date(str):
    """A time as ISO text that the site sends as a date, not as plain text."""

    __slots__ = ()


class _Undefined:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = _Undefined()
"""A key whose value is absent: ``null`` plus a note in superjson, index -1 in devalue."""

_DEVALUE_UNDEFINED = -1
_PLAIN = {str, int, bool, float}


class _Superjson:
    """One walk over a value: plain JSON, notes by path, repeated objects by path."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.first: dict[int, str] = {}
        self.equal: dict[str, list[str]] = {}

    def plain(self, value: Any, path: str) -> Any:
        if value is UNDEFINED:
            self.values[path] = ["undefined"]
            return None
        if isinstance(value, Date):
            self.values[path] = ["Date"]
            return str(value)
        if isinstance(value, dict):
            self._seen(value, path)
            return {
                key: item
                if item is None or type(item) in _PLAIN
                else self.plain(item, _join(path, str(key)))
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.plain(v, _join(path, str(i))) for i, v in enumerate(value)]
        return value

    def _seen(self, value: dict[str, Any], path: str) -> None:
        origin = self.first.setdefault(id(value), path)
        if origin != path and value:
            self.equal.setdefault(origin, []).append(path)


def _join(path: str, key: str) -> str:
    key = key.replace(".", "\\.")
    return f"{path}.{key}" if path else key


def superjson(value: Any) -> dict[str, Any]:
    """``{"json": …, "meta": {"values": …, "v": 1}}``; meta only where it says something."""
    walk = _Superjson()
    encoded: dict[str, Any] = {"json": walk.plain(value, "")}
    if walk.values or walk.equal:
        meta: dict[str, Any] = {}
        if walk.values:
            meta["values"] = walk.values
        if walk.equal:
            meta["referentialEqualities"] = walk.equal
        encoded["meta"] = {**meta, "v": 1}
    return encoded


class _Devalue:
    """One walk that numbers every distinct value; containers hold numbers instead of values."""

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.index: dict[tuple[type, Any], int] = {}

    def number(self, value: Any) -> int:
        if value is UNDEFINED:
            return _DEVALUE_UNDEFINED
        container = isinstance(value, dict | list | tuple)
        key = (type(value), id(value) if container else value)
        if key in self.index:
            return self.index[key]
        position = self.index[key] = len(self.cells)
        self.cells.append(None)
        self.cells[position] = self._cell(value)
        return position

    def _cell(self, value: Any) -> Any:
        if isinstance(value, Date):
            return ["Date", str(value)]
        if isinstance(value, dict):
            return {str(k): self.number(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.number(v) for v in value]
        return value


def devalue(value: Any) -> str:
    """Return the value as devalue text: a JSON list whose first cell is the root."""
    if value is UNDEFINED:
        return str(_DEVALUE_UNDEFINED)
    walk = _Devalue()
    walk.number(value)
    text = json.dumps(walk.cells, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003C")


def wire(value: Any, *, as_devalue: bool) -> Any:
    """Return the value as it stands under ``data``, ``error`` or ``trpcState``."""
    return devalue(value) if as_devalue else superjson(value)
