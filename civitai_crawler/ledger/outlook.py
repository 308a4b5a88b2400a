"""What is still to be downloaded, as far as the lists have told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from civitai_crawler.ledger import holdings
from civitai_crawler.ledger.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from civitai_crawler.items import ModelFile
    from civitai_crawler.ledger.store import Ledger

#: Chosen files of this pass without a stored file.
_FILES = (
    "SELECT s.id, s.value FROM marks s WHERE s.kind = 'file_size' AND NOT EXISTS "
    "(SELECT 1 FROM media m WHERE m.kind = 'model_file' AND m.id = CAST(s.id AS INTEGER))"
)


class Due(NamedTuple):
    """Files that are wanting."""

    number: int
    size: int
    """Bytes, by the published sizes."""
    unknown: int
    """How many of them have no published size."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the lists and the site's counts tell of the whole crawl."""

    counts: dict[str, int] = field(default_factory=dict)
    """Expected records by feed, without what is excluded; empty where a part is left out."""
    files: int = 0
    """Model files that are wanted, stored ones included."""
    files_due: int = 0
    bytes_due: int = 0


def held(ledger: Ledger) -> dict[str, int]:
    """Return what is held: records by class, stored files by kind."""
    found = dict(ledger.db.execute("SELECT kind, count(*) FROM items GROUP BY kind"))
    return found | dict(ledger.db.execute("SELECT kind, count(*) FROM media GROUP BY kind"))


def look(ledger: Ledger) -> Outlook:
    """Ask the ledger; of a large archive this takes some milliseconds."""
    scope = holdings.scope(ledger.db)
    files = ledger.db.execute("SELECT count(*) FROM marks WHERE kind = 'file_size'").fetchone()
    sizes = [int(size) for _, size in ledger.db.execute(_FILES)]
    counts = expected(ledger) if scope and not scope.get("restricted") else {}
    counts = {stem: max(0, count - _excluded(ledger, stem)) for stem, count in counts.items()}
    return Outlook(counts, int(files[0]), len(sizes), sum(sizes))


def _excluded(ledger: Ledger, stem: str) -> int:
    kind = f"excluded_{stem.removesuffix('s')}"
    row = ledger.db.execute("SELECT count(*) FROM marks WHERE kind = ?", (kind,)).fetchone()
    return int(row[0])


def listed(ledger: Ledger, files: Iterable[ModelFile]) -> None:
    """Remember the published sizes of model files that are wanted."""
    for file in files:
        ledger.mark("file_size", file.id, str(round((file.size_kb or 0) * 1024)))


def files_due(ledger: Ledger, *, signed_in: bool) -> Due:
    """Return the model files that this run is going to ask for."""
    refusals = Refusals(ledger)
    sizes = [
        int(size)
        for number, size in ledger.db.execute(_FILES).fetchall()
        if refusals.is_due("model_file", int(number), signed_in=signed_in)
    ]
    return Due(len(sizes), sum(sizes), sizes.count(0))


def expected(ledger: Ledger) -> dict[str, int]:
    """Return by feed the largest number that the site's own counts name."""
    found: dict[str, int] = {}
    for name, value in holdings.marks(ledger.db, "expected").items():
        stem = name.split(" ", 1)[0]
        found[stem] = max(found.get(stem, 0), json.loads(value)[0])
    return found


def originals_due(ledger: Ledger) -> int | None:
    """Return how many originals the site counts beyond the stored ones; ``None``: not told."""
    counted = expected(ledger).get("images")
    if counted is None:
        return None
    row = ledger.db.execute("SELECT count(*) FROM media WHERE kind = 'image'").fetchone()
    return max(0, counted - int(row[0]))
