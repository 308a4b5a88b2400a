"""Says at the end what the archive holds and lacks: ``report.json``, ``report.md``, the log."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from scrapy import signals
from scrapy.exceptions import NotConfigured

from civitai_crawler.extensions import account, account_text
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.summary import verdict

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from scrapy import Spider
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)


class Report:
    """Extension: the state of the archive when the spider closes, over all runs of the job.

    The files lie in the archive's folder and are replaced whole. A crawl that was killed leaves
    those of the run before.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if crawler.settings.getbool("CIVITAI_DRY_RUN"):
            raise NotConfigured  # there is nothing to report on, and nothing is written
        extension = cls(crawler)
        crawler.signals.connect(extension.spider_closed, signals.spider_closed)
        return extension

    def spider_closed(self, spider: Spider, reason: str) -> None:
        summary = Ledger.of(self.crawler).summary
        if summary is None:
            return
        found = verdict(summary, reason)
        told = account.account(
            summary,
            found,
            archive=getattr(spider, "archive", spider.name),
            spider=spider.name,
            signed_in=bool(getattr(spider, "signed_in", False)),
            ended=reason,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        for line in account_text.lines(told):
            logger.info("%s", line)
        if home := getattr(spider, "home", None):
            self._write(home(self.crawler.settings), told)

    def _write(self, folder: Path, told: account.Account) -> None:
        try:
            place(folder / "report.json", json.dumps(told, ensure_ascii=False, indent=1) + "\n")
            place(folder / "report.md", account_text.markdown(told))
        except OSError as error:  # a full disk has already ended the crawl with a sentence
            logger.warning("The report cannot be written: %s", error.strerror)
        else:
            logger.info("The report is in %s", folder / "report.md")


def place(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
