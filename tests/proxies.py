"""A forward proxy on loopback: tunnels for https, absolute addresses for http."""

from __future__ import annotations

import asyncio
import base64
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Proxy:
    """What the proxy has seen."""

    user: str
    """``name:password`` that it asks for."""
    port: int = 0
    targets: list[str] = field(default_factory=list)
    """``host:port`` of each tunnel or request, in order."""
    refused: int = 0
    """Requests without the right user."""

    @property
    def url(self) -> str:
        return f"http://{self.user}@127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, address, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        token = base64.b64encode(self.user.encode())
        if b"basic " + token.lower() not in head.lower():
            self.refused += 1
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        parts = urlsplit(address if "://" in address else f"//{address}")
        self.targets.append(f"{parts.hostname}:{parts.port}")
        there_reader, there_writer = await asyncio.open_connection(parts.hostname, parts.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:  # one request for each connection
            path = address.split(str(parts.port), 1)[1]
            lines = [line for line in head.split(b"\r\n")[1:-2] if b"onnection:" not in line]
            start = f"{method} {path} HTTP/1.1".encode()
            there_writer.write(b"\r\n".join([start, *lines, b"Connection: close", b"", b""]))
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    writer.close()


@contextmanager
def proxy(user: str) -> Iterator[Proxy]:
    """Run a proxy in a thread."""
    told, ready, loop = Proxy(user), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def life() -> None:
        server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
        told.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(life())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield told
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
