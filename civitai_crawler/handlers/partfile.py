"""A download under way: ``name.part`` and, beside it, ``name.part.json`` saying what it is part of.

The JSON holds the validator and the length of the original, never a URL. All methods of
:class:`PartFile` block and belong into a thread; :func:`in_thread` puts them there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import math
import os
import shutil
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from civitai_crawler.handlers.ring import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from pathlib import Path

_P = ParamSpec("_P")
_T = TypeVar("_T")
#: Bytes from which on it pays to hash in another thread than the one that writes.
_APART = 1 << 18
#: Bytes of the beginning that are kept, to tell what a file is.
HEAD = 512
#: Bytes that stay free on the disk beyond what a download is going to take.
SPARE = 64 << 20
#: Seconds for which a look at the room is enough for small bodies, and when there was the last.
_GLANCE = 0.5
_glances: dict[Path, float] = {}
#: Bytes after which the room on the disk is looked at again.
LOOK = 32 << 20


def side(part: Path) -> Path:
    """Give the path of the JSON beside *part*."""
    return part.with_name(part.name + ".json")


def noted(part: Path) -> bool:
    """Tell whether an earlier try has left something to go on from."""
    return os.path.exists(f"{part}.json")  # noqa: PTH110  # asked for every picture; a Path is slow


def keep(part: Path, target: Path) -> None:
    """Turn a complete part into *target*, durably; the JSON beside it goes."""
    part.replace(target)
    fix(target.parent)
    side(part).unlink(missing_ok=True)


def fix(place: Path) -> None:
    """Make the names in a folder durable, where the system knows how."""
    if os.name == "posix":
        folder = os.open(place, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def discard(part: Path) -> None:
    """Delete a part and the JSON beside it, as far as they exist."""
    side(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def write_whole(part: Path, body: bytes) -> None:
    """Make *part* of *body*, durably; raises OSError (ENOSPC) where it has no room.

    Each call of the system costs a thread its turn at the interpreter, so there are few.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(part, flags, 0o666)
    except FileNotFoundError:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(part, flags, 0o666)
    try:
        _glance_at_room(part, len(body))
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


class PartFile:
    """The bytes so far, their SHA256 and their beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.head = b""
        #: What the server calls this state of the original; ``None``: it cannot be resumed.
        self.validator: str | None = None
        #: Bytes of the whole original; ``None`` when the server did not tell.
        self.total: int | None = None
        #: Media type of the original as the server named it.
        self.content_type = ""
        #: All bytes, when they are in memory and not in the file.
        self.body: bytes | None = None
        #: Whether something lies on the disk, a part or the JSON beside it.
        self.is_begun = False
        self._hash = hashlib.sha256()
        self._file: FileIO | None = None
        self._looked = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def load(self, check: Callable[[], None]) -> None:
        """Take up what an earlier try left, hashing it again; *check* may raise to end that."""
        self.is_begun = True
        note = self._read_note()
        if note is None or not self.path.is_file():
            return
        self._file = self.path.open("r+b", buffering=0)
        buffer = memoryview(bytearray(BATCH))
        while read := self._file.readinto(buffer):
            self._hash.update(buffer[:read])
            self._count(buffer[:read])
            check()
        self.validator, self.total = note["validator"], note["total"]
        self.content_type = str(note.get("content_type", ""))

    def restart(
        self, validator: str | None = None, total: int | None = None, content_type: str = ""
    ) -> None:
        """Begin anew with an empty file."""
        self.close()
        self.is_begun = True
        self.size, self.head, self._hash, self._looked = 0, b"", hashlib.sha256(), 0
        self.body = None
        self.validator, self.total, self.content_type = validator, total, content_type
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The note first: bytes of a new state must never lie beside the validator of an old one.
        side(self.path).unlink(missing_ok=True)
        self._file = self.path.open("wb", buffering=0)
        if validator is not None:
            note = {"validator": validator, "total": total, "content_type": content_type}
            side(self.path).write_text(json.dumps(note), encoding="utf-8")

    def reserve(self) -> None:
        """Raise OSError (ENOSPC) now if the rest cannot fit on the disk, as far as it is known."""
        self._looked = self.size
        _find_room(self.path, 0 if self.total is None else self.total - self.size)

    def begin(self, validator: str | None, total: int | None, content_type: str) -> None:
        """Begin anew, where all of it has room."""
        self.restart(validator, total, content_type)
        self.reserve()

    def hold(self, body: bytes, total: int, content_type: str) -> None:
        """Be *body*, which nobody has written yet."""
        self.close()
        self.body = body
        self.size, self.head, self._hash = len(body), body[:HEAD], hashlib.sha256(body)
        self.total, self.content_type = total, content_type

    def append(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Write and hash *chunks*."""
        self.write(chunks)
        self.digest(chunks)

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append *chunks* without hashing them; :meth:`digest` may run at the same time."""
        if self._file is None:
            raise ValueError("The part file is not open.")
        # Others write to the disk as well, and a server need not tell how much is to come.
        if self.size - self._looked >= LOOK:
            self.reserve()
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                written = self._file.write(rest)
                self._count(rest[:written])
                rest = rest[written:]

    def digest(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Hash *chunks*; each has to pass here once, in the order of writing."""
        for chunk in chunks:
            self._hash.update(chunk)

    def finish(self) -> None:
        """Make the bytes durable and close the file."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self.close()

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _count(self, data: memoryview) -> None:
        self.size += len(data)
        if len(self.head) < HEAD:
            self.head += bytes(data[: HEAD - len(self.head)])

    def _read_note(self) -> dict[str, Any] | None:
        try:
            note = json.loads(side(self.path).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(note, dict) or not isinstance(note.get("validator"), str):
            return None
        return note if isinstance(note.get("total", ""), (int, type(None))) else None


def _glance_at_room(part: Path, size: int) -> None:
    """Find room for a small body, unless it was found in this folder a moment ago."""
    now = time.monotonic()
    if now - _glances.get(part.parent, -math.inf) >= _GLANCE:
        _find_room(part, size)
        _glances.clear()
        _glances[part.parent] = now


def _find_room(part: Path, size: int) -> None:
    if shutil.disk_usage(part.parent).free < size + SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))


async def append(part: PartFile, pieces: Sequence[bytes | memoryview]) -> None:
    """Write and hash *pieces*, both at once if they are long."""
    if sum(map(len, pieces)) < _APART:
        await in_thread(part.append, pieces)
        return
    works = (part.write, part.digest)
    ended = await asyncio.gather(
        *(in_thread(work, pieces) for work in works), return_exceptions=True
    )
    for outcome in ended:
        if outcome is not None:
            raise outcome


async def in_thread(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run *work* in a thread; who is cancelled meanwhile still waits, for a part has one writer."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
    return running.result()
