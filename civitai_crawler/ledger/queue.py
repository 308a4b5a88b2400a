"""The rows of requests: what is pending, in flight, done, or failed until the next run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


class State(IntEnum):
    """What a row is; only ``PENDING`` rows are handed out."""

    PENDING = 0
    IN_FLIGHT = 1
    DONE = 2
    FAILED = 3


SITE, FILE = "site", "file"


@dataclass(slots=True)
class Row:
    """A request in flight and what it still waits for."""

    id: int
    lane: str
    stage: int
    answered: bool = False
    """The answer has reached the spider."""
    exhausted: bool = False
    """The callback has ended."""
    outstanding: int = 0
    """Child requests not yet rows, items not yet out of the pipelines."""
    error: str | None = None
    """Why it cannot be called done."""


class RequestQueue:
    """Pending requests on disk, handed out by lane, stage, priority and age."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._pending: dict[str, int] = {}
        #: Rows in flight by id.
        self.open: dict[int, Row] = {}

    def restore(self) -> bool:
        """Make rows of an earlier run pending again; tell whether any work is left over."""
        self._db.execute(
            "UPDATE requests SET state = ?, error = NULL WHERE state IN (?, ?)",
            (State.PENDING, State.IN_FLIGHT, State.FAILED),
        )
        self._pending = dict(
            self._db.execute(
                "SELECT lane, count(*) FROM requests WHERE state = ? GROUP BY lane",
                (State.PENDING,),
            )
        )
        return bool(self._pending)

    def clear(self) -> None:
        self._db.execute("DELETE FROM requests")

    def __len__(self) -> int:
        return sum(self._pending.values())

    def add(
        self, fingerprint: bytes | None, data: str, *, lane: str, stage: int, priority: int
    ) -> bool:
        """Store a request; ``False`` when its fingerprint is known."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO requests (fingerprint, lane, stage, priority, state, data) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (fingerprint, lane, stage, priority, State.PENDING, data),
        )
        if cursor.rowcount:
            self._pending[lane] = self._pending.get(lane, 0) + 1
        return bool(cursor.rowcount)

    def take(self, lane: str) -> tuple[Row, str] | None:
        """Hand out the next request of *lane*, unless an earlier stage is still at work."""
        if not self._pending.get(lane):
            return None
        found = self._db.execute(
            "SELECT id, stage, data FROM requests WHERE state = ? AND lane = ? "
            "ORDER BY stage, priority DESC, id LIMIT 1",
            (State.PENDING, lane),
        ).fetchone()
        row = Row(found[0], lane, found[1])
        if any(other.lane == lane and other.stage < row.stage for other in self.open.values()):
            return None
        self._db.execute(
            "UPDATE requests SET state = ?, attempts = attempts + 1 WHERE id = ?",
            (State.IN_FLIGHT, row.id),
        )
        self._pending[lane] -= 1
        self.open[row.id] = row
        return row, found[2]

    def settle(self, row: Row) -> bool:
        """Close *row* if nothing of it is outstanding; tell whether it was closed."""
        if not row.exhausted or row.outstanding or row.id not in self.open:
            return False
        del self.open[row.id]
        if row.error is None:
            self._db.execute(
                "UPDATE requests SET state = ?, data = NULL WHERE id = ?", (State.DONE, row.id)
            )
        else:
            self._db.execute(
                "UPDATE requests SET state = ?, error = ? WHERE id = ?",
                (State.FAILED, row.error, row.id),
            )
        return True
