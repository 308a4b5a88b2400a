"""The second source of generation data: what the stored original itself tells."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from scrapy import signals

from civitai_crawler.api import parsers
from civitai_crawler.api.embedded import Embedded, embedded
from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.items import GenerationData, Image
from civitai_crawler.ledger import Ledger
from civitai_crawler.pipelines import shelf
from civitai_crawler.pipelines.trouble import end_crawl
from civitai_crawler.stores import Store, StoreError, Stores

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler
    from twisted.python.failure import Failure

logger = logging.getLogger(__name__)

#: Files that are read at once; one takes milliseconds, and some megabytes at most.
_AT_ONCE = 4
#: Seconds between two looks for an image that has not been listed yet.
_LOOK = 0.05
#: Fields that the file fills where the site tells no prompt and does not hide it.
_FILLED = (
    "prompt",
    "negative_prompt",
    "seed",
    "steps",
    "cfg_scale",
    "sampler",
    "clip_skip",
    "process",
    "comfy",
    "unresolved",
)


class EmbeddedPipeline:
    """Looks into the original of every :class:`GenerationData` that has one in the archive.

    Before the media pipelines: an image that is on its way is waited for, whatever comes first. If
    the crawl ends meanwhile, both are left to the next run. Where no original was fetched, the
    site's own word stands alone.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._downloads = "images" in crawler.settings.getlist("CIVITAI_DOWNLOAD")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        #: Images under way: whether each was finished, for good or ill.
        self._coming: dict[int, tuple[Image, asyncio.Future[bool]]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        pipeline = cls(crawler)
        if not pipeline._downloads:
            return pipeline  # no original is on its way
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
            crawler.signals.connect(pipeline.item_left, signal)
        return pipeline

    async def process_item(self, item: Any) -> Any:
        if isinstance(item, Image) and self._downloads:
            arrived = asyncio.get_running_loop().create_future()
            self._coming.setdefault(item.id, (item, arrived))
        elif isinstance(item, GenerationData):
            await self._wait(item.id)
            await self._look(item)
        return item

    def item_left(self, item: Any, failure: Failure | None = None) -> None:
        coming = self._coming.get(getattr(item, "id", 0))
        # A repeated image is dropped while the first one of its id is still on the way.
        if coming is not None and coming[0] is item:
            del self._coming[item.id]
            unfinished = failure is not None and isinstance(failure.value, UnfinishedError)
            coming[1].set_result(not unfinished)

    async def _wait(self, image_id: int) -> None:
        while image_id not in self._coming and self._is_due(image_id):  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(_LOOK)
        coming = self._coming.get(image_id)
        if coming is not None and not await asyncio.shield(coming[1]):
            raise UnfinishedError("The crawl ended before the original was stored.")
        if coming is None and self._is_awaited(image_id) and self._crawler.engine.needs_backout():
            raise UnfinishedError("The crawl ends before the image is listed.")

    def _is_due(self, image_id: int) -> bool:
        """Tell whether the image may still come: in a resumed crawl its page can be the later one.

        Rows are handed out oldest first, so the page is asked for by then, but not yet read; or it
        was, and its images wait before the pipelines.
        """
        if not self._is_awaited(image_id):
            return False
        rows = self._ledger.queue.open.values()
        read = self._ledger.under_way.holds("Image", image_id)
        return read or any(not row.passed for row in rows)

    def _is_awaited(self, image_id: int) -> bool:
        listed = getattr(self._crawler.spider, "wants_images", False)
        return self._downloads and listed and not self._ledger.has_item("Image", image_id)

    async def _look(self, item: GenerationData) -> None:
        media = self._ledger.media("image", item.id)
        if media is None:
            return
        folder = shelf.folder(self._crawler.settings["CIVITAI_ARCHIVE"], item.archive)
        found = await self._read(Stores.of(self._crawler).get("images", folder), media.path)
        if found is not None:
            complete(item, found)
            self._count(item.provenance or "api")

    async def _read(self, store: Store, path: str) -> Embedded | None:
        async with self._turns:
            try:
                return await asyncio.to_thread(read, store, path)
            except StoreError as error:
                raise end_crawl(self._crawler, error) from error
            except OSError as error:
                # Gone or unreadable since it was stored: the record stands without it.
                logger.warning("No look into %s: %s", path.rpartition("/")[2], error.strerror)
                self._count("unreadable")
                return None

    def _count(self, event: str) -> None:
        self._crawler.stats.inc_value(f"civitai/embedded/{event}")


def read(store: Store, path: str) -> Embedded | None:
    """Read what a file tells (blocking), its metadata only."""
    with store.pieces(path) as piece:
        return embedded(piece)


def complete(item: GenerationData, found: Embedded) -> None:
    """Put what the file tells beside what the site told; the site's own values stay as they are.

    A hidden prompt stays hidden, the file's own word is in ``embedded``. Where the site knows of no
    prompt, the file fills the fields that are empty.
    """
    item.embedded = found.plain()
    if item.prompt_state == "hidden":
        item.provenance = "file"
    elif item.prompt_state == "present":
        item.provenance = "both" if agrees(item, found) else item.provenance
    else:
        item.provenance = "both" if item.meta else "file"
        meta = {**found.parameters, "comfy": found.comfy}
        told = parsers.generation_data({"meta": meta}, image_id=item.id)
        for name in _FILLED:
            if getattr(item, name) in (None, []):
                setattr(item, name, getattr(told, name))
        item.comfy = item.comfy or None
        item.prompt_state = "absent" if item.prompt is None else "present"


def agrees(item: GenerationData, found: Embedded) -> bool:
    """Tell whether site and file tell the same prompt, or the same graph where it has none."""
    theirs = found.parameters.get("prompt")
    if isinstance(theirs, str):
        return theirs.split() == (item.prompt or "").split()
    graphs = item.comfy if isinstance(item.comfy, dict) else {}
    return bool(graphs) and all(found.comfy.get(name) == graphs[name] for name in graphs)
