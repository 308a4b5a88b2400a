"""The rows of requests: what is pending, done, or failed until the next run.

A row that was handed out stays pending on disk until it is settled: only this process knows that it
is in flight, so a killed one leaves nothing to be put back.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3


class State(IntEnum):
    """What a row is. The schema's indices name 0 and 2."""

    PENDING = 0
    DONE = 1
    FAILED = 2


SITE, FILE = "site", "file"

#: The stages before this one belong to lists of models.
FIRST_LISTS = 5

#: Keys of pending rows that are kept in memory per lane.
WINDOW = 1000

#: Stage, rank, id: the order in which rows are handed out.
Key = tuple[int, int, int]

# The states are written out, or SQLite would not see that its partial indices fit.
# For the same reason what follows a key is asked for in two steps.
_SAME = (
    "SELECT stage, rank, id FROM requests WHERE state = 0 AND lane = ? "
    "AND stage = ? AND rank = ? AND id > ? ORDER BY id LIMIT ?"
)
_LATER = (
    "SELECT stage, rank, id FROM requests WHERE state = 0 AND lane = ? "
    "AND (stage, rank) > (?, ?) ORDER BY stage, rank, id LIMIT ?"
)
_COUNT = "SELECT lane, count(*) FROM requests WHERE state = 0 GROUP BY lane"
_RETRY = "UPDATE requests SET state = 0, error = NULL WHERE state = 2"
_ADD = (
    "INSERT OR IGNORE INTO requests (fingerprint, lane, stage, rank, state, data) "
    "VALUES (?, ?, ?, ?, 0, ?)"
)
_RENEW = "UPDATE requests SET state = 0, data = ?, error = NULL WHERE fingerprint = ? AND state > 0"
_DONE = "UPDATE requests SET state = 1, data = NULL WHERE id = ?"
_FAILED = "UPDATE requests SET state = 2, error = ? WHERE id = ?"
_BEFORE_ALL: Key = (-(2**62), 0, 0)


@dataclass(slots=True, eq=False)
class Row:
    """A request in flight and what it still waits for."""

    id: int
    lane: str
    stage: int
    answered: bool = False
    """The answer has reached the spider."""
    exhausted: bool = False
    """The callback has ended."""
    children: int = 0
    """Child requests that are not rows yet."""
    items: int = 0
    """Items that are not out of the pipelines yet."""
    passed: bool = False
    """It keeps later stages waiting no more."""
    error: str | None = None
    """Why it cannot be called done; a class name, for texts may hold addresses."""
    errback: Any = None
    """The spider's own errback; the request in flight carries the scheduler's."""


@dataclass(slots=True)
class _Lane:
    """What is known of one lane without asking the disk."""

    pending: int = 0
    """Rows not yet handed out."""
    keys: list[Key] = field(default_factory=list)
    """A heap: the pending rows up to the frontier."""
    frontier: Key | None = None
    """Rows beyond this key are known to the disk only; ``None``: there are none."""
    open: int = 0
    """Rows in flight."""
    stages: Counter[int] = field(default_factory=Counter)
    """Rows in flight that have not been read to their end, by stage."""
    awaiting: int = 0
    """Rows in flight whose answer has not come."""

    def push(self, key: Key) -> None:
        self.pending += 1
        if self.frontier is not None and key > self.frontier:
            return
        heapq.heappush(self.keys, key)
        if len(self.keys) > 2 * WINDOW:
            self.keys.sort()
            del self.keys[WINDOW:]
            self.frontier = self.keys[-1]

    @property
    def earliest(self) -> int | None:
        """The first stage of which something has not been read yet."""
        return min(self.stages, default=None)


class RequestQueue:
    """Pending requests on disk, handed out by lane, stage, priority and age."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._lanes: dict[str, _Lane] = {}
        #: Rows in flight by id.
        self.open: dict[int, Row] = {}

    def restore(self) -> bool:
        """Make failed rows pending again; tell whether an earlier run has left rows at all."""
        self._db.execute(_RETRY)
        for lane, number in self._db.execute(_COUNT):
            self._lanes[lane] = _Lane(number, frontier=_BEFORE_ALL)
        return self._db.execute("SELECT 1 FROM requests LIMIT 1").fetchone() is not None

    def clear(self) -> None:
        self._db.execute("DELETE FROM requests")
        self._lanes.clear()

    def forget_done(self) -> None:
        """Have what is done asked again wherever it is named."""
        self._db.execute("DELETE FROM requests WHERE state = 1")

    def __len__(self) -> int:
        return sum(lane.pending for lane in self._lanes.values())

    def in_flight(self, lane: str) -> tuple[int, int]:
        """Count the rows in flight: those awaiting their answer, and all."""
        known = self._lanes.get(lane)
        return (0, 0) if known is None else (known.awaiting, known.open)

    def add(
        self,
        fingerprint: bytes | None,
        data: str,
        *,
        lane: str,
        stage: int,
        priority: int,
        renew: bool = False,
    ) -> bool:
        """Store a request; ``False`` when its fingerprint is known.

        With *renew* a known one that is done becomes pending again, and a pending one stays one.
        """
        known = self._lanes.setdefault(lane, _Lane())
        cursor = self._db.execute(_ADD, (fingerprint, lane, stage, -priority, data))
        if cursor.rowcount:
            known.push((stage, -priority, cursor.lastrowid or 0))
        elif renew and self._db.execute(_RENEW, (data, fingerprint)).rowcount:
            row = self._db.execute(
                "SELECT stage, rank, id FROM requests WHERE fingerprint = ?", (fingerprint,)
            )
            known.push(row.fetchone())
        return renew or bool(cursor.rowcount)

    def take(self, lane: str) -> tuple[Row, str] | None:
        """Hand out the next request of *lane*, unless an earlier stage is not read to its end.

        What an earlier stage has yielded may still be in the pipelines: originals that are on
        their way do not keep the site waiting (see :mod:`civitai_crawler.ledger.underway`).
        Files wait for earlier stages of the site's lane too; the site never waits for files.
        """
        known = self._lanes.get(lane)
        if known is None or not known.pending:
            return None
        if not known.keys and not self._refill(lane, known):
            return None
        stage, _, row_id = known.keys[0]
        if (earliest := known.earliest) is not None and earliest < stage:
            return None
        if lane != SITE and self._is_site_before(stage):
            return None
        heapq.heappop(known.keys)
        found = self._db.execute("SELECT data FROM requests WHERE id = ?", (row_id,)).fetchone()
        row = self.open[row_id] = Row(row_id, lane, stage)
        known.pending -= 1
        known.awaiting += 1
        known.open += 1
        known.stages[stage] += 1
        return row, found[0]

    def is_listing(self) -> bool:
        """Tell whether the first lists are still being read: what they lead to is not known."""
        return self._is_site_before(FIRST_LISTS)

    def _is_site_before(self, stage: int) -> bool:
        """Tell whether the site's lane is still at a stage before this one."""
        site = self._lanes.get(SITE)
        if site is None:
            return False
        if site.pending and (site.keys or self._refill(SITE, site)) and site.keys[0][0] < stage:
            return True
        return site.earliest is not None and site.earliest < stage

    def _refill(self, lane: str, known: _Lane) -> bool:
        """Read the next keys from the disk; tell whether there were any."""
        while not known.keys and known.frontier is not None:
            found = self._after(lane, *known.frontier)
            known.frontier = found[-1] if len(found) == WINDOW else None
            # Already in order, which makes it a heap.
            known.keys = [key for key in found if key[2] not in self.open]
        return bool(known.keys)

    def _after(self, lane: str, stage: int, rank: int, row_id: int) -> list[Key]:
        """Read up to a window of keys that follow one, in order."""
        same = self._db.execute(_SAME, (lane, stage, rank, row_id, WINDOW)).fetchall()
        later = self._db.execute(_LATER, (lane, stage, rank, WINDOW - len(same))).fetchall()
        return [*same, *later]

    def answer(self, row: Row) -> None:
        """Note that the answer to *row* has come."""
        if not row.answered:
            row.answered = True
            self._lanes[row.lane].awaiting -= 1

    def settle(self, row: Row) -> bool:
        """Close *row* if nothing of it is outstanding; tell whether it was closed."""
        if not row.exhausted or row.children or row.id not in self.open:
            return False
        lane = self._lanes[row.lane]
        if not row.passed:
            row.passed = True
            self.answer(row)
            lane.stages[row.stage] -= 1
            if not lane.stages[row.stage]:
                del lane.stages[row.stage]
        if row.items:
            return False
        del self.open[row.id]
        lane.open -= 1
        if row.error is None:
            self._db.execute(_DONE, (row.id,))
        else:
            self._db.execute(_FAILED, (row.error, row.id))
        return True
