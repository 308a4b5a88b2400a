"""The HTTP client of the streaming downloads: paced hops, and errors that name no link.

Why aiohttp: Scrapy's own handlers hold a body in memory whatever its size, so it takes a client
that runs on Scrapy's loop, hands a body on piece by piece, holds the connection back while the disk
is busy, tells silence from a long download, and leaves redirects and cookies to us. aiohttp has a
documented name for each of these, and a long body's connection can be taken over from it, so that
it costs nothing per byte (``intake.py``). Twisted's Agent has no timeout for silence, leaves
holding back to its caller, and was a fifth slower; httpx was slower still; blocking clients in
threads can neither wait for the pacer nor be ended with the crawl.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)

from civitai_crawler.handlers import hops, ranges

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.settings import BaseSettings

    from civitai_crawler.handlers.pacing import Pacer

_CONNECT_TIMEOUT = 30.0
_DEFAULT_IDLE = 60.0
#: Seconds after which who waits for a body looks around.
_MOMENT = 0.5
_READ_BUFFER = 1 << 18
#: glibc returns free memory to the system, and asks for it page by page again, as soon as there is
#: more of it than twice the largest block that was ever freed. Chunks of a body come and go all the
#: time, so one block of this size is freed first; it is never touched and takes no memory.
_LARGEST_BLOCK = 16 << 20
_AUTO_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass(slots=True)
class Hop:
    """The last answer of a chain of redirects, its body unread."""

    answer: aiohttp.ClientResponse
    host: str
    """Host that gave it."""
    on_site: bool
    """The site itself gave it."""
    led_by_site: bool
    """Another host gave it, to which the site had redirected."""
    site_cookies: list[str] = field(default_factory=list)
    """``Set-Cookie`` of the site's own answers on the way."""

    @property
    def is_site_page(self) -> bool:
        """A web page by the site, which is never the file."""
        return self.on_site and "html" in self.answer.headers.get("Content-Type", "").lower()

    async def chunk(self) -> bytes:
        """Give what has arrived of the body; nothing when nothing came for a moment.

        Raises Scrapy's download exceptions.
        """
        failure: Exception
        try:
            if arrived := self.answer.content.read_nowait():
                return arrived
            # Not for the time: aiohttp tells of a garbled chunk only to who asks again.
            async with asyncio.timeout(_MOMENT):
                return await self.answer.content.readany()
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError, RuntimeError) as error:
            failure = translated(error, self.host)
        except TimeoutError:
            return b""
        raise failure


class PacedConnector(aiohttp.TCPConnector):
    """Hands out connections; one to the site only when it is the request's turn.

    The connection comes first, so that nothing but sending lies between the turn and the wire. The
    repetitions that aiohttp makes of a request whose connection breaks take a turn of their own.
    """

    def __init__(self, pacer: Pacer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pacer = pacer

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's signature
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        if self._pacer.is_site(str(req.url)):
            try:
                await self._pacer.turn()
            except BaseException:
                connection.release()
                raise
        return connection


class Client:
    """One aiohttp session, opened with the first request because it needs the running loop."""

    def __init__(self, settings: BaseSettings, pacer: Pacer) -> None:
        self._pacer = pacer
        self.idle = settings.getfloat("CIVITAI_IDLE_TIMEOUT", _DEFAULT_IDLE)
        self._verify = settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES")
        self._environment = settings.getbool("HTTPPROXY_ENABLED")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def follow(self, request: Request, offset: int, known: str | None) -> Hop:
        """Send *request* and go where it leads; gives the last answer, to be closed by the caller.

        :param offset: bytes already here; with *known*, the validator of the file they belong to,
            only the rest is asked for.
        """
        site = self._pacer.site
        url, cookies = request.url, list[str]()
        for _ in range(hops.MAX_HOPS):
            host, on_site = urlsplit(url).hostname or "", site.holds(url)
            started = time.monotonic()
            answer = await self._send(request, url, offset, known)
            if on_site:
                cookies += answer.headers.getall("Set-Cookie", [])
            else:
                request.meta["download_latency"] = time.monotonic() - started
            onward = hops.target(url, answer, site)
            if onward is None:
                led = site.holds(request.url) and not on_site
                return Hop(answer, host, on_site=on_site, led_by_site=led, site_cookies=cookies)
            answer.release()
            url = onward
        raise DownloadFailedError("The download was redirected too often.")

    async def _send(
        self, request: Request, url: str, offset: int, known: str | None
    ) -> aiohttp.ClientResponse:
        headers = hops.headers(request, url, self._pacer.site)
        if offset and known is not None:
            headers |= ranges.asking(offset, known)
        failure: Exception
        try:
            return await self._opened().request(
                request.method,
                hops.address(url),
                headers=headers,
                proxy=hops.proxy(request, url, environment=self._environment),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            failure = translated(error, urlsplit(url).hostname or "")
        raise failure

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            bytes(_LARGEST_BLOCK)
            self._session = aiohttp.ClientSession(
                connector=PacedConnector(self._pacer, limit=0, ssl=self._tls()),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                skip_auto_headers=_AUTO_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=self.idle
                ),
            )
        return self._session

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()  # honours SSL_CERT_FILE
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def translated(error: Exception, host: str) -> Exception:
    """Give Scrapy's exception for aiohttp's, with nothing of its text: that can hold the link.

    To be raised outside of the ``except`` block, else the original goes along as its context.
    """
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return CannotResolveHostError(f"The name {host} was not found.")
    if isinstance(error, TimeoutError):
        return DownloadTimeoutError(f"{host} was silent for too long.")
    # A garbled chunk ends aiohttp's reading with a RuntimeError.
    if isinstance(error, (aiohttp.ClientPayloadError, RuntimeError)):
        return ResponseDataLossError(f"{host} ended the body early.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return DownloadConnectionRefusedError(f"No connection to {host} ({kind}).")
    return DownloadFailedError(f"{host} or the way to it failed ({kind}).")
