"""Feeds whose lines are committed with the rows they came from: each item exactly once.

Registered for local paths. JSON Lines and CSV can be appended to, so these are held to the promise;
any other format, batches, compression, standard output and remote storages are Scrapy's own, with
Scrapy's weaker one.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec
from scrapy.exceptions import NotConfigured
from scrapy.exporters import CsvItemExporter, JsonLinesItemExporter
from scrapy.extensions.feedexport import FeedExporter, FileFeedStorage
from scrapy.utils.serialize import ScrapyJSONEncoder

from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import Record
from civitai_crawler.ledger.feedfile import FeedFile
from civitai_crawler.ledger.store import Ledger

if TYPE_CHECKING:
    from io import BytesIO
    from typing import IO, Self

    from scrapy import Spider
    from scrapy.crawler import Crawler

#: Formats that can be continued after a committed byte.
_APPENDABLE = ("jsonlines", "jsonl", "jl", "csv")
#: Options whose files are finished only after the last commit, or begin again at each run.
_NOT_HELD = ("postprocessing", "batch_item_count")


class AllFeedsExporter(FeedExporter):
    """Makes all feeds or ends the crawl: Scrapy's logs an error and goes on without any of them."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        try:
            return super().from_crawler(crawler)
        except NotConfigured as error:
            if not crawler.settings["FEEDS"]:
                raise
            raise UsageError(
                "A feed of -o or FEEDS cannot be made, as the error before this one says; "
                "nothing was asked."
            ) from error


class LedgerFeedStorage(FileFeedStorage):
    """A local feed: appended after its committed length, cut there at the start of a run."""

    def __init__(
        self, uri: str, *, ledger: Ledger | None = None, feed_options: dict[str, Any] | None = None
    ) -> None:
        super().__init__(uri, feed_options=feed_options)
        self.path = str(Path(self.path).absolute())
        self._file: FeedFile | None = None
        if ledger is None or "%(" in uri:  # Scrapy asks for the template first
            return
        options = feed_options or {}
        overwrite = bool(options.get("overwrite"))
        if overwrite and ledger.resumed:
            raise UsageError(
                f"-O would overwrite {Path(self.path).name}, but the job is not finished and would "
                "write only its rest: go on with -o, or start anew with -a fresh=true."
            )
        if options.get("format") in _APPENDABLE and not any(map(options.get, _NOT_HELD)):
            self._file = ledger.feeds.take_charge(Path(self.path), anew=overwrite)
            ledger.commit()

    @classmethod
    def from_crawler(
        cls, crawler: Crawler, uri: str, *, feed_options: dict[str, Any] | None = None
    ) -> Self:
        return cls(uri, ledger=Ledger.of(crawler), feed_options=feed_options)

    def open(self, spider: Spider) -> IO[bytes]:
        return super().open(spider) if self._file is None else cast("IO[bytes]", self._file)

    def store(self, file: IO[bytes]) -> None:
        if self._file is None:  # the ledger closes its own
            super().store(file)


class RecordLinesExporter(JsonLinesItemExporter):
    """JSON Lines as Scrapy writes them, with a shorter way for whole records of ours.

    Scrapy asks for every field by name, which takes most of the time of a crawl that has no
    interval to keep. Items of other classes, chosen fields and other encodings go Scrapy's way.
    """

    def __init__(self, file: BinaryIO, **kwargs: Any) -> None:
        super().__init__(cast("BytesIO", file), **kwargs)
        utf8 = (self.encoding or "").lower().replace("-", "") == "utf8"
        self._whole = utf8 and self.fields_to_export is None
        self._encoder = msgspec.json.Encoder()

    def export_item(self, item: Any) -> None:
        if self._whole and isinstance(item, Record):
            self.file.write(self._encoder.encode(item) + b"\n")
        else:
            super().export_item(item)


class FlatCsvExporter(CsvItemExporter):
    """CSV that can be continued: one header, and nested values as JSON instead of Python's repr."""

    def __init__(self, file: BinaryIO, **kwargs: Any) -> None:
        started = file.seekable() and file.tell() > 0
        kwargs.setdefault("include_headers_line", not started)
        super().__init__(cast("BytesIO", file), **kwargs)
        if started and isinstance(file, FeedFile) and not self.fields_to_export:
            # The first item of this run may be of another class than that of the first run.
            header = io.StringIO(file.header().decode(self.encoding or "utf-8"))
            self.fields_to_export = next(csv.reader(header, **self._kwargs), None)

    def serialize_field(self, field: Any, name: str, value: Any) -> Any:
        if isinstance(value, (dict, list, tuple)):
            return json.dumps(value, ensure_ascii=False, cls=ScrapyJSONEncoder)
        return super().serialize_field(field, name, value)
