"""The completeness report of an archive, as far as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Verdict:
    """How the crawl ended."""

    word: str = ""
    sentence: str = ""


@dataclass(slots=True)
class Expected:
    """One of the site's own counts."""

    count: int = 0
    source: str = ""
    held: int | None = None
    missing: int | None = None


@dataclass(slots=True)
class Files:
    """The stored files of a kind."""

    stored: int = 0
    bytes: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    not_chosen: int = 0


@dataclass(slots=True)
class Kind:
    """The records of a kind."""

    expected: list[Expected] = field(default_factory=list)
    listed: int = 0
    records: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    excluded: int = 0
    gone: int = 0
    files: Files | None = None


@dataclass(slots=True)
class Missing:
    """A thing that could not be had."""

    kind: str = ""
    id: Any = None
    reason: str = ""
    message: str = ""
    again: str | None = None


@dataclass(slots=True)
class Report:
    """What ``report.json`` says (its format 1)."""

    at: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    not_obtained: list[Missing] = field(default_factory=list)
    gone: list[dict[str, Any]] = field(default_factory=list)


def read(archive: Path) -> Report | None:
    """Return the report of *archive*; ``None`` when there is none, or none that can be read."""
    try:
        return msgspec.json.decode((archive / "report.json").read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None
