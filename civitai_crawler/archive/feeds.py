"""The lines of a feed: where each begins, and what it says, in JSON Lines and CSV alike."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

T = TypeVar("T")
#: A field of a CSV feed may hold nested values of any length.
_MAX_FIELD = 1 << 30


@dataclass(frozen=True, slots=True)
class Problem:
    """A record, or the rest of a feed, that cannot be read."""

    feed: Path
    what: str
    """``broken`` (a record) or ``unreadable`` (the file)."""
    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a feed, as it stands there: JSON values, or the texts of CSV."""

    feed: Path
    start: int
    """Byte at which it begins."""
    values: dict[str, Any]


class Head(msgspec.Struct):
    """Of a record no more than what tells which one it is, and whether a file is stored."""

    id: Any = None
    path: Any = None


_head = msgspec.json.Decoder(Head)


def lines(feed: Path, tell: Callable[[Problem], None]) -> Iterator[Line]:
    """Yield the records of *feed* in their order; what cannot be read is told and passed over."""
    for start, values in _read(feed, tell, _record):
        yield Line(feed, start, values)


def heads(feed: Path, tell: Callable[[Problem], None]) -> Iterator[tuple[int, Head]]:
    """Yield where each record of *feed* begins, and its head.

    Much faster than :func:`lines`, for the rest of a record is not looked at.
    """
    if feed.suffix == ".csv":
        for line in lines(feed, tell):
            yield line.start, Head(line.values.get("id"), line.values.get("path"))
    else:
        yield from _read(feed, tell, _head_of)


def _read(
    feed: Path, tell: Callable[[Problem], None], take: Callable[[bytes], T | None]
) -> Iterator[tuple[int, T]]:
    try:
        with feed.open("rb") as stream:
            if feed.suffix == ".csv":
                yield from _csv(feed, stream, tell)
            else:
                yield from _jsonl(feed, stream, tell, take)
    except OSError as error:
        tell(Problem(feed, "unreadable", error.strerror or ""))
    except (UnicodeDecodeError, csv.Error) as error:
        tell(Problem(feed, "broken", f"the rest cannot be read: {error}"))


def _record(text: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(text.decode())  # bytes would be taken for UTF-16 too
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _head_of(text: bytes) -> Head | None:
    try:
        return _head.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What is wrong may be forgiven: Python reads NaN.
        values = _record(text)
        return None if values is None else Head(values.get("id"), values.get("path"))


class Reader:
    """Reads single records of a feed again, by where they begin."""

    def __init__(self, feed: Path) -> None:
        self._stream = feed.open("rb")
        self._is_csv = feed.suffix == ".csv"
        head = [self._stream.readline().decode()] if self._is_csv else []
        self._names = next(csv.reader(head), [])

    def at(self, start: int) -> dict[str, Any]:
        """Return the record that begins at byte *start*, where :func:`lines` has seen one."""
        self._stream.seek(start)
        if not self._is_csv:
            found: dict[str, Any] = json.loads(self._stream.readline())
            return found
        row = next(csv.reader(line.decode() for line in self._stream))
        return dict(zip(self._names, row, strict=False))

    def close(self) -> None:
        self._stream.close()


def _jsonl(
    feed: Path, stream: BinaryIO, tell: Callable[[Problem], None], take: Callable[[bytes], T | None]
) -> Iterator[tuple[int, T]]:
    start = 0
    for number, text in enumerate(stream, 1):
        if (found := take(text)) is not None:
            yield start, found
        elif text.strip():
            tell(Problem(feed, "broken", f"line {number} is no record"))
        start += len(text)


def _csv(
    feed: Path, stream: BinaryIO, tell: Callable[[Problem], None]
) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(_MAX_FIELD)
    counted = _Counted(stream)
    rows = csv.reader(counted)
    names = next(rows, [])
    start = counted.bytes
    for row in rows:
        if len(row) == len(names):
            yield start, dict(zip(names, row, strict=True))
        elif row:
            tell(Problem(feed, "broken", f"line {rows.line_num} is no record"))
        start = counted.bytes


class _Counted:
    """The lines of a stream as text, with the bytes that were handed out."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = iter(stream)
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._stream)
        self.bytes += len(line)
        return line.decode()
