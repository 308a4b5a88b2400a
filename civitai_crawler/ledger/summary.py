"""What a job holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from civitai_crawler.ledger.queue import State

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over all runs of a job."""

    items: dict[str, int]
    """Items in the feeds by class."""
    media: dict[str, tuple[int, int]]
    """Stored files by kind: number and bytes."""
    failures: dict[str, int]
    """Failures by reason."""
    excluded: dict[str, int]
    """What was left out, by kind."""
    pending: int
    """Requests that the next run goes on with."""


def summarize(db: sqlite3.Connection) -> Summary:
    """Count what the tables hold."""
    excluded = db.execute("SELECT kind, count(*) FROM marks WHERE kind LIKE 'excluded%' GROUP BY 1")
    return Summary(
        items=dict(db.execute("SELECT kind, count(*) FROM items GROUP BY kind")),
        media={
            kind: (number, size)
            for kind, number, size in db.execute(
                "SELECT kind, count(*), sum(size) FROM media GROUP BY kind"
            )
        },
        failures=_reasons(db),
        excluded={kind.removeprefix("excluded_"): number for kind, number in excluded},
        pending=db.execute(
            "SELECT count(*) FROM requests WHERE state != ?", (State.DONE,)
        ).fetchone()[0],
    )


def _reasons(db: sqlite3.Connection) -> dict[str, int]:
    """Count failures by the last part of their ids, ``<kind>:<item id>:<reason>``."""
    counts: dict[str, int] = {}
    for (key,) in db.execute("SELECT id FROM items WHERE kind = 'Failure' ORDER BY id"):
        reason = key.rsplit(":", 1)[-1]
        counts[reason] = counts.get(reason, 0) + 1
    return counts
