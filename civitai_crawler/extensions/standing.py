"""Where a crawl stands, in numbers and in one line. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from civitai_crawler.amounts import counted, duration, size

_SHOWN = 3


class Share(NamedTuple):
    """What is held of what is expected."""

    name: str
    held: int
    expected: int | None
    """``None``: the site does not tell, or it cannot be compared."""


class Arriving(NamedTuple):
    """A file under way."""

    name: str
    """Kind and id; names by strangers stay out of here."""
    size: int
    """Bytes so far."""
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One moment of a crawl."""

    archive: str
    requests: int
    """Requests to the site in this run."""
    per_minute: float
    """Of these, in the last minute."""
    interval: float
    """Seconds between two of them now."""
    hold: float
    """Seconds for which the site has asked not to be asked; 0 for none."""
    shares: list[Share] = field(default_factory=list)
    bytes: int
    """Of media, in this run."""
    speed: float
    """Bytes a second."""
    arriving: list[Arriving] = field(default_factory=list)
    failures: int
    """What could not be had in this run."""
    pending: int
    """Requests that are known to be left."""
    seconds: float | None = None
    """Estimated time to the end; ``None`` while the lists have not told enough."""


def line(now: Standing) -> str:
    """Say all of it in one line for the log."""
    said = [
        pace(now),
        *(share(one) for one in now.shares if one.held or one.expected),
        f"{size(now.bytes)} of media ({size(now.speed)}/s)",
    ]
    if now.failures:
        said.append(counted(now.failures, "failure"))
    left = f"{now.pending:,} requests are known to be left"
    if now.seconds is not None:
        left = f"about {duration(now.seconds)} to go, {left}"
    parts = sorted(now.arriving)
    if not parts:
        return f"{', '.join(said)}; {left}"
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f"{', '.join(said)}; {left}; downloading {', '.join(map(file, parts[:_SHOWN]))}{more}"


def pace(now: Standing) -> str:
    """Say how many requests, how fast."""
    if now.hold:
        way = f"the site wants a pause, {now.hold:.0f} s of it are left"
    else:
        way = f"{now.per_minute:.0f} a minute, one every {now.interval:.2f} s at most"
    return f"{counted(now.requests, 'request')} ({way})"


def share(one: Share) -> str:
    """Say ``310/420 images``, or ``310 images`` where the site does not tell."""
    of = "" if one.expected is None else f"/{one.expected:,}"
    return f"{one.held:,}{of} {one.name}"


def file(one: Arriving) -> str:
    """Say ``model file 12 (1.0 of 6.5 GB)``."""
    return f"{one.name} ({amount(one)})"


def amount(one: Arriving) -> str:
    """Say ``1.0 MB of 6.5 GB``, or ``1.0 MB`` where the server does not tell."""
    return size(one.size) if one.total is None else f"{size(one.size)} of {size(one.total)}"
