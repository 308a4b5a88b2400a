"""What all share who send requests to one site: crawls of one process, processes of one user."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import math
import os
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.settings import BaseSettings

    from civitai_crawler.handlers.site import Site

logger = logging.getLogger(__name__)

#: Seconds ahead beyond which a noted time is not believed: no pause that a site asks for is longer.
_BELIEVED = 3600.0
#: Tries to lock the file, and seconds between them. A lock is held for the time of a few system
#: calls; only a process that was stopped in between keeps it longer, and nobody waits for that one.
_TRIES, _BETWEEN = 100, 0.005


@dataclass(eq=False)
class Road:
    """The way of one process to one site. Times are of ``time.monotonic()``."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=10_000))
    min_gap: float = math.inf
    streak: int = 0
    held_until: float = -math.inf
    cold: bool = True
    watched: float = -math.inf
    late: float = 0.0
    factor: float = 1.0
    step: float = 0.0

    _roads: ClassVar[WeakValueDictionary[str, Road]] = WeakValueDictionary()

    @classmethod
    def to(cls, site: Site) -> Road:
        """Give the road of this process to *site*, for as long as somebody keeps it."""
        road = cls._roads.get(site.base)
        if road is None:
            road = cls._roads[site.base] = cls()
        return road


class Noted:
    """The last start of any process of this user, in a file locked only while it is looked at.

    So nothing waits for a killed process, and one that is started anew keeps the interval as well.

    :param path: the file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._usable = True

    @classmethod
    def of(cls, settings: BaseSettings, site: Site) -> Noted | None:
        """Give the file for *site*, unless the setting or a loopback address says there is none."""
        word = str(settings.get("CIVITAI_SHARED_PACE") or "auto").lower()
        if sys.platform == "win32" or word == "false" or (word == "auto" and _is_loopback(site)):
            return None
        digest = hashlib.sha256(site.base.encode()).hexdigest()[:16]
        return cls(_folder() / f"pace-{digest}")

    async def reserve(self, pace: float) -> float:
        """Take the next free start and give the seconds until then."""
        now = time.time()
        start = await self._move(lambda last: max(now, last + pace))
        return max(0.0, start - now)

    async def hold(self, seconds: float, pace: float) -> None:
        """Let no process start for *seconds*."""
        until = time.time() + seconds - pace
        await self._move(lambda last: max(last, until))

    async def _move(self, change: Callable[[float], float]) -> float:
        """Put the noted time forward and give the new one."""
        for _ in range(_TRIES if self._usable else 0):
            try:
                return self._exchange(change)
            except BlockingIOError:
                await asyncio.sleep(_BETWEEN)
            except (OSError, ValueError) as error:
                self._usable = False
                logger.warning("The pace is not shared with other processes: %s", error)
                break
        return change(-math.inf)

    def _exchange(self, change: Callable[[float], float]) -> float:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            last = _read(os.read(descriptor, 64))
            moved = change(last)
            # Always of one length, so that whatever is killed when, a whole number stands there.
            os.pwrite(descriptor, f"{moved:020.6f}".encode(), 0)
        finally:
            os.close(descriptor)
        return moved


if sys.platform != "win32":
    import fcntl


def _read(text: bytes) -> float:
    """Read a noted time; one that no clock of ours can have written does not count."""
    try:
        last = float(text)
    except ValueError:
        return -math.inf
    return last if last <= time.time() + _BELIEVED else -math.inf


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "civitai_crawler"
    return Path(tempfile.gettempdir()) / f"civitai_crawler-{os.getuid()}"


def _is_loopback(site: Site) -> bool:
    try:
        return ipaddress.ip_address(site.host).is_loopback
    except ValueError:
        return site.host == "localhost"
