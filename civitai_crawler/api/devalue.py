"""Decoding of devalue, the text form of JavaScript values that tRPC answers and pages may use.

The text is a JSON list of all values. Inside it, objects and lists name their members by position
in that list; negative positions are constants, and a list that begins with a text is a typed value
(``["Date", "2026-05-02T10:12:00.000Z"]``). The first value is the root.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from civitai_crawler.exceptions import UnexpectedShapeError

#: Nesting beyond this is refused: the deepest real answers stay below 30.
MAX_DEPTH = 100
#: Values of one text, shared ones counted each time; a page of 200 images has about 30,000.
MAX_VALUES = 1_000_000

#: What the negative positions stand for: undefined, a hole, NaN, +Infinity, -Infinity, -0. JSON has
#: none of these; they become what JavaScript itself writes for them in JSON.
_CONSTANTS: dict[int, int | None] = {-1: None, -2: None, -3: None, -4: None, -5: None, -6: 0}
#: In front of a list with holes: ``[-7, length, position, value, ...]``.
_SPARSE = -7

#: Turns a position into its value.
_Read = Callable[[Any], Any]


def unflatten(text: str) -> Any:
    """Decode one text to plain JSON types.

    Date becomes its ISO text (``None`` if invalid), BigInt an int, Set a list, Map a dict (a list
    of pairs when a key is no text), RegExp and URL text. A value used twice is decoded twice, so
    that the parts of the result are independent of each other. Where a value contains itself, the
    inner one is ``None``. Raises ``UnexpectedShapeError`` for every other text.
    """
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnexpectedShapeError("a devalue text that is no JSON") from error
    if _is_number(table) and table in _CONSTANTS:
        return _CONSTANTS[table]
    if not isinstance(table, list) or not table:
        raise UnexpectedShapeError("a devalue text is a list with at least one value")
    return _Reader(table).value(0)


class _Reader:
    """Follows positions through the table of one text."""

    def __init__(self, table: list[Any]) -> None:
        self._table = table
        #: Positions on the way from the root to here, to see cycles.
        self._open: set[int] = set()
        self._count = 0

    def value(self, index: Any) -> Any:
        if not _is_number(index):
            raise UnexpectedShapeError(
                f"a devalue position is no number but {type(index).__name__}"
            )
        if index in _CONSTANTS:
            return _CONSTANTS[index]
        if not 0 <= index < len(self._table):
            raise UnexpectedShapeError(f"devalue position {index} is outside of the text")
        self._spend(1)
        raw = self._table[index]
        if not isinstance(raw, dict | list):
            return raw
        if index in self._open:
            return None
        if len(self._open) >= MAX_DEPTH:
            raise UnexpectedShapeError(f"a devalue text nested more than {MAX_DEPTH} levels deep")
        self._open.add(index)
        decoded = self._container(raw)
        self._open.remove(index)
        return decoded

    def _container(self, raw: dict[str, Any] | list[Any]) -> Any:
        if isinstance(raw, dict):
            return {key: self.value(index) for key, index in raw.items()}
        if raw and isinstance(raw[0], str):
            return self._typed(raw[0], raw[1:])
        if raw and raw[0] == _SPARSE:
            return self._sparse(raw[1:])
        return [self.value(index) for index in raw]

    def _typed(self, tag: str, args: list[Any]) -> Any:
        try:
            return _TYPES.get(tag, _other)(self.value, args)
        except (ValueError, TypeError) as error:
            raise UnexpectedShapeError(f"a devalue {tag[:40]} that cannot be read") from error

    def _sparse(self, args: list[Any]) -> list[Any]:
        length, *pairs = args or [None]
        if not _is_number(length) or length < 0:
            raise UnexpectedShapeError("a sparse devalue list without a length")
        self._spend(length)
        items: list[Any] = [None] * length
        for position, index in _pairs(pairs):
            if not _is_number(position) or not 0 <= position < length:
                raise UnexpectedShapeError("a sparse devalue list with a member outside of it")
            items[position] = self.value(index)
        return items

    def _spend(self, values: int) -> None:
        """Count what is decoded: a short text may name one big value very often."""
        self._count += values
        if self._count > MAX_VALUES:
            raise UnexpectedShapeError(f"a devalue text with more than {MAX_VALUES} values")


def _date(_read: _Read, args: list[Any]) -> str | None:
    (text,) = args
    return text if isinstance(text, str) and text else None


def _big_int(_read: _Read, args: list[Any]) -> int:
    (text,) = args
    return int(text)


def _set(read: _Read, args: list[Any]) -> list[Any]:
    return [read(index) for index in args]


def _map(read: _Read, args: list[Any]) -> dict[str, Any] | list[list[Any]]:
    pairs = [(read(key), read(index)) for key, index in _pairs(args)]
    if all(isinstance(key, str) for key, _ in pairs):
        return dict(pairs)
    return [[key, value] for key, value in pairs]


def _reg_exp(_read: _Read, args: list[Any]) -> str:
    source, *flags = args
    return f"/{source}/{''.join(flags)}"


def _bare_object(read: _Read, args: list[Any]) -> dict[str, Any]:
    """Read an object without prototype: names as they are, values by position."""
    return {str(key): read(index) for key, index in _pairs(args)}


def _other(read: _Read, args: list[Any]) -> Any:
    """Read any other type: URL and such hold a text, boxed values and custom types a position."""
    (arg,) = args
    return arg if isinstance(arg, str) else read(arg)


_TYPES: dict[str, Callable[[_Read, list[Any]], Any]] = {
    "Date": _date,
    "BigInt": _big_int,
    "Set": _set,
    "Map": _map,
    "RegExp": _reg_exp,
    "null": _bare_object,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    if len(items) % 2:
        raise UnexpectedShapeError("a devalue list of pairs with an odd member")
    return list(zip(items[::2], items[1::2], strict=True))
