"""What was written last, so that our own files are told from those of users and programs."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Beside the feeds; hidden, so that nobody takes it for part of the archive.
NAME = ".sidecars.json"


class Note:
    """The digests of the sidecars as we left them, and the state of the feeds they were made of.

    Losing it loses nothing: a sidecar that differs from what would be written is then merged with
    and backed up as if somebody else had written it.
    """

    def __init__(self, archive: Path) -> None:
        self._file = archive / NAME
        self.seen: Any = None
        """What the feeds and wishes were when everything was written."""
        self._own: dict[str, str] = {}
        self._load()

    def is_own(self, path: str, content: bytes) -> bool:
        """Tell whether *content* is what we wrote to *path*, and all of it is ours."""
        return self._own.get(path) == _digest(content)

    def knows(self, path: str) -> bool:
        """Tell whether what we wrote to *path* may still be there."""
        return path in self._own

    def own(self, path: str, content: bytes) -> None:
        self._own[path] = _digest(content)

    def disown(self, path: str) -> None:
        self._own.pop(path, None)

    def save(self, seen: Any) -> None:
        """Write the note; *seen* says what everything is up to date with, ``None`` nothing."""
        self.seen = seen
        text = json.dumps({"seen": seen, "own": self._own}, indent=0, sort_keys=True)
        write_whole(self._file, text.encode())

    def _load(self) -> None:
        try:
            found = json.loads(self._file.read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return
        if isinstance(found, dict) and isinstance(found.get("own"), dict):
            self.seen, self._own = found.get("seen"), found["own"]


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, durable when this returns."""
    with replacing(file) as part, part.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Give the path of a hidden file beside *file*, which it replaces when the block ends well.

    One that a killed run has left goes first.
    """
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        part.replace(file)
    except BaseException:
        with suppress(OSError):  # a disk that takes nothing may not let go either
            part.unlink(missing_ok=True)
        raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]
