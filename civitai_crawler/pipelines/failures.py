"""What a media pipeline says when there is no file, and how that reaches the failures feed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from scrapy import Request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)

from civitai_crawler.exceptions import CivitaiError, GaveUpError
from civitai_crawler.items import Failure

if TYPE_CHECKING:
    from scrapy.core.engine import ExecutionEngine
    from scrapy.crawler import Crawler

    from civitai_crawler.items import Image, ModelFile

#: What a broken connection looks like, whatever handler fetched.
NETWORK_ERRORS = (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    ConnectionError,
    TimeoutError,
)
#: Expected ends of a transfer; anything else is a bug and stays one.
EXPECTED_ERRORS = (GaveUpError, IgnoreRequest, *NETWORK_ERRORS)


class RefusedError(CivitaiError):
    """There is no file: the server said no or the connection broke. What arrived is kept."""

    def __init__(
        self, reason: str, message: str, *, status: int | None = None, retry_at: str | None = None
    ) -> None:
        super().__init__(message)
        #: As in ``Failure.reason``.
        self.reason = reason
        #: One sentence without secrets.
        self.message = message
        #: HTTP status of the refusal, where there was an answer.
        self.status = status
        #: Earliest useful next try, ISO 8601.
        self.retry_at = retry_at

    @property
    def elsewhere(self) -> bool:
        """Whether another address of the same file may do better."""
        return self.status in {400, 401, 403, 404, 410}


class NotTheFileError(RefusedError):
    """Something else arrived in the file's place: a web page, an error in words, a still image."""

    def __init__(self, message: str) -> None:
        super().__init__("not_the_file", message)

    @property
    def elsewhere(self) -> bool:
        return True


class SpoiledError(RefusedError):
    """The bytes are not those that were published, or do not decode: worth one more try."""


def refusal(error: Exception) -> RefusedError:
    """Put one of :data:`EXPECTED_ERRORS` in our words."""
    if isinstance(error, GaveUpError):
        return RefusedError(
            error.reason, error.message, status=error.status, retry_at=error.retry_at
        )
    if isinstance(error, IgnoreRequest):
        return RefusedError("filtered", "A rule of this crawl keeps the address from being asked.")
    return RefusedError("network", f"The connection failed ({type(error).__name__}).")


def not_streamed(status: int) -> RefusedError:
    """Name an answer that is no file and that no middleware has judged."""
    if status < 300:  # noqa: PLR2004  # success, but not streamed: a page of the site
        return NotTheFileError("A page of the site arrived instead of the file.")
    if status < 400:  # noqa: PLR2004  # redirects
        return RefusedError(
            "login_required", "The site asks to sign in instead of sending the file.", status=status
        )
    return RefusedError("server_error", f"The server answered {status}.", status=status)


def no_address() -> RefusedError:
    """Name a record that does not tell where its file is."""
    return RefusedError("no_address", "The site named no address for it.")


def failure_of(item: ModelFile | Image, kind: str, source: str, refused: RefusedError) -> Failure:
    """Make the record that tells why *item* has no file."""
    return Failure(
        archive=item.archive,
        source=source,
        id=f"{kind}:{item.id}:{refused.reason}",
        kind=kind,
        item_id=item.id,
        reason=refused.reason,
        message=refused.message,
        status=refused.status,
        retry_at=refused.retry_at,
        model_id=getattr(item, "model_id", None),
        version_id=item.version_id,
        post_id=getattr(item, "post_id", None),
        creator=item.creator,
    )


def report(crawler: Crawler, failure: Failure) -> None:
    """Hand *failure* to the spider, which yields it as an item.

    A pipeline has no way of its own to yield items. The request costs no network and, like every
    request, is safe in the ledger until the failure stands in its feed. The spider's
    ``parse_failure(response, record)`` gets the fields that say something.
    """
    record = {name: value for name, value in asdict(failure).items() if value not in (None, "", {})}
    running_engine(crawler).crawl(
        Request(
            "data:,failure",
            callback=crawler.spider.parse_failure,  # type: ignore[union-attr]  # our spiders' base
            cb_kwargs={"record": record},
            dont_filter=True,
        )
    )


def running_engine(crawler: Crawler) -> ExecutionEngine:
    """Return the engine of a crawl that runs; pipelines work only in one."""
    if crawler.engine is None:
        raise RuntimeError("A media pipeline works only while its spider runs.")
    return crawler.engine
