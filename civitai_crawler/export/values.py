"""Values of records in the narrower types of files that have columns."""

from __future__ import annotations

from datetime import UTC, datetime

_LEAST, _MOST = -(2**63), 2**63 - 1


def sound(text: str) -> str:
    """Return *text* with a mark for each half of a character, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def whole(number: int | None) -> int | None:
    """Return *number* if it fits 64 bits with a sign."""
    return number if number is not None and _LEAST <= number <= _MOST else None


def moment(text: str | None) -> datetime | None:
    """Read an ISO 8601 date as UTC, which it is where no zone is told; ``None`` if it is none."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at the end of the calendar
        return None
