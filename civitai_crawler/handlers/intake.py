"""The body of an answer into a ring, by the shortest way that the answer allows.

aiohttp's way to the caller copies each byte several times. Where a body is long and comes as it is,
its connection is therefore taken over once aiohttp has read the headers: asyncio receives straight
into the ring then, in plain text as by TLS, and the connection is closed behind the body.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from scrapy.exceptions import DownloadCancelledError, DownloadTimeoutError, ResponseDataLossError

from civitai_crawler.handlers.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from civitai_crawler.handlers.client import Hop

#: Bytes from which on a connection is taken over, and lost for the next request.
LONG = 8 << 20
#: Seconds between two looks whether the server is silent or the crawl is being stopped.
_LOOK = 0.5


class Intake:
    """Fills a ring with a body, as a context that ends with the body or with the first error.

    :param idle: seconds of silence after which the server is given up.
    :param check: raises DownloadCancelledError when the crawl is being stopped.
    """

    def __init__(self, hop: Hop, idle: float, check: Callable[[], None]) -> None:
        self._hop, self._idle, self._check = hop, idle, check
        self.ring = Ring(self._on_room)
        self._roomy = asyncio.Event()
        self._copier: asyncio.Task[None] | None = None
        self._takeover: Takeover | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Ring:
        self._look()
        self._takeover = Takeover.of(self._hop, self.ring)
        if self._takeover is None:
            self._copier = asyncio.create_task(self._copy())
        return self.ring

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._takeover is not None:
            self._hop.answer.close()
        if self._copier is not None:
            self._copier.cancel()
            await asyncio.gather(self._copier, return_exceptions=True)

    def _on_room(self) -> None:
        self._roomy.set()
        if self._takeover is not None:
            self._takeover.resume()

    def _look(self) -> None:
        """End the ring when nobody wants the rest any more, or nobody sends it."""
        self._watch = asyncio.get_running_loop().call_later(_LOOK, self._look)
        try:
            self._check()
        except DownloadCancelledError as error:
            self.ring.end(error)
        if self._takeover is not None and self._takeover.silence > self._idle:
            self.ring.end(DownloadTimeoutError(f"{self._hop.host} was silent for too long."))

    async def _copy(self) -> None:
        failure = None
        try:
            while not self._hop.answer.content.at_eof():
                await self._put(await self._hop.chunk())
        except Exception as error:  # noqa: BLE001  # raised by whoever empties the ring
            failure = error
        self.ring.end(failure)

    async def _put(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            space = self.ring.space()[: len(rest)]
            if not space:
                self._roomy.clear()
                await self._roomy.wait()
                continue
            space[:] = rest[: len(space)]
            self.ring.filled(len(space))
            rest = rest[len(space) :]


class Takeover(asyncio.BufferedProtocol):
    """Stands in for aiohttp on a connection of which nothing but *left* bytes is due."""

    def __init__(self, ring: Ring, transport: asyncio.Transport, left: int, host: str) -> None:
        self._ring, self._left, self._host = ring, left, host
        self._transport, self._former = transport, transport.get_protocol()
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._is_lost = False

    @classmethod
    def of(cls, hop: Hop, ring: Ring) -> Takeover | None:
        """Take over, if the rest of the answer is worth it and nothing but the body itself."""
        answer, length = hop.answer, hop.answer.content_length
        connection = answer.connection
        if connection is None or connection.transport is None or length is None:
            return None
        read = answer.content.total_bytes
        if length - read < LONG or read > len(ring.space()):
            return None
        if "Transfer-Encoding" in answer.headers or answer.content.exception() is not None:
            return None
        while chunk := answer.content.read_nowait():
            ring.space()[: len(chunk)] = chunk
            ring.filled(len(chunk))
        found = cls(ring, connection.transport, length - read, hop.host)
        connection.transport.set_protocol(found)
        found.resume()
        return found

    @property
    def silence(self) -> float:
        """Seconds since the server last sent something that there was room for."""
        return self._loop.time() - self._heard if self._transport.is_reading() else 0.0

    def resume(self) -> None:
        """Go on receiving."""
        if self._left and not self._is_lost and not self._transport.is_reading():
            self._heard = self._loop.time()
            self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._ring.space()[: self._left]

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = self._loop.time()
        self._left -= nbytes
        self._ring.filled(nbytes)
        if not self._left:
            self._ring.end()
        if not self._left or not self._ring.space():
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._ring.end(ResponseDataLossError(f"{self._host} ended the body early."))
        self._former.connection_lost(exc)
