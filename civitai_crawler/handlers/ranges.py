"""Resuming by HTTP: which validators hold, and which bytes an answer brings. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Seconds by which a modification must lie before the answer to tell states of a file apart.
_SETTLED = 60
#: Backblaze's own interface sends neither ETag nor Last-Modified, but the id of an immutable file.
_FILE_ID = "X-Bz-File-Id"
_OF_FILE_ID = f"{_FILE_ID}: "
_CONTENT_RANGE = re.compile(r"\s*bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Range:
    """What ``Content-Range`` says."""

    start: int | None
    """First byte; ``None`` in a 416, which brings no bytes."""
    total: int | None
    """Bytes of the whole; ``None`` when not told."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self | None:
        """Read it; ``None`` when it is absent or no range of bytes."""
        found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if found is None:
            return None
        start, _, total = found.groups()
        return cls(
            None if start is None else int(start),
            None if total == "*" else int(total),
        )


def validator(headers: Mapping[str, str]) -> str | None:
    """Give what identifies this state of the file byte for byte.

    A strong ETag, Backblaze's file id (with its header's name before it), or an old date.
    """
    etag = headers.get("ETag", "").strip()
    if etag.startswith('"') and etag.endswith('"') and len(etag) > len('""'):
        return etag
    if file_id := headers.get(_FILE_ID, "").strip():
        return _OF_FILE_ID + file_id
    modified, date = _date(headers, "Last-Modified"), _date(headers, "Date")
    if modified is None or date is None or (date - modified).total_seconds() < _SETTLED:
        return None
    return headers["Last-Modified"]


def asking(offset: int, known: str) -> dict[str, str]:
    """Give the headers that ask for the bytes from *offset* of the state *known*."""
    asked = {"Range": f"bytes={offset}-"}
    # No server compares a file id for us: the answer has to name it again.
    return asked if known.startswith(_OF_FILE_ID) else {**asked, "If-Range": known}


def differs(known: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a 206 belongs to another state than *known*.

    To ``If-Range`` a server may answer without the validator; a file id has to be there.
    """
    if known.startswith(_OF_FILE_ID):
        return _OF_FILE_ID + headers.get(_FILE_ID, "").strip() != known
    return headers.get("ETag" if known.startswith('"') else "Last-Modified", known).strip() != known


def _date(headers: Mapping[str, str], name: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(headers.get(name, ""))
    except (TypeError, ValueError):
        return None
    return None if date.tzinfo is None else date
