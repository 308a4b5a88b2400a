"""From a checked part to its place: bytes that two items share are stored once.

The second item's file is another name of the first one's (a hard link; a copy where the file system
makes none; a copy by the server in a bucket). Where the published SHA256 tells it beforehand,
nothing is downloaded at all, not even where the site would refuse this one file (early access, a
login): the bytes are the creator's own, and the site has given them to us under another id.

What serves as a source is looked at first, since a damaged file must not spread: on the local disk
it is hashed anew, in a bucket its size and noted hash have to fit.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.partfile import discard
from civitai_crawler.ledger import Ledger, Media
from civitai_crawler.pipelines import shelf
from civitai_crawler.stores import Store, Stores

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from scrapy.crawler import Crawler

    from civitai_crawler.pipelines.arrival import Arrival

_T = TypeVar("_T")


class Keeper:
    """Stores the files of one kind and remembers them in the ledger.

    :param kind: their name in the ledger.
    :param word: ``files`` or ``images``: the settings' name of their store.
    """

    def __init__(self, crawler: Crawler, kind: str, word: str) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._pacer = Pacer.of(crawler)
        self._kind, self._word = kind, word
        # A file that is on its way is waited for. What is published and what has arrived lock
        # apart: who holds the first may wait for the second, never the other way round.
        self._awaited: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._arrived: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, sha256: str) -> AsyncIterator[None]:
        """Wait until no other item with these published bytes is being fetched."""
        async with self._awaited.setdefault(sha256, asyncio.Lock()):
            yield

    async def held(self, archive: Path, item_id: int) -> Media | None:
        """Return an item's file when an earlier run left it."""
        media = self._ledger.media(self._kind, item_id)
        if media is None:
            return None
        store = self._store(archive)
        return media if await run(store, store.holds, media) else None

    async def left_behind(self, archive: Path, path: str, sha256: str) -> Media | None:
        """Return what a killed run had put at *path*, if it is what is published."""
        store = self._store(archive)
        found = await run(store, store.found, path)
        if found is None or found.sha256 != sha256:
            return None
        return Media(path, found.size, sha256, "SHA256", None)

    def is_remote(self, archive: Path) -> bool:
        """Tell whether the files lie where reading one again costs a download."""
        return self._store(archive).remote

    async def keep(self, archive: Path, item_id: int, arrival: Arrival) -> tuple[str, Media]:
        """Have an arrival inspected and bring it to its place.

        Returns ``stored``, ``linked`` or ``copied``, and the file; raises what the inspection says.
        """
        part, media, store = arrival.part, arrival.media, self._store(archive)
        async with self._arrived.setdefault(media.sha256, asyncio.Lock()):
            put = partial(store.put, part, media, self._check)
            alone = not self._ledger.media_of(self._kind, media.sha256, beside=item_id)
            at_once = put if alone and not store.remote else None
            verified, is_there = await arrival.settle(at_once)
            media = replace(media, verified=verified)
            how = None if alone else await self._share(archive, item_id, media, part, copy=False)
            if how is None and not is_there:
                await run(store, put)
            if not is_there:
                await asyncio.to_thread(discard, part)
            self._ledger.record_media(self._kind, item_id, media)
        return how or "stored", media

    async def share(
        self, archive: Path, item_id: int, wanted: str, sha256: str
    ) -> tuple[str, Media] | None:
        """Give an item the held bytes of another one at the path *wanted*, without a download.

        Returns ``linked`` or ``copied``, and the file.
        """
        known = self._ledger.media_of(self._kind, sha256, beside=item_id)
        if not known:
            return None
        path = self._ledger.claim_path(self._kind, item_id, wanted)
        media = replace(known[0], path=path, verified="SHA256")
        part = shelf.part(archive, self._kind, item_id)
        how = await self._share(archive, item_id, media, part, copy=True)
        if how is None:
            return None
        await asyncio.to_thread(discard, part)
        self._ledger.record_media(self._kind, item_id, media)
        return how, media

    async def _share(
        self, archive: Path, item_id: int, media: Media, part: Path, *, copy: bool
    ) -> str | None:
        store = self._store(archive)
        # Never the part's own name: a part is written to, and a link would lead into the held file.
        aside = part.with_suffix(".link")
        for held in self._ledger.media_of(self._kind, media.sha256, beside=item_id):
            arguments = (held, media, aside, self._check)
            how = await run(store, lambda given=arguments: store.share(*given, copy=copy))
            if how is not None:
                return how
        return None

    def _store(self, archive: Path) -> Store:
        return Stores.of(self._crawler).get(self._word, archive)

    def _check(self) -> None:
        if self._pacer.stopping():
            raise UnfinishedError("The crawl ended before the file was in its place.")


async def run(store: Store, work: Callable[..., _T], *given: Any) -> _T:
    """Do blocking work of *store* in its threads."""
    return await asyncio.get_running_loop().run_in_executor(store.threads, work, *given)
