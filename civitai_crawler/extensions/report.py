"""Says at the end what the archive holds and what it could not get."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from scrapy import signals

from civitai_crawler.items import FEEDS
from civitai_crawler.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from scrapy import Spider
    from scrapy.crawler import Crawler

    from civitai_crawler.ledger.summary import Summary

logger = logging.getLogger(__name__)

_MEDIA = {"model_file": "model files", "image": "originals"}


class Report:
    """Extension: the totals of the archive when the spider closes, over all runs of the job."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_closed, signals.spider_closed)
        return extension

    def spider_closed(self, spider: Spider, reason: str) -> None:
        summary = Ledger.of(self.crawler).summary
        if summary is not None:
            for line in lines(summary):
                logger.info("%s", line)


def lines(summary: Summary) -> list[str]:
    """Put a summary into sentences."""
    items = {stem: summary.items.get(item.__name__, 0) for stem, item in FEEDS.items()}
    items.pop("failures")
    told = [f"The archive holds {_listed(items)}"]
    stored = [
        f"{number} {_MEDIA.get(kind, kind)} ({_size(size)})"
        for kind, (number, size) in summary.media.items()
    ]
    if stored:
        told.append(f"Stored on disk: {', '.join(stored)}")
    if summary.failures:
        told.append(f"Not obtained, by reason: {_listed(summary.failures)}")
    if summary.excluded:
        told.append(f"Left out as excluded: {_listed(summary.excluded)}")
    if summary.pending:
        told.append(
            f"Not finished: {summary.pending} requests are left; the same command goes on from here"
        )
    return told


def _listed(counts: Mapping[str, int]) -> str:
    words = [f"{number} {name.replace('_', ' ')}" for name, number in counts.items() if number]
    return ", ".join(words) or "nothing"


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the next unit starts here
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
