"""The folder of an export: known by its marker, filled by hard links, never overwritten.

Every file appears whole under its name or not at all, so that a run can be killed at any moment
and the next one goes on. What stands there already is never opened for writing: it may be a hard
link into the archive, or what its user has made of it.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

from civitai_crawler.exceptions import UsageError
from civitai_crawler.export.errors import SourceError, WriteError
from civitai_crawler.export.lock import alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

#: Holds what the next run has to know, and the file that is not yet whole.
MARKER = ".civitai-export"
_BLOCK = 1024 * 1024


class Folder:
    """A folder that is an export of one format."""

    def __init__(self, path: Path, *, copy: bool = False) -> None:
        self.path = path
        self._copies = copy
        self._parts = (path / MARKER / f"part-{number}" for number in count())

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, kind: str, archives: Iterable[Path], *, copy: bool = False
    ) -> Iterator[Folder]:
        """Make *path* a folder for exports of format *kind*, or find that it is one.

        Until the block ends no other export writes there.

        Raises:
            UsageError: it holds something else, overlaps an archive, cannot be written, or another
                export is at work there.

        """
        check_apart(path, archives)
        folder = cls(path, copy=copy)
        with ExitStack() as stack:
            with _usable(path):
                folder._make_room()
                stack.enter_context(alone(path / MARKER))
                folder._claim(kind)
            yield folder

    def _make_room(self) -> None:
        room = self.path / MARKER
        if not room.is_dir() and self.path.exists() and any(self.path.iterdir()):
            self._refuse()
        room.mkdir(parents=True, exist_ok=True)

    def _claim(self, kind: str) -> None:
        """Note the format, or find it noted; remove what a killed run has left."""
        marker = self.path / MARKER / "export.json"
        if not marker.exists():
            if any(one.name != MARKER for one in self.path.iterdir()):
                self._refuse()
            self.write_text(marker, json.dumps({"format": kind}))
        try:
            found = json.loads(marker.read_bytes())["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{marker} is damaged: name a new folder with --out.") from error
        if found != kind:
            raise UsageError(
                f"{self.path} is an export to {found}: name another folder with --out."
            )
        for part in marker.parent.glob("part-*"):
            part.unlink()

    def _refuse(self) -> NoReturn:
        raise UsageError(f"{self.path} holds something else: name a new folder with --out.")

    def add(self, source: Path, target: Path) -> bool:
        """Bring *source* to *target* if nothing is there; tell whether nothing was.

        A hard link, or a copy where links are not wanted or not possible. Raises as :meth:`copy`.
        """
        if not self._copies and not os.path.lexists(target):
            with _writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:  # another disk, a file system without links, too many of them ...
                return self.copy(source, target)
            return True
        return self.copy(source, target)

    def copy(self, source: Path, target: Path) -> bool:
        """Copy *source* to *target* if nothing is there; tell whether nothing was.

        Raises:
            SourceError: the source cannot be read.
            WriteError: the target cannot be written.

        """
        if os.path.lexists(target):
            return False
        with self.replacing(target) as part:
            _copy(source, part)
        return True

    def write_text(self, target: Path, text: str) -> None:
        """Write *target* anew as UTF-8; raises WriteError."""
        with self.replacing(target) as part:
            part.write_bytes(text.encode("utf-8", "replace"))

    @contextmanager
    def notes(self) -> Iterator[dict[str, Any]]:
        """Give what the last run has put there; what is there when the block ends is kept."""
        file = self.path / MARKER / "notes.json"
        try:
            found = json.loads(file.read_bytes())
        except (OSError, ValueError):
            found = None
        notes = found if isinstance(found, dict) else {}
        before = dict(notes)
        try:
            yield notes
        except BaseException:
            with suppress(WriteError):  # what has ended the block is told
                self.write_text(file, json.dumps(notes))
            raise
        if notes != before:
            self.write_text(file, json.dumps(notes))

    @contextmanager
    def replacing(self, target: Path) -> Iterator[Path]:
        """Give the path of a file that replaces *target* when the block ends well.

        An error of the system within the block becomes a WriteError.
        """
        part = next(self._parts)
        try:
            with _writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                yield part
                part.replace(target)
        finally:
            with suppress(OSError):  # a disk that was taken away, or has become read-only
                part.unlink(missing_ok=True)


def check_apart(path: Path, archives: Iterable[Path]) -> None:
    """See to it that an export and the archives it is made of do not lie in each other.

    Raises:
        UsageError: they do.

    """
    target = path.resolve()
    for archive in archives:
        source = archive.resolve()
        if target.is_relative_to(source) or source.is_relative_to(target):
            raise UsageError(
                f"{path} overlaps the archive {archive}: name another folder with --out."
            )


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, WriteError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path} cannot be used for the export: {why}") from error


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(target, error) from error


def _copy(source: Path, part: Path) -> None:
    """Copy bytes and time; only errors of the target are left to be an OSError."""
    try:
        stream = source.open("rb")
    except OSError as error:
        raise SourceError.of(error) from error
    with stream, part.open("wb") as copied:
        while block := _read(stream):
            copied.write(block)
    status = source.stat()
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(_BLOCK)
    except OSError as error:
        raise SourceError.of(error) from error
