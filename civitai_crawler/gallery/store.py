"""The database that the gallery reads: made of the archives' feeds, anew when they change."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from array import array
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from civitai_crawler.archive.folders import feeds
from civitai_crawler.export import database
from civitai_crawler.items import FEEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from civitai_crawler.archive import Problem

#: Raised by one whenever the tables change, so that a database of an older version is not read.
_FORMAT = 1
#: Stems of the databases, as fingerprints are.
_NAME = re.compile("[0-9a-f]{16}")
#: Lists that are kept: one of 100,000 images takes 800 kB.
_LISTS = 32

Row = sqlite3.Row


def prepare(archives: list[Path], cache: Path, tell: Callable[[Problem], None]) -> Path:
    """Return the database of *archives* in the folder *cache*, which is made when it is not there.

    Raises:
        DatabaseError: it cannot be written.
        UsageError: another gallery is making it at this moment.

    """
    file = cache / f"{_fingerprint(archives)}.sqlite"
    if not file.is_file():
        database.write(archives, file, tell)
        for old in cache.glob("*.sqlite"):  # of ours only: the folder may be anybody's
            if old != file and _NAME.fullmatch(old.stem):
                with suppress(OSError):  # another gallery may read it
                    old.unlink(missing_ok=True)
    return file


def _fingerprint(archives: Iterable[Path]) -> str:
    """Return what is another text as soon as a feed has changed."""
    seen = hashlib.sha256(str(_FORMAT).encode())
    for archive in archives:
        for feed in (feed for stem in FEEDS for feed in feeds(archive.resolve(), stem)):
            status = feed.stat()
            seen.update(
                f"{feed}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="replace")
            )
    return seen.hexdigest()[:16]


class Store:
    """Reads the database; any thread may ask."""

    def __init__(self, file: Path) -> None:
        uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        self._db = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._db.row_factory = Row
        self._lock = threading.Lock()
        self.ids = lru_cache(_LISTS)(self._ids)

    def close(self) -> None:
        self._db.close()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return all rows."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> Row | None:
        """Return the first row, or ``None``."""
        return next(iter(self.rows(sql, *values)), None)

    def _ids(self, sql: str, values: tuple[Any, ...]) -> array[int]:
        """Return the ids of a list in its order, 8 bytes each.

        With them at hand a page is read by its keys: the thousandth costs what the first does. The
        number of all, the pages' numbers, and what stands before and after an image come with it.
        """
        with self._lock:
            return array("q", (row[0] for row in self._db.execute(sql, values)))
