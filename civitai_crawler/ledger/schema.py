"""The tables of the ledger and the opening of its file."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from civitai_crawler.exceptions import CivitaiError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Raised by one whenever a table changes its meaning; a ledger of another number is refused.
FORMAT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,
    fingerprint BLOB UNIQUE,      -- NULL: never filtered
    lane TEXT NOT NULL,           -- site: answered by the site; file: one row, one big download
    stage INTEGER NOT NULL,       -- a stage starts when every earlier one is done
    rank INTEGER NOT NULL,        -- the priority with its sign turned: the lowest comes first
    state INTEGER NOT NULL,
    data TEXT,                    -- the original request as JSON, without secrets; NULL once done
    error TEXT
);
CREATE INDEX IF NOT EXISTS requests_next ON requests (lane, stage, rank, id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS requests_failed ON requests (id) WHERE state = 2;
CREATE TABLE IF NOT EXISTS items (
    kind TEXT, id TEXT, parent TEXT,
    digest TEXT,                  -- of what makes a later record of the same id an update
    seen INTEGER,                 -- the last pass in which the site showed it
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_parent ON items (kind, parent) WHERE parent IS NOT NULL;
CREATE TABLE IF NOT EXISTS feeds (
    path TEXT PRIMARY KEY,        -- absolute
    length INTEGER NOT NULL,      -- bytes that belong to what is committed
    closed INTEGER NOT NULL       -- 1: the run that wrote last has ended in order
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS media (
    kind TEXT, id INTEGER, path TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    verified TEXT, content_type TEXT, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS media_sha256 ON media (sha256);
CREATE TABLE IF NOT EXISTS paths (folded TEXT PRIMARY KEY, path TEXT, kind TEXT, id INTEGER)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (kind TEXT, id TEXT, value TEXT, PRIMARY KEY (kind, id))
    WITHOUT ROWID;
"""
#: Of this run only, in memory: items that were read and have not reached the feeds, and these
#: together with what is held.
_OF_THE_RUN = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE under_way (kind TEXT, id TEXT, parent TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE TEMP VIEW known AS
    SELECT kind, id, parent FROM items
    UNION ALL
    SELECT kind, id, parent FROM under_way u
    WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.kind = u.kind AND i.id = u.id);
"""


class LedgerError(CivitaiError):
    """The ledger's file cannot be used. Raised when a job is opened."""


def connect(folder: Path | None) -> sqlite3.Connection:
    """Open (or make) the ledger in *folder*, private to the user; ``None`` keeps it in memory."""
    with _told(folder):
        return _open(":memory:" if folder is None else _file(folder))


def copied(folder: Path) -> sqlite3.Connection:
    """Open a copy in memory of what the ledger in *folder* holds, without its requests.

    So a crawl can be tried out against what is held; nothing in *folder* changes.
    """
    db = sqlite3.connect(":memory:", isolation_level=None)
    with _told(folder):
        if (file := folder.absolute() / "ledger.sqlite").is_file():
            with closing(_existing(file, timeout=1)) as held:
                # Else SQLite keeps its index of the log in a file beside it.
                held.execute("PRAGMA locking_mode = EXCLUSIVE")
                held.backup(db)
        _prepare(db)
        db.execute("DELETE FROM requests")
        db.execute("DELETE FROM facts WHERE name = 'renames'")
    return db


def is_in_use(folder: Path) -> bool:
    """Tell whether a crawl holds the ledger in *folder* at this moment."""
    file = folder.absolute() / "ledger.sqlite"
    if not file.is_file():
        return False
    try:
        with closing(_existing(file, timeout=0)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return "locked" in str(error)
    return False


def _existing(file: Path, timeout: float) -> sqlite3.Connection:
    """Open a ledger as it is; a mode that only reads would leave files of SQLite's beside it."""
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=timeout)


@contextmanager
def _told(folder: Path | None) -> Iterator[None]:
    """Turn what SQLite and the disk say into one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise LedgerError(
                f"Another crawl is using the job folder {folder}; let it end first."
            ) from error
        raise unusable(folder, error) from error
    except (OSError, sqlite3.Error) as error:
        raise unusable(folder, error) from error


def unusable(folder: Path | None, error: Exception) -> LedgerError:
    """Say that the ledger in *folder* cannot be read or written."""
    return LedgerError(f"The job folder {folder} cannot be used: {error}.")


def _file(folder: Path) -> Path:
    """Make the ledger's file; SQLite gives what it puts beside it the same rights."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    file = folder / "ledger.sqlite"
    file.touch(mode=0o600)
    file.chmod(0o600)
    return file


def _open(file: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(file, isolation_level=None, timeout=1)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    # One process owns a job: a second one fails here instead of doubling its work.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    # Only a commit writes, so only a commit can find the disk full.
    db.execute("PRAGMA cache_spill = OFF")
    db.execute("BEGIN IMMEDIATE")
    db.execute("COMMIT")
    found = db.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, FORMAT):
        raise LedgerError(
            f"The job folder was written by another version (format {found}, this one reads "
            f"{FORMAT}); finish it with that version or remove the folder to start anew."
        )
    db.executescript(_TABLES)
    db.executescript(_OF_THE_RUN)
    db.execute(f"PRAGMA user_version = {FORMAT}")
