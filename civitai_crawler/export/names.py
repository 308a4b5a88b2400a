"""Names in a tree that programs read: one stem for one model, on every file system."""

from __future__ import annotations

import filecmp
import unicodedata
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from civitai_crawler.export.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What stands beside models: it shares their stem and takes none from them.
_BESIDE = frozenset(
    {".json", ".info", ".txt", ".html", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
    | {".mp4", ".webm", ".avif", ".jxl"}
)


class Names:
    """The names in use.

    Stems are told apart as on file systems that ignore case and the spelling of accents, because
    the sidecars of two models with one stem would be one file. A file that stands in the tree shows
    itself whether it is the one; of one that its user has edited *origins* tell it.
    """

    def __init__(self, root: Path, origins: dict[str, Any]) -> None:
        """Name files below *root*, and keep *origins*: of what each was made, by its path."""
        self._root = root
        self._origins = origins
        self._used: dict[Path, dict[str, str]] = {}

    def target(self, place: Path, stem: str, suffix: str, source: Path, number: int) -> Path:
        """Return where *source*, the file of id *number*, stands or is to stand in *place*.

        The first file of a stem keeps it; others have their id in it. Raises SourceError when
        *source* is gone.
        """
        used = self._names(place)
        origin = _origin(source, number)
        for candidate in _candidates(stem, number):
            key = _key(candidate + suffix)
            is_free = key not in used
            target = place / used.setdefault(key, candidate + suffix)
            path = target.relative_to(self._root).as_posix()
            if is_free or self._origins.get(path) == origin or _is_same(source, target):
                self._origins[path] = origin
                return target
        raise AssertionError("unreachable: there is always one more candidate")

    def _names(self, place: Path) -> dict[str, str]:
        if place not in self._used:
            there = sorted(place.iterdir()) if place.is_dir() else []
            self._used[place] = {_key(file.name): file.name for file in there}
        return self._used[place]


def _candidates(stem: str, number: int) -> Iterator[str]:
    yield stem
    yield f"{stem} ({number})"
    for more in count(2):
        yield f"{stem} ({number}-{more})"


def _key(name: str) -> str:
    path = PurePosixPath(name)
    kept = name if path.suffix.lower() in _BESIDE else path.stem
    return unicodedata.normalize("NFC", kept).casefold()


def _origin(source: Path, number: int) -> list[int]:
    """Return what is another list as soon as *source*, the file of id *number*, is another file."""
    try:
        status = source.stat()
    except OSError as error:
        raise SourceError.of(error) from error
    return [number, status.st_size, status.st_mtime_ns]


def _is_same(source: Path, target: Path) -> bool:
    """Tell whether *target* is a link to *source*, or a copy of it."""
    try:
        ours, theirs = source.stat(), target.stat()
        if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
            return True
        if ours.st_size != theirs.st_size:
            return False
        # Copies have the time of what they are copies of; some file systems cannot keep it.
        return ours.st_mtime_ns == theirs.st_mtime_ns or filecmp.cmp(source, target, shallow=False)
    except OSError:
        return False
