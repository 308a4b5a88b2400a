"""Reads here and there in a far file with few requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of the first window: metadata mostly stand at the beginning. Each further one that follows
#: the last is twice as large, up to the second number.
FIRST, LARGEST = 64 << 10, 4 << 20


class Window:
    """The last piece that was fetched; what lies in it is not fetched again."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._at, self._bytes = 0, b""
        self._length = FIRST

    def read(self, at: int, length: int) -> bytes:
        """Return *length* bytes from *at* on, fewer at the end of the file."""
        stop = min(at + length, self._size)
        if at >= stop:
            return b""
        if not self._at <= at <= stop <= self._at + len(self._bytes):
            self._move(at, stop)
        return self._bytes[at - self._at : stop - self._at]

    def _move(self, at: int, stop: int) -> None:
        follows = self._bytes and self._at <= at <= self._at + len(self._bytes) + self._length
        self._length = min(2 * self._length, LARGEST) if follows else FIRST
        end = min(max(stop, at + self._length), self._size)
        self._at, self._bytes = at, self._fetch(at, end - at)
