"""The stored files of a job, and the paths that are given to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from civitai_crawler.items import Image
from civitai_crawler.ledger.schema import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from civitai_crawler.items import ModelFile

#: Bytes of a stored file from which on it is worth a commit of its own.
BIG = 1 << 20


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

    def fill(self, item: ModelFile | Image) -> None:
        """Write the stored file into the fields of *item*."""
        item.path, item.size_bytes, item.sha256 = self.path, self.size, self.sha256
        if isinstance(item, Image):
            item.content_type = self.content_type
        else:
            item.verified = self.verified


class StoredFiles:
    """What the ledger knows of files; the base of it, which has one connection for all."""

    db: sqlite3.Connection

    def commit(self) -> None:
        """Make everything so far durable; the ledger's."""
        raise NotImplementedError

    def media(self, kind: str, item_id: int) -> Media | None:
        """Return the stored file of an item, or ``None``; the disk is not looked at."""
        row = self.db.execute(
            "SELECT path, size, sha256, verified, content_type FROM media "
            "WHERE kind = ? AND id = ?",
            (kind, item_id),
        ).fetchone()
        return None if row is None else Media(*row)

    def media_of(self, kind: str, sha256: str, *, beside: int) -> list[Media]:
        """Return stored files of other items than *beside* with these bytes, three at most."""
        rows = self.db.execute(
            "SELECT path, size, sha256, verified, content_type FROM media "
            "WHERE sha256 = ? AND kind = ? AND id != ? LIMIT 3",
            (sha256, kind, beside),
        )
        return [Media(*row) for row in rows]

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
        if media.size >= BIG:
            self.commit()

    def claim_path(self, kind: str, item_id: int, wanted: str) -> str:
        """Give *wanted*, or the same with the id before the extension, to one item for good.

        Paths that differ only in case are one place on Windows and macOS, so they are one here. A
        creator may have written the id of another file into a name: then a number follows.
        """
        for candidate in _candidates(wanted, item_id):
            folded = candidate.casefold()
            claimed = self.db.execute(
                "INSERT OR IGNORE INTO paths VALUES (?, ?, ?, ?)",
                (folded, candidate, kind, item_id),
            )
            if claimed.rowcount:
                return candidate
            owner = self.db.execute(
                "SELECT path, kind, id FROM paths WHERE folded = ?", (folded,)
            ).fetchone()
            if owner[1:] == (kind, item_id):
                return str(owner[0])
        raise LedgerError(f"No free path for {kind} {item_id}: {wanted}.")

    def release_path(self, kind: str, item_id: int, path: str) -> None:
        """Give up the claim to a path at which nothing of the item has been stored."""
        self.db.execute(
            "DELETE FROM paths WHERE folded = ? AND kind = ? AND id = ? AND NOT EXISTS "
            "(SELECT 1 FROM media m WHERE m.kind = paths.kind AND m.id = paths.id "
            "AND m.path = paths.path)",
            (path.casefold(), kind, item_id),
        )


def _candidates(wanted: str, item_id: int) -> Iterator[str]:
    """Yield *wanted*, then the same with the id, then with the id and a number."""
    yield wanted
    path = PurePosixPath(wanted)
    for number in range(1, 100):
        ending = f" ({item_id})" if number == 1 else f" ({item_id}) {number}"
        yield str(path.with_name(f"{path.stem}{ending}{path.suffix}"))
