"""One run of an export: from where, to where, what of it, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from civitai_crawler.export.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.export.outcome import Outcome

#: How prompts become captions: without the grammar of weights, as written, or not at all.
CAPTIONS = ("plain", "raw", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a format is given."""

    archives: list[Path]
    target: Path
    outcome: Outcome
    selection: Selection = field(default_factory=Selection)
    copy: bool = False
    """Copies of images and model files instead of hard links."""
    caption: str = CAPTIONS[0]
    repeats: int = 1
    """kohya: how often an epoch shows each image."""
    concept: str = ""
    """kohya: the name of the concept; empty: the name of the archive."""
    tick: Callable[[], None] = lambda: None
    """Called now and then, to show the progress."""
