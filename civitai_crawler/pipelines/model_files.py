"""Model files: fetched from the site's storage, checked against the published hash, named."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from civitai_crawler.api import endpoints
from civitai_crawler.exceptions import UnfinishedError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.items import ModelFile
from civitai_crawler.pipelines.failures import RefusedError, SpoiledError
from civitai_crawler.pipelines.filters import FileFilter
from civitai_crawler.pipelines.media import StreamedMediaPipeline
from civitai_crawler.pipelines.names import file_name, model_file_path
from civitai_crawler.pipelines.sniff import sniff
from civitai_crawler.pipelines.verification import proof, published_sha256, verify

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.handlers.streaming import Streamed
    from civitai_crawler.ledger import Media
    from civitai_crawler.pipelines.sniff import Kind

logger = logging.getLogger(__name__)


class ModelFilesPipeline(StreamedMediaPipeline):
    """Fetches the file of every :class:`ModelFile`; on when CIVITAI_DOWNLOAD lists ``files``."""

    record = ModelFile
    kind = "model_file"
    word = "files"
    source = "GET /api/download/models"
    route = "download"
    slot = "storage"

    @cached_property
    def chosen(self) -> FileFilter:
        return FileFilter.from_settings(self.crawler.settings)

    #: The answer that ended this run's downloads: the account's quota is used up.
    _pause: RefusedError | None = None

    def is_wanted(self, item: ModelFile) -> bool:
        return self.chosen.admits(item)

    def sources(self, item: ModelFile) -> list[str]:
        """Address the file by its id; a VAE may be another version's, and then has its own link."""
        base = self.crawler.settings["CIVITAI_BASE_URL"].rstrip("/")
        paths = [endpoints.download(item.version_id, file_id=item.id)]
        if item.type == "VAE" and (printed := printed_link(item.download_url)):
            paths.append(printed)
        return [base + path for path in paths]

    def file_path(self, item: ModelFile, kind: Kind, sha256: str) -> str:
        """Place a file; one that was published in place of a held one goes beside it."""
        return self._wanted_path(item, sha256)

    def _wanted_path(self, item: ModelFile, sha256: str) -> str:
        path = model_file_path(item)
        held = self.ledger.media(self.kind, item.id)
        if held is None or sha256 == held.sha256:
            return path
        place = PurePosixPath(path)
        return str(place.with_name(f"{place.stem} [{sha256[:10]}]{place.suffix}"))

    async def fetch(self, item: ModelFile) -> Media:
        """Fetch the file, unless another item has brought the same bytes."""
        sha256 = published_sha256(item)
        if sha256 is None:
            return await super().fetch(item)
        async with self.keeper.turn(sha256):
            wanted = self._wanted_path(item, sha256)
            shared = await self.keeper.share(self.folder(item), item.id, wanted, sha256)
            if shared is None:
                return await super().fetch(item)
        how, media = shared
        self.count(how)
        return media

    def quarantine(self, item: ModelFile) -> Path:
        name = file_name(item.name, "file", max_bytes=150)
        return self.folder(item) / "quarantine" / f"{item.id} {name}"

    async def held(self, item: ModelFile) -> Media | None:
        """Also take a file that a killed run had put in its place but not yet recorded.

        What the site publishes now counts: a hash that came later proves the file, or has it
        fetched anew.
        """
        try:
            media = await super().held(item) or await self._left_behind(item)
            if media is None:
                return None
            archive = self.folder(item)
            # In a bucket it would have to come back: what was proved as it arrived stands.
            file = None if self.keeper.is_remote(archive) else archive / media.path
            proven = await asyncio.to_thread(proof, item, media.sha256, file, self._keep_on)
            return replace(media, verified=proven or media.verified)
        except SpoiledError:
            return None

    async def _left_behind(self, item: ModelFile) -> Media | None:
        sha256 = published_sha256(item)
        if sha256 is None:
            return None
        path = self.ledger.claim_path(self.kind, item.id, model_file_path(item))
        return await self.keeper.left_behind(self.folder(item), path, sha256)

    def look(self, item: ModelFile, streamed: Streamed) -> Kind:
        return sniff(streamed.head)

    def inspect(
        self, item: ModelFile, kind: Kind, media: Media, file: Path, body: bytes | None
    ) -> str:
        return verify(item, kind, media.size, media.sha256, file, self._keep_on)

    def _keep_on(self) -> None:
        """Raise when the crawl is being stopped: what has arrived stays for the next run."""
        if Pacer.of(self.crawler).stopping():
            raise UnfinishedError("The crawl ended while a file was checked.")

    async def transfer(self, url: str, item: ModelFile) -> Media:
        """Leave files to the next run once the quota is used up; all else goes on."""
        if self._pause is not None:
            raise RefusedError("quota", f"{self._pause.message} Left to the next run.")
        try:
            stored = await super().transfer(url, item)
        except RefusedError as refused:
            if refused.reason == "quota":
                self._pause = refused
            raise
        logger.info("Stored %s (%.1f MiB)", stored.path, stored.size / 2**20)
        return stored


def printed_link(link: str | None) -> str | None:
    """Return path and query of a printed download link, without a key; the host is our choice."""
    parts = urlsplit(link or "")
    if not parts.path.startswith("/api/download/"):
        return None
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] != "token"])
    return f"{parts.path}?{query}" if query else parts.path
