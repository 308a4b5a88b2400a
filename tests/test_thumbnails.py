"""Thumbnails: made on demand from the stored stills, also from those of earlier runs."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageOps
from scrapy.settings import Settings

from civitai_crawler.exceptions import UsageError
from civitai_crawler.pipelines import thumbnails
from civitai_crawler.pipelines.images import MAX_PIXELS
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, ROOT, crawl, feed, scrapy
from tests.media_support import MP4, PIPELINES, PNG, form, image, original, run

SIZES = {"small": [64, 40], "tiny": [8, 8]}
THUMBS: dict[str, Any] = {
    "ITEM_PIPELINES": {**PIPELINES, "civitai_crawler.pipelines.thumbnails.ThumbnailsPipeline": 320},
    "CIVITAI_THUMBS": "true",
}
LEFT_IS_RED = (240, 10, 10)


def picture(format_: str, size=(400, 200), mode="RGB", **options: Any) -> bytes:
    """Red at the left, blue at the right."""
    stream, drawn = io.BytesIO(), Pillow.new("RGB", size, "blue")
    drawn.paste("red", (0, 0, size[0] // 2, size[1]))
    drawn.convert(mode).save(stream, format_, **options)
    return stream.getvalue()


def oriented(body: bytes) -> bytes:
    """Say that the picture is to be shown turned by 90 degrees: its left is the top."""
    exif, stream = Pillow.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Pillow.open(io.BytesIO(body)).save(stream, "jpeg", quality=95, exif=exif)
    return stream.getvalue()


def oddly_oriented(body: bytes) -> bytes:
    """Say the same beside a number as the name of the camera, which Pillow reads, not writes."""
    entries = [(0x010F, 11, 1, struct.pack("<f", 1.5)), (0x0112, 3, 1, b"\x06\0\0\0")]
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4)
    stream = io.BytesIO()
    Pillow.open(io.BytesIO(body)).save(stream, "jpeg", quality=95, exif=exif)
    return stream.getvalue()


def animated() -> bytes:
    stream = io.BytesIO()
    frames = [Pillow.new("RGB", (100, 100), color) for color in ("red", "blue")]
    frames[0].save(stream, "gif", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def clear() -> bytes:
    stream = io.BytesIO()
    Pillow.new("RGBA", (100, 100), (0, 0, 0, 0)).save(stream, "png")
    return stream.getvalue()


def deep() -> bytes:
    """Grey of 16 bits, as maps of depth are."""
    stream = io.BytesIO()
    Pillow.new("I;16", (2000, 1000), 1 << 15).save(stream, "png")
    return stream.getvalue()


def near(pixel: Any, wanted: tuple[int, int, int]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, wanted, strict=True))


RED, WHITE, GREY = (255, 0, 0), (255, 255, 255), (128, 128, 128)


@pytest.mark.parametrize(
    ("body", "size", "at", "color"),
    [
        (picture("png"), (320, 160), (10, 80), RED),
        (picture("jpeg", (4000, 2000)), (320, 160), (10, 80), RED),
        (picture("webp"), (320, 160), (10, 80), RED),
        (picture("gif", mode="P"), (320, 160), (10, 80), RED),
        (picture("jpeg", mode="CMYK"), (320, 160), (10, 80), RED),
        (oriented(picture("jpeg")), (160, 320), (80, 10), RED),
        (oddly_oriented(picture("jpeg")), (160, 320), (80, 10), RED),
        (animated(), (100, 100), (50, 50), RED),
        (clear(), (100, 100), (50, 50), WHITE),
        (picture("png", (30, 20)), (30, 20), (2, 2), RED),
        (deep(), (320, 160), (10, 80), GREY),
    ],
)
def test_what_a_thumbnail_shows(tmp_path, body, size, at, color):
    file, target = tmp_path / "original", tmp_path / "thumbnails/small/7.jpg"
    file.write_bytes(body)

    assert thumbnails.make(file, {target: (320, 320)}) == 1
    with Pillow.open(target) as made:
        assert (made.format, made.size) == ("JPEG", size)
        assert near(made.getpixel(at), color)
    assert [path.name for path in target.parent.iterdir()] == ["7.jpg"]
    assert file.read_bytes() == body


def test_each_way_to_turn():
    drawn = Pillow.effect_noise((30, 20), 80)
    for orientation in range(10):
        turned = drawn.copy()
        turned.getexif()[0x0112] = orientation
        assert thumbnails.upright(turned).tobytes() == ImageOps.exif_transpose(turned).tobytes()


def test_what_is_there_is_left_alone_and_an_empty_one_is_made_anew(tmp_path):
    file, there, empty = (tmp_path / name for name in ("original", "there.jpg", "empty.jpg"))
    file.write_bytes(PNG)
    there.write_bytes(b"of an earlier run")
    empty.touch()

    assert thumbnails.make(file, {there: (9, 9), empty: (9, 9)}) == 1
    assert there.read_bytes() == b"of an earlier run"
    assert empty.stat().st_size


@pytest.mark.parametrize("body", [PNG[:2000], b"no picture", b""])
def test_an_original_that_does_not_decode_has_none(tmp_path, body):
    (tmp_path / "original").write_bytes(body)
    with pytest.raises(thumbnails.UnreadableError):
        thumbnails.make(tmp_path / "original", {tmp_path / "7.jpg": (9, 9)})
    assert not (tmp_path / "7.jpg").exists()


def test_a_picture_of_too_many_pixels_has_none(tmp_path):
    side = int(MAX_PIXELS**0.5) + 1
    Pillow.new("1", (side, side)).save(tmp_path / "original", "png")
    with pytest.raises(thumbnails.UnreadableError, match="too many"):
        thumbnails.make(tmp_path / "original", {tmp_path / "7.jpg": (9, 9)})


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, {}),
        ({"CIVITAI_THUMBS": "true"}, {"small": (320, 320)}),
        ({"IMAGES_THUMBS": {"big": (270, 270)}}, {"big": (270, 270)}),
        ({"IMAGES_THUMBS": '{"a": [1, 2]}', "CIVITAI_THUMBS": "yes"}, {"a": (1, 2)}),
    ],
)
def test_sizes(settings, sizes):
    assert thumbnails.sizes_of(Settings({"CIVITAI_THUMBS": "false", **settings})) == sizes


@pytest.mark.parametrize(
    "value",
    ["small", '{"a": 5}', '{"a": [0, 5]}', '{"../a": [5, 5]}', '{"": [5, 5]}', '{"a": ["x", 1]}'],
)
def test_what_is_no_size_is_one_sentence(value):
    with pytest.raises(UsageError, match="IMAGES_THUMBS"):
        thumbnails.sizes_of(Settings({"IMAGES_THUMBS": value}))


async def test_in_a_crawl_only_what_is_stored_has_one(tmp_path):
    goods: dict[str, bytes | list[bytes]] = {
        original(1): PNG, form(2, 0): MP4, original(3): PNG[:-2000], original(4): picture("webp"),
    }  # fmt: skip
    records = [image(1), image(2, type="video"), image(3), image(4), image(5)]
    done = await run(tmp_path, goods, records, IMAGES_THUMBS=SIZES, **THUMBS)
    made = sorted(
        str(path.relative_to(done.folder)) for path in done.folder.glob("thumbnails/**/*.*")
    )

    assert made == [
        "thumbnails/small/1.jpg", "thumbnails/small/4.jpg",
        "thumbnails/tiny/1.jpg", "thumbnails/tiny/4.jpg",
    ]  # fmt: skip
    assert done.stats["civitai/thumbnails/made"] == 4
    assert done.bytes_of(1) == PNG
    with Pillow.open(done.folder / "thumbnails/small/4.jpg") as small:
        assert small.size == (64, 32)


async def test_a_disk_that_takes_no_thumbnail_ends_the_crawl(tmp_path):
    (tmp_path / "ada/thumbnails/small").mkdir(parents=True)
    (tmp_path / "ada/thumbnails/small/1.part").symlink_to("/dev/full")
    done = await run(tmp_path, {original(1): PNG}, [image(1)], **THUMBS)

    assert done.result.reason == "disk_full"
    assert done.result.items == []


def test_originals_of_an_earlier_run_get_theirs_when_the_argument_is_new(tmp_path):
    with Standin.in_thread(World.small()) as standin:
        given = {"username": "lumen_fox", "download": "images"}
        assert crawl(standin, tmp_path, given=given).code in DONE
        folder = tmp_path / "lumen_fox"
        assert not (folder / "thumbnails").exists()
        before = (folder / "images.jsonl").read_bytes()
        standin.log.clear()
        ended = crawl(standin, tmp_path, thumbs="true", given=given)
    stills = {
        one["id"] for one in feed(folder, "images") if (one["content_type"] or "")[:6] == "image/"
    }

    assert ended.code in DONE, ended.log
    assert {int(path.stem) for path in folder.glob("thumbnails/small/*.jpg")} == stills
    assert len(stills) > 10
    assert (folder / "images.jsonl").read_bytes() == before
    assert standin.log.counts().get("media", 0) == 0
    assert scrapy("verify", str(folder)).code == 0


def test_wrong_sizes_end_the_command_with_one_sentence(tmp_path):
    settings = {"CIVITAI_ARCHIVE": str(tmp_path), "CIVITAI_BASE_URL": "http://127.0.0.1:9"}
    for args, word in (
        (["-a", "thumbs=perhaps"], "thumbs=perhaps"),
        (["-s", "IMAGES_THUMBS=" + json.dumps({"a": 5})], "IMAGES_THUMBS"),
    ):
        ended = scrapy("crawl", "user_models", "-a", "username=x", *args, env=settings)
        assert (ended.code, len(ended.sentences)) == (2, 1), ended.log
        assert word in ended.sentences[0]
        assert "Traceback" not in ended.log


def test_readme_names_the_folder():
    assert f"{thumbnails.FOLDER}/small/<image id>.jpg" in (ROOT / "README.md").read_text()
