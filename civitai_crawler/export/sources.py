"""The files of an archive that records name: looked at before they are exported."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from civitai_crawler.api import captions
from civitai_crawler.archive import Records, inside, records
from civitai_crawler.export.errors import SourceError
from civitai_crawler.export.selection import Chooser
from civitai_crawler.export.values import sound
from civitai_crawler.items import GenerationData, Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from civitai_crawler.export.job import Job


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that is in the export, and its file."""

    image: Image
    data: GenerationData | None
    base_model: str | None
    file: Path
    archive: Path

    def caption(self, style: str) -> str:
        """Return the prompt as a caption, one of ``job.CAPTIONS``; empty where there is none."""
        prompt = (self.data.prompt if self.data else None) or ""
        if style == "none":
            return ""
        return sound(captions.plain(prompt) if style == "plain" else captions.one_line(prompt))


def pictures(job: Job, suffixes: frozenset[str]) -> Iterator[Picture]:
    """Yield the images that *job* chooses and whose files have one of *suffixes*, each id once."""
    seen: set[int] = set()
    for archive in job.archives:
        chooser = Chooser(archive, job.selection, job.outcome.problem)
        with Records(archive, GenerationData, job.outcome.problem) as data:
            for image in records(archive, Image, job.outcome.problem):
                job.tick()
                if image.id in seen:
                    continue
                file = _file(job, archive, image, chooser.refusal(image), suffixes)
                if file is not None:
                    seen.add(image.id)
                    job.outcome.found(image.id)
                    base = chooser.base_model(image)
                    yield Picture(image, data.get(image.id), base, file, archive)


def _file(
    job: Job, archive: Path, image: Image, refusal: str | None, suffixes: frozenset[str]
) -> Path | None:
    """Return the file of an image that is to be exported; count why another is not."""
    if refusal or image.type != "image":
        job.outcome.passed[refusal or f"{image.type}s"] += 1
    elif image.path is None:
        job.outcome.lack(image.id)
    elif (suffix := PurePosixPath(image.path).suffix.lower()) not in suffixes:
        job.outcome.passed[f"{suffix[1:] or 'nameless'} images"] += 1
    else:
        try:
            return stored(archive, image.path)
        except SourceError as error:
            job.outcome.lose(error.reason, archive / image.path, error.why)
    return None


def stored(archive: Path, path: str) -> Path:
    """Return the true place of a file of *archive*, after a look at it.

    Raises:
        SourceError: it is not there, no file, or outside of the archive.

    """
    try:
        file = inside(archive, path).resolve(strict=True)
        if not stat.S_ISREG(file.stat().st_mode):
            raise SourceError("unreadable", "it is no file")
    except ValueError as error:
        raise SourceError("broken", str(error)) from error
    except RuntimeError as error:  # a loop of symbolic links
        raise SourceError("unreadable", "it leads to itself") from error
    except OSError as error:
        raise SourceError.of(error) from error
    if not file.is_relative_to(archive.resolve()):
        raise SourceError("broken", "it leads out of the archive")
    return file
