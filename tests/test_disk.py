"""Disks that fill up, shrink or take nothing: the crawl ends in one sentence and goes on later.

The disks are real ones of a few megabytes, where this user may mount them.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from civitai_crawler.handlers.partfile import LOOK, SPARE
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, pointed_at, scrapy, start
from tests.crawl import crawl
from tests.media_support import LEDGER, model_file, settings, weights
from tests.servers import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20
#: Longer than two looks at the disk are apart.
BODY = weights(1, LOOK + 16 * MIB)
#: As the project has it.
USERS_LOG = {
    "LOG_FORMATTER": "civitai_crawler.extensions.logs.QuietLogFormatter",
    "LOG_LEVEL": "INFO",
}
FULL = "The disk is full."


class Disk:
    """A file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, size: int, *more: str) -> None:
        options = ",".join([f"size={size}", *more])
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)],
            check=True, capture_output=True,
        )  # fmt: skip

    def resize(self, size: int) -> None:
        self.mount(size, "remount")

    def fill(self, leave: int = 0) -> None:
        """Take what is free but for *leave* bytes, as somebody else's file would."""
        block = bytes(os.statvfs(self.path).f_bsize)
        with (self.path / "of somebody else").open("wb", buffering=0) as stream:
            while self.free > leave:
                with suppress(OSError):  # whoever writes beside may have been first
                    stream.write(block)

    @property
    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_bsize

    def clear(self) -> None:
        (self.path / "of somebody else").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    disk = Disk(path)
    try:
        disk.mount(MIB)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(path)], check=True)


async def fetch(root: Path, send: Callable[[web.StreamResponse], Any], *, length: bool) -> Any:
    """Crawl one model file, whose body *send* sends."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": '"1"'})
        if length:
            response.content_length = len(BODY)
        await response.prepare(request)
        with suppress(ConnectionError):  # the crawl has ended
            await send(response)
        return response

    given = [[kind, {"archive": "ada", **fields}] for kind, fields in [model_file(1, BODY)]]
    async with serve(answer) as server:
        return await crawl(
            "tests.media_support:MediaSpider",
            settings(root, server, JOBDIR=str(root / "ada/.job"), **USERS_LOG, **LEDGER),
            records=given,
        )


def ended_in_one_sentence(result: Any, root: Path) -> bool:
    """Tell whether a full disk ended the crawl, and nothing is kept as if it were whole."""
    assert result.reason == "disk_full", result.log
    assert result.log.count(FULL) == 1
    assert "Traceback" not in result.log, result.log
    assert result.items == []
    return not (root / "ada/models").exists()


async def whole(response: web.StreamResponse) -> None:
    for at in range(0, len(BODY), MIB):
        await response.write(BODY[at : at + MIB])


async def test_a_body_of_unknown_length_does_not_fill_the_disk(disk):
    disk.resize(SPARE + LOOK)
    result = await fetch(disk.path, whole, length=False)

    assert ended_in_one_sentence(result, disk.path)
    assert disk.free > SPARE // 2
    disk.resize(SPARE + 4 * len(BODY))
    result = await fetch(disk.path, whole, length=False)
    assert [one["verified"] for one in result.items] == ["SHA256"]


async def test_a_file_that_cannot_fit_is_not_begun(disk):
    disk.resize(SPARE + len(BODY) // 2)
    result = await fetch(disk.path, whole, length=True)

    assert ended_in_one_sentence(result, disk.path)
    assert (disk.path / "ada/.job/parts/model_file-1.part").stat().st_size == 0


async def test_another_file_that_eats_the_room_meanwhile_is_noticed(disk):
    disk.resize(SPARE + len(BODY) + 8 * MIB)

    async def half_and_half(response: web.StreamResponse) -> None:
        await response.write(BODY[:MIB])
        await asyncio.sleep(0.5)
        disk.fill(leave=len(BODY) + 8 * MIB)
        await response.write(BODY[MIB:])

    result = await fetch(disk.path, half_and_half, length=True)

    assert ended_in_one_sentence(result, disk.path)
    part = disk.path / "ada/.job/parts/model_file-1.part"
    assert LOOK <= part.stat().st_size < len(BODY)
    disk.clear()
    result = await fetch(disk.path, whole, length=True)
    assert [one["verified"] for one in result.items] == ["SHA256"]


def test_a_disk_without_a_byte_left_ends_a_crawl_that_goes_on_later(disk, tmp_path):
    log = tmp_path / "log"
    given = ("crawl", "user_models", "-a", "username=lumen_fox", "-a", "download=images")
    with Standin.in_thread(World.small()) as standin:
        disk.resize(200 * MIB)
        # Slow enough to be still at work when the disk has been filled.
        slow = pointed_at(standin, disk.path, interval=0.5)
        process = start(*given, env=slow, log=log)
        try:
            until = time.monotonic() + 60
            while not list(disk.path.glob("*/posts/*/*")):
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.01)
            disk.fill()
            assert process.wait(timeout=60) == 1, log.read_text()
        finally:
            process.kill()
            process.wait()
        told = log.read_text()
        assert "Traceback" not in told, told
        assert told.count(FULL) == 1
        disk.clear()
        ended = scrapy(*given, env=pointed_at(standin, disk.path))
    assert ended.code in DONE, ended.log
    assert scrapy("verify", str(disk.path)).code == 0


def test_a_read_only_disk_is_told_before_anything_is_asked(disk):
    disk.mount(MIB, "remount", "ro")
    env = {"CIVITAI_ARCHIVE": str(disk.path), "CIVITAI_BASE_URL": "http://127.0.0.1:9"}
    ended = scrapy("crawl", "user_models", "-a", "username=x", env=env)

    assert (ended.code, len(ended.sentences)) == (2, 1), ended.log
    assert "cannot be written" in ended.log
    assert "Traceback" not in ended.log


async def test_a_file_system_of_small_files_is_named(tmp_path):
    """As on a memory stick, whose files end at 4 GiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * MIB, hard))
    try:
        result = await fetch(tmp_path, whole, length=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert result.reason == "file_too_large", result.log
    assert result.log.count("takes no file of this size") == 1
    assert result.items == []
    assert not (tmp_path / "ada/models").exists()
