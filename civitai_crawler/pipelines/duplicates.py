"""Every item once: what stands in the feeds is neither fetched nor written again."""

from __future__ import annotations

import asyncio
import logging
from itertools import chain
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import DropItem

from civitai_crawler.archive.feeds import heads
from civitai_crawler.archive.folders import feeds
from civitai_crawler.archive.records import log
from civitai_crawler.items import FEEDS, Failure, Image, ModelFile, Record
from civitai_crawler.ledger import Ledger, changes
from civitai_crawler.ledger.refusals import Refusals
from civitai_crawler.ledger.underway import key_of
from civitai_crawler.pipelines import shelf
from civitai_crawler.pipelines.filters import FileFilter
from civitai_crawler.stores import Stores

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

#: Items whose file may still be wanting though their line stands: its name in the ledger, and the
#: word of CIVITAI_DOWNLOAD that asks for it.
MEDIA_KINDS: dict[type[Any], tuple[str, str]] = {
    ModelFile: ("model_file", "files"),
    Image: ("image", "images"),
}
#: How failures name the item classes.
_KINDS = {item: stem.removesuffix("s") for stem, item in FEEDS.items()}


class DuplicatesPipeline:
    """First of the pipelines: drops what is in the feeds already or on its way there.

    Two kinds of known items pass: those whose file could not be had before and is worth another
    try, and those in which something has changed, so that the feed gets a newer line.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._refusals = Refusals(self._ledger)
        self._downloads = crawler.settings.getlist("CIVITAI_DOWNLOAD")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def open_spider(self) -> None:
        self._refusals.begin_run()
        changes.begin_run(self._ledger)
        # What the summary needs to know at the end: what was asked for of each image and file.
        self._ledger.set_fact("download", ",".join(self._downloads))
        self._ledger.set_fact("kinds", ",".join(getattr(self._crawler.spider, "kinds", [])))
        archive = getattr(self._crawler.spider, "archive", None)
        if archive:
            self._forget_cut(archive)
            await self._forget_lost(archive)

    def _forget_cut(self, archive: str) -> None:
        """Forget the records that somebody has cut off their feed, so that they come anew."""
        folder = shelf.folder(self._crawler.settings["CIVITAI_ARCHIVE"], archive)
        shortened = {feed.stem for feed in self._ledger.feeds.shortened() if feed.parent == folder}
        for item, stem in ((item, stem) for stem, item in FEEDS.items() if stem in shortened):
            found = (heads(feed, log) for feed in feeds(folder, stem))
            kept = {str(head.id) for _, head in chain.from_iterable(found)}
            lost = changes.forget_records(self._ledger, item.__name__, kept)
            logger.info("%d records are not in %s any more; asking for them anew", lost, stem)

    async def _forget_lost(self, archive: str) -> None:
        """Forget the stored files that somebody has removed, so that they are fetched anew."""
        folder, lost = shelf.folder(self._crawler.settings["CIVITAI_ARCHIVE"], archive), 0
        for kind, word in MEDIA_KINDS.values():
            stored = changes.stored_files(self._ledger, kind)
            store = Stores.of(self._crawler).get(word, folder)
            gone = await asyncio.to_thread(store.missing, stored)
            changes.forget_files(self._ledger, kind, [stored[path] for path in gone])
            lost += len(gone)
        if lost:
            logger.info("%d stored files are not in their place any more; fetching anew", lost)

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Record):
            return item
        if isinstance(item, Failure):
            self._refusals.note(item, signed_in=self._signed_in)
        key = key_of(item)
        self._ledger.under_way.claim(item)
        if self._ledger.has_item(*key):
            changes.see(self._ledger, *key)
            changed = self._ledger.digest(*key) != changes.digest(item)
            if not (changed or self._wants_media(item)):
                raise DropItem(f"{key[0]} {key[1]} stands in its feed already")
            self._ledger.under_way.held.add(key)
        return item

    @property
    def _signed_in(self) -> bool:
        return bool(getattr(self._crawler.spider, "signed_in", False))

    def _wants_media(self, item: Any) -> bool:
        kind, word = MEDIA_KINDS.get(type(item), ("", ""))
        if word not in self._downloads:
            return False
        if self._refusals.of(kind, item.id) is None:
            return self._ledger.media(kind, item.id) is None
        # Also with a file of old on the disk: then it is the newer one that could not be had.
        return self._refusals.is_due(kind, item.id, signed_in=self._signed_in)


class KnownItemsPipeline:
    """Last of the pipelines: a known item passes with a change, or the file that was wanting."""

    def __init__(self, crawler: Crawler) -> None:
        self._ledger = Ledger.of(crawler)
        self._refusals = Refusals(self._ledger)
        self._chosen = FileFilter.from_settings(crawler.settings)
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Record) or isinstance(item, Failure):
            return item
        key = key_of(item)
        known = key in self._ledger.under_way.held
        stored = getattr(item, "path", None) is not None
        changed = known and self._ledger.digest(*key) != changes.digest(item)
        if isinstance(item, (ModelFile, Image)) and not stored:
            self._name_held(item)
        if stored or type(item) not in MEDIA_KINDS:
            self._refusals.resolve(_KINDS[type(item)], key[1])
        if isinstance(item, ModelFile):
            changes.choose(self._ledger, item.id, chosen=self._chosen.admits(item))
        if known and not changed and not stored:
            raise DropItem(f"{key[0]} {key[1]} stands in its feed already")
        what = "updated" if changed else "stored" if known else "added"
        changes.note(self._ledger, *key, what)
        if not known:
            self._crawler.stats.inc_value(f"civitai/added/{key[0]}")
        return item

    def _name_held(self, item: ModelFile | Image) -> None:
        """Name the file that an earlier run has stored, also where this one wants none."""
        kind, _ = MEDIA_KINDS[type(item)]
        media = self._ledger.media(kind, item.id)
        if media is not None:
            media.fill(item)
