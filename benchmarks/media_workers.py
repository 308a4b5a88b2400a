"""The processes that ``media.py`` measures, and the server they ask; each prints its seconds."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from scrapy import Spider
    from scrapy.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
#: Downloads at once, of ours and of Scrapy's.
AT_ONCE = 8
PICTURES = 50


def serve(folder: str) -> None:
    """Serve the files of *folder*, and pictures below ``/bucket/`` by the number at the end."""
    from aiohttp import web  # noqa: PLC0415  # only this process may carry it

    pictures = [_picture(seed) for seed in range(PICTURES)]

    async def picture(request: web.Request) -> web.Response:
        number = int(request.match_info["uuid"].rpartition("-")[2])
        # What stands behind the end of a picture is not looked at, and makes each another file.
        body = pictures[number % PICTURES] + number.to_bytes(8)
        return web.Response(body=body, content_type="image/png")

    listening = socket.create_server(("127.0.0.1", 0))
    app = web.Application()
    app.router.add_get("/bucket/{uuid}/{rest:.*}", picture)
    app.router.add_static("/", folder)
    # Whoever connects from now on is served.
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listening, print=None)


def _picture(seed: int) -> bytes:
    from PIL import Image  # noqa: PLC0415  # as above

    stream = io.BytesIO()
    noise = random.Random(seed).randbytes(96 * 96 * 3)
    Image.frombytes("RGB", (96, 96), noise).save(stream, "png")
    return stream.getvalue()


def plain(url: str, target: str) -> None:
    """Do the least that downloads and hashes."""
    digest, started = hashlib.sha256(), time.perf_counter()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url) as answer, Path(target).open("wb") as stream:
        while block := answer.read(256 * 1024):
            digest.update(block)
            stream.write(block)
    print(time.perf_counter() - started)


def ours(url: str, target: str) -> None:
    """Stream one file with the project's settings, as its pipelines do."""
    from scrapy import Request, Spider  # noqa: PLC0415  # as above

    class One(Spider):
        name = "one"

        async def start(self) -> AsyncIterator[Any]:
            yield Request("data:,one", self.parse)

        async def parse(self, response: Any, **_: Any) -> None:
            part = f"{target}/file.part"
            meta = {"civitai_route": "media", "civitai_stream": part, "download_slot": "storage"}
            engine: Any = self.crawler.engine
            await engine.download_async(Request(url, meta=meta))

    _crawl(One, _project(target), target, "*.part", 1)


def stock(url: str, target: str) -> None:
    """Fetch one file with Scrapy's own pipeline."""
    items = [{"file_urls": [url]}]
    _crawl(_items(items), _scrapy(target, "files.FilesPipeline"), target, "full/*", 1)


def our_images(url: str, target: str, count: str) -> None:
    """Fetch many originals with the project's settings."""
    from civitai_crawler.items import Image  # noqa: PLC0415  # as above

    items = [
        Image(id=number, archive="fox", post_id=number // 20, uuid=_uuid(number))
        for number in range(int(count))
    ]
    settings = _project(target)
    settings.set("CIVITAI_MEDIA_URL", f"{url}/bucket")
    _crawl(_items(items), settings, target, "fox/**/*.png", int(count))


def stock_files(url: str, target: str, count: str) -> None:
    """Fetch the same with Scrapy's FilesPipeline."""
    items = [{"file_urls": [_address(url, number)]} for number in range(int(count))]
    _crawl(_items(items), _scrapy(target, "files.FilesPipeline"), target, "full/*", int(count))


def stock_images(url: str, target: str, count: str) -> None:
    """Fetch the same with Scrapy's ImagesPipeline."""
    items = [{"image_urls": [_address(url, number)]} for number in range(int(count))]
    _crawl(_items(items), _scrapy(target, "images.ImagesPipeline"), target, "full/*", int(count))


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _address(url: str, number: int) -> str:
    return f"{url}/bucket/{_uuid(number)}/original=true/x.jpeg"


def _items(items: list[Any]) -> type[Spider]:
    from scrapy import Request, Spider  # noqa: PLC0415  # as above

    class Items(Spider):
        name = "items"

        async def start(self) -> AsyncIterator[Any]:
            yield Request("data:,items", self.parse)

        def parse(self, response: Any, **_: Any) -> Iterator[Any]:
            yield from items

    return Items


def _project(target: str) -> Settings:
    """Give the project's settings, as shipped, with everything below *target*."""
    from scrapy.settings import Settings  # noqa: PLC0415  # as above

    settings = Settings()
    settings.setmodule("civitai_crawler.settings")
    settings.setdict(
        {
            "CIVITAI_ARCHIVE": target,
            "CIVITAI_BASE_URL": "http://127.0.0.1:9",  # nothing here asks the site
            "JOBDIR": f"{target}/.job",
            "LOG_LEVEL": "ERROR",
        }
    )
    return settings


def _scrapy(target: str, pipeline: str) -> Settings:
    """Give Scrapy's own settings, without what would slow it down."""
    from scrapy.settings import Settings  # noqa: PLC0415  # as above

    return Settings(
        {
            "ITEM_PIPELINES": {f"scrapy.pipelines.{pipeline}": 1},
            "FILES_STORE": target,
            "IMAGES_STORE": target,
            "CONCURRENT_REQUESTS_PER_DOMAIN": AT_ONCE,
            "DOWNLOAD_DELAY": 0,
            "DOWNLOAD_MAXSIZE": 0,  # a gibibyte would be the end of it
            "DOWNLOAD_WARNSIZE": 0,
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
        }
    )


def _crawl(spider: type[Spider], settings: Settings, target: str, pattern: str, count: int) -> None:
    """Crawl, and print the seconds since the spider's start if *count* files came of it."""
    from scrapy import signals  # noqa: PLC0415  # as above
    from scrapy.crawler import AsyncCrawlerProcess  # noqa: PLC0415  # as above

    process, started = AsyncCrawlerProcess(settings), 0.0

    def begin() -> None:
        nonlocal started
        started = time.perf_counter()

    crawler = process.create_crawler(spider)
    crawler.signals.connect(begin, signals.spider_opened)
    process.crawl(crawler)
    process.start()
    seconds = time.perf_counter() - started
    found = len(list(Path(target).glob(pattern)))
    if found != count:
        sys.exit(f"{found} of {count} files arrived")
    print(seconds)


WAYS: dict[str, Callable[..., None]] = {
    "serve": serve,
    "plain": plain,
    "ours": ours,
    "stock": stock,
    "our-images": our_images,
    "stock-files": stock_files,
    "stock-images": stock_images,
}

if __name__ == "__main__":
    # Instead of this folder, whose names are no modules of theirs.
    sys.path[0] = str(ROOT)
    WAYS[sys.argv[1]](*sys.argv[2:])
