"""A feed on disk that grows by whole commits, and the table of all of them."""

from __future__ import annotations

import io
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from civitai_crawler.ledger.schema import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

#: Last bytes of a line that is ended, in UTF-16 and UTF-32 too.
_ENDS = (b"\n", b"\0")
#: Facts that name feeds which are shorter than they were left; a kill must not make them forgotten.
_CUT = "shortened "


class FeedFile(io.BufferedIOBase):
    """What exporters write to: bytes wait in memory until the ledger commits.

    So a line on disk is a line of a committed item, except for a kill between the writing and the
    commit; and a full disk is found by the commit, which ends the crawl, not by an exporter, whose
    error would only be logged.
    """

    def __init__(self, path: Path, length: int) -> None:
        super().__init__()
        self.path = path
        #: Bytes on disk.
        self.length = length
        self._waiting = bytearray()
        self._stream: BinaryIO | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """Say yes, so that exporters ask where they are; they never go elsewhere."""
        return True

    def tell(self) -> int:
        return self.length + len(self._waiting)

    def write(self, data: Any, /) -> int:
        self._waiting += data
        return len(data)

    def claim(self) -> None:
        """Keep other crawls from writing here; raises LedgerError when one does already."""
        if self._stream is None and self.path.exists():
            self._stream = _opened(self.path)

    def write_out(self) -> bool:
        """Put what waits on the disk, for good; tell whether there was anything."""
        if not self._waiting:
            return False
        if self._stream is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _opened(self.path)
        descriptor = self._stream.fileno()
        left = bytes(self._waiting)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        self.length = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._waiting.clear()
        return True

    def end_line(self) -> None:
        """End the last line, which an editor may have left open, before another one follows."""
        if self.length and self.tail(self.length - 1) not in _ENDS:
            self.write(b"\n")

    def header(self) -> bytes:
        """Return the first line on disk, empty when there is none."""
        if not self.length:
            return b""
        with self.path.open("rb") as stream:
            return stream.readline()

    def tail(self, length: int) -> bytes:
        """Return what stands beyond *length*."""
        with self.path.open("rb") as stream:
            stream.seek(length)
            return stream.read()

    def cut(self, length: int) -> None:
        """Take off what stands beyond *length*."""
        self.claim()
        if self._stream is not None:
            self._stream.truncate(length)
            self.length = length

    def release(self) -> None:
        """Close the file on disk and let others write to it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class Feeds:
    """The feeds of a job that can be continued, with their committed lengths."""

    def __init__(self, db: sqlite3.Connection, folder: Path | None) -> None:
        self._db = db
        #: Where cut tails go.
        self._aside = (folder or Path()) / "cut"
        self._files: dict[Path, FeedFile] = {}

    def take_charge(self, path: Path, *, anew: bool = False) -> FeedFile:
        """Return the feed at *path* as its last run left it, or with *anew* emptied.

        What stood there before the job's first run stays, as do lines that others have added since
        the last run ended in order. To be committed before the first item comes.
        """
        if path not in self._files:
            try:
                self._files[path] = self._taken(path, anew=anew)
            except OSError as error:
                raise LedgerError(f"The feed {path} cannot be used: {error.strerror}.") from error
        return self._files[path]

    def _taken(self, path: Path, *, anew: bool) -> FeedFile:
        file = FeedFile(path, path.stat().st_size if path.exists() else 0)
        file.claim()
        found = self._db.execute(
            "SELECT length, closed FROM feeds WHERE path = ?", (str(path),)
        ).fetchone()
        if anew:
            file.cut(0)
        elif found is not None:
            self._compare(file, *found)
        self._db.execute("INSERT OR REPLACE INTO feeds VALUES (?, ?, 0)", (str(path), file.length))
        file.end_line()
        return file

    def shortened(self) -> set[Path]:
        """Return the feeds that somebody has shortened, each once: it is for the caller to mend."""
        rows = self._db.execute(
            "SELECT name FROM facts WHERE name GLOB ?", (_CUT + "*",)
        ).fetchall()
        self._db.executemany("DELETE FROM facts WHERE name = ?", rows)
        return {Path(name.removeprefix(_CUT)) for (name,) in rows}

    def follow(self, before: Path, now: Path) -> None:
        """Know the feeds below *before* by where they are now, if they were moved along."""
        for (text,) in self._db.execute("SELECT path FROM feeds").fetchall():
            old = Path(text)
            if not old.is_relative_to(before):
                continue
            new = now / old.relative_to(before)
            if new.exists() or not old.exists():
                self._db.execute(
                    "UPDATE OR REPLACE feeds SET path = ? WHERE path = ?", (str(new), text)
                )

    def _compare(self, file: FeedFile, length: int, closed: int) -> None:
        if file.length < length:
            logger.warning(
                "%s is %d bytes shorter than this job left it; what is missing is asked for anew "
                "in a feed of the archive, in another file only by -a fresh=true",
                file.path,
                length - file.length,
            )
            self._db.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, '')", (_CUT + str(file.path),)
            )
        elif file.length > length and not closed:
            # Most likely torn lines of ours; but if somebody else wrote, it must not be lost.
            self._aside.mkdir(parents=True, exist_ok=True)
            (self._aside / f"{_now()}-{file.path.name}").write_bytes(file.tail(length))
            logger.info(
                "Cut %d bytes that were not committed off %s", file.length - length, file.path.name
            )
            file.cut(length)

    def write_out(self) -> None:
        """Write everything that waits, and note the lengths in the open transaction."""
        for path, file in self._files.items():
            if file.write_out():
                self._db.execute(
                    "UPDATE feeds SET length = ? WHERE path = ?", (file.length, str(path))
                )

    def note_closed(self) -> None:
        """Note that this run ends in order."""
        self._db.executemany(
            "UPDATE feeds SET closed = 1 WHERE path = ?", [(str(path),) for path in self._files]
        )

    def release(self) -> None:
        for file in self._files.values():
            file.release()


def set_aside(paths: Iterable[Path]) -> dict[str, str]:
    """Choose new names ``<name>.<UTC time>.<suffix>`` for the feeds that exist."""
    now = _now()
    return {
        str(path): str(path.with_name(f"{path.stem}.{now}{path.suffix}"))
        for path in paths
        if path.exists()
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def _opened(path: Path) -> BinaryIO:
    """Open *path* for appending, as its only writer; Python's buffer is not used.

    Where nothing can be locked (on a network share, mostly), only the job folder keeps others away.
    """
    stream = path.open("ab")
    try:
        _lock(stream.fileno())
    except BlockingIOError as error:
        stream.close()
        raise LedgerError(
            f"Another crawl is writing to {path}; let it end first, or name another file, "
            "as with %(username)s in its name."
        ) from error
    except OSError as error:
        logger.debug("%s cannot be locked: %s", path, error)
    return stream


if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        """Do nothing: there, what is open for writing is seldom opened twice."""
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Lock the file for this process; raises OSError when another one has."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
