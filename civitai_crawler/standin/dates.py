"""Times of the stand-in: whole milliseconds since 1970, and the two texts the site writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000


def _moment(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def iso(ms: int) -> str:
    """``2026-05-02T10:30:05.120Z``, as in every JSON answer."""
    return _moment(ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def sql(ms: int) -> str:
    """``2026-05-02 10:30:05.120``, as in the cursors of model lists."""
    return _moment(ms).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d}"


def from_text(text: str) -> int:
    """Either text back to milliseconds; ValueError when it is neither."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - EPOCH) / timedelta(milliseconds=1))
