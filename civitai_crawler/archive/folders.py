"""Which folders are archives, and which of their files are feeds."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import FEEDS

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Endings of feeds; an archive that changed its format has both.
SUFFIXES = (".csv", ".jsonl")
#: What a feed that ``fresh=true`` has set aside has in its name besides.
_ASIDE = re.compile(r"\.\d{8}T\d{6}Z$")


def check_names() -> None:
    """Raise :class:`UsageError` where the system's language keeps names from being written."""
    encoding = sys.getfilesystemencoding()
    if encoding.replace("-", "").lower() != "utf8":
        raise UsageError(
            f"File names cannot be written here as UTF-8, but as {encoding}: set PYTHONUTF8=1."
        )


def nearest(folder: Path) -> Path:
    """Give the folder, or where it has yet to be made the nearest one around it that is there."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def archives(given: Iterable[Path]) -> list[Path]:
    """Return the archive folders among *given* and directly below them, without hidden ones.

    Raises:
        UsageError: a path is no folder, or there is no archive in it; see :func:`check_names` too.

    """
    check_names()
    found: list[Path] = []
    for path in given:
        try:
            if not path.is_dir():
                raise UsageError(f"There is no folder {path}.")
            inside = sorted(
                child for child in path.iterdir() if child.name[0] != "." and child.is_dir()
            )
            here = [folder for folder in (path, *inside) if _is_archive(folder)]
        except OSError as error:
            place = error.filename or path
            raise UsageError(f"The folder {place} cannot be read: {error.strerror}.") from error
        if not here:
            raise UsageError(f"{path} is no archive: there are no feeds such as images.jsonl.")
        found += here
    return list(dict.fromkeys(found))


def feeds(archive: Path, stem: str) -> list[Path]:
    """Return the feeds of one class that *archive* has; what is read last counts.

    So of two formats the one that is still written to comes last.
    """
    named = (archive / f"{stem}{suffix}" for suffix in SUFFIXES)
    return sorted(filter(Path.is_file, named), key=lambda feed: feed.stat().st_mtime_ns)


def inside(archive: Path, path: str) -> Path:
    """Return where the file lies that a record names by *path*.

    Raises:
        ValueError: the path is no text of a name, or leads out of the archive.

    """
    relative = PurePosixPath(path)
    path.encode()  # half a character is no part of a name
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in path:
        raise ValueError(f"its path leads out of the archive: {path!r}")
    return archive / relative


def feed_sizes(archive: Path) -> dict[str, int]:
    """Return the size in bytes of each feed of *archive*: feeds only ever grow."""
    found = (feed for stem in FEEDS for feed in feeds(archive, stem))
    return {feed.name: feed.stat().st_size for feed in found}


def is_feed(name: str) -> bool:
    """Tell whether a file of this name is a feed of an archive, or was one until a fresh start."""
    stem, dot, suffix = name.rpartition(".")
    return _ASIDE.sub("", stem) in FEEDS and dot + suffix in SUFFIXES


def _is_archive(folder: Path) -> bool:
    return any(feeds(folder, stem) for stem in FEEDS)
