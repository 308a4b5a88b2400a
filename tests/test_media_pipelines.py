"""Media pipelines when a crawl is repeated, stopped or out of room: nothing is lost."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from aiohttp import web
from PIL import Image as Pillow
from scrapy.exceptions import NotConfigured
from scrapy.utils.test import get_crawler

from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers.streaming import Streamed
from civitai_crawler.pipelines.images import OriginalImagesPipeline
from civitai_crawler.pipelines.model_files import ModelFilesPipeline
from civitai_crawler.pipelines.sniff import sniff
from tests.crawl import crawl
from tests.media_support import (
    LEDGER,
    PNG,
    image,
    link,
    model_file,
    original,
    run,
    settings,
    weights,
)
from tests.servers import serve


async def test_second_run_asks_only_for_what_is_gone(tmp_path):
    goods: dict[str, bytes | list[bytes]] = {
        link(1): weights(1),
        original(2): PNG,
        original(3): PNG,
    }
    records = [model_file(1, weights(1)), image(2), image(3)]
    job: dict[str, Any] = {"JOBDIR": str(tmp_path / "ada" / ".job"), **LEDGER}
    # The hash of the first file is published only after the first run.
    unproven = [model_file(1, size_kb=None), *records[1:]]
    first = await run(tmp_path, goods, unproven, **job)
    damaged = first.folder / first.item(3)["path"]
    damaged.unlink()  # another name of the second picture, which stays
    damaged.write_bytes(PNG[:10])
    again = await run(tmp_path, goods, records, **job)

    assert first.shop.asked == dict.fromkeys(goods, 1)
    assert again.shop.asked == {original(3): 1}
    assert again.bytes_of(3) == PNG
    assert again.stats["civitai/files/present"] == again.stats["civitai/images/present"] == 1
    assert (first.item(1)["verified"], again.item(1)["verified"]) == ("none", "SHA256")
    assert first.item(2) == again.item(2)


async def test_file_that_a_killed_run_left_in_its_place_is_taken(tmp_path):
    """Between the rename and the ledger's commit nothing is recorded, but the bytes are there."""
    place = tmp_path / "ada" / "models/Castle (10)/v1 (20)"
    place.mkdir(parents=True)
    (place / "castle-1.safetensors").write_bytes(weights(1))
    (place / "castle-2.safetensors").write_bytes(weights(99))
    goods: dict[str, bytes | list[bytes]] = {link(1): weights(1), link(2): weights(2)}
    done = await run(tmp_path, goods, [model_file(1, weights(1)), model_file(2, weights(2))])

    assert done.shop.asked == {link(2): 1}
    assert done.item(1)["verified"] == "SHA256"
    assert done.bytes_of(2) == weights(2)


async def test_stop_during_a_download_keeps_the_part_and_records_nothing(tmp_path):
    begun, body = asyncio.Event(), weights(1, 3_000_000)

    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body)), "ETag": '"1"'})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        begun.set()
        await asyncio.sleep(60)
        return response

    async with serve(half) as server:
        given = [[kind, {"archive": "ada"} | fields] for kind, fields in [model_file(1, body)]]
        result = await crawl(
            "tests.media_support:MediaSpider",
            settings(tmp_path, server),
            records=given,
            stop_when=begun,
            timeout=20,
        )

    assert result.reason == "shutdown"
    assert result.items == []
    assert "UnfinishedError" in result.log
    part = tmp_path / "ada" / ".job" / "parts" / "model_file-1.part"
    assert body.startswith(part.read_bytes())
    assert not (tmp_path / "ada" / "models").exists()


async def test_stopped_crawl_says_nothing_about_its_files(tmp_path):
    done = await run(tmp_path, {link(1): b"451"}, [model_file(1)])

    assert done.result.reason == "region_blocked"
    assert done.result.items == []


async def test_full_disk_ends_the_crawl_and_records_nothing(tmp_path):
    parts = tmp_path / "ada" / ".job" / "parts"
    parts.mkdir(parents=True)
    for number in (1, 2):
        (parts / f"image-{number}.part").symlink_to("/dev/full")
    done = await run(tmp_path, {original(1): PNG, original(2): PNG}, [image(1), image(2)])

    assert done.result.reason == "disk_full"
    assert done.stats["civitai/disk_full"] in (1, 2)  # the second may be sent away first
    assert done.result.items == []
    assert done.result.log.count("The disk is full.") == 1
    assert "civitai/images/failed" not in str(done.stats)


async def test_read_only_archive_ends_the_crawl(tmp_path):
    tmp_path.chmod(0o555)
    try:
        done = await run(tmp_path, {original(1): PNG}, [image(1)], "UnprivilegedSpider")
    finally:
        tmp_path.chmod(0o755)

    assert done.result.reason == "archive_not_writable"
    assert done.result.items == []
    assert done.result.log.count("The archive cannot be written") == 1


async def test_what_lies_in_the_place_of_a_folder_ends_the_crawl_until_it_is_gone(tmp_path):
    taken = tmp_path / "ada" / "posts"
    taken.parent.mkdir()
    taken.write_text("somebody else's", "utf-8")
    done = await run(tmp_path, {original(1): PNG, original(2): PNG}, [image(1), image(2)])

    assert done.result.reason == "archive_not_writable"
    assert done.result.items == []
    assert done.result.log.count("The archive cannot be written") == 1
    assert taken.read_text("utf-8") == "somebody else's"

    taken.unlink()
    done = await run(tmp_path, {original(1): PNG, original(2): PNG}, [image(1), image(2)])
    assert [item["size_bytes"] for item in done.result.items] == [len(PNG)] * 2


def large_picture() -> bytes:
    """Make a picture of 36 million pixels: 144 MB in memory, some kilobytes on the way."""
    stream = io.BytesIO()
    Pillow.new("RGB", (6000, 6000)).save(stream, "png")
    return stream.getvalue()


async def test_memory_does_not_grow_with_the_pictures_that_are_checked_at_once(tmp_path):
    body, numbers = large_picture(), range(1, 9)
    done = await run(
        tmp_path, {original(number): body for number in numbers}, [image(n) for n in numbers]
    )

    assert done.stats["civitai/images/stored"] == 8
    # The crawl itself takes less than 100 MB; eight pictures would take 1,150 MB more.
    assert done.result.max_rss < 400 << 20


async def test_checking_pictures_does_not_hold_up_the_crawl(tmp_path):
    body = large_picture()
    (tmp_path / "original").write_bytes(body)
    crawler = get_crawler(
        settings_dict={"CIVITAI_DOWNLOAD": ["images"], "CIVITAI_ARCHIVE": str(tmp_path)}
    )
    pipeline = OriginalImagesPipeline.from_crawler(crawler)
    file = tmp_path / "original"
    streamed = Streamed(str(file), len(body), "", body[:512], "image/png", 0, "127.0.0.1")
    checks = [pipeline.arrival(image(1), streamed, sniff(body), "x").settle(None) for _ in range(8)]
    checking, ticks = asyncio.gather(*checks), 0
    while not checking.done():
        await asyncio.sleep(0.001)
        ticks += 1

    await checking
    assert ticks > 10


@pytest.mark.parametrize("pipeline", [ModelFilesPipeline, OriginalImagesPipeline])
def test_no_word_no_pipeline(tmp_path, pipeline):
    crawler = get_crawler(settings_dict={"CIVITAI_DOWNLOAD": ["metadata"]})
    with pytest.raises(NotConfigured):
        pipeline.from_crawler(crawler)


def test_archive_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    archive = str(tmp_path / "file" / "archive")
    crawler = get_crawler(settings_dict={"CIVITAI_DOWNLOAD": "files", "CIVITAI_ARCHIVE": archive})
    with pytest.raises(UsageError, match="CIVITAI_ARCHIVE"):
        ModelFilesPipeline.from_crawler(crawler)
