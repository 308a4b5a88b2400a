"""What a job holds and lacks, in numbers and by id, and the verdict on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from civitai_crawler.ledger.holdings import Count
    from civitai_crawler.ledger.refusals import Refusal

#: Exit codes of a crawl; 2 is wrong input.
COMPLETE, ENDED, REFUSED, INCOMPLETE = 0, 1, 3, 4


class Verdict(NamedTuple):
    """How a crawl ended."""

    code: int
    """The exit code: 0, 1, 3 or 4."""
    word: str
    """``complete``, ``ended early``, ``complete but for refusals``, ``incomplete``."""
    sentence: str
    """The same for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The stored files of one kind."""

    wanted: bool
    """Whether the crawl was asked for them."""
    stored: int
    bytes: int
    verified: dict[str, int]
    """Model files by the published hash that they match (``SHA256``, ``AutoV2``; ``none``)."""
    failed: dict[str, int]
    """Not stored, by reason."""
    not_chosen: int
    """Left out by the settings that choose files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Records of one kind, over all passes."""

    stem: str
    """Stem of the feed."""
    counts: list[Count]
    """The site's own counts."""
    listed: int
    """Named by the site's lists: held, excluded or failed; gone ones not."""
    records: int
    """In the feed, by id."""
    failed: dict[str, int]
    """Without a record, by reason."""
    excluded: int
    gone: int
    """In the feed, but not on the site any more."""
    files: Files | None = None


class Gone(NamedTuple):
    """Something that an earlier pass found and the site shows no more."""

    kind: str
    """The stem of its feed."""
    id: int
    noticed: str
    """When it was missed, UTC."""
    kept: list[str]
    """Files of it in the archive, relative; at most three."""


class Change(NamedTuple):
    """What this pass brought, if it is not the first."""

    kind: str
    id: str
    what: str
    """``added``, ``updated`` or ``stored`` (the file of a record that stood in its feed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts over all runs of a job."""

    passes: int
    """Passes that were finished before this one."""
    levels: int
    """Maturity levels asked for."""
    restricted: bool
    """The arguments kept a part from being listed, so counts are not compared."""
    kinds: dict[str, Kind]
    missing: list[Refusal]
    """What could not be had and is still missing."""
    gone: list[Gone]
    changes: list[Change]
    replaced: list[str]
    """Paths of files of which a newer one is stored beside them."""
    pending: int
    """Requests that the next run goes on with."""
    items: dict[str, int] = field(default_factory=dict)
    """Items in the feeds by class."""
    media: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Stored files by kind: number and bytes."""
    excluded: dict[str, int] = field(default_factory=dict)
    """What was left out, by kind."""

    @property
    def failures(self) -> dict[str, int]:
        """What is missing, by reason."""
        return dict(Counter(refusal.reason for refusal in self.missing))

    @property
    def not_listed(self) -> dict[str, int]:
        """By feed: how many the site counts and no list names."""
        return {
            stem: number
            for stem, kind in self.kinds.items()
            if (number := max((count.missing for count in kind.counts), default=0))
            and stem != "images"  # these are named by their posts
        }


def verdict(summary: Summary | None, reason: str | None) -> Verdict:
    """Judge a crawl by what its job holds and by Scrapy's reason for its end.

    Both ``None``: it never started. A refusal that a repetition does not change leaves a crawl
    complete as far as it goes; anything else that is missing makes it incomplete.
    """
    if summary is None or reason not in ("finished", "shutdown"):
        return Verdict(ENDED, "ended early", "The crawl was ended early; see the log.")
    if reason == "shutdown" or summary.pending:
        sentence = f"{summary.pending} requests are left; the same command goes on from here."
        if reason == "shutdown":
            sentence = f"The crawl was interrupted: {sentence}"
        return Verdict(INCOMPLETE, "incomplete", sentence)
    transient = [refusal for refusal in summary.missing if not refusal.final]
    if transient:
        sentence = f"{len(transient)} things are missing that a further pass may bring."
        return Verdict(INCOMPLETE, "incomplete", sentence)
    if summary.missing or summary.not_listed:
        sentence = "Everything that the site gives is here; what it refuses is named."
        return Verdict(REFUSED, "complete but for refusals", sentence)
    return Verdict(COMPLETE, "complete", "Everything is here.")
