"""Feeds whose lines are committed with the rows they came from: each item exactly once.

Registered for local paths. JSON Lines and CSV can be appended to, so these are held to the promise;
any other format, standard output and remote storages are Scrapy's own, with Scrapy's weaker one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from scrapy.exporters import CsvItemExporter
from scrapy.extensions.feedexport import FileFeedStorage
from scrapy.utils.serialize import ScrapyJSONEncoder

from civitai_crawler.ledger.store import Ledger

if TYPE_CHECKING:
    from io import BytesIO
    from typing import IO, Self

    from scrapy import Spider
    from scrapy.crawler import Crawler

#: Formats that can be continued after a committed byte.
_APPENDABLE = ("jsonlines", "jsonl", "jl", "csv")


class LedgerFeedStorage(FileFeedStorage):
    """A local feed: appended after its committed length, cut there at the start of a run."""

    def __init__(
        self, uri: str, *, ledger: Ledger | None = None, feed_options: dict[str, Any] | None = None
    ) -> None:
        super().__init__(uri, feed_options=feed_options)
        options = feed_options or {}
        self._ledger = None if options.get("overwrite") else ledger
        if options.get("format") not in _APPENDABLE:
            self._ledger = None
        if self._ledger is not None:
            self._ledger.register_feed(self.path)

    @classmethod
    def from_crawler(
        cls, crawler: Crawler, uri: str, *, feed_options: dict[str, Any] | None = None
    ) -> Self:
        return cls(uri, ledger=Ledger.of(crawler), feed_options=feed_options)

    def open(self, spider: Spider) -> IO[bytes]:
        if self._ledger is None:
            return super().open(spider)
        return self._ledger.open_feed(self.path)

    def store(self, file: IO[bytes]) -> None:
        if self._ledger is None:
            super().store(file)
        else:
            self._ledger.close_feed(cast("BinaryIO", file))


class FlatCsvExporter(CsvItemExporter):
    """CSV that can be continued: one header, and nested values as JSON instead of Python's repr."""

    def __init__(self, file: BinaryIO, **kwargs: Any) -> None:
        started = file.seekable() and file.tell() > 0
        kwargs.setdefault("include_headers_line", not started)
        super().__init__(cast("BytesIO", file), **kwargs)

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        if isinstance(value, (dict, list, tuple)):
            return json.dumps(value, ensure_ascii=False, cls=ScrapyJSONEncoder)
        return super().serialize_field(field, name, value)
