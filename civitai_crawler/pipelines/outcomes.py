"""How one media request ended, in the shape that Scrapy hands around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.pipelines.media import FileInfo

from civitai_crawler.ledger import Media

if TYPE_CHECKING:
    from civitai_crawler.exceptions import CivitaiError


class Forgetful(dict[bytes, Any]):
    """A cache that keeps nothing: the ledger knows what is held, and a crawl may see a million."""

    def __setitem__(self, key: bytes, value: Any) -> None:
        """Drop *value*."""


class MediaInfo(FileInfo):
    """Scrapy's result of one request, with ours."""

    outcome: Media | CivitaiError
    """The stored file, or why there is none."""


def media_info(url: str, status: str, outcome: Media | CivitaiError) -> MediaInfo:
    """Make the result; *status* is Scrapy's ``downloaded`` or ``uptodate``, or ``failed``."""
    stored = outcome if isinstance(outcome, Media) else None
    return MediaInfo(
        url=url,
        path=stored.path if stored else "",
        checksum=stored.sha256 if stored else None,
        status=status,
        outcome=outcome,
    )
