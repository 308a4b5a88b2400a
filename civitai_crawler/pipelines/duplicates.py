"""Every item once: what stands in the feeds is neither fetched nor written again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.exceptions import DropItem

from civitai_crawler.items import Image, ModelFile, Record
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.changes import digest

if TYPE_CHECKING:
    from typing import Self

    from scrapy.crawler import Crawler

#: Items whose file may still be wanting though their line stands, and its name in the ledger.
MEDIA_KINDS: dict[type[Any], str] = {ModelFile: "model_file", Image: "image"}


class DuplicatesPipeline:
    """First of the pipelines: drops what is in the feeds already or on its way there.

    Two kinds of known items pass: those whose file could not be had before, so that it is tried
    again, and those in which something has changed, so that the feed gets a newer line.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._ledger = Ledger.of(crawler)
        self._on_the_way: set[tuple[str, Any]] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        pipeline = cls(crawler)
        for signal in (signals.item_scraped, signals.item_dropped, signals.item_error):
            crawler.signals.connect(pipeline.item_left, signal)
        return pipeline

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Record):
            return item
        key = _key(item)
        if key in self._on_the_way:
            raise DropItem(f"{key[0]} {key[1]} is on its way already")
        if self._ledger.has_item(*key):
            self._ledger.see(*key)
            if not (self._ledger.digest(*key) != digest(item) or self._wants_media(item)):
                raise DropItem(f"{key[0]} {key[1]} stands in its feed already")
        self._on_the_way.add(key)
        return item

    def _wants_media(self, item: Any) -> bool:
        kind = MEDIA_KINDS.get(type(item))
        return kind is not None and self._ledger.media(kind, item.id) is None

    def item_left(self, item: Any, exception: BaseException | None = None) -> None:
        # A repeated item is dropped while the first one of its key may still be on the way.
        if isinstance(item, Record) and not _is_repeat(exception):
            self._on_the_way.discard(_key(item))


class KnownItemsPipeline:
    """Last of the pipelines: a known item passes with a change, or the file that was wanting."""

    def __init__(self, crawler: Crawler) -> None:
        self._ledger = Ledger.of(crawler)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    def process_item(self, item: Any) -> Any:
        if isinstance(item, Record) and self._ledger.has_item(*_key(item)):
            changed = self._ledger.digest(*_key(item)) != digest(item)
            if not changed and getattr(item, "path", None) is None:
                raise DropItem(f"{_key(item)} stands in its feed already")
        return item


def _key(item: Any) -> tuple[str, Any]:
    return type(item).__name__, item.id


def _is_repeat(exception: BaseException | None) -> bool:
    return isinstance(exception, DropItem) and "on its way" in str(exception)
