"""Small real servers on loopback for whole-crawl tests."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    at: float
    """``time.monotonic()`` on arrival."""
    path: str
    """Path and query."""
    headers: dict[str, str]
    """Lower-case names."""


@dataclass(slots=True)
class Server:
    """A running server: where it is, and what it has seen so far."""

    url: str
    """Scheme, host and port, without a slash at the end."""
    seen: list[Seen] = field(default_factory=list)

    def gaps(self) -> list[float]:
        """Seconds between the arrivals of one request and the next."""
        return [later.at - earlier.at for earlier, later in pairwise(self.seen)]

    def paths(self) -> list[str]:
        return [each.path for each in self.seen]


@asynccontextmanager
async def serve(
    answer: Callable[[web.BaseRequest], Awaitable[Any]],
    host: str = "127.0.0.1",
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """Serve *answer* on a free port of *host* (127.0.0.1, 127.0.0.2 ... are hosts of their own)."""
    scheme = "https" if tls else "http"
    server = Server("")

    async def handler(request: web.BaseRequest) -> Any:
        headers = {key.lower(): value for key, value in request.headers.items()}
        server.seen.append(Seen(time.monotonic(), request.path_qs, headers))
        return await answer(request)

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=tls)
    await site.start()
    server.url = f"{scheme}://{host}:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
