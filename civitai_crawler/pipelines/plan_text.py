"""The plan of a dry run, and how it is said. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from civitai_crawler.amounts import counted, duration, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Files that are named.
_BIGGEST = 5
_LONGEST = 100


class Wanted(NamedTuple):
    """A file that a crawl would fetch."""

    kind: str
    """``model_file`` or ``image``."""
    id: int
    type: str
    name: str
    size: int | None
    """Bytes, where the site tells."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a crawl would fetch, and what it would cost."""

    archive: str = ""
    signed_in: bool = False
    failed: str = ""
    """Why the lists could not be walked to their end, as one sentence."""
    records: Counter[str] = field(default_factory=Counter)
    """New records by feed."""
    wanted: list[Wanted] = field(default_factory=list)
    not_chosen: int = 0
    """Model files that the settings leave out."""
    excluded: Counter[str] = field(default_factory=Counter)
    """What is flagged and left out, by kind."""
    asked: int = 0
    """Requests to the site that the dry run made."""
    requests: int = 0
    """Requests to the site that a crawl will make."""
    interval: float = 0
    """Seconds between two of them."""
    free: int = 0
    """Free bytes on the disk of the archive."""

    @property
    def size(self) -> int:
        """Bytes to be downloaded, as far as the site tells."""
        return sum(one.size or 0 for one in self.wanted)


def lines(plan: Plan) -> list[str]:
    """Say the plan for a person."""
    told = [f"Dry run for {plan.archive} ({'' if plan.signed_in else 'not '}signed in)."]
    if plan.failed:
        told.append(f"The lists could not be walked, so the plan is not whole: {plan.failed}")
    told += _records(plan.records)
    told += _files("Model files", [one for one in plan.wanted if one.kind == "model_file"])
    told += _files("Originals", [one for one in plan.wanted if one.kind == "image"])
    told += _biggest(plan.wanted)
    told += _left_out(plan)
    told.append(
        f"Requests to the site: {plan.requests:,}, at one every {plan.interval:.2f} s about "
        f"{duration(plan.requests * plan.interval)}, with the downloads beside them "
        f"(this dry run made {plan.asked:,})."
    )
    least = "at least " if any(one.size is None for one in plan.wanted) else ""
    told.append(f"To be downloaded: {least}{size(plan.size)}; free on the disk: {size(plan.free)}.")
    if plan.size > plan.free:
        told.append("The disk has not enough room for it.")
    told.append("Nothing was downloaded or written.")
    return told


def _records(records: Counter[str]) -> Iterator[str]:
    names = {stem: stem.replace("_", " ") for stem in records}
    named = [
        counted(number, names[stem].removesuffix("s"), names[stem])
        for stem, number in records.items()
        if number
    ]
    yield f"New records: {', '.join(named) or 'none'}."


def _files(title: str, wanted: list[Wanted]) -> Iterator[str]:
    yield f"{title} to be downloaded: {_sum(wanted)}"
    types = sorted({one.type for one in wanted})
    for name in types if len(types) > 1 else ():
        yield f"  {name}: {_sum([one for one in wanted if one.type == name])}"


def _sum(wanted: list[Wanted]) -> str:
    if not wanted:
        return "none"
    unknown = sum(one.size is None for one in wanted)
    told = [size(sum(one.size or 0 for one in wanted))] if unknown < len(wanted) else []
    told += [f"{unknown:,} of unknown size"] if unknown else []
    return f"{len(wanted):,} ({', '.join(told)})"


def _biggest(wanted: list[Wanted]) -> Iterator[str]:
    told = [one for one in wanted if one.size is not None]
    known = sorted(told, key=lambda one: (-(one.size or 0), one.id))[:_BIGGEST]
    if known:
        yield "Biggest:"
    for one in known:
        yield f"  {size(one.size or 0):>9}  {one.name[:_LONGEST]}"


def _left_out(plan: Plan) -> Iterator[str]:
    if plan.not_chosen:
        yield f"Left out by the choice of files: {counted(plan.not_chosen, 'model file')}."
    if plan.excluded:
        named = (counted(number, kind) for kind, number in sorted(plan.excluded.items()))
        yield f"Left out as excluded (CIVITAI_EXCLUDE): {', '.join(named)}."


def size_lines(
    *, files: tuple[int, int, int] | None, originals: int | None, images: bool, free: int
) -> Iterable[str]:
    """Say, before the first file, what is going to be downloaded.

    *files*: number, bytes, and how many have no published size; ``None`` when they are not wanted.
    *originals*: by the site's own count; ``None`` when it does not tell.
    """
    told = []
    if files is not None:
        rest = f", {files[2]:,} of unknown size" if files[2] else ""
        told.append(f"{counted(files[0], 'model file')} ({size(files[1])}{rest})")
    if images:
        told.append(
            "originals in a number that the site does not tell"
            if originals is None
            else f"{counted(originals, 'original')} by the site's own count (their sizes come with "
            "the lists)"
        )
    yield f"To be downloaded: {' and '.join(told)}; free on the disk: {size(free)}."
    if files is not None and files[1] > free:
        yield "The disk has not enough room for all of it; the crawl will stop when it is full."
