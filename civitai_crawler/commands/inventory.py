"""What an archive folder holds by its own records, and what lies in it besides."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import FEEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Feeds whose records name files.
STEMS = ("model_files", "images")
_SUFFIXES = (".csv", ".jsonl")
#: What stands beside feeds in an archive: reports and pages made of them.
_ABOUT = frozenset({".json", ".md", ".html"})
#: Folders of an archive that no record speaks of.
_ASIDE = frozenset({"quarantine", "thumbnails"})
#: Files that stand beside a recorded one and share its stem.
_SIDECARS = (".json", ".txt", ".html", ".civitai.info")
_PREVIEW = ".preview."
#: A field of a CSV feed may hold nested values of any length.
_MAX_FIELD = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the records say."""

    what: str
    """``missing``, ``changed``, ``extra``, ``unreadable`` or ``broken`` (the record itself)."""
    path: Path
    """The file, or the feed of a broken record."""
    why: str = ""
    """In words, where ``what`` does not say all."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A file as its record describes it."""

    path: Path
    size: int | None
    sha256: str | None


def archives(given: Iterable[Path]) -> list[Path]:
    """Return the archive folders among *given* and directly below them.

    Raises:
        UsageError: a path is no folder, or there is no archive in it.

    """
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            raise UsageError(f"There is no folder {path}.")
        try:
            inside = sorted(child for child in path.iterdir() if child.is_dir())
        except OSError as error:
            raise UsageError(f"The folder {path} cannot be read: {error.strerror}.") from error
        here = [folder for folder in (path, *inside) if _is_archive(folder)]
        if not here:
            raise UsageError(f"{path} is no archive: there are no feeds such as images.jsonl.")
        found += here
    return list(dict.fromkeys(found))


def recorded(archive: Path, tell: Callable[[Finding], None]) -> dict[str, Recorded]:
    """Return the files that the records of *archive* name, by their normalised relative path.

    Of an id the last record with a path counts: a later one may be an update from a run that
    fetched no files. Records that cannot be understood are told.
    """
    found: dict[str, Recorded] = {}
    for stem in STEMS:
        rows: dict[str, tuple[dict[str, Any], Path]] = {}
        for suffix in _SUFFIXES:
            feed = archive / f"{stem}{suffix}"
            for record in _rows(feed, tell) if feed.exists() else ():
                if record.get("path"):
                    rows[str(record.get("id"))] = record, feed
        for record, feed in rows.values():
            try:
                one = _recorded(archive, record)
            except ValueError as error:
                tell(Finding("broken", feed, f"record {record.get('id')}: {error}"))
            else:
                found[_key(archive, one.path)] = one
    return found


def extras(archive: Path, known: dict[str, Recorded]) -> Iterator[Finding]:
    """Yield the files of *archive* that no record names, and folders that cannot be read.

    Feeds, reports, sidecars, quarantine, thumbnails and hidden files are no part of the records.
    """
    stems = {str(PurePosixPath(key).with_suffix("")) for key in known}
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
            ours = _is_about(name) if top else _is_sidecar(key, stems)
            if key not in known and not ours and not name.startswith("."):
                yield Finding("extra", file)
    for error in closed:
        yield Finding("unreadable", Path(error.filename), error.strerror or "")


def _is_archive(folder: Path) -> bool:
    return any((folder / f"{stem}{suffix}").is_file() for stem in FEEDS for suffix in _SUFFIXES)


def _is_about(name: str) -> bool:
    file = PurePosixPath(name)
    return file.suffix in _ABOUT or (file.stem in FEEDS and file.suffix in _SUFFIXES)


def _is_sidecar(key: str, stems: set[str]) -> bool:
    for ending in _SIDECARS:
        # "a.safetensors" has "a.json" or "a.safetensors.json".
        stem = key.removesuffix(ending)
        if stem != key and (stem in stems or str(PurePosixPath(stem).with_suffix("")) in stems):
            return True
    before, preview, _ = key.rpartition(_PREVIEW)
    return bool(preview) and before in stems


def _rows(feed: Path, tell: Callable[[Finding], None]) -> Iterator[dict[str, Any]]:
    try:
        with feed.open(encoding="utf-8", newline="") as stream:
            yield from _csv(stream) if feed.suffix == ".csv" else _lines(stream, feed, tell)
    except OSError as error:
        tell(Finding("unreadable", feed, error.strerror or ""))
    except (UnicodeDecodeError, csv.Error) as error:
        tell(Finding("broken", feed, f"the rest cannot be read: {error}"))


def _csv(stream: Iterable[str]) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(_MAX_FIELD)
    yield from csv.DictReader(stream)


def _lines(
    stream: Iterable[str], feed: Path, tell: Callable[[Finding], None]
) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(stream, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield record
        elif line.strip():
            tell(Finding("broken", feed, f"line {number} is no record"))


def _recorded(archive: Path, record: dict[str, Any]) -> Recorded:
    path = PurePosixPath(str(record["path"]))
    str(path).encode()  # half a character is no part of a name
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
        raise ValueError(f"its path leads out of the archive: {str(path)!r}")
    size = record.get("size_bytes")
    return Recorded(
        archive / path,
        None if size in (None, "") else int(str(size)),
        str(record["sha256"]).lower() if record.get("sha256") else None,
    )


def _key(archive: Path, file: Path) -> str:
    """Compare names as all systems do: some store accents apart from their letters."""
    return unicodedata.normalize("NFC", file.relative_to(archive).as_posix())
