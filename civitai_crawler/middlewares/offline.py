"""Notices that the site is out of reach, and how long to wait for it.

A request that fails alone says something about itself. When no request to the site gets through,
the network is gone (or the site is): then nothing is given up, the crawl waits and tries again now
and then, and ends only when its patience does.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
)
from twisted.internet.error import ConnectError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Errors before a connection stood. The last one is Twisted's for a network without a route, which
#: Scrapy passes on as it is.
_NO_CONNECTION = (CannotResolveHostError, DownloadConnectionRefusedError, ConnectError)
#: Seconds between two tries: the shortest and the longest.
_SHORTEST, _LONGEST = 1.0, 60.0


class Offline:
    """How long the site has been out of reach.

    :param patience: seconds without an answer after which it is no longer waited for.
    :param now: a clock that no correction of the time of day moves.
    """

    def __init__(self, patience: float, now: Callable[[], float] = time.monotonic) -> None:
        self.patience = patience
        self._now = now
        self._since: float | None = None
        self._reached = False
        self._certain = False
        #: Addresses that timed out: one alone may be what is slow.
        self._timed_out: set[str] = set()
        self._told = False

    def answered(self) -> None:
        """Note an answer of the site, whatever it says."""
        if self._told:
            logger.info("The site is within reach again.")
        self._since = None
        self._reached = True
        self._certain = self._told = False
        self._timed_out.clear()

    def failed(self, url: str, error: Exception) -> None:
        """Note that a request to the site got no answer."""
        if not concerns(error):
            return
        if self._since is None:
            self._since = self._now()
        if isinstance(error, DownloadTimeoutError):
            self._timed_out.add(url)
        else:
            self._certain = True

    @property
    def lost(self) -> bool:
        """The site was within reach and is so for no request any more.

        One that never answered is not waited for: its address is wrong, or it is known to be down.
        """
        gone = self._since is not None and (self._certain or len(self._timed_out) > 1)
        return self._reached and gone

    def wait(self) -> float | None:
        """Return the seconds until the next try, longer and longer; ``None`` to give up."""
        elapsed = 0.0 if self._since is None else self._now() - self._since
        left = self.patience - elapsed
        if left <= 0:
            return None
        if not self._told:
            self._told = True
            logger.warning(
                "The site is out of reach. Trying again for up to %.0f s; stopping loses nothing.",
                left,
            )
        return min(max(elapsed / 2, _SHORTEST), _LONGEST, left)


def concerns(error: Exception) -> bool:
    """Tell whether an error may mean that there is no network."""
    return isinstance(error, (*_NO_CONNECTION, DownloadTimeoutError))
