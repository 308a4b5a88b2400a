"""The second source of generation data: what the stored original itself tells."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from civitai_crawler.api import parsers
from civitai_crawler.api.embedded import Embedded, embedded
from civitai_crawler.items import GenerationData
from civitai_crawler.ledger import Ledger
from civitai_crawler.pipelines import shelf

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

#: Files that are read at once; one takes milliseconds, and some megabytes at most.
_AT_ONCE = 4
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

    It works on what is stored: generation data has to be asked for after its images, and stays with
    the site's own word where no original was fetched.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def process_item(self, item: Any) -> Any:
        if not isinstance(item, GenerationData):
            return item
        media = self._ledger.media("image", item.id)
        if media is None:
            return item
        root = self._crawler.settings["CIVITAI_ARCHIVE"]
        found = await self._read(shelf.folder(root, item.archive) / media.path)
        if found is not None:
            complete(item, found)
            self._count(item.provenance or "api")
        return item

    async def _read(self, file: Path) -> Embedded | None:
        async with self._turns:
            try:
                return await asyncio.to_thread(read, file)
            except OSError as error:
                # Gone or unreadable since it was stored: the record stands without it.
                logger.warning("No look into %s: %s", file.name, error.strerror)
                self._count("unreadable")
                return None

    def _count(self, event: str) -> None:
        self._crawler.stats.inc_value(f"civitai/embedded/{event}")


def read(file: Path) -> Embedded | None:
    """Read what a file tells (blocking), its metadata only."""
    with file.open("rb", buffering=0) as stream:

        def piece(at: int, length: int) -> bytes:
            stream.seek(at)
            return stream.read(length)

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
