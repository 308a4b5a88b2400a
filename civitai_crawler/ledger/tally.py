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
#: What a refusal is about, by its kind.
_CLASSES = {stem.removesuffix("s"): item.__name__ for stem, item in FEEDS.items()} | {
    "generation_data": "Image"
}
_PARTS = {
    "Image": "SELECT path FROM media WHERE kind = 'image' AND id = ?",
    "ModelFile": "SELECT path FROM media WHERE kind = 'model_file' AND id = ?",
    "Post": (
        "SELECT m.path FROM media m JOIN items i ON i.kind = 'Image' "
        "AND m.id = CAST(i.id AS INTEGER) WHERE m.kind = 'image' AND i.parent = ? ORDER BY m.path"
    ),
}
#: Items that lack something, with their parents; few, where the items themselves may be a million.
_WITHOUT_DATA = (
    "SELECT i.id, i.parent FROM items i WHERE i.kind = 'Image' AND NOT EXISTS "
    "(SELECT 1 FROM items g WHERE g.kind = 'GenerationData' AND g.id = i.id)"
)
_WITHOUT_FILE = {
    kind: f"SELECT i.id, i.parent FROM items i WHERE i.kind = '{name}' AND NOT EXISTS "  # noqa: S608  # the names below
    f"(SELECT 1 FROM media m WHERE m.kind = '{kind}' AND m.id = CAST(i.id AS INTEGER))"
    for kind, name in (("image", "Image"), ("model_file", "ModelFile"))
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
        """Tell whether the site shows the thing no more, or what it is a part of."""
        wholes = [(_CLASSES.get(refusal.kind), refusal.item_id), ("Post", refusal.post_id)]
        if refusal.kind in ("model_version", "model_file"):
            wholes += [("Model", refusal.model_id), ("ModelVersion", refusal.version_id)]
        return any(name and str(number) in self.lost[name] for name, number in wholes)

    def kind(self, stem: str) -> Kind:
        name = FEEDS[stem].__name__
        records, gone = self.records.get(name, 0), len(self.lost[name])
        excluded = self._left_out(name, _EXCLUDED.get(stem, ""))
        mine = [one for one in self.missing if one.kind == stem.removesuffix("s")]
        failed = [one for one in mine if not self._has_record(one, name)]
        named = {one.key for one in failed}
        return Kind(
            stem=stem,
            counts=[count for count in self.counts if count.stem == stem],
            listed=records - gone + excluded + len(failed),
            records=records,
            failed=_reasons(failed),
            excluded=excluded,
            gone=gone,
            files=self._files(stem, [one for one in mine if one.key not in named]),
        )

    def _left_out(self, name: str, mark: str) -> int:
        """Count what is excluded; what was flagged only after it was archived is held."""
        query = (
            "SELECT count(*) FROM marks e WHERE e.kind = ? AND NOT EXISTS "
            "(SELECT 1 FROM items i WHERE i.kind = ? AND i.id = e.id)"
        )
        return int(self.db.execute(query, (mark, name)).fetchone()[0])

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
        for kind, name, query, wanted in (
            ("generation_data", "Image", _WITHOUT_DATA, "GenerationData" in self.kinds),
            ("image", "Image", _WITHOUT_FILE["image"], "images" in self.download),
            ("model_file", "ModelFile", _WITHOUT_FILE["model_file"], "files" in self.download),
        ):
            if wanted:
                due.append((kind, self._standing(name, query) - self._not_chosen(name)))
        return due

    def _ids(self, name: str) -> set[str]:
        rows = self.db.execute("SELECT id FROM items WHERE kind = ?", (name,))
        return {number for (number,) in rows}

    def _standing(self, name: str, query: str) -> set[str]:
        """Return the ids of a query that the site still shows, as parts of what it does."""
        lost = self.lost[name]
        wholes = self.lost["Post"] if name == "Image" else self._lost_versions()
        return {
            number
            for number, parent in self.db.execute(query)
            if number not in lost and parent not in wholes
        }

    def _lost_versions(self) -> set[str]:
        """Return the versions that are gone, alone or with their model."""
        rows = self.db.execute("SELECT id, parent FROM items WHERE kind = 'ModelVersion'")
        with_model = {number for number, parent in rows if parent in self.lost["Model"]}
        return self.lost["ModelVersion"] | with_model

    def _not_chosen(self, name: str) -> set[str]:
        return set(holdings.marks(self.db, "not_chosen")) if name == "ModelFile" else set()

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
