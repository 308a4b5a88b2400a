"""A shop of files, the records that point to it, and whole crawls between the two."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from scrapy import Request, Spider

from civitai_crawler.items import Failure, Image, ModelFile, Record
from tests.crawl import Result, crawl
from tests.servers import Server, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from scrapy.http import Response

HANDLER = "civitai_crawler.handlers.paced.PacedDownloadHandler"
PIPELINES = {
    "civitai_crawler.pipelines.model_files.ModelFilesPipeline": 300,
    "civitai_crawler.pipelines.images.OriginalImagesPipeline": 310,
}
MIDDLEWARES = {
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
    "civitai_crawler.middlewares.backoff.BackoffMiddleware": 560,
    "civitai_crawler.middlewares.answers.AnswersMiddleware": 610,
}
#: A ledger is committed by its scheduler.
LEDGER = {
    "SCHEDULER": "civitai_crawler.ledger.scheduler.LedgerScheduler",
    "SPIDER_MIDDLEWARES": {"civitai_crawler.ledger.tracking.LedgerMiddleware": 50},
}
KINDS: dict[str, type[Record]] = {"image": Image, "model_file": ModelFile}
HTML = b"<!DOCTYPE html><html><title>Log in</title></html>"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"\x01" * 100


class MediaSpider(Spider):
    """Yields the records it is given as items, and the failures that the pipelines report."""

    name = "media"
    records: list[list[Any]]

    async def start(self) -> AsyncIterator[Any]:
        yield Request("data:,records")

    def parse(self, response: Response, **kwargs: Any) -> Any:
        for kind, fields in self.records:
            yield KINDS[kind](**fields)

    def parse_failure(self, response: Response, record: dict[str, Any]) -> Any:
        yield Failure(**record)


class UnprivilegedSpider(MediaSpider):
    """Runs as a user who may not write, whoever started it."""

    async def start(self) -> AsyncIterator[Any]:
        # Threads are imported at their first use, and that user may not even read the library.
        await asyncio.to_thread(int)
        if os.geteuid() == 0:
            os.seteuid(65534)
        yield Request("data:,records")

    def closed(self, reason: str) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


def settings(root: Path, server: Server, **more: Any) -> dict[str, Any]:
    return {
        "DOWNLOAD_HANDLERS": {"http": HANDLER, "https": HANDLER},
        "ITEM_PIPELINES": PIPELINES,
        "CIVITAI_DOWNLOAD": ["files", "images"],
        "CIVITAI_ARCHIVE": str(root),
        "CIVITAI_BASE_URL": server.url,
        "CIVITAI_MEDIA_URL": f"{server.url}/bucket",
        "CIVITAI_REQUEST_INTERVAL": 0.001,
        "CIVITAI_RETRY_TIMES": 1,
        "DOWNLOADER_MIDDLEWARES": MIDDLEWARES,
        **more,
    }


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def png(text: str = "") -> bytes:
    """Make a small picture of noise with a prompt inside."""
    info, stream = PngInfo(), io.BytesIO()
    info.add_text("parameters", text or "a cat, masterpiece\nSteps: 20")
    noise = random.Random(1).randbytes(64 * 64 * 3)
    Pillow.frombytes("RGB", (64, 64), noise).save(stream, "png", pnginfo=info)
    return stream.getvalue()


def webp() -> bytes:
    stream = io.BytesIO()
    Pillow.new("RGB", (8, 8), "blue").save(stream, "webp")
    return stream.getvalue()


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


#: Goods that stand for an answer of that status.
STATUSES = {b"500", b"451", b"410"}


class Shop:
    """Answers by path; a list of bodies is served one after the other, the last one for ever."""

    def __init__(self, goods: dict[str, bytes | list[bytes]]) -> None:
        self.goods = goods
        self.asked: Counter[str] = Counter()
        #: Requests that wanted the rest of something.
        self.resumed = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        good = self.goods.get(request.path_qs)
        self.asked[request.path_qs] += 1
        if good is None:
            return web.json_response({"error": "File not found"}, status=404)
        if isinstance(good, list):
            good = good[min(self.asked[request.path_qs], len(good)) - 1]
        if good in STATUSES:
            return web.json_response({"error": "No"}, status=int(good))
        # Without the header "Range" this is the whole; nobody here knows how to send a part.
        self.resumed += "Range" in request.headers
        etag = {"ETag": f'"{sha256(good)}"', "Accept-Ranges": "bytes"}
        return web.Response(body=good, content_type="application/octet-stream", headers=etag)


class Outcome:
    """A crawl, its archive and what the server was asked for."""

    def __init__(self, result: Result, root: Path, shop: Shop) -> None:
        self.result, self.folder, self.shop = result, root / "ada", shop
        self.stats = result.stats

    def item(self, number: int) -> dict[str, Any]:
        return self._one("id", number)

    def failure(self, number: int) -> dict[str, Any]:
        return self._one("item_id", number)

    def _one(self, field: str, number: int) -> dict[str, Any]:
        found = [item for item in self.result.items if item.get(field) == number]
        assert len(found) == 1, self.result.log
        return found[0]

    def bytes_of(self, number: int) -> bytes:
        return self.folder.joinpath(self.item(number)["path"]).read_bytes()


async def run(
    root: Path,
    goods: dict[str, bytes | list[bytes]],
    records: list[tuple[str, dict[str, Any]]],
    spider: str = "MediaSpider",
    **more: Any,
) -> Outcome:
    shop = Shop(goods)
    given = [[kind, {"archive": "ada", **fields}] for kind, fields in records]
    async with serve(shop) as server:
        result = await crawl(
            f"tests.media_support:{spider}", settings(root, server, **more), records=given
        )
    return Outcome(result, root, shop)


PNG = png()
VIDEO_FORMS = ("transcode=true,original=true", "original=true", "original=true,quality=100")


def original(number: int) -> str:
    return f"/bucket/{uuid(number)}/original=true/{uuid(number)}.jpeg"


def form(number: int, index: int) -> str:
    return f"/bucket/{uuid(number)}/{VIDEO_FORMS[index]}/{uuid(number)}.mp4"


def image(number: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "image", {"id": number, "uuid": uuid(number), "creator": "ada", "post_id": 7, **fields}


def weights(seed: int, size: int = 5000) -> bytes:
    """Make a safetensors file of one tensor."""
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": {"seed": str(seed)}, "t": tensor}).encode()
    return len(header).to_bytes(8, "little") + header + bytes([seed]) * size


def link(number: int, version: int = 20) -> str:
    return f"/api/download/models/{version}?fileId={number}"


def model_file(number: int, body: bytes | None = None, **fields: Any) -> tuple[str, dict[str, Any]]:
    known = {
        "id": number,
        "model_id": 10,
        "model_name": "Castle",
        "version_id": 20,
        "version_name": "v1",
        "creator": "ada",
        "name": f"castle-{number}.safetensors",
        "type": "Model",
    }
    if body is not None:
        known |= {"hashes": {"SHA256": sha256(body).upper()}, "size_kb": len(body) / 1024}
    return "model_file", known | fields
