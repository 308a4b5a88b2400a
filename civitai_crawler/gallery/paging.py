"""Pages of lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from civitai_crawler.gallery.filters import number

if TYPE_CHECKING:
    from array import array

    from starlette.datastructures import QueryParams


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the things of a list."""

    SIZE: ClassVar[int] = 60

    ids: list[int]
    number: int
    """1 is the first."""
    last: int
    """Number of the last page, at least 1."""
    total: int
    """Things of the whole list."""

    @classmethod
    def of(cls, ids: array[int], query: QueryParams) -> Self:
        """Return the page that an address asks for; beyond the last one, the last."""
        last = max(1, -(-len(ids) // cls.SIZE))
        asked = min(max(1, number(query.get("page", "")) or 1), last)
        return cls(list(ids[(asked - 1) * cls.SIZE : asked * cls.SIZE]), asked, last, len(ids))

    @property
    def numbers(self) -> list[int | None]:
        """Numbers to offer: first, last, those around this one; ``None`` for what is left out."""
        near = {1, self.last, *range(self.number - 2, self.number + 3)}
        shown: list[int | None] = []
        for one in sorted(near & set(range(1, self.last + 1))):
            if shown and one - (shown[-1] or 0) > 1:
                shown.append(None)
            shown.append(one)
        return shown
