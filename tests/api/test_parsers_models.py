"""Models, versions and files in the shapes of all years."""

from __future__ import annotations

from typing import Any

import pytest

from civitai_crawler.api import parsers
from civitai_crawler.exceptions import BadRecordError

BUCKET = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
UUID = "11111111-0a1b-4c2d-8e3f-aaaaaaaaaa01"


def model(**fields: Any) -> Any:
    return parsers.model_tree({"id": 1, "name": "n", "type": "LORA", **fields})


def version(**fields: Any) -> Any:
    return parsers.version_tree({"id": 2, "name": "v", **fields})


def file(**fields: Any) -> Any:
    (found,) = version(files=[{"id": 3, "name": "f.safetensors", **fields}]).files
    return found


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"tags": ["style", "a:b"]}, "tags", ["style", "a:b"]),
        ({"tags": [{"name": "style"}]}, "tags", ["style"]),
        ({"tags": [5101]}, "tags", ["5101"]),
        ({"tags": None}, "tags", []),
        ({"tagsOnModels": [{"tag": {"id": 1, "name": "style"}}]}, "tags", ["style"]),
        (
            {"allowCommercialUse": "{Image,RentCivit}"},
            "allow_commercial_use",
            ["Image", "RentCivit"],
        ),
        ({"allowCommercialUse": "None"}, "allow_commercial_use", []),
        ({"nsfw": None}, "nsfw", False),
        ({"nsfw": True}, "nsfw", True),
        ({"nsfw": 1}, "nsfw", True),
        ({"nsfwLevel": "7"}, "nsfw_level", 7),
        ({"description": None}, "description", None),
        ({"description": ""}, "description", ""),
        ({"creator": {"username": "fox", "image": None}}, "creator", "fox"),
        ({"user": {"id": 9, "username": "fox"}}, "creator", "fox"),
        ({"user": {"id": 9, "username": "fox"}}, "creator_id", 9),
        ({"user": {"id": -1, "username": "civitai"}}, "creator_id", -1),
        ({"userId": 9}, "creator_id", 9),
        ({"creator": None}, "creator", None),
        ({"creator": {"username": None}}, "creator", None),
        ({"mode": "Archived"}, "mode", "Archived"),
        ({"mode": None}, "mode", None),
        ({"stats": {"rating": 4.93}}, "stats", {"rating": 4.93}),
        ({"rank": {"downloadCount": None}}, "stats", {"downloadCount": None}),
        ({"canGenerate": True}, "supports_generation", True),
        ({"version": {"id": 7, "baseModel": "Pony"}}, "version_ids", [7]),
        ({"version": {"id": 7, "baseModel": "Pony"}}, "base_models", ["Pony"]),
        ({"version": {"id": "x"}}, "version_ids", []),
        ({"version": None}, "version_ids", []),
        ({"baseModels": ["SD 1.5"], "version": {"id": 7}}, "base_models", ["SD 1.5"]),
        ({"modelVersions": []}, "version_ids", []),
        ({"modelVersions": None}, "version_ids", []),
    ],
)
def test_model(sent, name, value):
    assert getattr(model(**sent).model, name) == value


@pytest.mark.parametrize(
    ("sent", "extra"),
    [
        ({"cosmetic": None, "flags": 3}, {"cosmetic": None, "flags": 3}),
        ({"nsfw": "Soft"}, {"nsfw": "Soft"}),
        ({"tags": {"odd": 1}}, {"tags": {"odd": 1}}),
        ({"creator": "fox"}, {"creator": "fox"}),
        ({"creator": {"username": ["fox"], "image": "x"}}, {"creator": {"username": ["fox"]}}),
        ({"modelVersions": "none"}, {"modelVersions": "none"}),
        ({"images": [{"poi": True}], "image": {}}, {}),
        ({"parts": [{"files": [{"url": "s3://x"}]}]}, {"parts": [{"files": [{}]}]}),
        ({"score": float("nan")}, {"score": None}),
        ({"link": "https://civitai.com/x?token=abc"}, {"link": "https://civitai.com/x"}),
    ],
)
def test_what_has_no_field_stays_in_extra(sent, extra):
    assert model(**sent).model.extra == extra


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"id": None}, "id: expected an integer, got null"),
        ({"id": True}, "id: expected an integer, got true"),
        ({"name": None}, "name: expected a text, got null"),
        ({"type": []}, "type: expected a text, got a list"),
    ],
)
def test_a_model_that_is_none(sent, why):
    with pytest.raises(BadRecordError) as caught:
        model(**sent)
    assert caught.value.why == why


@pytest.mark.parametrize("record", [None, [], "text", {"error": "No model with id 0"}])
def test_no_model_at_all(record):
    with pytest.raises(BadRecordError):
        parsers.model_tree(record)


def test_a_broken_version_or_file_costs_itself():
    tree = model(
        modelVersions=[
            {"id": 10, "name": "a", "baseModel": "Pony", "files": [{"id": 1, "name": "f"}]},
            "no version",
            {"id": 11, "name": "b", "files": [{"id": "x", "name": "f"}, {"id": 2, "name": "g"}]},
            {"id": 12, "name": None},
            {"id": 13, "modelId": "x", "name": "c"},
            {"id": 14, "name": "d", "index": 9, "baseModel": "Pony"},
        ]
    )
    assert tree.model.version_ids == [10, 11, 14]
    assert [found.index for found in tree.versions] == [0, 2, 9]
    assert tree.model.base_models == ["Pony"]
    assert [(found.id, found.version_id) for found in tree.files] == [(1, 10), (2, 11)]
    assert [(error.kind, error.record_id, error.why) for error in tree.broken] == [
        ("model_version", None, "modelVersions[1]: expected an object, got 'no version'"),
        ("model_file", None, "modelVersions[2].files[0].id: expected an integer, got 'x'"),
        ("model_version", 12, "modelVersions[3].name: expected a text, got null"),
        ("model_version", 13, "modelVersions[4].modelId: expected an integer, got 'x'"),
    ]


def test_a_page_gives_paths_from_its_top():
    page = parsers.models_page(
        {
            "items": [
                {"id": 1, "name": "n", "type": "LORA", "modelVersions": [{"id": 5}]},
                {"id": 2, "name": "n"},
            ]
        }
    )
    (tree,) = page.items
    assert [error.why for error in tree.broken] == [
        "items[0].modelVersions[0].name: expected a text, got nothing"
    ]
    assert [str(error) for error in page.broken] == [
        "model 2: items[1].type: expected a text, got nothing"
    ]


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"modelId": 1}, "model_id", 1),
        ({"model": {"id": 1, "name": "n"}}, "model_id", 1),
        ({"modelId": 1, "model": {"id": 2}}, "model_id", 1),
        ({}, "model_id", None),
        ({"creator": {"username": "fox"}}, "creator", "fox"),
        ({"model": {"user": {"id": 1, "username": "fox"}}}, "creator", "fox"),
        ({"trainedWords": [" edge "]}, "trained_words", [" edge "]),
        ({"trainedWords": None}, "trained_words", []),
        ({"publishedAt": "2023-04-28T19:32:30.819"}, "published_at", "2023-04-28T19:32:30.819"),
        ({"publishedAt": None}, "published_at", None),
        ({"earlyAccessEndsAt": "2026-01-01"}, "early_access_deadline", "2026-01-01"),
        ({"paidAccess": {"permanent": True}}, "paid_access", {"permanent": True}),
        ({"paidAccess": None}, "paid_access", None),
        ({"downloadUrl": "https://x/1?token=a&type=VAE"}, "download_url", "https://x/1?type=VAE"),
        ({"rank": {"downloadCountAllTime": 1}}, "stats", {"downloadCountAllTime": 1}),
        ({"files": None}, "file_ids", []),
        (
            {"images": [{"id": 5}, {"url": f"{BUCKET}/{UUID}/width=450/6.jpeg"}]},
            "image_ids",
            [5, 6],
        ),
        ({"images": [{"url": None}, "odd", {"id": "7"}]}, "image_ids", [7]),
        ({"model": {"poi": True, "name": "n"}}, "extra", {"model": {"poi": True}}),
    ],
)
def test_version(sent, name, value):
    assert getattr(version(**sent).version, name) == value


def test_a_version_gives_its_images_with_what_it_knows():
    tree = version(
        creator={"username": "fox"},
        images=[
            {"url": f"{BUCKET}/{UUID}/width=450/6.jpeg", "meta": {"prompt": "p"}},
            {"url": UUID},
        ],
    )
    (found,) = tree.images
    assert (found.image.id, found.image.creator, found.image.version_id) == (6, "fox", 2)
    assert found.image.url == f"{BUCKET}/{UUID}/original=true/{UUID}.jpeg"
    assert (found.generation.id, found.generation.creator) == (6, "fox")
    assert [error.why for error in tree.broken] == [
        "images[1].id: expected an integer, got nothing"
    ]


def test_the_media_base_is_the_callers():
    record = {"id": 2, "name": "v", "images": [{"id": 5, "url": UUID}]}
    tree = parsers.version_tree(record, media_base="http://127.0.0.1:1/b")
    assert tree.images[0].image.url == f"http://127.0.0.1:1/b/{UUID}/original=true/{UUID}.jpeg"


@pytest.mark.parametrize(
    ("sent", "name", "value"),
    [
        ({"hashes": {"SHA256": "AB"}}, "hashes", {"SHA256": "AB"}),
        ({"hashes": [{"type": "SHA256", "hash": "AB"}]}, "hashes", {"SHA256": "AB"}),
        ({"hashes": {}}, "hashes", {}),
        ({"hashes": None}, "hashes", {}),
        ({"hashes": "AB"}, "extra", {"hashes": "AB"}),
        ({"sizeKB": 0}, "size_kb", 0.0),
        ({"sizeKB": 2082691}, "size_kb", 2082691.0),
        ({"metadata": {"format": "GGUF", "quantType": "Q8_0"}}, "quant_type", "Q8_0"),
        ({"metadata": {"format": "SafeTensor", "fp": None}}, "format", "SafeTensor"),
        (
            {"metadata": {"isRequired": True, "fp": "fp16"}},
            "extra",
            {"metadata": {"isRequired": True}},
        ),
        ({"metadata": None, "format": "Other"}, "format", "Other"),
        ({"primary": True}, "primary", True),
        ({}, "primary", False),
        ({"url": "https://x.r2.cloudflarestorage.com/f?X-Amz-Signature=1"}, "extra", {}),
        ({"downloadUrl": "https://x/1?token=secret"}, "download_url", "https://x/1"),
        ({"downloadUrl": "/api/1?token=secret&type=VAE"}, "download_url", "/api/1?type=VAE"),
        ({"name": " <a:b>.pt"}, "name", " <a:b>.pt"),
        ({"modelVersionId": 2}, "extra", {}),
        ({"modelVersionId": 8}, "extra", {"modelVersionId": 8}),
        ({"modelVersionId": 8}, "version_id", 2),
    ],
)
def test_file(sent, name, value):
    assert getattr(file(**sent), name) == value


def test_a_file_knows_its_parents():
    tree = model(
        creator={"username": "fox"},
        modelVersions=[{"id": 2, "name": "v", "files": [{"id": 3, "name": "f"}]}],
    )
    (found,) = tree.files
    assert (found.model_id, found.model_name, found.creator) == (1, "n", "fox")
    assert (found.version_id, found.version_name) == (2, "v")


def test_a_version_alone_names_its_model_for_the_files():
    tree = version(modelId=1, model={"name": "n"}, files=[{"id": 3, "name": "f"}])
    assert (tree.files[0].model_id, tree.files[0].model_name) == (1, "n")


def test_trpc_models():
    page = parsers.trpc_models_page(
        {"items": [{"id": 1, "name": "n", "type": "LORA", "version": {"id": 2}}], "nextCursor": 35}
    )
    assert (page.items[0].version_ids, page.next_cursor) == ([2], 35)
    assert parsers.trpc_model_tree({"id": 1, "name": "n", "type": "LORA"}).model.id == 1
