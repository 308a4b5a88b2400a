"""Items between their callback and the feeds: read, but not yet held.

A later stage of the plan starts when everything before it has been *read*; originals that are still
on their way must not keep the site waiting. So whoever counts what is held counts these along. Only
memory knows them: a killed run reads their pages anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.exceptions import DropItem

if TYPE_CHECKING:
    import sqlite3

#: The field of each item class that names what it is counted under.
PARENTS = {
    "ModelVersion": "model_id",
    "ModelFile": "version_id",
    "Image": "post_id",
    "GenerationData": "post_id",
}

Key = tuple[str, Any]


def key_of(item: Any) -> Key:
    """Return what an item is known by: class name and id."""
    return type(item).__name__, getattr(item, "id", None)


class RepeatedItem(DropItem):
    """An item of the same key came first and is still under way."""


class UnderWay:
    """The items under way. Of one key the first that was read counts, the others are repetitions.

    Not the first that comes to the pipelines: a page with every field may wait behind its originals
    while a search that tells less of the same images is through already.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        #: How many of each key, and what they are counted under.
        self._read: dict[Key, tuple[int, Any]] = {}
        self._claimed: set[Key] = set()
        #: Those in the pipelines that stand in their feed already, from an earlier pass or run.
        self.held: set[Key] = set()
        #: What the end of the crawl has kept from its place: read, and left to the next run.
        self._unfinished: dict[Key, Any] = {}
        #: The repetitions by their identity; kept, so that none is taken for a later item.
        self._repeated: dict[int, Any] = {}

    def enter(self, item: Any) -> None:
        """Note that a callback has yielded *item*."""
        key = key_of(item)
        number, parent = self._read.get(key, (0, None))
        if number:
            self._repeated[id(item)] = item
        self._read[key] = number + 1, parent or getattr(item, PARENTS.get(key[0], ""), None)

    def claim(self, item: Any) -> None:
        """Note that *item* has come to the pipelines; raises RepeatedItem for a repetition."""
        kind, number = key = key_of(item)
        if key in self._claimed or id(item) in self._repeated:
            raise RepeatedItem(f"{kind} {number} is on its way already")
        self._claimed.add(key)

    def leave(self, item: Any, *, repeated: bool = False, unfinished: bool = False) -> None:
        """Note that *item* has left the pipelines, for good or ill.

        An *unfinished* one still counts: the steps that look for gaps may run while a crawl ends.
        """
        key = key_of(item)
        self._repeated.pop(id(item), None)
        number, parent = self._read.pop(key, (0, None))
        if number > 1:
            self._read[key] = number - 1, parent
        if unfinished:
            self._unfinished[key] = parent
        if not repeated:
            self._claimed.discard(key)
            self.held.discard(key)

    def holds(self, kind: str, item_id: Any) -> bool:
        return (kind, item_id) in self._read

    def show(self) -> None:
        """Bring the table ``under_way`` up to date, for the queries that count."""
        parents = {**self._unfinished, **{key: parent for key, (_, parent) in self._read.items()}}
        self._db.execute("DELETE FROM under_way")
        self._db.executemany(
            "INSERT OR REPLACE INTO under_way VALUES (?, ?, ?)",
            (
                (kind, str(number), None if parent is None else str(parent))
                for (kind, number), parent in parents.items()
            ),
        )
