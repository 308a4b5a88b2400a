"""The ledger itself: facts, items, marks, and the one transaction that holds all there is."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from civitai_crawler.ledger.feedfile import Feeds, set_aside
from civitai_crawler.ledger.media import Media, StoredFiles
from civitai_crawler.ledger.queue import RequestQueue
from civitai_crawler.ledger.schema import LedgerError, connect, copied, unusable
from civitai_crawler.ledger.tally import summarize
from civitai_crawler.ledger.underway import UnderWay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scrapy.crawler import Crawler

    from civitai_crawler.ledger.summary import Summary

__all__ = ["HANDLED", "Ledger", "LedgerError", "Media"]

#: What an errback returns when it has asked something else instead: the request is done with.
HANDLED = object()


class Ledger(StoredFiles):
    """Everything a job knows. All changes wait in one open transaction until :meth:`commit`."""

    _by_crawler: WeakKeyDictionary[Crawler, Ledger] = WeakKeyDictionary()

    @classmethod
    def of(cls, crawler: Crawler) -> Ledger:
        """Return the ledger of *crawler*'s JOBDIR, opened at the first call."""
        ledger = cls._by_crawler.get(crawler)
        if ledger is None:
            jobdir = crawler.settings.get("JOBDIR")
            dry = crawler.settings.getbool("CIVITAI_DRY_RUN")
            ledger = cls(Path(jobdir) if jobdir else None, dry=dry)
            cls._by_crawler[crawler] = ledger
        return ledger

    @classmethod
    def abandon(cls, crawler: Crawler) -> None:
        """Let go of the ledger of a crawl that never began, as if it had not been opened."""
        ledger = cls._by_crawler.pop(crawler, None)
        if ledger is not None:
            ledger.feeds.release()
            ledger.db.close()

    def __init__(self, folder: Path | None = None, *, dry: bool = False) -> None:
        self.db = copied(folder) if dry and folder is not None else connect(folder)
        #: The folder that holds the job's: of an archive, as a rule.
        self._home = None if folder is None else folder.absolute().parent
        self.queue = RequestQueue(self.db)
        self.feeds = Feeds(self.db, folder)
        #: Items between their callback and the feeds.
        self.under_way = UnderWay(self.db)
        #: Keys of the refusals on record; ``None``: not read yet (see :class:`Refusals`).
        self.refused: set[str] | None = None
        #: What the job holds; known when the ledger is closed.
        self.summary: Summary | None = None
        #: Why nothing can be committed any more.
        self.broken: Exception | None = None
        try:
            self.db.execute("BEGIN")
            held = self.db.execute("SELECT 1 FROM feeds UNION ALL SELECT 1 FROM items LIMIT 1")
            #: True when the job has not written anything before.
            self.is_new = held.fetchone() is None
            #: True when this run goes on with what an earlier one left; False on a new pass.
            self.resumed = self._begin_run()
        except (OSError, sqlite3.Error) as error:
            self.db.close()
            raise unusable(folder, error) from error

    def _begin_run(self) -> bool:
        """Take up what is left, or clear the queue of a finished job for a new pass."""
        finished = self.fact("finished")
        self.set_fact("finished", None)
        #: Passes that were finished before this one: 0 in the first.
        self.passes = int(self.fact("passes") or 0) + bool(finished)
        self.set_fact("passes", str(self.passes))
        if finished:
            self.queue.clear()
        self._settle_in()
        self._rename()
        resumed = self.queue.restore()
        self.commit()
        return resumed

    def start_anew(self, feeds: Iterable[Path]) -> None:
        """Forget requests, items and marks and set *feeds* aside; stored files stay known.

        What is to be renamed is committed first, so that a kill in between changes nothing.
        """
        renames = json.dumps(set_aside(feeds))
        for table in ("requests", "items", "marks", "feeds", "facts"):
            self.db.execute(f"DELETE FROM {table}")  # noqa: S608  # the names above
        self.refused = None
        self.set_fact("renames", renames)
        self._settle_in()
        self.queue.clear()
        self.passes = 0
        self.set_fact("passes", "0")
        self.resumed = False
        self.commit()
        self._rename()
        self.commit()

    def _settle_in(self) -> None:
        """Note where the job lies; what was moved with it since the last run is found there."""
        if self._home is not None:
            before = self.fact("home")
            if before not in (None, str(self._home)):
                self.feeds.follow(Path(str(before)), self._home)
            self.set_fact("home", str(self._home))

    def _rename(self) -> None:
        renames: dict[str, str] = json.loads(self.fact("renames") or "{}")
        for old, new in renames.items():
            if Path(old).exists() and not Path(new).exists():
                Path(old).rename(new)
        self.set_fact("renames", None)

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

    def is_known(self, kind: str, item_id: int) -> bool:
        """Tell whether an item stands in the feeds or is on its way there."""
        return self.under_way.holds(kind, item_id) or self.has_item(kind, item_id)

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

    def unmark(self, kind: str, mark_id: int | str) -> None:
        self.db.execute("DELETE FROM marks WHERE kind = ? AND id = ?", (kind, str(mark_id)))

    def marks(self, kind: str) -> dict[str, str]:
        return dict(self.db.execute("SELECT id, value FROM marks WHERE kind = ?", (kind,)))

    # --- the transaction --------------------------------------------------------------------

    def commit(self) -> None:
        """Make everything so far durable at once: rows, items, and the feeds up to this byte.

        Raises OSError or sqlite3.Error when the disk takes nothing; from then on nothing is
        committed any more, and the next run goes on from the last commit.
        """
        if self.broken is not None:
            return
        try:
            self.feeds.write_out()
            self.db.execute("COMMIT")
        except (OSError, sqlite3.Error, LedgerError) as error:
            self.broken = error
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        finally:
            # Also then: outside of a transaction every statement would be committed at once.
            self.db.execute("BEGIN")

    def close(self, *, finished: bool) -> None:
        """Commit and close; *finished* makes the next run a new pass.

        Raises as :meth:`commit`; then there is no summary, for what it counts is not all held.
        """
        try:
            self.set_fact("finished", "1" if finished else None)
            self.feeds.note_closed()
            if self.broken is None:
                self.summary = summarize(self.db)
            self.commit()
            self.db.execute("COMMIT" if self.broken is None else "ROLLBACK")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, sqlite3.Error, LedgerError):
            self.summary = None
            raise
        finally:
            self.feeds.release()
            self.db.close()
