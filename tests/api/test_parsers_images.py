"""Images, their generation data, posts and people in the shapes of all years."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_crawler.api import parsers
from civitai_crawler.exceptions import BadRecordError, UnexpectedShapeError

BUCKET = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
UUID = "11111111-0a1b-4c2d-8e3f-aaaaaaaaaa01"
OLD_UUID = "f39bbb06-3d4b-40cf-36ef-0abac596a000"


def record(**fields: Any) -> Any:
    page = parsers.images_page({"items": [{"id": 1, **fields}]})
    assert page.broken == ()
    return page.items[0]


def image(**fields: Any) -> Any:
    return record(**fields).image


@pytest.mark.parametrize(
    ("sent", "url"),
    [
        ({"url": UUID}, f"{BUCKET}/{UUID}/original=true/{UUID}.jpeg"),
        ({"url": OLD_UUID}, f"{BUCKET}/{OLD_UUID}/original=true/{OLD_UUID}.jpeg"),
        (
            {"url": UUID, "type": "video"},
            f"{BUCKET}/{UUID}/transcode=true,original=true/{UUID}.mp4",
        ),
        (
            {"url": f"https://imagecache.civitai.com/bucket/{UUID}/width=450/9304.jpeg"},
            f"https://imagecache.civitai.com/bucket/{UUID}/original=true/{UUID}.jpeg",
        ),
        (
            {"url": f"{BUCKET}/{UUID}/width=832/{UUID}.jpeg?token=abc"},
            f"{BUCKET}/{UUID}/original=true/{UUID}.jpeg",
        ),
        ({"url": "https://example.org/a.png?token=abc"}, "https://example.org/a.png"),
        ({"url": f"cached/{UUID}"}, f"cached/{UUID}"),
        ({"url": None}, None),
        ({"url": ""}, ""),
        ({}, None),
    ],
)
def test_the_url_is_the_original(sent, url):
    assert image(**sent).url == url


@pytest.mark.parametrize(
    ("sent", "type_"),
    [
        ({}, "image"),
        ({"type": "audio"}, "audio"),
        ({"mimeType": "video/mp4"}, "video"),
        ({"mimeType": "application/x"}, "image"),
        ({"url": f"{BUCKET}/{UUID}/original=true/1.mp4"}, "video"),
        ({"url": f"{BUCKET}/{UUID}/original=true/1.MP3?x=1"}, "audio"),
    ],
)
def test_the_type_is_told_or_guessed(sent, type_):
    assert image(**sent).type == type_


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"nsfwLevel": 4}, "nsfw_level", 4),
        ({"nsfwLevel": "Soft", "browsingLevel": 2, "nsfw": False}, "nsfw_level", 2),
        ({"nsfwLevel": "None"}, "nsfw_level", None),
        ({"nsfw": "Mature"}, "nsfw_level", None),
        ({"username": "fox"}, "creator", "fox"),
        ({"user": {"id": 9, "username": "fox", "image": UUID}}, "creator", "fox"),
        ({"user": {"id": 9, "username": "fox", "image": UUID}}, "creator_id", 9),
        ({"userId": 9}, "creator_id", 9),
        ({"username": None}, "creator", None),
        ({"postId": None}, "post_id", None),
        ({"hash": None, "metadata": {"hash": "U0"}}, "hash", "U0"),
        ({"hash": "U1", "metadata": {"hash": "U0"}}, "hash", "U1"),
        ({"metadata": {"width": 5}}, "width", 5),
        ({"height": 6, "metadata": {"height": 5}}, "height", 6),
        ({"metadata": {"size": 1840221}}, "media_size", 1840221),
        ({"metadata": {"duration": 5.04}}, "duration", 5.04),
        ({"metadata": None}, "media_size", None),
        ({"index": 0}, "index", 0),
        ({"modelVersionId": 7}, "version_id", 7),
        ({"modelVersionIds": [], "modelVersionIdsManual": [7]}, "version_ids", [7]),
        ({"modelVersionIds": [8, 7], "modelVersionIdsManual": [7]}, "version_ids", [8, 7]),
        ({"tagIds": [1], "tags": None}, "tag_ids", [1]),
        ({"tags": [1, 2]}, "tag_ids", [1, 2]),
        ({"tags": [{"id": 1, "name": "a"}]}, "tag_ids", [1]),
        ({"tags": ["a"]}, "tag_ids", []),
        ({"tags": []}, "tag_ids", []),
        ({"name": None}, "name", None),
        ({"name": ".img.mp4?token=abc"}, "name", ".img.mp4?token=abc"),
        ({"minor": True}, "minor", True),
        ({"poi": None}, "poi", False),
        ({"hasMeta": False}, "has_meta", False),
        ({"meta": {"prompt": "p"}}, "has_meta", True),
        ({"meta": None}, "has_meta", None),
        ({"stats": {"likeCount": 1}}, "stats", {"likeCount": 1}),
    ],
)
def test_image(sent, name, value):
    assert getattr(image(**sent), name) == value


@pytest.mark.parametrize(
    ("sent", "extra"),
    [
        ({"nsfw": "Soft"}, {"nsfw": "Soft"}),
        ({"nsfwLevel": "None", "browsingLevel": 1}, {"nsfwLevel": "None"}),
        ({"tags": [{"id": 1, "name": "a"}]}, {"tags": [{"id": 1, "name": "a"}]}),
        ({"tags": ["a"]}, {"tags": ["a"]}),
        ({"tags": [1]}, {}),
        ({"metadata": {"size": 5, "audio": True}}, {"metadata": {"audio": True}}),
        ({"metadata": {"size": "big"}}, {"metadata": {"size": "big"}}),
        ({"metadata": "odd"}, {"metadata": "odd"}),
        ({"width": [1]}, {"width": [1]}),
        ({"user": {"id": 9, "cosmetics": []}}, {}),
        ({"sortAt": "2026"}, {"sortAt": "2026"}),
    ],
)
def test_what_has_no_field_stays_in_extra(sent, extra):
    assert image(**sent).extra == extra


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"id": None}, "items[0].id: expected an integer, got null"),
        (
            {"id": "x", "url": f"{BUCKET}/{UUID}/width=450/6.jpeg"},
            "items[0].id: expected an integer",
        ),
        ({"postId": "x"}, "items[0].postId: expected an integer, got 'x'"),
        ({"modelVersionId": False}, "items[0].modelVersionId: expected an integer, got false"),
    ],
)
def test_an_image_that_is_none(sent, why):
    page = parsers.images_page({"items": [{"id": 1, **sent}]})
    assert page.items == ()
    assert page.broken[0].kind == "image"
    assert page.broken[0].why.startswith(why)


def test_an_image_without_id_takes_it_from_its_url():
    page = parsers.images_page({"items": [{"url": f"{BUCKET}/{UUID}/width=450/9304.jpeg"}]})
    assert page.items[0].image.id == 9304


def test_the_media_base_is_the_callers():
    for parse in (parsers.images_page, parsers.trpc_images_page):
        page = parse({"items": [{"id": 1, "url": UUID}]}, media_base="http://127.0.0.1:1/b")
        assert page.items[0].image.url == f"http://127.0.0.1:1/b/{UUID}/original=true/{UUID}.jpeg"
    found = parsers.image_detail({"id": 1, "url": UUID}, media_base="http://127.0.0.1:1/b")
    assert found.url == f"http://127.0.0.1:1/b/{UUID}/original=true/{UUID}.jpeg"


@pytest.mark.parametrize(
    ("sent", "title", "version_id"),
    [
        ({"title": "t", "modelVersionId": 7}, "t", 7),
        ({"title": None, "modelVersion": {"id": 7}}, None, 7),
        ({"modelVersionId": None, "modelVersion": None}, None, None),
    ],
)
def test_post(sent, title, version_id):
    found = parsers.post({"id": 1, **sent})
    assert (found.title, found.version_id) == (title, version_id)


def test_a_post_keeps_its_names_and_not_its_images():
    found = parsers.post(
        {
            "id": 1,
            "user": {"id": 9, "username": "fox"},
            "tags": [{"id": 5, "name": "night"}],
            "images": [{"id": 2, "poi": True}],
            "cosmetic": None,
        }
    )
    assert (found.creator, found.creator_id, found.tags) == ("fox", 9, ["night"])
    assert found.extra == {"cosmetic": None}


def test_creator():
    found = parsers.creator(
        {
            "id": 9,
            "username": "fox",
            "image": None,
            "profilePicture": {"url": UUID, "id": 5},
            "links": None,
            "_count": {"models": 0},
        }
    )
    assert (found.image, found.model_count, found.links) == (UUID, 0, [])
    assert found.extra == {"profilePicture": {"id": 5}}
    counted = parsers.creator({"id": 9, "username": "fox"}, {"modelCount": 3, "postCount": 4})
    assert (counted.model_count, counted.post_count, counted.image_count) == (3, 4, None)


@pytest.mark.parametrize("data", [None, {}, {"id": 9}, {"id": "x", "username": "fox"}])
def test_a_creator_that_is_none(data):
    with pytest.raises(BadRecordError):
        parsers.creator(data)


@pytest.mark.parametrize("payload", [None, {}, {"error": "Unauthorized"}, {"id": 1}])
def test_nobody_is_signed_in(payload):
    with pytest.raises(UnexpectedShapeError, match="expected the signed-in account"):
        parsers.me(payload)
