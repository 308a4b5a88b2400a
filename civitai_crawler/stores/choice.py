"""Which store an archive's files go to, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from scrapy import signals

from civitai_crawler.exceptions import UsageError
from civitai_crawler.stores.base import StoreError
from civitai_crawler.stores.client import DENIED, Address, code_of, connect, told
from civitai_crawler.stores.local import LocalStore
from civitai_crawler.stores.s3 import S3Store

if TYPE_CHECKING:
    from pathlib import Path

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from civitai_crawler.stores.base import Store

#: What is stored: Scrapy's settings are named by it.
WORDS = ("files", "images")


class Stores:
    """The stores of one crawl, or of one command; equal addresses share one."""

    _by_crawler: WeakKeyDictionary[Crawler, Stores] = WeakKeyDictionary()

    @classmethod
    def of(cls, crawler: Crawler) -> Stores:
        """Return the stores of *crawler*, which are closed when it ends."""
        stores = cls._by_crawler.get(crawler)
        if stores is None:
            stores = cls._by_crawler[crawler] = cls(crawler.settings)
            crawler.signals.connect(stores.close, signals.spider_closed)
        return stores

    def __init__(self, settings: BaseSettings) -> None:
        self._settings = settings
        self._addresses = {word: Address.of(settings, word) for word in WORDS}
        self._made: dict[tuple[Address | None, Path], Store] = {}
        self._client: Any = None

    def get(self, word: str, archive: Path) -> Store:
        """Return the store for ``files`` or ``images`` of the archive in the folder *archive*."""
        address = self._addresses[word]
        store = self._made.get((address, archive))
        if store is None:
            store = self._made[address, archive] = self._make(address, archive)
        return store

    def check(self) -> None:
        """Raise UsageError when a bucket cannot be used: absent, not reachable, a wrong key."""
        for address in {address for address in self._addresses.values() if address is not None}:
            client = self._connected()
            try:
                with told(address.bucket):
                    listed = client.list_objects_v2(Bucket=address.bucket, MaxKeys=1)
                    listed["Name"]  # of the bucket: what is no S3 server may answer as well
            except StoreError as error:
                if code_of(error.__cause__ or error) not in DENIED:
                    raise UsageError(str(error)) from error

    def close(self) -> None:
        """Let go of connections; the stores cannot be used any more."""
        for store in self._made.values():
            store.close()
        if self._client is not None:
            self._client.close()

    def _make(self, address: Address | None, archive: Path) -> Store:
        if address is None:
            return LocalStore(archive)
        return S3Store(self._connected(), address, archive.absolute().name)

    def _connected(self) -> Any:
        if self._client is None:
            self._client = connect(self._settings)
        return self._client


def check(settings: BaseSettings) -> None:
    """Raise UsageError when the settings name a place that files cannot go to."""
    stores = Stores(settings)
    try:
        stores.check()
    finally:
        stores.close()
