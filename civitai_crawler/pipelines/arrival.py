"""What has arrived for an item and waits to be looked at, before it may take its place.

Each visit to a thread costs as much as writing a small picture, so small bodies are written,
inspected and put in their place in one, by few threads that keep out of each other's way.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from civitai_crawler.exceptions import CivitaiError
from civitai_crawler.handlers.partfile import discard, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.ledger import Media

_P = ParamSpec("_P")
_T = TypeVar("_T")

#: Bytes up to which a body is handed on in memory.
SMALL = 1 << 20
_SMALL_ONES = ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) // 2)), "small")
_LARGE_ONE = ThreadPoolExecutor(1, "large")


class LargeError(CivitaiError):
    """A picture takes so much memory that it is inspected apart. Raised and caught here."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes in a part file, or still in memory."""

    part: Path
    """Where they lie, or are going to."""
    body: bytes | None
    """All of them, if they are not written yet."""
    media: Media
    """What they are going to be; ``verified`` is not known yet."""
    inspect: Callable[[Path, bytes | None], str | None]
    """Blocking, of the file and what of it is in memory: gives ``verified``.

    Raises SpoiledError, NotTheFileError, or LargeError.
    """
    inspect_large: Callable[[Path], str | None] | None = None
    """The same for what raised LargeError."""

    async def settle(self, put: Callable[[], None] | None) -> tuple[str | None, bool]:
        """Write and inspect, then *put* into place; gives ``verified``, and whether that was done.

        Raises OSError as well.
        """
        threads = None if self.body is None else _SMALL_ONES
        loop = asyncio.get_running_loop()
        try:
            verified = await loop.run_in_executor(threads, self._settle, put)
        except LargeError:
            if self.inspect_large is None:
                raise
            return await apart(self.inspect_large, self.part), False
        return verified, put is not None

    def _settle(self, put: Callable[[], None] | None) -> str | None:
        if self.body is not None:
            write_whole(self.part, self.body)
        verified = self.inspect(self.part, self.body)
        if put is not None:
            put()
            if self.body is None:
                discard(self.part)
        return verified


async def apart(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run *work*, which decodes a large picture, in the one thread for that.

    One thread, not one turn: each keeps what it has once decoded as memory of its own.
    """
    given = (lambda: work(*args, **kwargs),)
    return await asyncio.get_running_loop().run_in_executor(_LARGE_ONE, *given)
