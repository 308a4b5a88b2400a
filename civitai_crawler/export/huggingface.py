"""``hf``: a Hugging Face ``imagefolder``: images, and ``metadata.jsonl`` about each of them.

``train/<last two digits of the id>/<image id>.<ext>``, so that no folder grows large.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from civitai_crawler.export.errors import SourceError
from civitai_crawler.export.folder import Folder
from civitai_crawler.export.sources import Picture, pictures
from civitai_crawler.export.values import moment, sound, whole
from civitai_crawler.items import GenerationData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from civitai_crawler.export.job import Job
    from civitai_crawler.items import Resource

#: What Pillow, with which ``datasets`` decodes, reads out of the box.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
METADATA = "metadata.jsonl"


def write(job: Job) -> None:
    """Add the images of *job* to the folder, and write the metadata of all that it holds."""
    split = job.target / "train"
    with (
        Folder.opened(job.target, "hf", job.archives, copy=job.copy) as folder,
        folder.replacing(split / METADATA) as part,
        TemporaryFile(dir=part.parent) as body,
    ):
        lines = _Lines(body)
        for picture in pictures(job, SUFFIXES):
            name = f"{picture.image.id % 100:02}/{picture.image.id}{picture.file.suffix}"
            try:
                added = folder.add(picture.file, split / name)
            except SourceError as error:
                job.outcome.lose(error.reason, picture.file, error.why)
                continue
            job.outcome.count(added=added)
            lines.add(_row(picture, name, picture.caption(job.caption)))
        lines.keep(split)
        with part.open("wb") as out:
            lines.write(out)


def _row(picture: Picture, name: str, caption: str) -> dict[str, Any]:
    image, data = picture.image, picture.data or GenerationData(id=0, prompt_state="absent")
    date = moment(image.published_at or image.created_at)
    return {
        "file_name": name,
        "text": caption,
        "image_id": image.id,
        "post_id": whole(image.post_id),
        "version_id": whole(image.version_id),
        "creator": _text(image.creator),
        "width": whole(image.width),
        "height": whole(image.height),
        "nsfw_level": whole(image.nsfw_level),
        "base_model": _text(picture.base_model),
        "published_at": date and date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "prompt_state": _text(data.prompt_state),
        "prompt": _text(data.prompt),
        "negative_prompt": _text(data.negative_prompt),
        "seed": None if data.seed is None else str(data.seed),
        "steps": whole(data.steps),
        "cfg_scale": data.cfg_scale,
        "sampler": _text(data.sampler),
        "resources": [_resource(one) for one in data.resources],
        "url": _text(image.url),
        "sha256": _text(image.sha256),
    }


def _resource(one: Resource) -> dict[str, Any]:
    return {
        "model_id": whole(one.model_id),
        "model_name": _text(one.model_name),
        "version_id": whole(one.version_id),
        "version_name": _text(one.version_name),
        "type": _text(one.type),
        "base_model": _text(one.base_model),
        "strength": one.strength,
    }


def _text(text: str | None) -> str | None:
    return None if text is None else sound(text)


class _Lines:
    """The lines of ``metadata.jsonl``, gathered in a file and put into order at the end.

    ``datasets`` takes the type of each column from the first ten megabytes, and fails later where
    these have no value. So the first line that has a value in a column comes before all others.
    """

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._ids: set[int] = set()
        self._typed: dict[str, int] = {}
        """Where the first line begins that tells the type of a column."""

    def add(self, row: dict[str, Any]) -> None:
        self._ids.add(row["image_id"])
        self._append(row)

    def keep(self, split: Path) -> None:
        """Take over what an earlier run tells of images that this one did not choose."""
        metadata = split / METADATA
        if not metadata.is_file():
            return
        with metadata.open("rb") as stream:
            for line in stream:
                row = _decoded(line)
                name = row.get("file_name")
                number = row.get("image_id")
                if (isinstance(number, int) and number in self._ids) or not isinstance(name, str):
                    continue
                if ".." not in PurePosixPath(name).parts and (split / name).is_file():
                    self._append(row)

    def write(self, out: IO[bytes]) -> None:
        first = sorted(set(self._typed.values()))
        for start in first:
            self._body.seek(start)
            out.write(self._body.readline())
        self._body.seek(0)
        start, moved = 0, set(first)
        for line in self._body:
            if start not in moved:
                out.write(line)
            start += len(line)

    def _append(self, row: dict[str, Any]) -> None:
        start = self._body.tell()
        self._body.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
        for column in _columns(row):
            self._typed.setdefault(column, start)


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _columns(row: dict[str, Any], before: str = "") -> Iterator[str]:
    """Yield the columns of *row*, nested ones by their path, that have a value in it.

    A row of an earlier run may have columns that its user has added.
    """
    for name, value in row.items():
        if isinstance(value, list):
            for one in value:
                yield from _columns(one, f"{name}.") if isinstance(one, dict) else (before + name,)
        elif value is not None:
            yield before + name
