"""Counts what the tables of a ledger hold into a :class:`Summary`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from civitai_crawler.items import FEEDS
from civitai_crawler.ledger import holdings
from civitai_crawler.ledger.queue import State
from civitai_crawler.ledger.refusals import Refusal, standing
from civitai_crawler.ledger.summary import Change, Files, Gone, Kind, Summary

if TYPE_CHECKING:
    import sqlite3

#: Feeds whose records have files: the files' name in the ledger, and what asks for them.
_MEDIA = {"model_files": ("model_file", "files"), "images": ("image", "images")}
#: The marks of what a list named, and of what was left out, by feed.
_LISTED = {"model_versions": "listed_version", "model_files": "listed_file"}
_EXCLUDED = {
    "models": "excluded_model", "model_versions": "excluded_version",
    "model_files": "excluded_file", "posts": "excluded_post", "images": "excluded_image",
}  # fmt: skip
_KEPT = 3
_PARTS = {
    "Image": "SELECT path FROM media WHERE kind = 'image' AND id = ?",
    "ModelFile": "SELECT path FROM media WHERE kind = 'model_file' AND id = ?",
    "Post": (
        "SELECT m.path FROM media m JOIN items i ON i.kind = 'Image' "
        "AND m.id = CAST(i.id AS INTEGER) WHERE m.kind = 'image' AND i.parent = ? ORDER BY m.path"
    ),
}
#: Earlier files of the same record that lie beside the one that counts.
_REPLACED = (
    "SELECT p.path FROM paths p JOIN media m ON m.kind = p.kind AND m.id = p.id "
    "WHERE p.path != m.path ORDER BY p.path"
)


def summarize(db: sqlite3.Connection) -> Summary:
    """Count what the tables hold."""
    facts = dict(db.execute("SELECT name, value FROM facts"))
    scope = holdings.scope(db)
    passes = int(facts.get("passes") or 0)
    pending = db.execute("SELECT count(*) FROM requests WHERE state != ?", (State.DONE,))
    tally = _Tally(db, *((facts.get(name) or "").split(",") for name in ("download", "kinds")))
    return Summary(
        passes=passes,
        levels=scope.get("levels", holdings.ALL_LEVELS),
        restricted=bool(scope.get("restricted")),
        kinds={stem: tally.kind(stem) for stem in FEEDS if stem not in ("creators", "failures")},
        missing=tally.missing,
        gone=tally.gone(),
        changes=_changes(db),
        replaced=[path for (path,) in db.execute(_REPLACED)],
        pending=pending.fetchone()[0],
        items=tally.records,
        media=tally.media,
        excluded={
            kind.removeprefix("excluded_"): number
            for kind, number in db.execute(
                "SELECT kind, count(*) FROM marks WHERE kind LIKE 'excluded%' GROUP BY 1"
            )
        },
    )


def _changes(db: sqlite3.Connection) -> list[Change]:
    stems = {item.__name__: stem for stem, item in FEEDS.items()}
    found = []
    for key, value in sorted(holdings.marks(db, "change").items()):
        kind, number = key.split(":", 1)
        found.append(Change(stems[kind], number, value.split("|")[1]))
    return found


def _reasons(missing: list[Refusal]) -> dict[str, int]:
    return dict(Counter(refusal.reason for refusal in missing))


class _Tally:
    """The queries of one summary."""

    def __init__(self, db: sqlite3.Connection, download: list[str], kinds: list[str]) -> None:
        self.db = db
        self.download = download
        self.kinds = kinds
        self.records = dict(db.execute("SELECT kind, count(*) FROM items GROUP BY kind"))
        self.media: dict[str, tuple[int, int]] = {
            kind: (number, size)
            for kind, number, size in db.execute(
                "SELECT kind, count(*), sum(size) FROM media GROUP BY kind"
            )
        }
        self.counts = holdings.counts(db)
        self.lost = {item.__name__: holdings.gone(db, item.__name__) for item in FEEDS.values()}
        self.missing = [one for one in standing(db) if not self._is_lost(one)]
        self.missing += self._unexplained()

    def _is_lost(self, refusal: Refusal) -> bool:
        kind = {stem.removesuffix("s"): item for stem, item in FEEDS.items()}.get(refusal.kind)
        mine = kind is not None and str(refusal.item_id) in self.lost[kind.__name__]
        return mine or str(refusal.post_id) in self.lost["Post"]

    def kind(self, stem: str) -> Kind:
        name = FEEDS[stem].__name__
        records, gone = self.records.get(name, 0), len(self.lost[name])
        excluded = len(holdings.marks(self.db, _EXCLUDED[stem])) if stem in _EXCLUDED else 0
        mine = [one for one in self.missing if one.kind == stem.removesuffix("s")]
        failed = [one for one in mine if not self._has_record(one, name)]
        return Kind(
            stem=stem,
            counts=[count for count in self.counts if count.stem == stem],
            listed=records - gone + excluded + len(failed),
            records=records,
            failed=_reasons(failed),
            excluded=excluded,
            gone=gone,
            files=self._files(stem, [one for one in mine if one not in failed]),
        )

    def _has_record(self, refusal: Refusal, name: str) -> bool:
        query = "SELECT 1 FROM items WHERE kind = ? AND id = ?"
        return self.db.execute(query, (name, str(refusal.item_id))).fetchone() is not None

    def _files(self, stem: str, missing: list[Refusal]) -> Files | None:
        if stem not in _MEDIA:
            return None
        kind, word = _MEDIA[stem]
        stored, size = self.media.get(kind, (0, 0))
        verified = self.db.execute(
            "SELECT coalesce(verified, 'none'), count(*) FROM media WHERE kind = ? GROUP BY 1",
            (kind,),
        )
        chosen = "not_chosen" if stem == "model_files" else ""
        return Files(
            wanted=word in self.download, stored=stored, bytes=size, verified=dict(verified),
            failed=_reasons(missing), not_chosen=len(holdings.marks(self.db, chosen)),
        )  # fmt: skip

    def _unexplained(self) -> list[Refusal]:
        """Name what is due, not held and not refused: there is none after a whole crawl."""
        known = {(one.kind, str(one.item_id)) for one in self.missing}
        found = []
        for kind, ids in self._due():
            found += [
                Refusal(
                    key=f"{kind}:{number}", kind=kind, item_id=int(number), reason="not_fetched"
                )
                for number in sorted(ids, key=int)
                if (kind, number) not in known
            ]
        return found

    def _due(self) -> list[tuple[str, set[str]]]:
        due = []
        for stem, mark in _LISTED.items():
            name = FEEDS[stem].__name__
            listed = holdings.marks(self.db, mark).keys()
            due.append((stem.removesuffix("s"), listed - self._ids(name)))
        images = self._ids("Image") - self.lost["Image"] - self._of_lost_posts()
        if "GenerationData" in self.kinds:
            due.append(("generation_data", images - self._ids("GenerationData")))
        if "images" in self.download:
            due.append(("image", images - self._stored("image")))
        if "files" in self.download:
            files = self._ids("ModelFile") - self.lost["ModelFile"]
            files -= holdings.marks(self.db, "not_chosen").keys()
            due.append(("model_file", files - self._stored("model_file")))
        return due

    def _ids(self, name: str) -> set[str]:
        rows = self.db.execute("SELECT id FROM items WHERE kind = ?", (name,))
        return {number for (number,) in rows}

    def _stored(self, kind: str) -> set[str]:
        rows = self.db.execute("SELECT id FROM media WHERE kind = ?", (kind,))
        return {str(number) for (number,) in rows}

    def _of_lost_posts(self) -> set[str]:
        rows = self.db.execute("SELECT id, parent FROM items WHERE kind = 'Image'")
        return {number for number, post in rows if post in self.lost["Post"]}

    def gone(self) -> list[Gone]:
        """Return what is gone, with some of the files that are kept of it."""
        stems = {item.__name__: stem for stem, item in FEEDS.items()}
        found = []
        for key, noticed in sorted(holdings.marks(self.db, "gone").items()):
            name, number = key.split(":", 1)
            rows = self.db.execute(_PARTS[name], (number,)) if name in _PARTS else ()
            kept = [path for (path,) in rows][:_KEPT]
            found.append(Gone(stems[name], int(number), noticed, kept))
        return found
