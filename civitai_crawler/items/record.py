"""What is common to all records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Record:
    """What every item has."""

    archive: str = ""
    """Name of its archive folder: the creator asked for, or the spider's own."""
    fetched_at: str = ""
    """When the answer arrived: UTC, ISO 8601, seconds."""
    source: str = ""
    """The call it was read from, e.g. ``GET /api/v1/models`` or ``post.getInfinite``."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the answer that have no name of their own here, as received."""
