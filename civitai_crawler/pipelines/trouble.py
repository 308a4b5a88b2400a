"""When the archive takes no more bytes: the crawl ends with one sentence and loses nothing."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING

from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.ledger.scheduler import FULL
from civitai_crawler.pipelines.failures import running_engine
from civitai_crawler.stores import StoreError

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

logger = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOCKED = {errno.EACCES, errno.EPERM, errno.EROFS}
#: Something else lies where a file or folder belongs.
_TAKEN = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}
#: The disk is broken, unplugged or no more to be reached.
_GONE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN}
#: A loop keeps only weak references to its tasks.
_closing: set[asyncio.Task[None]] = set()


def end_crawl(crawler: Crawler, error: OSError | StoreError) -> UnfinishedError:
    """Close the spider, once, with a reason and a sentence; return what to raise.

    The reasons are ``disk_full``, ``file_too_large``, ``archive_not_writable`` and
    ``bucket_unusable``.

    An error that has nothing to do with writing is raised again: it is a bug.
    """
    if isinstance(error, StoreError):
        reason, sentence = "bucket_unusable", f"{error} What was fetched is kept for the next run."
    elif error.errno in _FULL:
        reason = "disk_full"
        sentence = FULL
    elif error.errno == errno.EFBIG:
        reason = "file_too_large"
        sentence = (
            "The archive's file system takes no file of this size "
            f"({error.filename or 'a model file'}): move the archive, or leave out such files "
            "(max_size)."
        )
    elif error.errno in _LOCKED | _TAKEN | _GONE:
        reason = "archive_not_writable"
        place = error.filename2 or error.filename or "the archive folder"
        sentence = f"The archive cannot be written ({error.strerror}): {place}"
    else:
        raise error
    crawler.stats.inc_value(f"civitai/{reason}")
    if crawler.stats.get_value(f"civitai/{reason}") == 1:
        logger.error(sentence)
        # Other downloads keep their parts and end; else closing would wait for them.
        Pacer.of(crawler).end()
        # Closing waits for the item that asks for it, so it cannot be awaited here.
        task = asyncio.create_task(running_engine(crawler).close_spider_async(reason=reason))
        _closing.add(task)
        task.add_done_callback(_closing.discard)
    return UnfinishedError(f"Not finished ({reason}): the next run takes it up.")
