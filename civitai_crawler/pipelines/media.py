"""What both media pipelines share: one item, several addresses, one checked file in its place.

Scrapy's own media pipelines take the body from memory, try an address once, log a traceback for
every failure, keep each result for the whole crawl, and give one file to all items that name its
address. Here the bytes are already on disk or few when they are looked at, a wrong answer leads to
the next address, a refusal becomes a record, and each item gets a file of its own. None of their
steps would be left, so these are pipelines of their own, with Scrapy's names where they mean the
same.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from scrapy import Request
from scrapy.exceptions import DownloadCancelledError, NotConfigured
from scrapy.http.request import NO_CALLBACK

from civitai_crawler.exceptions import CivitaiError, UnfinishedError, UsageError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.partfile import discard
from civitai_crawler.ledger import Ledger, Media
from civitai_crawler.pipelines import shelf
from civitai_crawler.pipelines.arrival import SMALL, Arrival
from civitai_crawler.pipelines.failures import (
    EXPECTED_ERRORS,
    NotTheFileError,
    RefusedError,
    SpoiledError,
    failure_of,
    no_address,
    not_streamed,
    refusal,
    report,
    running_engine,
)
from civitai_crawler.pipelines.keeping import Keeper
from civitai_crawler.pipelines.trouble import end_crawl
from civitai_crawler.stores import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from scrapy.crawler import Crawler

    from civitai_crawler.handlers.streaming import Streamed
    from civitai_crawler.items import Image, ModelFile
    from civitai_crawler.pipelines.sniff import Kind

logger = logging.getLogger(__name__)


class StreamedMediaPipeline(ABC):
    """Base of the media pipelines; a subclass says what it fetches, whence, and how it checks."""

    #: The items that are looked at; all others pass.
    record: ClassVar[type[ModelFile | Image]]
    #: Their name in the ledger, in failures and in the names of parts.
    kind: ClassVar[str]
    #: The word of CIVITAI_DOWNLOAD that turns the pipeline on; also the name of its stats.
    word: ClassVar[str]
    #: What failures name as their source.
    source: ClassVar[str]
    route: ClassVar[str]
    slot: ClassVar[str]

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if cls.word not in crawler.settings.getlist("CIVITAI_DOWNLOAD"):
            raise NotConfigured
        if crawler.settings.getbool("CIVITAI_DRY_RUN"):
            raise NotConfigured  # PlanPipeline counts what would be fetched
        try:
            Path(crawler.settings["CIVITAI_ARCHIVE"]).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"CIVITAI_ARCHIVE cannot be used: {error}.") from error
        return cls(crawler)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.of(self.crawler)

    @cached_property
    def keeper(self) -> Keeper:
        return Keeper(self.crawler, self.kind, self.word)

    @abstractmethod
    def sources(self, item: Any) -> Sequence[str]:
        """Return the addresses of the item's bytes in the order of tries."""

    @abstractmethod
    def file_path(self, item: Any, kind: Kind, sha256: str) -> str:
        """Return the path in the archive (POSIX) that what has arrived should get."""

    @abstractmethod
    def look(self, item: Any, streamed: Streamed) -> Kind:
        """Return what arrived by its first bytes; raise NotTheFileError."""

    @abstractmethod
    def inspect(
        self, item: Any, kind: Kind, media: Media, file: Path, body: bytes | None
    ) -> str | None:
        """Look at all of *file* (blocking) and return what proves it.

        *media* tells its size and hash, *body* is what lies in it if that is in memory. Raises
        NotTheFileError, SpoiledError, or LargeError for :meth:`inspect_large`.
        """

    def inspect_large(self, kind: Kind, file: Path) -> str | None:
        """Look at what was too large for :meth:`inspect`."""
        raise NotImplementedError

    def is_wanted(self, item: Any) -> bool:
        """Tell whether the item's file is to be fetched."""
        return True

    async def process_item(self, item: Any) -> Any:
        """Complete an item by its file; raises UnfinishedError when the crawl ends before."""
        if isinstance(item, self.record):
            if self.is_wanted(item):
                self._settle(item, await self._obtain(item))
            else:
                self.count("filtered")
        return item

    async def _obtain(self, item: Any) -> Media | CivitaiError:
        try:
            held = await self.held(item)
            if held is None:
                return await self.fetch(item)
        except (RefusedError, UnfinishedError) as error:
            return error
        except (OSError, StoreError) as error:
            return end_crawl(self.crawler, error)
        self.ledger.record_media(self.kind, item.id, held)
        self.count("present")
        return held

    async def held(self, item: Any) -> Media | None:
        """Return the item's file when an earlier run left it; its size is enough of a proof."""
        return await self.keeper.held(self.folder(item), item.id)

    async def fetch(self, item: Any) -> Media:
        """Try one address after the other; the most telling refusal is raised in the end."""
        told: RefusedError | None = None
        for url in self.sources(item):
            try:
                return await self._fetch_from(url, item)
            except RefusedError as refused:
                if not isinstance(told, NotTheFileError):
                    told = refused
                if not refused.elsewhere:
                    break
        raise told or no_address()

    async def _fetch_from(self, url: str, item: Any) -> Media:
        """Try one address; spoiled bytes are fetched once more from zero, then kept as evidence."""
        try:
            return await self.transfer(url, item)
        except SpoiledError:
            self.count("spoiled")
            await asyncio.to_thread(discard, self.part(item))
        try:
            return await self.transfer(url, item)
        except SpoiledError:
            await asyncio.to_thread(shelf.place, self.part(item), self.quarantine(item))
            raise

    async def transfer(self, url: str, item: Any) -> Media:
        """Download and store; raises RefusedError, UnfinishedError, OSError or StoreError."""
        request = self._request(item, url)
        try:
            response = await running_engine(self.crawler).download_async(request)
        except (DownloadCancelledError, *EXPECTED_ERRORS) as error:
            # A crawl that ends refuses everything: that says nothing about this file.
            if isinstance(error, DownloadCancelledError) or Pacer.of(self.crawler).stopping():
                raise UnfinishedError("The crawl ended during the download.") from None
            raise refusal(error) from None
        streamed: Streamed | None = response.meta.get("civitai_streamed")
        try:
            if streamed is None:
                raise not_streamed(response.status)
            return await self._store(item, streamed)
        except NotTheFileError:
            await asyncio.to_thread(discard, self.part(item))
            raise

    async def _store(self, item: Any, streamed: Streamed) -> Media:
        kind = self.look(item, streamed)
        wanted = self.file_path(item, kind, streamed.sha256)
        path = self.ledger.claim_path(self.kind, item.id, wanted)
        arrival = self.arrival(item, streamed, kind, path)
        try:
            how, media = await self.keeper.keep(self.folder(item), item.id, arrival)
        except CivitaiError:
            self.ledger.release_path(self.kind, item.id, path)
            raise
        self.count("stored")
        if how != "stored":
            self.count(how)
        self.count("bytes", media.size - streamed.resumed_from)
        return media

    def arrival(self, item: Any, streamed: Streamed, kind: Kind, path: str) -> Arrival:
        """Put together what has arrived and how it is inspected."""
        media = Media(path, streamed.size, streamed.sha256, None, kind.mime)
        return Arrival(
            Path(streamed.path),
            streamed.body,
            media,
            partial(self.inspect, item, kind, media),
            partial(self.inspect_large, kind),
        )

    def _settle(self, item: Any, outcome: Media | CivitaiError) -> None:
        if isinstance(outcome, Media):
            outcome.fill(item)
        elif isinstance(outcome, RefusedError):
            self.count(f"failed/{outcome.reason}")
            logger.info("No file for %s %d: %s", self.kind, item.id, outcome.message)
            report(self.crawler, failure_of(item, self.kind, self.source, outcome))
        else:
            raise outcome

    def folder(self, item: Any) -> Path:
        """Return the archive folder of the item."""
        return shelf.folder(self.crawler.settings["CIVITAI_ARCHIVE"], item.archive)

    def part(self, item: Any) -> Path:
        """Return where the item's bytes gather."""
        return shelf.part(self.folder(item), self.kind, item.id)

    def quarantine(self, item: Any) -> Path:
        """Return where bytes lie that are not what was published."""
        return self.folder(item) / "quarantine" / f"{self.kind}-{item.id}"

    def count(self, event: str, amount: int = 1) -> None:
        """Count under ``civitai/<files or images>/``."""
        self.crawler.stats.inc_value(f"civitai/{self.word}/{event}", amount)

    def _request(self, item: Any, url: str) -> Request:
        meta = {
            "civitai_route": self.route,
            "civitai_stream": str(self.part(item)),
            "civitai_hold": SMALL,
            "download_slot": self.slot,
            # Whatever comes is looked at here; no redirect is followed above the handler.
            "handle_httpstatus_all": True,
        }
        return Request(url, callback=NO_CALLBACK, meta=meta, dont_filter=True)
