"""Puts sidecars in their places without losing what others have written there."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars.note import replacing, write_whole
from civitai_crawler.sidecars.preview import EXTENSIONS, ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.items import Image
    from civitai_crawler.sidecars.note import Note

#: Added to the name of a sidecar of somebody else's before it is changed for the first time. Other
#: programs call theirs ``.bak``.
BACKUP = ".civitai_crawler.bak"
#: Endings under which programs look for a preview.
_PREVIEWS = (*EXTENSIONS.values(), "jpg", "mp4", "webm")


class LeftAloneError(Exception):
    """A sidecar is not written, and why; what is there stays."""


@dataclass(slots=True)
class Outcome:
    """What came of writing sidecars."""

    written: int = 0
    """Files that are new or changed."""
    same: int = 0
    """Files that were as they should be."""
    kept: int = 0
    """Files of other programs or users that had to stay as they are."""
    problems: int = 0
    """Files that could not be written, and records that could not be read; each kind told."""


class Placer:
    """Writes into one archive; what is wrong costs the file it is wrong with."""

    def __init__(self, archive: Path, note: Note) -> None:
        self._archive = archive
        self._root = archive.resolve()
        self._note = note
        self.outcome = Outcome()
        self._is_inside = cache(self._leads_inside)

    def file(self, path: PurePosixPath) -> Path:
        """Return where *path* lies.

        Raises:
            LeftAloneError: it leads out of the archive, or is a link that may.

        """
        if path.is_absolute() or ".." in path.parts:
            raise LeftAloneError("the path leads out of the archive")
        if not _is_name(str(path)):
            raise LeftAloneError("the path is no name for a file")
        file = self._archive / path
        if not self._is_inside(file.parent) or file.is_symlink():
            raise LeftAloneError("the path is a link")
        return file

    def json(
        self,
        path: PurePosixPath,
        built: dict[str, Any],
        merge: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None],
    ) -> None:
        """Write *built*, merged with what somebody else has written to *path*.

        Raises:
            LeftAloneError: what is there is no JSON object, or no place to write to.
            OSError: the disk says no.

        """
        fresh = _encode(built)
        held = self._write_own(path, fresh)
        if held is None:
            return
        old = _decode(held)
        merged = merge(old, built)
        if merged is None:
            self.outcome.kept += 1
        elif merged == old:
            self.outcome.same += 1
        else:
            self._back_up(path, held)
            write_whole(self.file(path), _encode(merged))
            self.outcome.written += 1

    def text(self, path: PurePosixPath, text: str) -> None:
        """Write a text; somebody else's stays.

        Raises:
            LeftAloneError: there is no place to write to.
            OSError: the disk says no.

        """
        if self._write_own(path, text.encode("utf-8", "backslashreplace")) is not None:
            self.outcome.kept += 1

    def picture(self, path: PurePosixPath, image: Image | None) -> Path | None:
        """Put the original of *image* beside the model file *path*, as its preview.

        Return it; ``None`` when somebody else's is there, which stays, or *image* is ``None``. The
        original is linked where the disk can, else copied. An earlier one of ours goes.

        Raises:
            LeftAloneError: a path leads out of the archive.
            OSError: the disk says no, or the original is gone.

        """
        wanted = None if image is None else path.with_name(path.stem + ending(image))
        source = None if image is None else self.file(PurePosixPath(image.path or ""))
        standing = self.previews(path)
        if not all(self._may_replace(one, wanted, source) for one in standing):
            self.outcome.kept += image is not None
            return None
        if wanted is not None and source is not None:
            self._show(source, wanted, is_there=wanted in standing)
        for one in standing:
            if one != wanted:
                self.file(one).unlink()
                self._note.disown(str(one))
        return None if wanted is None else self.file(wanted)

    def previews(self, path: PurePosixPath) -> list[PurePosixPath]:
        """Return what programs take for the preview of a model file, as far as it is there."""
        names = [f"{path.stem}{dot}{ext}" for dot in (".preview.", ".") for ext in _PREVIEWS]
        found = (path.with_name(name) for name in names)
        return [one for one in found if os.path.lexists(self._archive / one)]

    def _may_replace(
        self, one: PurePosixPath, wanted: PurePosixPath | None, source: Path | None
    ) -> bool:
        file = self.file(one)
        if source is not None and one == wanted and filecmp.cmp(file, source, shallow=False):
            return True
        return self._note.knows(str(one)) and self._note.is_own(str(one), file.read_bytes())

    def _show(self, source: Path, wanted: PurePosixPath, *, is_there: bool) -> None:
        target = self.file(wanted)
        if is_there and filecmp.cmp(target, source, shallow=False):
            self.outcome.same += 1
        else:
            _link(source, target)
            self.outcome.written += 1
        if not self._note.knows(str(wanted)) or not is_there:
            self._note.own(str(wanted), source.read_bytes())

    def _write_own(self, path: PurePosixPath, fresh: bytes) -> bytes | None:
        """Write *fresh* where nothing or only our own is; else return what is there."""
        file = self.file(path)
        try:
            held = file.read_bytes()
        except FileNotFoundError:
            held = None
        if held is not None and held != fresh and not self._note.is_own(str(path), held):
            self._note.disown(str(path))
            return held
        if held == fresh:
            self.outcome.same += 1
        else:
            write_whole(file, fresh)
            self.outcome.written += 1
        self._note.own(str(path), fresh)
        return None

    def _back_up(self, path: PurePosixPath, held: bytes) -> None:
        backup = self.file(path.with_name(path.name + BACKUP))
        if not backup.exists():
            write_whole(backup, held)

    def _leads_inside(self, folder: Path) -> bool:
        return folder.resolve().is_relative_to(self._root)


def _is_name(path: str) -> bool:
    """Tell whether a disk can take the name: half a character and NUL are no part of one."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in path


def _link(source: Path, target: Path) -> None:
    with replacing(target) as part:
        try:
            os.link(source, part)
        except OSError:  # a disk without hard links
            shutil.copyfile(source, part)


def _encode(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    return text.encode("utf-8", "backslashreplace")  # half a character becomes its JSON escape


def _decode(held: bytes) -> dict[str, Any]:
    try:
        found = json.loads(held.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LeftAloneError("what is there is no JSON") from error
    if not isinstance(found, dict):
        raise LeftAloneError("what is there is no JSON object")
    return found
