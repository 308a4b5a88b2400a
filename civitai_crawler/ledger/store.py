"""The ledger itself: items, feeds, stored media, marks and the one transaction that holds them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakKeyDictionary

from civitai_crawler.ledger.queue import RequestQueue
from civitai_crawler.ledger.schema import LedgerError, connect
from civitai_crawler.ledger.summary import Summary, summarize

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

__all__ = ["Ledger", "LedgerError", "Media"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Media:
    """A stored file: where it lies and what it was found to be."""

    path: str
    """Relative to the archive folder, POSIX."""
    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex."""
    verified: str | None = None
    """The published hash it was checked against; ``none`` when none is published."""
    content_type: str | None = None
    """What the bytes are."""


class Ledger:
    """Everything a job knows. All changes wait in one open transaction until :meth:`commit`."""

    _by_crawler: WeakKeyDictionary[Crawler, Ledger] = WeakKeyDictionary()

    @classmethod
    def of(cls, crawler: Crawler) -> Ledger:
        """Return the ledger of *crawler*'s JOBDIR, opened at the first call."""
        ledger = cls._by_crawler.get(crawler)
        if ledger is None:
            jobdir = crawler.settings.get("JOBDIR")
            ledger = cls._by_crawler[crawler] = cls(Path(jobdir) if jobdir else None)
        return ledger

    def __init__(self, folder: Path | None = None) -> None:
        self.db = connect(folder)
        self.queue = RequestQueue(self.db)
        self._feeds: dict[str, BinaryIO] = {}
        #: What the job holds; known when the ledger is closed.
        self.summary: Summary | None = None
        self.db.execute("BEGIN")
        #: True when this run goes on with what an earlier one left; False on a new pass.
        self.resumed = self._begin_run()

    def _begin_run(self) -> bool:
        """Put back what was in flight, or clear the queue of a finished job for a new pass."""
        finished = self.fact("finished")
        self.set_fact("finished", None)
        #: Passes that were finished before this one: 0 in the first.
        self.passes = int(self.fact("passes") or 0) + bool(finished)
        self.set_fact("passes", str(self.passes))
        if finished:
            self.queue.clear()
            # What is left out is found out anew; what is known of posts stays.
            self.db.execute("DELETE FROM marks WHERE kind LIKE 'excluded%'")
        for path, length in self.db.execute("SELECT path, length FROM feeds").fetchall():
            _cut(Path(path), length)
        resumed = self.queue.restore()
        self.commit()
        return resumed

    # --- facts about the job -------------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        row = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_fact(self, name: str, value: str | None) -> None:
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # --- items ---------------------------------------------------------------------------------

    def has_item(self, kind: str, item_id: int | str) -> bool:
        """Tell whether an item of class *kind* stands in the feeds already."""
        found = self.db.execute(
            "SELECT 1 FROM items WHERE kind = ? AND id = ?", (kind, str(item_id))
        )
        return found.fetchone() is not None

    def add_item(
        self,
        kind: str,
        item_id: int | str,
        parent: int | None = None,
        digest: str | None = None,
    ) -> None:
        """Note that an item has left the pipelines into every feed."""
        self.db.execute(
            "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?)",
            (
                kind,
                str(item_id),
                None if parent is None else str(parent),
                digest,
                self.passes,
            ),
        )

    def digest(self, kind: str, item_id: int | str) -> str | None:
        """Return the digest that an item was added with."""
        row = self.db.execute(
            "SELECT digest FROM items WHERE kind = ? AND id = ?", (kind, str(item_id))
        ).fetchone()
        return None if row is None else row[0]

    def see(self, kind: str, item_id: int | str) -> None:
        """Note that the site still shows a known item."""
        self.db.execute(
            "UPDATE items SET seen = ? WHERE kind = ? AND id = ?",
            (self.passes, kind, str(item_id)),
        )

    def count_items(self, kind: str, parent: int | None = None) -> int:
        """Count the items of class *kind*, all or those of one parent."""
        if parent is None:
            row = self.db.execute("SELECT count(*) FROM items WHERE kind = ?", (kind,))
        else:
            row = self.db.execute(
                "SELECT count(*) FROM items WHERE kind = ? AND parent = ?", (kind, str(parent))
            )
        return int(row.fetchone()[0])

    # --- marks: small facts that later steps of the plan need -------------------------------------

    def mark(self, kind: str, mark_id: int | str, value: str = "") -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (kind, str(mark_id), value)
        )

    def marked(self, kind: str, mark_id: int | str) -> str | None:
        row = self.db.execute(
            "SELECT value FROM marks WHERE kind = ? AND id = ?", (kind, str(mark_id))
        ).fetchone()
        return None if row is None else str(row[0])

    def marks(self, kind: str) -> dict[str, str]:
        return dict(self.db.execute("SELECT id, value FROM marks WHERE kind = ?", (kind,)))

    # --- stored files --------------------------------------------------------------------------

    def media(self, kind: str, item_id: int) -> Media | None:
        """Return the stored file of an item, or ``None``; the disk is not looked at."""
        row = self.db.execute(
            "SELECT path, size, sha256, verified, content_type FROM media "
            "WHERE kind = ? AND id = ?",
            (kind, item_id),
        ).fetchone()
        return None if row is None else Media(*row)

    def record_media(self, kind: str, item_id: int, media: Media) -> None:
        self.db.execute(
            "INSERT OR REPLACE INTO media VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                kind,
                item_id,
                media.path,
                media.size,
                media.sha256,
                media.verified,
                media.content_type,
            ),
        )

    def claim_path(self, kind: str, item_id: int, wanted: str) -> str:
        """Give *wanted*, or the same with the id before the extension, to one item for good.

        Paths that differ only in case are one place on Windows and macOS, so they are one here.
        """
        path = PurePosixPath(wanted)
        for candidate in (path, path.with_name(f"{path.stem} ({item_id}){path.suffix}")):
            folded = str(candidate).casefold()
            self.db.execute(
                "INSERT OR IGNORE INTO paths VALUES (?, ?, ?, ?)",
                (folded, str(candidate), kind, item_id),
            )
            owner = self.db.execute(
                "SELECT path, kind, id FROM paths WHERE folded = ?", (folded,)
            ).fetchone()
            if owner[1:] == (kind, item_id):
                return str(owner[0])
        raise LedgerError(f"No free path for {kind} {item_id}: {wanted}.")

    # --- feeds and the transaction ----------------------------------------------------------

    def feed_length(self, path: str) -> int | None:
        """Return the committed length of a feed in bytes; ``None`` for one the ledger never saw."""
        row = self.db.execute("SELECT length FROM feeds WHERE path = ?", (path,)).fetchone()
        return None if row is None else int(row[0])

    def register_feed(self, path: str) -> None:
        """Take charge of a feed: what stands there now is kept, what comes is committed."""
        if self.feed_length(path) is None:
            file = Path(path)
            length = file.stat().st_size if file.exists() else 0
            self.db.execute("INSERT INTO feeds VALUES (?, ?)", (path, length))
            self.commit()

    def open_feed(self, path: str) -> BinaryIO:
        """Open a registered feed for appending after its committed bytes."""
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        _cut(file, self.feed_length(path) or 0)
        self._feeds[path] = stream = file.open("ab")
        return stream

    def close_feed(self, stream: BinaryIO) -> None:
        self._feeds = {path: other for path, other in self._feeds.items() if other is not stream}
        stream.close()

    def commit(self) -> None:
        """Make everything so far durable at once: rows, items, and the feeds up to this byte."""
        for path, stream in self._feeds.items():
            stream.flush()
            self.db.execute("INSERT OR REPLACE INTO feeds VALUES (?, ?)", (path, stream.tell()))
        self.db.execute("COMMIT")
        self.db.execute("BEGIN")

    def close(self, *, finished: bool) -> None:
        """Commit and close; *finished* makes the next run a new pass."""
        self.set_fact("finished", "1" if finished else None)
        self.summary = summarize(self.db)
        self.commit()
        self.db.execute("COMMIT")
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()


def _cut(file: Path, length: int) -> None:
    """Cut what an interrupted run wrote beyond the committed length of a feed."""
    if file.exists() and file.stat().st_size > length:
        logger.info("Cutting %d uncommitted bytes off %s", file.stat().st_size - length, file.name)
        with file.open("r+b") as stream:
            stream.truncate(length)
