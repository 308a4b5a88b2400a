"""What both media pipelines share: one item, several addresses, one checked file in its place.

Scrapy's own pipelines take the body from memory, try an address once, log a traceback for every
failure and keep each result for the whole crawl. Here the bytes are already on disk when they are
looked at, a wrong answer leads to the next address, a refusal becomes a record, and no result
is kept.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from scrapy import Request
from scrapy.exceptions import DownloadCancelledError, NotConfigured
from scrapy.http.request import NO_CALLBACK
from scrapy.pipelines.files import FilesPipeline
from scrapy.utils.defer import deferred_from_coro

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
from civitai_crawler.pipelines.outcomes import Forgetful, media_info
from civitai_crawler.pipelines.trouble import end_crawl
from civitai_crawler.stores import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from scrapy import Spider
    from scrapy.crawler import Crawler
    from scrapy.http import Response
    from scrapy.pipelines.media import FileInfo, FileInfoOrError, MediaPipeline
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from civitai_crawler.handlers.streaming import Streamed
    from civitai_crawler.items import Image, ModelFile
    from civitai_crawler.pipelines.outcomes import MediaInfo
    from civitai_crawler.pipelines.sniff import Kind

logger = logging.getLogger(__name__)


class StreamedMediaPipeline(FilesPipeline):
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

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if cls.word not in crawler.settings.getlist("CIVITAI_DOWNLOAD"):
            raise NotConfigured
        if crawler.settings.getbool("CIVITAI_DRY_RUN"):
            raise NotConfigured  # PlanPipeline counts what would be fetched
        try:
            return cls(crawler.settings["CIVITAI_ARCHIVE"], crawler=crawler)
        except OSError as error:  # Scrapy makes the folder
            raise UsageError(f"CIVITAI_ARCHIVE cannot be used: {error}.") from error

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.of(self.crawler)

    @cached_property
    def keeper(self) -> Keeper:
        return Keeper(self.crawler, self.kind, self.word)

    def open_spider(self, spider: Spider | None = None) -> None:
        super().open_spider()
        self.spiderinfo.downloaded = Forgetful()

    @abstractmethod
    def sources(self, item: Any) -> Sequence[str]:
        """Return the addresses of the item's bytes in the order of tries."""

    @abstractmethod
    def look(self, item: Any, streamed: Streamed) -> Kind:
        """Return what arrived by its first bytes; raise NotTheFileError."""

    @abstractmethod
    def inspect(self, item: Any, kind: Kind, media: Media, file: Path) -> str | None:
        """Look at all of *file* (blocking) and return what proves it; *media* is its size and hash.

        Raises NotTheFileError, SpoiledError, or LargeError for :meth:`inspect_large`.
        """

    def inspect_large(self, kind: Kind, file: Path) -> str | None:
        """Look at what was too large for :meth:`inspect`."""
        raise NotImplementedError

    @abstractmethod
    def fill(self, item: Any, media: Media) -> None:
        """Write the stored file into the item's fields."""

    def is_wanted(self, item: Any) -> bool:
        """Tell whether the item's file is to be fetched."""
        return True

    def get_media_requests(self, item: Any, info: MediaPipeline.SpiderInfo) -> list[Request]:
        if not isinstance(item, self.record):
            return []
        if not self.is_wanted(item):
            self.count("filtered")
            return []
        sources = self.sources(item)
        if not sources:
            self._settle(item, no_address())
        return [self._request(item, url) for url in sources[:1]]

    def media_to_download(
        self, request: Request, info: MediaPipeline.SpiderInfo, *, item: Any = None
    ) -> Deferred[FileInfo | None]:
        """Answer with the result, so that Scrapy's own single try never comes to pass."""
        return deferred_from_coro(self._obtain(request, info, item))

    async def media_downloaded(
        self,
        response: Response,
        request: Request,
        info: MediaPipeline.SpiderInfo,
        *,
        item: Any = None,
    ) -> FileInfo:
        streamed: Streamed | None = response.meta.get("civitai_streamed")
        if streamed is None:
            raise not_streamed(response.status)
        kind = self.look(item, streamed)
        wanted = self.file_path(request, response, info, item=item)
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
        return media_info(request.url, "downloaded", media)

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

    def item_completed(
        self, results: list[FileInfoOrError], item: Any, info: MediaPipeline.SpiderInfo
    ) -> Any:
        for ok, result in results:
            if not ok:
                cast("Failure", result).raiseException()  # a bug, already in the log
            self._settle(item, cast("MediaInfo", result)["outcome"])
        return item

    async def _obtain(
        self, request: Request, info: MediaPipeline.SpiderInfo, item: Any
    ) -> FileInfo | None:
        try:
            held = await self.held(item)
            if held is not None:
                self.ledger.record_media(self.kind, item.id, held)
                self.count("present")
                return media_info(request.url, "uptodate", held)
            return await self.fetch(item, info)
        except (RefusedError, UnfinishedError) as error:
            return media_info(request.url, "failed", error)
        except (OSError, StoreError) as error:
            return media_info(request.url, "failed", end_crawl(self.crawler, error))

    async def held(self, item: Any) -> Media | None:
        """Return the item's file when an earlier run left it; its size is enough of a proof."""
        return await self.keeper.held(self.folder(item), item.id)

    async def fetch(self, item: Any, info: MediaPipeline.SpiderInfo) -> FileInfo:
        """Try one address after the other; the most telling refusal is raised in the end."""
        told: RefusedError | None = None
        for url in self.sources(item):
            try:
                return await self._fetch_from(url, item, info)
            except RefusedError as refused:
                if not isinstance(told, NotTheFileError):
                    told = refused
                if not refused.elsewhere:
                    break
        raise told or no_address()

    async def _fetch_from(self, url: str, item: Any, info: MediaPipeline.SpiderInfo) -> FileInfo:
        """Try one address; spoiled bytes are fetched once more from zero, then kept as evidence."""
        try:
            return await self._transfer(url, item, info)
        except SpoiledError:
            self.count("spoiled")
            await asyncio.to_thread(discard, self.part(item))
        try:
            return await self._transfer(url, item, info)
        except SpoiledError:
            await asyncio.to_thread(shelf.place, self.part(item), self.quarantine(item))
            raise

    async def _transfer(self, url: str, item: Any, info: MediaPipeline.SpiderInfo) -> FileInfo:
        request = self._request(item, url)
        try:
            response = await running_engine(self.crawler).download_async(request)
        except (DownloadCancelledError, *EXPECTED_ERRORS) as error:
            # A crawl that ends refuses everything: that says nothing about this file.
            if isinstance(error, DownloadCancelledError) or Pacer.of(self.crawler).stopping():
                raise UnfinishedError("The crawl ended during the download.") from None
            raise refusal(error) from None
        try:
            return await self.media_downloaded(response, request, info, item=item)
        except NotTheFileError:
            await asyncio.to_thread(discard, self.part(item))
            raise

    def _settle(self, item: Any, outcome: Media | CivitaiError) -> None:
        if isinstance(outcome, Media):
            self.fill(item, outcome)
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
