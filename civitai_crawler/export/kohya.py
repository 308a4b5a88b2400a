"""``kohya``: folders ``<repeats>_<concept>`` of images and captions, as sd-scripts reads them.

sd-scripts takes the first line of ``<image stem>.txt``, and stops at an empty one: an image
without a prompt has none, and is trained on the name of the concept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pathvalidate import ValidationError, validate_filename

from civitai_crawler.exceptions import UsageError
from civitai_crawler.export.errors import SourceError, WriteError
from civitai_crawler.export.folder import Folder
from civitai_crawler.export.sources import pictures

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.export.job import Job
    from civitai_crawler.export.sources import Picture

#: What sd-scripts reads without further packages.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})


def write(job: Job) -> None:
    """Add the images of *job* and their captions; captions that are there stay as they are."""
    names = {archive: job.concept or archive.resolve().name for archive in job.archives}
    for name in names.values():
        _check(f"{job.repeats}_{name}")
    with Folder.opened(job.target, "kohya", job.archives, copy=job.copy) as folder:
        places = {archive: _place(job, name) for archive, name in names.items()}
        for picture in pictures(job, SUFFIXES):
            try:
                added = _add(folder, places[picture.archive], picture, picture.caption(job.caption))
            except SourceError as error:
                job.outcome.lose(error.reason, picture.file, error.why)
            else:
                job.outcome.count(added=added)


def _add(folder: Folder, place: Path, picture: Picture, caption: str) -> bool:
    target = place / f"{picture.image.id}{picture.file.suffix}"
    text = target.with_suffix(".txt")
    # Before the image: a training that begins now finds no image without its caption.
    if caption and not text.exists():
        folder.write_text(text, caption + "\n")
    return folder.add(picture.file, target)


def _place(job: Job, concept: str) -> Path:
    """Return the folder of a concept; one with another number of repeats is renamed to it."""
    place = job.target / f"{job.repeats}_{concept}"
    earlier = [
        one
        for one in job.target.iterdir()
        if re.fullmatch(r"\d+_" + re.escape(concept), one.name) and one.is_dir()
    ]
    if earlier and place not in earlier:
        try:
            earlier[0].rename(place)
        except OSError as error:
            raise WriteError(place, error) from error
    return place


def _check(name: str) -> None:
    try:
        validate_filename(name, platform="universal")
        name.encode()  # a folder of another system's may have bytes that are no text
    except (ValidationError, UnicodeEncodeError) as error:
        raise UsageError(f"--concept: {name!r} is no name for a folder on every system.") from error
