"""A bounded piece of memory between the event loop, which fills it, and threads, which write it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes at most that are handed on at a time.
BATCH = 2 << 20
#: Bytes of a ring: while one batch is written, the next one arrives.
ROOM = 2 * BATCH
#: Seconds that a batch which is not full waits for more.
_MOMENT = 0.005


class Ring:
    """Takes bytes at one end and gives them in batches at the other, without copying them.

    A batch leaves when it is full, and else a moment after its first bytes: a kill costs little on
    a slow line, and on a fast one few threads are woken.

    :param on_room: called when bytes have been freed.
    """

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._memory = memoryview(bytearray(ROOM))
        self._in = self._out = 0
        self._on_room = on_room
        self._failure: Exception | None = None
        self._ended = False
        self._some, self._full = asyncio.Event(), asyncio.Event()

    @property
    def held(self) -> int:
        """Bytes that are filled and not freed."""
        return self._in - self._out

    def space(self) -> memoryview:
        """Give memory to fill, as far as it lies in one piece; empty when there is none."""
        start = self._in % ROOM
        return self._memory[start : min(ROOM, start + ROOM - self.held)]

    def filled(self, count: int) -> None:
        """Tell that *count* bytes lie in what :meth:`space` gave."""
        self._in += count
        self._tell()

    def end(self, failure: Exception | None = None) -> None:
        """Tell that nothing more comes; *failure* is raised behind what is here.

        The first call holds.
        """
        if not self._ended:
            self._ended, self._failure = True, failure
            self._tell()

    async def batch(self) -> list[memoryview]:
        """Give the next bytes, in order and to be freed; nothing at the end.

        Raises what :meth:`end` was told.
        """
        await self._some.wait()
        if not self._full.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_MOMENT):
                    await self._full.wait()
        if not self.held and self._failure is not None:
            raise self._failure
        start, count = self._out % ROOM, min(self.held, BATCH)
        pieces = (self._memory[start : start + count], self._memory[: max(0, start + count - ROOM)])
        return [piece for piece in pieces if piece]

    def free(self, count: int) -> None:
        """Tell that *count* bytes, the oldest, are written and not looked at any more."""
        self._out += count
        self._tell()
        self._on_room()

    def _tell(self) -> None:
        for event, is_so in (
            (self._some, self._ended or self.held > 0),
            (self._full, self._ended or self.held >= BATCH),
        ):
            if is_so:
                event.set()
            else:
                event.clear()
