"""The stand-in itself: four hosts on loopback addresses, in this loop or in a thread."""

from __future__ import annotations

import asyncio
import errno
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from civitai_crawler.standin.faults import Faults
from civitai_crawler.standin.gate import ROLE, gate
from civitai_crawler.standin.log import Log
from civitai_crawler.standin.routes import ROUTES
from civitai_crawler.standin.state import BUCKET, STATE, Accounts, State, Urls
from civitai_crawler.standin.world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

ADDRESSES = {
    "site": "127.0.0.1",
    "media": "127.0.0.2",
    "storage": "127.0.0.3",
    "second": "127.0.0.4",
}
FALLBACK = "127.0.0.1"
WARM_BYTES = 1 << 28
MOST_BODY = 17 << 20


class Standin:
    """An embedded Civitai.

    Use ``async with Standin(world) as standin`` inside a loop, ``with Standin.in_thread(world) as
    standin`` anywhere else. ``faults`` and ``colour`` (``com`` or ``red``) may be changed while it
    runs. ``addresses`` and ``ports`` are by host role (``site``, ``media``, ``storage``,
    ``second``); an address that the machine does not have becomes 127.0.0.1.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        faults: Faults | None = None,
        tls: bool = False,
        colour: str = "com",
        accounts: Accounts | None = None,
        addresses: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
        log_path: Path | None = None,
    ) -> None:
        self.world = world or World.generate()
        self.faults = faults or Faults()
        self.log = Log(log_path)
        self.accounts = accounts or Accounts()
        self.state = State(self.world, self.faults, self.log, self.accounts, colour)
        self.ca_file: Path | None = None
        self._tls = tls
        self._addresses = {**ADDRESSES, **(addresses or {})}
        self._ports = dict(ports or {})
        self._runners: list[web.AppRunner] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def colour(self) -> str:
        return self.state.colour

    @colour.setter
    def colour(self, value: str) -> None:
        self.state.colour = value

    @property
    def site_url(self) -> str:
        return self.state.urls.site

    @property
    def media_url(self) -> str:
        """Base of media links, the bucket included."""
        return self.state.urls.media

    @property
    def storage_url(self) -> str:
        return self.state.urls.storage

    @property
    def second_media_url(self) -> str:
        return self.state.urls.second

    def truth(self, *, signed_in: bool, **options: Any) -> dict[str, Any]:
        """Return the world's truth under this server's colour and hash switch."""
        defaults = {"colour": self.colour, "wrong_hash": self.faults.wrong_hash}
        return self.world.truth(signed_in=signed_in, **{**defaults, **options})

    async def start(self) -> None:
        """Open all hosts; the URLs are known afterwards."""
        if self.world.total_bytes <= WARM_BYTES:
            await asyncio.to_thread(self.world.warm)
        context = self._context() if self._tls else None
        bases = {role: await self._open(role, context) for role in ADDRESSES}
        bases["media"] += f"/{BUCKET}"
        self.state.urls = Urls(**bases)

    def _context(self) -> ssl.SSLContext:
        from civitai_crawler.standin import certificates  # noqa: PLC0415  # needs cryptography

        self._folder = tempfile.TemporaryDirectory(prefix="standin-")
        folder = Path(self._folder.name)
        self.ca_file = folder / certificates.CA_FILE
        return certificates.make(folder, sorted({*self._addresses.values(), FALLBACK}))

    async def _open(self, role: str, context: ssl.SSLContext | None) -> str:
        """One host; its base URL."""
        app = web.Application(middlewares=[gate], client_max_size=MOST_BODY)
        app[STATE], app[ROLE] = self.state, role
        app.add_routes(ROUTES[role])
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        self._runners.append(runner)
        port = self._ports.get(role, 0)
        try:
            await web.TCPSite(runner, self._addresses[role], port, ssl_context=context).start()
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            await web.TCPSite(runner, FALLBACK, port, ssl_context=context).start()
        host, bound = runner.addresses[0][:2]
        return f"{'https' if context else 'http'}://{host}:{bound}"

    async def stop(self) -> None:
        """Close all hosts; open requests are cut."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self.log.close()
        if self._folder is not None:
            self._folder.cleanup()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @classmethod
    @contextmanager
    def in_thread(cls, world: World | None = None, **options: Any) -> Iterator[Self]:
        """Run a stand-in with its own loop in a thread, for callers without a loop."""
        standin = cls(world, **options)
        ready, loop = threading.Event(), asyncio.new_event_loop()
        failure: list[Exception] = []
        over = asyncio.Event()

        async def life() -> None:
            try:
                async with standin:
                    ready.set()
                    await over.wait()
            except Exception as error:  # noqa: BLE001  # raised again in the caller's thread
                failure.append(error)
            finally:
                ready.set()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(life())

        thread = threading.Thread(target=run, name="standin", daemon=True)
        thread.start()
        ready.wait()
        if failure:
            thread.join()
            raise failure[0]
        try:
            yield standin
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()

    async def serve_forever(self, started: Callable[[], None] = lambda: None) -> None:
        """Run until cancelled; ``started`` is called when all hosts are open."""
        async with self:
            started()
            await asyncio.Event().wait()
