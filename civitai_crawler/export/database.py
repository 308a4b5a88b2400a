"""Archives as one SQLite database: a table of each class of records, joined by ids.

Python's own ``sqlite3`` and not sqlite-utils, which took twice the processor time (38 s for 100,000
images): columns come from the item classes instead of the rows, so that an empty table has them
too, and integers beyond 64 bits, half characters and broken rows need handling in either case.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from civitai_crawler.archive import Problem, records
from civitai_crawler.exceptions import CivitaiError
from civitai_crawler.export.lock import alone
from civitai_crawler.export.tables import AFTERWARDS, RESOURCES, TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from civitai_crawler.items import Record

_LARGEST = 2**63 - 1
#: What SQLite keeps beside a database that is open, or was when its program died. Beside another
#: database it would be taken for changes to that one.
_BESIDE = ("-wal", "-shm", "-journal")
_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=msgspec.to_builtins)


class DatabaseError(CivitaiError):
    """The database cannot be written. Raised by :func:`write`."""


@dataclass(slots=True)
class Summary:
    """What a database holds."""

    rows: dict[str, int] = field(default_factory=dict)
    """Rows by table."""
    problems: int = 0
    """Records and feeds that could not be read, each of which was told."""


def names(archives: Iterable[Path]) -> dict[str, Path]:
    """Return *archives* by what stands in the column ``archive``: their folders' names.

    Folders of one name in different places are told apart by a number.
    """
    named: dict[str, Path] = {}
    for archive in archives:
        own = _text(archive.resolve().name)
        name, number = own, 1
        while name in named:
            number += 1
            name = f"{own} ({number})"
        named[name] = archive
    return named


def write(archives: list[Path], target: Path, tell: Callable[[Problem], None]) -> Summary:
    """Write the records of *archives* to the SQLite database *target*, replacing it whole.

    A record that cannot be read or stored is told and passed over. Memory does not grow with the
    rows, but for what :func:`civitai_crawler.archive.records` keeps of each id.

    Raises:
        DatabaseError: the file cannot be written.
        UsageError: another command is writing to its folder.

    """
    summary = Summary()

    def note(problem: Problem) -> None:
        summary.problems += 1
        tell(problem)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target.parent):
            _replace(target, names(archives), note, summary)
    except (OSError, sqlite3.OperationalError) as error:
        raise DatabaseError(f"{target} cannot be written: {error}.") from error
    return summary


def _replace(
    target: Path, archives: dict[str, Path], tell: Callable[[Problem], None], summary: Summary
) -> None:
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part, isolation_level=None)) as db:
            _fill(db, archives, tell)
            for name in (*TABLES, "resources"):
                count = db.execute(f"SELECT count(*) FROM {name}")  # noqa: S608  # our own names
                summary.rows[name] = count.fetchone()[0]
        for ending in _BESIDE:
            target.with_name(target.name + ending).unlink(missing_ok=True)
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _fill(
    db: sqlite3.Connection, archives: dict[str, Path], tell: Callable[[Problem], None]
) -> None:
    # The file has no readers yet, and is thrown away if this does not come to its end.
    db.execute("PRAGMA journal_mode = MEMORY")
    db.execute("PRAGMA synchronous = OFF")
    for create in (*(table.create for table in TABLES.values()), RESOURCES):
        db.execute(create)
    for name, archive in archives.items():
        for table in TABLES.values():
            db.execute("BEGIN")
            for record in records(archive, table.kind, tell):
                record.archive = name
                if why := _add(db, table, record):
                    tell(Problem(archive / table.name, "broken", why))
            db.execute("COMMIT")
    db.executescript(AFTERWARDS)


def _add(db: sqlite3.Connection, table: Table, record: Record) -> str | None:
    """Add a row; return why it cannot be had, which costs no other."""
    try:
        row = [
            _value(getattr(record, name), as_text=column == "TEXT")
            for name, column in table.columns.items()
        ]
        db.execute(table.insert, row)
    except (sqlite3.IntegrityError, sqlite3.DataError, ValueError) as error:
        return f"record {getattr(record, 'id', '')}: {error}"
    return None


def _value(value: Any, *, as_text: bool) -> Any:
    """Turn a field into what SQLite takes without changing it."""
    if isinstance(value, (list, dict)):
        value = _JSON.encode(value) if value else str(value)
    elif isinstance(value, int) and (as_text or not -_LARGEST <= value <= _LARGEST):
        return str(value)
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """Return *text* in UTF-8, which half a character is not, nor an odd byte of a folder's name."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
