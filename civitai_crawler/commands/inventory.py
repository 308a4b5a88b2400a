"""What an archive folder holds by its own records, and what lies in it besides."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from civitai_crawler.archive.feeds import lines
from civitai_crawler.archive.folders import feeds, inside, is_feed
from civitai_crawler.stores import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from civitai_crawler.archive.feeds import Line
    from civitai_crawler.stores import Store, Stores

#: Feeds whose records name files, with the word of the settings that says where those lie.
STEMS = {"model_files": "files", "images": "images"}
#: What stands beside feeds in an archive: reports and pages made of them.
_ABOUT = frozenset({".json", ".md", ".html"})
#: Folders of an archive that no record speaks of.
_ASIDE = frozenset({"quarantine", "thumbnails"})
#: Files that stand beside a recorded one and share its stem.
_SIDECARS = (".json", ".txt", ".html", ".civitai.info")
_PREVIEW = ".preview."
#: Added to the name of a sidecar that was changed (``civitai_crawler.sidecars``).
_BACKUP = ".civitai_crawler.bak"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the records say."""

    what: str
    """``missing``, ``changed``, ``extra``, ``unreadable`` or ``broken`` (the record itself)."""
    path: Path | str
    """The file, or the feed of a broken record; an object of a bucket as ``s3://...``."""
    why: str = ""
    """In words, where ``what`` does not say all."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file as its record describes it."""

    path: str
    """Relative to the archive, POSIX."""
    size: int | None
    sha256: str | None
    store: Store
    """Where it lies."""
    is_former: bool = False
    """A later record of the same id names another file: this one may lie beside it, or be gone."""


def recorded(
    archive: Path, tell: Callable[[Finding], None], stores: Stores | None = None
) -> dict[str, Recorded]:
    """Return the files that the records of *archive* name, by their normalised relative path.

    *stores*: where they lie; left out: in the archive's folder. Of an id the last record with a
    path counts: a later one may be an update from a run that fetched no files. What it has replaced
    is former. Records that cannot be understood are told.
    """
    found: dict[str, Recorded] = {}
    for stem, word in STEMS.items():
        store = stores.get(word, archive) if stores else LocalStore(archive)
        for line, is_former in _rows(archive, stem, tell):
            try:
                one = _recorded(archive, line.values, store, is_former=is_former)
            except ValueError as error:
                tell(Finding("broken", line.feed, f"record {line.values.get('id')}: {error}"))
            else:
                found[_normal(one.path)] = one
    return found


def _rows(archive: Path, stem: str, tell: Callable[[Finding], None]) -> Iterator[tuple[Line, bool]]:
    """Yield the lines that name a file, first the former ones, each with whether it is one."""
    rows: dict[str, Line] = {}
    former: list[Line] = []
    for feed in feeds(archive, stem):
        for line in lines(feed, lambda one: tell(Finding(one.what, one.feed, one.why))):
            if path := line.values.get("path"):
                before = rows.get(number := str(line.values.get("id")))
                if before is not None and before.values["path"] != path:
                    former.append(before)
                rows[number] = line
    yield from ((line, True) for line in former)
    yield from ((line, False) for line in rows.values())


def far_extras(known: dict[str, Recorded], archive: Path, stores: Stores) -> Iterator[Finding]:
    """Yield the objects in buckets that no record of *archive* names, by the rules of a folder.

    Somebody may have copied all of it there. What ends in a slash is how consoles show a folder.
    """
    far = {id(store): store for store in (stores.get(word, archive) for word in STEMS.values())}
    stems = _stems(known)
    for store in (store for store in far.values() if store.remote):
        for path in store.paths():
            key = _normal(path)
            if key not in known and key[-1:] not in ("", "/") and not _is_aside(key, stems):
                yield Finding("extra", store.name(path))


def extras(archive: Path, known: dict[str, Recorded]) -> Iterator[Finding]:
    """Yield the files of *archive* that no record names, and folders that cannot be read.

    Feeds, reports, sidecars, quarantine, thumbnails and hidden files are no part of the records.
    """
    stems = _stems(known)
    closed: list[OSError] = []
    for place, folders, files in os.walk(archive, onerror=closed.append):
        folder = Path(place)
        top = folder == archive
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (top and name in _ASIDE)
        )
        for name in sorted(files):
            file = folder / name
            key = _key(archive, file)
            if key not in known and not _is_aside(key, stems):
                yield Finding("extra", file)
    for error in closed:
        yield Finding("unreadable", Path(error.filename), error.strerror or "")


def _is_aside(key: str, stems: set[str]) -> bool:
    """Tell whether a file is one of those that no record has to name."""
    parts = PurePosixPath(key).parts
    if any(part.startswith(".") for part in parts):
        return True
    if len(parts) == 1:
        return PurePosixPath(key).suffix in _ABOUT or is_feed(key)
    return parts[0] in _ASIDE or _is_sidecar(key, stems)


def _stems(known: Iterable[str]) -> set[str]:
    return {str(PurePosixPath(key).with_suffix("")) for key in known}


def _is_sidecar(key: str, stems: set[str]) -> bool:
    key = key.removesuffix(_BACKUP)
    for ending in _SIDECARS:
        # "a.safetensors" has "a.json" or "a.safetensors.json".
        stem = key.removesuffix(ending)
        if stem != key and (stem in stems or str(PurePosixPath(stem).with_suffix("")) in stems):
            return True
    before, preview, _ = key.rpartition(_PREVIEW)
    return bool(preview) and before in stems


def _recorded(archive: Path, record: dict[str, Any], store: Store, *, is_former: bool) -> Recorded:
    size = record.get("size_bytes")
    return Recorded(
        inside(archive, str(record["path"])).relative_to(archive).as_posix(),
        None if size in (None, "") else int(str(size)),
        str(record["sha256"]).lower() if record.get("sha256") else None,
        store,
        is_former,
    )


def _key(archive: Path, file: Path) -> str:
    return _normal(file.relative_to(archive).as_posix())


def _normal(path: str) -> str:
    """Compare names as all systems do: some store accents apart from their letters."""
    return unicodedata.normalize("NFC", path)
