"""The pace to the site: turns that are an interval apart, and pauses that the site asks for."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from scrapy.exceptions import DownloadCancelledError

from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers.shared import Noted, Road
from civitai_crawler.handlers.site import Site

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from scrapy.crawler import Crawler
    from scrapy.statscollectors import StatsCollector

#: Seconds that requests may get closer to each other on the way to the server, and the share of
#: the interval that they cost at most.
MARGIN, MARGIN_SHARE = 0.02, 0.01
#: Seconds that a request on a new connection may be late at the server, and the share of the
#: interval that is allowed for it at most.
LATE, LATE_SHARE = 0.15, 0.25
#: Seconds of silence after which the site may have closed the connection.
IDLE = 5.0
#: How much slower than asked for the pace gets at most.
SLOWEST = 8.0
#: Good answers after which a slowed pace is the normal one again.
RECOVERY = 30
#: A pause looks this often, in seconds, whether the crawl is being stopped.
_LOOK = 0.5
_DEFAULT_INTERVAL = 1.5


async def pause(seconds: float, stopping: Callable[[], bool]) -> None:
    """Sleep; raises DownloadCancelledError soon after *stopping* tells that the crawl ends."""
    due = time.monotonic() + seconds
    while (left := due - time.monotonic()) > 0:
        if stopping():
            raise DownloadCancelledError("The crawl is stopping.")
        await asyncio.sleep(min(left, _LOOK))


class Pacer:
    """Hands out turns, first come first served, at least *interval* seconds apart.

    :param interval: seconds between the starts of two requests.
    :param margin: seconds added to it, because a late start followed by a punctual one would be
        too close together at the server; by default 1 % of the interval, at most 0.02.
    :param site: what the turns are for.
    :param road: shared with the other crawls of this process.
    :param noted: shared with the other processes of this user.
    :param stats: gets ``civitai/pacer/turns`` and ``civitai/pacer/min_gap`` (seconds).
    :param stopping: tells that the crawl ends; who still waits then gets DownloadCancelledError.
    """

    _pacers: WeakKeyDictionary[Crawler, Pacer] = WeakKeyDictionary()

    def __init__(
        self,
        interval: float = _DEFAULT_INTERVAL,
        margin: float | None = None,
        *,
        site: Site | None = None,
        road: Road | None = None,
        noted: Noted | None = None,
        stats: StatsCollector | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.interval = interval
        self.margin = min(MARGIN, interval * MARGIN_SHARE) if margin is None else margin
        self.site = site or Site()
        self._road = road or Road()
        self._noted = noted
        self._notes: set[asyncio.Task[None]] = set()
        self._stats = stats
        self._crawl_stops = stopping
        self._ended = False

    @classmethod
    def of(cls, crawler: Crawler) -> Pacer:
        """Give the pacer of *crawler*, which shares its turns with those of the same site.

        Raises UsageError for settings that make no pace.
        """
        if crawler not in cls._pacers:
            site = Site.of(crawler.settings)
            cls._pacers[crawler] = cls(
                _interval(crawler.settings.get("CIVITAI_REQUEST_INTERVAL", _DEFAULT_INTERVAL)),
                site=site,
                road=Road.to(site),
                noted=Noted.of(crawler.settings, site),
                stats=crawler.stats,
                stopping=_stopping(crawler),
            )
        return cls._pacers[crawler]

    def is_site(self, url: str) -> bool:
        """Tell whether *url* needs a turn: scheme, host and port of the base URL."""
        return self.site.holds(url)

    @property
    def starts(self) -> deque[float]:
        """Start times of the last turns, ``time.monotonic()``."""
        return self._road.starts

    @property
    def min_gap(self) -> float:
        """The shortest time between two turns so far."""
        return self._road.min_gap

    @property
    def streak(self) -> int:
        """How often in a row the site has asked for a pause."""
        return self._road.streak

    @property
    def pace(self) -> float:
        """Seconds between two starts now."""
        return (self.interval + self.margin) * self._road.factor

    @property
    def held(self) -> bool:
        """The site has asked for a pause that is not over."""
        return time.monotonic() < self._road.held_until

    @property
    def hold_left(self) -> float:
        """Seconds of the pause that are left; 0 for none."""
        return max(0.0, self._road.held_until - time.monotonic())

    def stopping(self) -> bool:
        """Tell that the crawl ends: nothing needs to be sent any more."""
        return self._ended or self._crawl_stops()

    def end(self) -> None:
        """Send all away who wait for their turn, and everybody after them."""
        self._ended = True

    async def turn(self) -> float:
        """Wait until a request may start, and give the time of its start.

        One that may have to open a connection arrives late; the next one waits for that much more
        (:meth:`answered` tells how late at most).

        Raises DownloadCancelledError when the crawl ends.
        """
        async with self._road.lock:
            await self._reach()
            while self._noted is not None and (left := await self._noted.reserve(self.pace)) > 0:
                await pause(left, self.stopping)
                if self._due() <= time.monotonic():
                    break
                await self._reach()
            if self.stopping():
                raise DownloadCancelledError("The crawl is stopping.")
            return self._note(time.monotonic())

    async def _reach(self) -> None:
        while (left := self._due() - time.monotonic()) > 0:
            await pause(left, self.stopping)

    def answered(self, start: float) -> None:
        """Take note that the request of *start* has reached the site: it has been answered."""
        road = self._road
        if start == road.watched:
            late = time.monotonic() - start
            road.late = min(late, LATE, self.interval * LATE_SHARE)

    def broke(self) -> None:
        """Take note that a connection has failed, so that the next request opens a new one."""
        road = self._road
        road.cold = True

    def hold(self, seconds: float) -> None:
        """Let nothing start for *seconds*, whoever waits already included."""
        road = self._road
        if not self.held:
            road.streak += 1
        road.held_until = max(road.held_until, time.monotonic() + seconds)
        if self._noted is not None:
            note = asyncio.ensure_future(self._noted.hold(seconds, self.pace))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    def slower(self) -> None:
        """Double the time between two requests: the site has asked for fewer.

        Requests that were under way when it first asked count once, so call it before ``hold``.
        """
        road = self._road
        if self.held:
            return
        road.factor = min(road.factor * 2, SLOWEST)
        road.step = (road.factor - 1) / RECOVERY

    def calm(self) -> None:
        """Creep back to the normal pace: the site has given a good answer."""
        road = self._road
        if self.held:
            return
        road.streak = 0
        road.factor = max(1.0, road.factor - road.step)

    def _due(self) -> float:
        road = self._road
        last = road.starts[-1] if road.starts else -math.inf
        return max(last + road.late + self.pace, road.held_until)

    def _note(self, now: float) -> float:
        road = self._road
        gap = now - road.starts[-1] if road.starts else math.inf
        road.watched = now if road.cold or gap > IDLE else -math.inf
        road.cold, road.late = False, 0.0
        road.min_gap = min(road.min_gap, gap)
        road.starts.append(now)
        if self._stats is not None:
            self._stats.inc_value("civitai/pacer/turns")
            if math.isfinite(road.min_gap):
                self._stats.set_value("civitai/pacer/min_gap", round(road.min_gap, 4))
        return now


def _interval(value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type] # whatever it is, it is tested here
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError("CIVITAI_REQUEST_INTERVAL must be a number of seconds, 0 or more.")
    return seconds


def _stopping(crawler: Crawler) -> Callable[[], bool]:
    def stopping() -> bool:
        return not crawler.engine.running

    return stopping
