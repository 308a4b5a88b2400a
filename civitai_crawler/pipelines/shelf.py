"""The archive folder as media pipelines use it: blocking file work, to be run in threads."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from civitai_crawler.handlers.partfile import keep
from civitai_crawler.pipelines.names import component


@cache
def folder(root: str | Path, archive: str) -> Path:
    """Return the folder of one archive below *root*."""
    return Path(root).absolute() / component(archive, "unnamed")


def part(archive: Path, kind: str, item_id: int) -> Path:
    """Return where the bytes of an item gather until they are checked."""
    return _parts(archive) / f"{kind}-{item_id}.part"


@cache
def _parts(archive: Path) -> Path:
    return archive / ".job" / "parts"


def place(arrived: Path, target: Path) -> None:
    """Move checked bytes to their place, for good: durable when this returns."""
    target.parent.mkdir(parents=True, exist_ok=True)
    keep(arrived, target)
