"""Real answers of all years: nothing raises, no record is lost.

The recordings are not part of this repository; ``CIVITAI_SAMPLES`` names their folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from civitai_crawler.api import parsers, trpc
from civitai_crawler.api.parsers import envelope
from civitai_crawler.exceptions import ApiError, UnexpectedShapeError
from tests.recorded import cases

ROOT = Path(__file__).parents[2]
SAMPLES = Path(os.environ.get("CIVITAI_SAMPLES", ROOT.parent / "shared" / "samples"))
FILES = sorted(SAMPLES.glob("*/*.json"))
pytestmark = pytest.mark.skipif(not FILES, reason="no recorded samples on this machine")

MODEL = {"id": 1, "name": "n", "type": "LORA"}


def load(path: Path) -> Any:
    payload = parsers.decode(path.read_bytes())
    if isinstance(payload, dict) and payload.get("success"):
        payload = payload["data"]  # one recording has passed a proxy with an envelope of its own
    if isinstance(payload, dict) and ("result" in payload or path.name.startswith("trpc_401")):
        return trpc.result(payload)
    return payload


def model(record: Any) -> Any:
    tree = parsers.model_tree(record)
    versions = record.get("modelVersions") or []
    assert tree.broken == []
    assert [version.id for version in tree.versions] == [entry["id"] for entry in versions]
    files = [entry for version in versions for entry in version.get("files") or []]
    assert [(file.id, file.name) for file in tree.files] == [(e["id"], e["name"]) for e in files]
    shown = [len(version.get("images") or []) for version in versions]
    assert [len(version.image_ids) for version in tree.versions] == shown
    assert tree.model.version_ids == [version.id for version in tree.versions]
    return tree


def version(record: Any) -> Any:
    tree = parsers.version_tree(record)
    assert tree.broken == []
    assert len(tree.files) == len(record.get("files") or [])
    assert len(tree.images) == len(record.get("images") or [])
    for found, entry in zip(tree.images, record.get("images") or [], strict=True):
        assert (found.generation is not None) == bool(entry.get("meta"))
    return tree


def full(page: Any, payload: Any) -> Any:
    assert page.broken == ()
    assert len(page.items) == len(payload["items"])
    return page


def images(records: Any) -> Any:
    payload = {"items": records}
    page = full(parsers.trpc_images_page(payload), payload)
    assert [item.image.id for item in page.items] == [record["id"] for record in records]
    return page.items


def images_anywhere(value: Any) -> Any:
    """Image objects of answers that are made of other things."""
    if isinstance(value, list):
        return [found for entry in value for found in images_anywhere(entry)]
    if not isinstance(value, dict):
        return []
    own = [value] if {"id", "url", "width", "hash"} <= value.keys() else []
    return own + images_anywhere(list(value.values()))


def trpc_models(data: Any) -> Any:
    records = data.get("items", [data])
    grouped = [record.get("items", [record]) for record in records]
    payload = {**data, "items": [record for group in grouped for record in group]}
    page = full(parsers.trpc_models_page(payload), payload)
    images(images_anywhere(payload))
    return page


def names(path: Path, records: Any) -> Any:
    if "image" in path.stem:
        return [parsers.image_detail(record) for record in records]
    if "files" in path.stem:
        return [
            version({"id": record["modelVersionId"], "name": "v", "files": [record["file"]]})
            for record in records
        ]
    if "version" in path.stem:
        return [version(record) for record in records]
    return [model({**MODEL, **record}) for record in records]


def abridged(path: Path, payload: Any) -> Any:
    if "model-versions" in path.stem or "enums" in path.stem:
        return payload
    if "models" in path.stem:
        return models_list(payload)
    return full(envelope.page(payload, lambda record, _: record), payload)


def models_list(payload: Any) -> Any:
    for record in payload["items"]:
        model(record)
    return full(parsers.models_page(payload), payload)


def refused(path: Path, payload: Any) -> Any:
    for parse in (parsers.models_page, parsers.images_page, parsers.posts_page):
        with pytest.raises(UnexpectedShapeError):
            parse(payload)
    error = parsers.rest_error(int(path.name.split("_")[1]), payload)
    assert "without an explanation" not in error.message
    return error


def nothing(payload: Any) -> Any:
    with pytest.raises(UnexpectedShapeError):
        parsers.trpc_images_page(payload)


PARSERS: dict[str, Any] = {
    "rest_models_item": lambda _, payload: model(payload),
    "rest_models_id": lambda _, payload: model(payload),
    "rest_models_list": lambda _, payload: models_list(payload),
    "rest_model_versions": lambda _, payload: version(payload),
    "rest_images": lambda _, payload: full(parsers.images_page(payload), payload),
    "rest_misc": lambda _, payload: full(envelope.page(payload, lambda entry, _: entry), payload),
    "docs_abridged": abridged,
    "errors": refused,
    "trpc_model_getAll": lambda _, payload: trpc_models(payload),
    "trpc_modelVersion_getById": lambda _, payload: version(payload),
    "trpc_image_getInfinite": lambda _, payload: images([payload]),
    "trpc_image_getGenerationData": lambda _, data: parsers.generation_data(data, image_id=1),
    "trpc_image_getImagesAsPostsInfinite": lambda _, payload: images(images_anywhere(payload)),
    "trpc_homeBlock_getHomeBlock": lambda _, payload: images(images_anywhere(payload)),
    "trpc_post_get": lambda _, payload: parsers.post(payload),
    "trpc_post_getInfinite": lambda _, payload: full(parsers.posts_page(payload), payload),
    "trpc_collection_getById": lambda _, payload: payload,
    "trpc_odd_envelopes": lambda _, payload: nothing(payload),
    "fragments_image_meta": lambda _, payload: images([entry["image"] for entry in payload]),
    "fragments_names": names,
    "fragments_versions": lambda _, payload: [
        model({**MODEL, "id": entry["modelId"], "modelVersions": [entry["version"]]})
        for entry in payload
    ],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample(path):
    if path.name.startswith("trpc_") and path.parent.name == "errors":
        with pytest.raises(ApiError):
            trpc.result(parsers.decode(path.read_bytes()))
        return
    result = PARSERS[path.parent.name](path, load(path))
    text = json.dumps(cases.plain(result), ensure_ascii=False)
    assert "cloudflarestorage" not in text
    assert "token=" not in text.replace(".mp4?token=", "")


def one(pattern: str) -> Any:
    (path,) = SAMPLES.glob(f"{pattern}*.json")
    return PARSERS[path.parent.name](path, load(path))


def fragment(name: str) -> Any:
    return one(f"fragments_image_meta/2023-07_{name}")


def test_seeds_survive_exactly():
    seeds = [found.generation.seed for found in fragment("seed-gt-2-53")]
    assert 17739416935733250000 in seeds
    assert {found.generation.seed for found in fragment("seed-negative")} == {-1}


def test_clip_skip_in_both_spellings():
    for name in ("clip-skip-int", "clipskip-camel-int"):
        assert all(isinstance(found.generation.clip_skip, int) for found in fragment(name))


def test_odd_meta():
    assert [found.generation for found in fragment("meta-empty-dict")] == [None]
    assert {found.generation.prompt_state for found in fragment("prompt-missing")} == {"absent"}
    assert {found.generation.prompt for found in fragment("prompt-empty")} == {""}
    assert all("" in found.generation.meta for found in fragment("meta-empty-key"))
    hashes = [
        entry for entry in fragment("hashes-list")[0].generation.unresolved if "hash" in entry
    ]
    assert {entry["from"] for entry in hashes} == {"resources", "hashes"}
    nameless = [found.generation.unresolved for found in fragment("resource-without-name")]
    assert all(entries for entries in nameless)


def test_models_of_all_years():
    oldest = one("rest_models_id/2023-02_1102").model
    assert oldest.tags
    assert all(isinstance(tag, str) for tag in oldest.tags)
    assert oldest.base_models
    assert one("rest_models_id/2023-12").model.allow_commercial_use == ["RentCivit"]
    assert one("rest_models_id/2024-03").model.allow_commercial_use == []
    newest = one("rest_models_id/2026-08").model
    assert newest.creator_id
    assert newest.nsfw_level
    assert one("rest_models_item/2023-07_99832").model.mode == "Archived"
    assert one("rest_models_item/2023-07_12035").model.mode == "TakenDown"
    assert one("rest_models_item/2023-07_61016").versions == []
    thirteen = one("rest_models_item/2023-07_11772")
    assert [found.index for found in thirteen.versions] == list(range(13))


def test_images_of_all_years():
    (video,) = one("trpc_image_getInfinite/2024-12")
    assert (video.image.type, video.image.duration) == ("video", 15.033)
    assert video.image.media_size == 23984479
    (index_path,) = one("trpc_image_getInfinite/2026-01")
    assert index_path.image.version_ids == [2600396]
    rest = one("rest_images/2024-04").items[0]
    assert isinstance(rest.image.nsfw_level, int)
    assert isinstance(rest.image.extra["nsfwLevel"], str)
    assert rest.image.url.endswith(f"/original=true/{rest.image.uuid}.jpeg")


def test_cursors_of_all_years():
    assert one("rest_models_list/2024-05").next_cursor == "22138|364671|25494"
    assert one("rest_models_list/2023-03").next_cursor is None
    assert one("rest_images/2024-04").next_cursor == "1|1712265847499"
    assert one("rest_images/2024-08").next_cursor is None
    assert one("trpc_model_getAll/2023-07").next_cursor == 35


def test_generation_data_with_resources():
    item = one("trpc_image_getGenerationData/2024-11")
    assert item.prompt_state == "present"
    assert {entry["from"] for entry in item.unresolved} == {"civitaiResources"}
    assert any(resource.type == "Checkpoint" for resource in item.resources)
    assert item.meta["Created Date"] == "2024-07-29T1605:46.4544993Z"


def test_every_kind_of_sample_has_its_parser():
    assert {path.parent.name for path in FILES} <= PARSERS.keys()
