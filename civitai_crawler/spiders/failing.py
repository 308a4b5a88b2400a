"""What spiders say of what failed: records of it, or one sentence with which the crawl ends."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

from scrapy import Spider
from scrapy.exceptions import CloseSpider

from civitai_crawler.items import Failure
from civitai_crawler.pipelines.failures import refusal, report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy import Request
    from scrapy.http import Response
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.exceptions import BadRecordError


class FailuresSpider(Spider):
    """Base of the spiders that name what they could not have."""

    #: Folder of the archive when no creator names it; cannot be a user name, for its hyphen.
    folder: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        #: Why the crawl was ended early, as one sentence; empty while it was not.
        self.verdict = ""
        self._closing: asyncio.Task[None] | None = None

    @property
    def archive(self) -> str:
        """Name of the folder that this crawl fills."""
        return self.folder

    def parse_failure(self, _: Response, record: dict[str, Any]) -> Iterator[Failure]:
        yield Failure(**record)

    def broken(self, errors: Iterable[BadRecordError]) -> Iterator[Failure]:
        """Name the broken records of a page in the failures feed."""
        for error in errors:
            self.crawler.stats.inc_value("civitai/bad_record")
            self.logger.warning("Left out a broken record: %s", error)
            digest = hashlib.sha256(str(error).encode()).hexdigest()[:12]
            yield self.failed(
                error.kind, error.record_id, "bad_record", str(error), key=error.record_id or digest
            )

    def failed(
        self, kind: str, item_id: int | None, reason: str, message: str, **fields: Any
    ) -> Failure:
        key = fields.pop("key", item_id)
        return Failure(
            id=f"{kind}:{key}:{reason}",
            kind=kind,
            item_id=item_id,
            reason=reason,
            message=message,
            archive=self.archive,
            **fields,
        )

    def on_failure(
        self, failure: TwistedFailure, kind: str = "page", item_id: int | None = None
    ) -> None:
        """Name a request that was given up; its row stays for the next run unless it is final."""
        request: Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy for errbacks
        error = refusal(cast("Exception", failure.value))
        parts = urlsplit(request.url)
        address = f"{parts.path}?{parts.query}" if parts.query else parts.path
        message = f"{error.message} ({address[:300]})"
        key = item_id or hashlib.sha256(address.encode()).hexdigest()[:12]
        self.logger.warning("Gave up a request: %s", message)
        report(
            self.crawler,
            self.failed(kind, item_id, error.reason, message, key=key, status=error.status),
        )

    def on_no_start(self, failure: TwistedFailure) -> None:
        """End the crawl: without this answer nothing can be asked."""
        error = refusal(cast("Exception", failure.value))
        self.stop(error.reason, f"The site cannot be asked: {error.message}")

    def stop(self, reason: str, sentence: str) -> CloseSpider:
        """End the crawl with one sentence; in a callback, raise what is returned."""
        if not self.verdict:
            self.verdict = sentence
            self.logger.error("%s", sentence)
            closing = self.crawler.engine.close_spider_async(reason=reason)
            self._closing = asyncio.get_running_loop().create_task(closing)
        return CloseSpider(reason)
