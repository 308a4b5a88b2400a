"""Writes the sidecars of an archive, from its feeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from civitai_crawler.archive import feed_sizes
from civitai_crawler.sidecars import captions, civitai_info, preview
from civitai_crawler.sidecars.formats import CAPTION, DEFAULT, IMAGE_JSON, MODELS, PREVIEW
from civitai_crawler.sidecars.merging import fill_missing
from civitai_crawler.sidecars.note import Note
from civitai_crawler.sidecars.placing import LeftAloneError, Outcome, Placer
from civitai_crawler.sidecars.reading import Library, key
from civitai_crawler.sidecars.subject import Local, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from civitai_crawler.archive import Problem
    from civitai_crawler.sidecars.formats import Format
    from civitai_crawler.sidecars.subject import Shown

T = TypeVar("T")

__all__ = ["Outcome", "Wish", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which sidecars are to be written."""

    formats: Sequence[str] = DEFAULT
    """Names of formats (see :data:`civitai_crawler.sidecars.FORMATS`)."""
    highest: int = preview.HIGHEST
    """Highest browsing level of a preview."""


def write(
    archive: Path, wish: Wish, tell: Callable[[str], None], *, again: bool = False
) -> Outcome | None:
    """Write the sidecars that *archive* lacks, or that are not up to date; blocking.

    ``None`` when the feeds and the wish are those of the last time: nothing is read then, unless
    *again* is true. What is wrong with one file costs that file; each kind of trouble is told
    once, in a sentence.

    Raises:
        OSError: the archive cannot be read or written at all.

    """
    note = Note(archive)
    seen = {
        "feeds": feed_sizes(archive),
        "formats": sorted(wish.formats),
        "highest": wish.highest,
        "root": str(archive.resolve()),
        "version": civitai_info.VERSION,
    }
    if note.seen == seen and not again:
        return None
    writing = _Writing(archive, wish, tell, note)
    writing.run()
    # What the disk refused is tried again the next time.
    note.save(seen if writing.is_finished else None)
    return writing.outcome


class _Writing:
    """One pass over one archive."""

    def __init__(self, archive: Path, wish: Wish, tell: Callable[[str], None], note: Note) -> None:
        self._archive = archive
        self._wish = wish
        self._tell = tell
        self._told: set[str] = set()
        self._placer = Placer(archive, note)
        self.outcome = self._placer.outcome
        self.is_finished = True

    def run(self) -> None:
        models = {name: MODELS[name] for name in self._wish.formats if name in MODELS}
        whole = bool({CAPTION, IMAGE_JSON} & {*self._wish.formats})
        with Library(self._archive, self._feed_problem, whole=whole) as library:
            if models or PREVIEW in self._wish.formats:
                for subject, taken in library.subjects():
                    self._beside_model(subject, taken)
            if whole:
                for shown in library.images():
                    self._beside_image(shown)

    def _beside_model(self, subject: Subject, taken: frozenset[str]) -> None:
        here = self._try(subject.path, lambda: self._on_disk(subject))
        if here is None:
            return
        for name in self._wish.formats:
            form = MODELS.get(name)
            if form is None or (form.kinds is not None and here.kind not in form.kinds):
                continue
            path = here.path.with_name(here.path.stem + form.ending)
            if key(str(path)) in taken:  # a file of the creator's has this name
                self.outcome.kept += 1
            else:
                self._try(path, partial(self._beside, path, here, form))

    def _beside(self, path: PurePosixPath, here: Subject, form: Format) -> None:
        self._placer.json(path, form.build(here), form.merge)

    def _on_disk(self, subject: Subject) -> Subject | None:
        """Add what the disk tells, and put the preview in its place."""
        try:
            modified = self._placer.file(subject.path).stat().st_mtime
        except FileNotFoundError:
            return None  # somebody has removed the file: scrapy verify says so
        chosen, ours = None, None
        if PREVIEW in self._wish.formats:
            chosen = preview.choose(subject.shown, self._wish.highest)
            ours = self._try(subject.path, lambda: self._placer.picture(subject.path, chosen))
        standing = self._placer.previews(subject.path)
        root = self._archive.resolve().as_posix()
        local = Local(
            root=root,
            modified=modified,
            preview=chosen if ours is not None else None,
            preview_path=f"{root}/{standing[0]}" if standing else "",
        )
        return replace(subject, local=local)

    def _beside_image(self, shown: Shown) -> None:
        path = PurePosixPath(shown.image.path or "")
        caption = captions.caption(shown.generation)
        if CAPTION in self._wish.formats and caption is not None:
            there = path.with_suffix(captions.CAPTION)
            self._try(there, lambda: self._placer.text(there, caption + "\n"))
        if IMAGE_JSON in self._wish.formats:
            full = captions.full(shown.image, shown.generation)
            beside = path.with_suffix(captions.FULL)
            self._try(beside, lambda: self._placer.json(beside, full, fill_missing))

    def _try(self, path: PurePosixPath, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except LeftAloneError as error:
            self._problem(path, str(error))
        except OSError as error:
            self.is_finished = False
            self._problem(path, error.strerror or type(error).__name__)
        return None

    def _problem(self, path: PurePosixPath, why: str) -> None:
        self.outcome.problems += 1
        self._once(why, f"No sidecar {path}: {why}. Others of this kind are not named.")

    def _feed_problem(self, problem: Problem) -> None:
        sentence = f"{problem.feed}: {problem.why} ({problem.what})"
        self.outcome.problems += sentence not in self._told  # a record may be looked at again
        self._once(sentence, sentence)

    def _once(self, why: str, sentence: str) -> None:
        if why not in self._told:
            self._told.add(why)
            self._tell(sentence)
