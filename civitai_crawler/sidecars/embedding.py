"""Copies of an archive's images with their generation data inside; originals stay as they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from civitai_crawler.api import containers
from civitai_crawler.api.embedded import embedded
from civitai_crawler.exceptions import UsageError
from civitai_crawler.sidecars import generation_text
from civitai_crawler.sidecars.note import Note, replacing
from civitai_crawler.sidecars.placing import LeftAloneError, Placer
from civitai_crawler.sidecars.reading import Library
from civitai_crawler.sidecars.splicing import NoPlaceError, spliced

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from civitai_crawler.archive import Problem
    from civitai_crawler.items import GenerationData
    from civitai_crawler.sidecars.splicing import Piece
    from civitai_crawler.sidecars.subject import Shown

_BLOCK = 1 << 20


@dataclass(slots=True)
class Copied:
    """What came of making copies."""

    embedded: int = 0
    """Copies with texts that the original does not hold."""
    plain: int = 0
    """Copies without: the original holds them itself, or nothing is known."""
    problems: int = 0
    """Images that could not be copied, or without their texts, and broken records; each told."""


def embed(archive: Path, folder: Path, tell: Callable[[str], None]) -> Copied:
    """Copy the PNG, JPEG and WebP images of *archive* to *folder*, under the same names.

    AUTOMATIC1111's text and ComfyUI's graphs are added where the file lacks them; the picture is
    copied as it is. Videos and other formats are left out.

    Raises:
        UsageError: *folder* is in the archive, or the archive in it.

    """
    here, there = archive.resolve(), folder.resolve()
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise UsageError(f"Copies of {archive} cannot go to {folder}: the originals are there.")
    copied = Copied()

    def note(problem: Problem) -> None:
        copied.problems += 1
        tell(f"{problem.feed}: {problem.why}")

    source, target = Placer(archive, Note(archive)), folder
    with Library(archive, note) as library:
        for shown in library.images():
            path = PurePosixPath(shown.image.path or "")
            try:
                why = _copy(source.file(path), target / path, shown, copied)
            except LeftAloneError as error:
                why = str(error)
            except OSError as error:
                why = error.strerror or type(error).__name__
            if why:
                copied.problems += 1
                tell(f"{path}: {why}")
    return copied


def _copy(original: Path, target: Path, shown: Shown, copied: Copied) -> str:
    """Copy one image; return why its texts are not in it, nothing where they are."""
    why = ""
    with original.open("rb", buffering=0) as stream:

        def read(at: int, length: int) -> bytes:
            stream.seek(at)
            return stream.read(length)

        container, _ = containers.texts(read)
        if not container:
            return ""
        size = os.fstat(stream.fileno()).st_size
        pieces: list[Piece] = [(0, size)]
        if texts := _missing(read, shown.generation):
            try:
                pieces = spliced(container, read, size, texts)
            except NoPlaceError as error:
                why = str(error)
        _write(stream, pieces, target)
    copied.embedded += len(pieces) > 1
    copied.plain += len(pieces) == 1
    return why


def _missing(read: containers.Read, generation: GenerationData | None) -> dict[str, str]:
    """Return the texts that the file does not hold itself."""
    if generation is None:
        return {}
    found = embedded(read)
    texts = dict(generation_text.graphs(generation))
    text = generation_text.parameters(generation)
    if text is not None and not (found and found.text):
        texts = {"parameters": text, **texts}
    held = found.comfy if found else {}
    return {name: value for name, value in texts.items() if name not in held}


def _write(stream: BinaryIO, pieces: list[Piece], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as part, part.open("xb") as out:
        for piece in pieces:
            if isinstance(piece, bytes):
                out.write(piece)
                continue
            stream.seek(piece[0])
            left = piece[1] - piece[0]
            while left and (block := stream.read(min(left, _BLOCK))):
                out.write(block)
                left -= len(block)
