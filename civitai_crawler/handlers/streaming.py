"""Bodies of any size to the disk in constant memory, resumed where the last try ended.

Redirects are followed here, because a signed link must neither be seen nor stored by anything
above, and because only here it is known that an expired one needs the site to be asked anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from scrapy.exceptions import DownloadCancelledError, DownloadFailedError, ResponseDataLossError
from scrapy.http import Headers, Response

from civitai_crawler.handlers.client import Client, Hop
from civitai_crawler.handlers.intake import Intake
from civitai_crawler.handlers.partfile import PartFile, append, discard, in_thread, noted
from civitai_crawler.handlers.ranges import Range, differs, validator

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from civitai_crawler.handlers.pacing import Pacer

#: Bytes of an error's body that are read.
MAX_ERROR = 64 * 1024
#: New bytes that make a broken try count as progress, so that it uses up no attempt.
PROGRESS = 256 * 1024
#: Answers of a file host to a signed link that has expired.
EXPIRED = frozenset({400, 401, 403, 410})
#: How often an expired link is renewed within one request.
RENEWALS = 2
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
#: Answers to what only a resuming request says: the rest of a part cannot be had for it.
_REFUSED_REST = frozenset({304, 412, _UNSATISFIABLE})
#: Encodings of a body that do not change its bytes.
_PLAIN = frozenset({"", "identity", "chunked"})


@dataclass(frozen=True, slots=True)
class Streamed:
    """What lies in a part file after success; in ``response.meta["civitai_streamed"]``."""

    path: str
    """The part file; not written when there is a body."""
    size: int
    """Bytes in it."""
    sha256: str
    """Lower-case hex."""
    head: bytes
    """The first 512 bytes."""
    content_type: str
    """Media type by the server, lower case, without parameters; empty when it named none."""
    resumed_from: int
    """Bytes that an earlier try had left; 0 for a fresh start."""
    final_host: str
    """Host that sent the bytes."""
    body: bytes | None = None
    """All bytes, when they are no more than ``civitai_hold`` in the request's meta said."""


class StreamingDownloads:
    """Fetches requests whose meta names a part file under ``civitai_stream``.

    Where ``civitai_hold`` allows it, a body of so many bytes is not written but handed on.

    A complete body gives a response of status 200 with the flag ``streamed``, and neither body nor
    headers: ``Streamed`` tells what there is to know. Any other answer is passed on with at most
    64 KiB of its body; the flag ``storage`` tells that it came from a host that the site had
    redirected to. ``Set-Cookie`` of the site itself is left in for the login middleware.
    """

    _locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __init__(self, crawler: Crawler, pacer: Pacer) -> None:
        self.crawler = crawler
        self._pacer = pacer
        self._client = Client(crawler.settings, pacer)

    async def close(self) -> None:
        await self._client.close()

    async def fetch(self, request: Request) -> Response:
        """Fetch *request* into its part file; raises Scrapy's download exceptions, and OSError."""
        request.meta.pop("civitai_streamed", None)
        path = Path(request.meta["civitai_stream"])
        async with self._lock(path):
            part = PartFile(path)
            try:
                if noted(path):
                    await in_thread(part.load, self._check)
                return await self._renewing(request, part)
            finally:
                if part.is_open:
                    await in_thread(part.close)

    def _lock(self, path: Path) -> asyncio.Lock:
        """Give the lock of the one writer that a part may have."""
        return self._locks.setdefault(str(path), asyncio.Lock())

    async def _renewing(self, request: Request, part: PartFile) -> Response:
        """Ask the original again for a fresh link as long as that may help."""
        for renewal in range(RENEWALS + 1):
            hop = await self._client.follow(request, part.size, part.validator)
            async with hop.answer:
                expired = hop.answer.status in EXPIRED and hop.led_by_site
                if not expired or renewal == RENEWALS:
                    return await self._take(request, hop, part)
            self._inc("renewed_links")
        raise AssertionError  # the last round returns

    async def _take(self, request: Request, hop: Hop, part: PartFile) -> Response:
        """Judge the final answer: the body, the rest of it, nothing left to send, or an error."""
        answer = hop.answer
        before = part.size
        if answer.status in _REFUSED_REST and before:
            if not self._is_whole(part, hop):
                return await self._again(request, part)
        elif answer.status == _PARTIAL and before:
            found = _range(hop)
            if found.start != before or self._changed(part, hop, found):
                return await self._again(request, part)
            part.total = found.total if found.total is not None else part.total
            await in_thread(part.reserve)
            await self._receive(request, hop, part)
        elif answer.status == _OK and not hop.is_site_page:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            told = (answer.content_length, kind)
            await self._receive_anew(request, hop, part, told)
            self._inc("restarted", int(bool(before)))
            before = 0
        else:
            return await self._other(hop, request)
        return self._done(request, hop, part, before)

    def _is_whole(self, part: PartFile, hop: Hop) -> bool:
        """Tell whether nothing was left to send; a server need not say how long the file is."""
        if hop.answer.status != _UNSATISFIABLE:
            return False
        told = [total for total in (_range(hop).total, part.total) if total is not None]
        return bool(told) and all(total == part.size for total in told)

    def _changed(self, part: PartFile, hop: Hop, found: Range) -> bool:
        if part.total is not None and found.total is not None and found.total != part.total:
            return True
        total = found.total if part.total is None else part.total
        if total is not None and part.size + (hop.answer.content_length or 0) > total:
            return True
        return part.validator is None or differs(part.validator, hop.answer.headers)

    async def _again(self, request: Request, part: PartFile) -> Response:
        """Drop a part that does not fit what the server has, and fetch all of it."""
        await in_thread(part.restart)
        self._inc("restarted")
        hop = await self._client.follow(request, 0, None)
        async with hop.answer:
            return await self._take(request, hop, part)

    async def _receive_anew(
        self, request: Request, hop: Hop, part: PartFile, told: tuple[int | None, str]
    ) -> None:
        """Write the whole body, or hold a small one; *told*: its length and media type."""
        _refuse_compressed(hop)
        length, kind = told
        if length is None or length > request.meta.get("civitai_hold", -1):
            await in_thread(part.begin, validator(hop.answer.headers), length, kind)
            await self._receive(request, hop, part)
            return
        body = bytearray()
        while not hop.answer.content.at_eof():
            self._check()
            body += await hop.chunk()
        part.hold(bytes(body), length, kind)
        if part.is_begun:
            await in_thread(discard, part.path)
        self._inc("bytes", part.size)
        _refuse_cut(hop, part)

    async def _receive(self, request: Request, hop: Hop, part: PartFile) -> None:
        """Write the body behind what is there; what arrived before an error stays."""
        _refuse_compressed(hop)
        start = part.size
        try:
            async with Intake(hop, self._client.idle, self._check) as ring:
                while pieces := await ring.batch():
                    await append(part, pieces)
                    ring.free(sum(map(len, pieces)))
        finally:
            self._inc("bytes", part.size - start)
            _mark(request, part, start)
        _refuse_cut(hop, part)
        await in_thread(part.finish)

    async def _other(self, hop: Hop, request: Request) -> Response:
        """Pass on an answer that is no file."""
        body = bytearray()
        while len(body) < MAX_ERROR and not hop.answer.content.at_eof():
            self._check()
            body += await hop.chunk()
        flags = ["storage"] if hop.led_by_site else []
        headers = _headers(hop, keep_location=hop.on_site)
        status = hop.answer.status
        if status in (_OK, _PARTIAL) and not hop.on_site:
            raise DownloadFailedError(f"{hop.host} sends bytes that were not asked for.")
        return Response(
            request.url, status=status, headers=headers, body=bytes(body[:MAX_ERROR]), flags=flags
        )

    def _done(self, request: Request, hop: Hop, part: PartFile, resumed_from: int) -> Response:
        self._inc("files")
        self._inc("resumed", int(bool(resumed_from)))
        request.meta["civitai_streamed"] = Streamed(
            path=str(part.path),
            size=part.size,
            sha256=part.sha256,
            head=part.head,
            content_type=part.content_type,
            resumed_from=resumed_from,
            final_host=hop.host,
            body=part.body,
        )
        request.meta.pop("civitai_progress", None)
        return Response(request.url, status=_OK, headers=_cookies(hop), flags=["streamed"])

    def _check(self) -> None:
        """Raise when the crawl is being stopped; the part stays for the next run."""
        if self._pacer.stopping():
            raise DownloadCancelledError("The crawl is stopping; the part is kept.")

    def _inc(self, name: str, count: int = 1) -> None:
        if count:
            self.crawler.stats.inc_value(f"civitai/stream/{name}", count)


def _mark(request: Request, part: PartFile, start: int) -> None:
    """Tell that a try has come further than those before it.

    Bytes that arrive for a second time are none: the tries of a host without ranges would not end.
    """
    furthest = max(start, request.meta.get("civitai_furthest", 0))
    fits = part.total is None or part.size <= part.total
    if part.validator is not None and fits and part.size - furthest >= PROGRESS:
        request.meta["civitai_progress"] = True
    request.meta["civitai_furthest"] = max(furthest, part.size)


def _refuse_compressed(hop: Hop) -> None:
    told = [hop.answer.headers.get(name, "") for name in ("Content-Encoding", "Transfer-Encoding")]
    encodings = {one.strip().lower() for line in told for one in line.split(",")}
    if not encodings <= _PLAIN:
        raise DownloadFailedError(f"{hop.host} compresses files, which cannot be verified.")


def _refuse_cut(hop: Hop, part: PartFile) -> None:
    if part.total is not None and part.size != part.total:
        raise ResponseDataLossError(f"{part.size} of {part.total} bytes from {hop.host}.")


def _range(hop: Hop) -> Range:
    return Range.of(hop.answer.headers) or Range(None, None)


def _headers(hop: Hop, *, keep_location: bool) -> Headers:
    """Give the headers without cookies and links of others; the site's own cookies go along."""
    hidden = {"set-cookie"} if keep_location else {"set-cookie", "location"}
    headers = Headers()
    for key, value in hop.answer.headers.items():
        if key.lower() not in hidden:
            headers.appendlist(key, _raw(value))
    headers.update(_cookies(hop))
    return headers


def _cookies(hop: Hop) -> dict[str, list[bytes]]:
    found = [_raw(cookie) for cookie in hop.site_cookies]
    return {"Set-Cookie": found} if found else {}


def _raw(value: str) -> bytes:
    """Give a header as it was sent: names in it may be of any encoding."""
    return value.encode("utf-8", "surrogateescape")
