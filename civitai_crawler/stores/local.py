"""Files in the archive's own folder."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from civitai_crawler.handlers.partfile import SPARE, fix
from civitai_crawler.ledger.media import BIG
from civitai_crawler.stores.base import Found, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from civitai_crawler.ledger import Media

BLOCK = 1 << 20
#: How file systems say that they make no (or no further) hard link here: other disk, FAT, network
#: folders, too many links, files of another owner.
_NO_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
}


class LocalStore:
    """A folder; equal bytes have one place on the disk and several names."""

    remote = False
    threads = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def holds(self, media: Media) -> bool:
        try:
            found = (self.folder / media.path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return found.st_size == media.size

    def found(self, path: str) -> Found | None:
        """Hash what lies at *path*."""
        return self._found(path, lambda: None)

    def put(self, part: Path, media: Media, check: Callable[[], None]) -> None:
        target = self.folder / media.path
        try:
            part.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        if media.size >= BIG:
            fix(target.parent)

    def share(
        self, held: Media, media: Media, aside: Path, check: Callable[[], None], *, copy: bool
    ) -> str | None:
        """Link, or copy where that does not work; *held* is hashed anew before."""
        if not self.holds(held) or self._found(held.path, check) != (held.size, held.sha256):
            return None
        aside.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        try:
            os.link(self.folder / held.path, aside)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            if not copy:
                return None
            self._copy(held, aside, check)
            how = "copied"
        else:
            how = "linked"
        self.put(aside, media, check)
        # Renaming onto another name of the same bytes does nothing at all.
        aside.unlink(missing_ok=True)
        return how

    def missing(self, paths: Iterable[str]) -> set[str]:
        if not self.folder.is_dir():
            return set()  # a disk that is not there proves nothing
        return {path for path in paths if not (self.folder / path).is_file()}

    def paths(self) -> Iterator[str]:
        for place, _, files in os.walk(self.folder):
            for file in files:
                yield (self.folder / place / file).relative_to(self.folder).as_posix()

    @contextmanager
    def stream(self, path: str) -> Iterator[Reading]:
        status = (self.folder / path).stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            raise IsADirectoryError(errno.EISDIR, "it is no file", path)
        with (self.folder / path).open("rb", buffering=0) as stream:
            yield Reading(status.st_size, iter(lambda: stream.read(BLOCK), b""))

    @contextmanager
    def pieces(self, path: str) -> Iterator[Callable[[int, int], bytes]]:
        with (self.folder / path).open("rb", buffering=0) as stream:

            def piece(at: int, length: int) -> bytes:
                stream.seek(at)
                return stream.read(length)

            yield piece

    @contextmanager
    def at_hand(self, path: str) -> Iterator[Path]:
        yield self.folder / path

    def name(self, path: str) -> str:
        return str(self.folder / path)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _found(self, path: str, check: Callable[[], None]) -> Found | None:
        digest = hashlib.sha256()
        try:
            with self.stream(path) as reading:
                for block in reading.blocks:
                    digest.update(block)
                    check()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return Found(reading.size, digest.hexdigest())

    def _copy(self, held: Media, aside: Path, check: Callable[[], None]) -> None:
        if shutil.disk_usage(aside.parent).free < held.size + SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(aside))
        with self.stream(held.path) as reading, aside.open("wb", buffering=0) as stream:
            for block in reading.blocks:
                rest = memoryview(block)
                while rest:
                    rest = rest[stream.write(rest) :]
                check()
            os.fsync(stream.fileno())
