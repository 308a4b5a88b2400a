"""What differs from the pass before: new and changed records, and what the site shows no more.

A record of a known id is an update when a field has changed that a creator changes. Counters move
all the time, and different calls tell different fields of one image, so neither counts. Images and
generation data do not change once published.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from civitai_crawler.items import Creator, Model, ModelFile, ModelVersion, Post
from civitai_crawler.ledger.queue import State

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from civitai_crawler.ledger.store import Ledger

WATCHED: dict[type[Any], tuple[str, ...]] = {
    Creator: ("username", "image", "links", "banned_at", "deleted_at"),
    Model: (
        "name",
        "type",
        "description",
        "tags",
        "availability",
        "mode",
        "allow_no_credit",
        "allow_derivatives",
        "allow_different_license",
        "allow_commercial_use",
        "version_ids",
    ),
    ModelVersion: (
        "name",
        "base_model",
        "description",
        "trained_words",
        "availability",
        "published_at",
        "early_access_deadline",
        "file_ids",
    ),
    ModelFile: ("name", "type", "size_kb", "format", "size", "fp", "hashes"),
    Post: ("title", "version_id", "published_at", "image_count"),
}


def digest(item: Any) -> str | None:
    """Return a digest of the watched fields; ``None`` for items that are never updated."""
    names = WATCHED.get(type(item))
    if names is None:
        return None
    values = [getattr(item, name) for name in names]
    text = json.dumps(values, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def begin_run(ledger: Ledger) -> None:
    """Start a pass without the changes of the one before."""
    ledger.db.execute(
        "DELETE FROM marks WHERE kind = 'change' AND value NOT LIKE ?", (f"{ledger.passes}|%",)
    )


def note(ledger: Ledger, kind: str, item_id: int | str, what: str) -> None:
    """Note what a later pass brought: ``added``, ``updated`` or ``stored`` (its file)."""
    if ledger.passes:
        ledger.mark("change", f"{kind}:{item_id}", f"{ledger.passes}|{what}")


def see(ledger: Ledger, kind: str, item_id: int | str) -> None:
    """Note that the site shows a known item (again)."""
    ledger.see(kind, item_id)
    ledger.unmark("gone", f"{kind}:{item_id}")


def choose(ledger: Ledger, file_id: int, *, chosen: bool) -> None:
    """Remember whether the settings ask for a model file at all."""
    if chosen:
        ledger.unmark("not_chosen", file_id)
    else:
        ledger.mark("not_chosen", file_id)


def stored_files(ledger: Ledger, kind: str) -> dict[str, int]:
    """Return where the stored files of *kind* lie, and the item of each."""
    return dict(ledger.db.execute("SELECT path, id FROM media WHERE kind = ?", (kind,)))


def forget_files(ledger: Ledger, kind: str, ids: Iterable[int]) -> None:
    """Forget files that somebody has removed from the archive."""
    lost = [(kind, number) for number in ids]
    ledger.db.executemany("DELETE FROM media WHERE kind = ? AND id = ?", lost)


def forget_records(ledger: Ledger, kind: str, kept: Container[str]) -> int:
    """Forget the items of class *kind* that are not in their feed any more; return how many.

    *kept*: the ids that are. Lists that were read before have to be read again for the others.
    """
    rows = ledger.db.execute("SELECT id FROM items WHERE kind = ?", (kind,)).fetchall()
    lost = [(kind, number) for (number,) in rows if number not in kept]
    ledger.db.executemany("DELETE FROM items WHERE kind = ? AND id = ?", lost)
    if kind == Post.__name__:  # its mark stands for a record
        ledger.db.executemany(
            "DELETE FROM marks WHERE kind = 'post' AND id = ?", [(one,) for _, one in lost]
        )
    if lost:
        ledger.queue.forget_done()
    return len(lost)


def unseen(ledger: Ledger, kind: str, parents: set[int] | None = None) -> list[int]:
    """Return the ids of class *kind* that this pass has not met, without those known to be gone.

    What is under way has been met.

    *parents*: only the parts of these.
    """
    rows = ledger.db.execute(
        "SELECT id, parent FROM items WHERE kind = ? AND seen < ? "
        "AND kind || ':' || id NOT IN (SELECT id FROM marks WHERE kind = 'gone') "
        "AND NOT EXISTS (SELECT 1 FROM under_way u WHERE u.kind = items.kind AND u.id = items.id)",
        (kind, ledger.passes),
    )
    return sorted(
        int(number) for number, parent in rows if parents is None or int(parent or 0) in parents
    )


def unlisted(ledger: Ledger, kind: str, part: str, whole: str) -> list[int]:
    """Return the items of class *kind* that the list of their parent has dropped.

    *part* and *whole* name the marks of what was listed, with the pass in which it was: items may
    still be on the way when this is asked.
    """
    now = str(ledger.passes)
    listed, parents = ledger.marks(f"listed_{part}"), ledger.marks(f"listed_{whole}")
    rows = ledger.db.execute("SELECT id, parent FROM items WHERE kind = ?", (kind,))
    return [
        int(number)
        for number, parent in rows
        if listed.get(number) != now
        and parents.get(parent) == now
        and ledger.marked("gone", f"{kind}:{number}") is None
    ]


def has_failed(ledger: Ledger) -> bool:
    """Tell whether a page of this pass could not be had: then nothing unseen is gone for sure."""
    rows = ledger.db.execute("SELECT 1 FROM requests WHERE state = ? LIMIT 1", (State.FAILED,))
    return rows.fetchone() is not None


def lose(ledger: Ledger, kind: str, item_id: int) -> None:
    """Note that the site shows an item no more; what is held of it stays."""
    today = datetime.now(UTC).isoformat(timespec="seconds")
    ledger.mark("gone", f"{kind}:{item_id}", today)
