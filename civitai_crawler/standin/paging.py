"""Pages of a list: by key with the site's edge rules, or by offset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.standin.faults import Faults

T = TypeVar("T")
Key = tuple[int, ...]


class BadCursorError(ValueError):
    """A cursor that does not fit the list."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows and the key (or offset text) where the next page begins; ``None`` at the end."""

    rows: list[T]
    next: Key | None


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """A sort: ``key`` gives the columns, ``down`` which of them descend.

    The row after a page becomes its cursor. A list whose last column ascends begins the next page
    with that row; one whose last column descends begins after it, and so loses it, unless
    ``keeps_edge``.
    """

    key: Callable[[T], Key]
    down: tuple[bool, ...]
    keeps_edge: bool = False

    def place(self, key: Key) -> Key:
        """Return a key that sorts ascending."""
        return tuple(-v if down else v for v, down in zip(key, self.down, strict=True))

    @property
    def inclusive(self) -> bool:
        return self.keeps_edge or not self.down[-1]


def by_key(
    rows: list[T], order: Order[T], limit: int, cursor: Key | None, faults: Faults
) -> Page[T]:
    """One page after ``cursor``; the fault switches for repeated rows and cursors apply."""
    placed = sorted(rows, key=lambda row: order.place(order.key(row)))
    start = 0
    if cursor is not None:
        edge = order.place(cursor)
        before = [order.place(order.key(row)) for row in placed]
        if order.inclusive:
            start = sum(place < edge for place in before)
        else:
            start = sum(place <= edge for place in before)
    page = placed[start : start + limit]
    rest = placed[start + limit : start + limit + 1] if limit else []
    following = order.key(rest[0]) if rest else None
    if faults.repeated_item and start > 0:
        page = [placed[start - 1], *page]
    if following is None and faults.repeated_cursor and page:
        following = cursor or order.key(page[0])
    return Page(page, following)


def by_offset(
    rows: list[T], limit: int, cursor: str | None, faults: Faults
) -> tuple[list[T], str | None]:
    """One page of a search list; the cursor is ``offset|entryMs``, the time of page one kept."""
    offset, entry = 0, round(time.time() * 1000)
    if cursor is not None:
        first, bar, second = cursor.partition("|")
        if not (first.isdigit() and (not bar or second.isdigit())):
            raise BadCursorError("Invalid cursor")
        offset = int(first)
        entry = int(second) if second else entry
    page = rows[offset : offset + limit]
    more = limit > 0 and offset + limit < len(rows)
    if faults.repeated_item and offset > 0:
        page = [rows[offset - 1], *page]
    if more:
        return page, f"{offset + limit}|{entry}"
    return page, f"{offset}|{entry}" if faults.repeated_cursor and page else None


def capped(limit: int, most: int | None) -> int:
    """Return the limit under a switched page cap."""
    return limit if most is None else min(limit, most)
