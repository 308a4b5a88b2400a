"""Originals in a whole crawl: what arrives, and where it ends up."""

from __future__ import annotations

import asyncio

import pytest
from PIL import Image as Pillow

from tests.media_support import (
    HTML,
    MP4,
    PNG,
    Outcome,
    form,
    image,
    original,
    run,
    sha256,
    uuid,
    webp,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    goods: dict[str, bytes | list[bytes]] = {
        original(1): PNG,
        form(2, 0): webp(),
        form(2, 1): HTML,
        form(2, 2): MP4,
        original(3): HTML,
        f"/bucket/{uuid(3)}/original=true,quality=100/{uuid(3)}.jpeg": HTML,
        original(4): [PNG[:-2000], PNG],
        original(5): PNG[:-2000],
        original(7): MP4,
        form(8, 0): webp(),
        form(8, 1): webp(),
        form(8, 2): webp(),
        original(9): b"",
        original(11): webp(),
        original(13): [b"500", PNG],
    }
    records = [
        image(1, post_title="Fine: day"),
        image(2, type="video"),
        *(image(number) for number in (3, 4, 5, 6, 7)),
        image(8, type="video"),
        image(9),
        image(10, uuid=None),
        image(11, uuid=None, post_id=None),
    ]
    records[-1][1]["url"] = uuid(11)
    records += [
        image(13),
        image(12, url=f"http://127.0.0.9:9/bucket/{uuid(12)}/original=true/12.jpeg"),
    ]
    return asyncio.run(run(tmp_path_factory.mktemp("images"), goods, records))


def test_png_stays_byte_for_byte(images):
    item = images.item(1)

    assert item["path"] == "posts/7 Fine_ day/1.png"
    assert images.bytes_of(1) == PNG
    assert item["sha256"] == sha256(PNG)
    assert item["size_bytes"] == len(PNG)
    assert item["content_type"] == "image/png"
    with Pillow.open(images.folder / item["path"]) as kept:
        assert kept.info["parameters"] == "a cat, masterpiece\nSteps: 20"


def test_video_that_gives_a_still_or_a_page_is_asked_in_the_next_form(images):
    assert [images.shop.asked[form(2, index)] for index in range(3)] == [1, 1, 1]
    assert images.item(2)["path"] == "posts/7/2.mp4"
    assert images.item(2)["content_type"] == "video/mp4"
    assert images.bytes_of(2) == MP4


def test_video_with_stills_only_is_a_failure(images):
    assert images.item(8)["path"] is None
    assert images.failure(8)["reason"] == "not_the_file"
    assert "image/webp" in images.failure(8)["message"]


def test_web_page_is_refused(images):
    assert images.item(3)["path"] is None
    assert images.failure(3)["id"] == "image:3:not_the_file"
    assert images.failure(3)["post_id"] == 7


def test_cut_picture_is_fetched_once_more_from_zero(images):
    assert images.shop.asked[original(4)] == 2
    assert images.bytes_of(4) == PNG
    assert images.shop.resumed == 0


def test_picture_that_stays_cut_is_kept_apart(images):
    assert images.shop.asked[original(5)] == 2
    assert images.item(5)["path"] is None
    assert images.failure(5)["reason"] == "not_the_file"
    assert (images.folder / "quarantine" / "image-5").read_bytes() == PNG[:-2000]


def test_missing_original_is_a_failure(images):
    assert images.item(6)["path"] is None
    assert images.failure(6)["status"] == 404
    assert images.failure(6)["id"] == "image:6:not_found"
    assert images.failure(6)["creator"] == "ada"


def test_video_behind_an_image_address_is_named_for_what_it_is(images):
    assert images.item(7)["path"] == "posts/7/7.mp4"


def test_empty_answer_is_no_original(images):
    assert images.failure(9)["reason"] == "not_the_file"


def test_image_without_address_is_a_failure(images):
    assert images.failure(10)["reason"] == "no_address"


def test_uuid_in_place_of_an_address(images):
    assert images.item(11)["path"] == "images/11.webp"


def test_refused_connection_is_a_failure(images):
    assert images.failure(12)["reason"] == "network"


def test_what_arrives_at_the_second_try_of_the_middleware_is_stored(images):
    assert images.bytes_of(13) == PNG


def test_nothing_is_left_behind(images):
    assert list((images.folder / ".job" / "parts").iterdir()) == []


def test_image_stats(images):
    stats = images.stats
    stored = [item for item in images.result.items if item.get("path")]

    assert stats["civitai/images/stored"] == len(stored) == 6
    assert stats["civitai/images/bytes"] == sum(item["size_bytes"] for item in stored)
    assert stats["civitai/images/failed/not_the_file"] == 4
    assert stats["civitai/images/failed/no_address"] == 1
    assert stats["item_scraped_count"] == 13 + 7


def test_expected_failures_leave_no_traceback(images):
    assert "Traceback" not in images.result.log
    assert "ERROR" not in images.result.log
