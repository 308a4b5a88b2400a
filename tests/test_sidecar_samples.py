"""Sidecars made through parsers and feeds say the same as the recorded answers themselves.

The recordings are not part of this repository; ``CIVITAI_SAMPLES`` names their folder.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from parsel import Selector

from civitai_crawler.api import links, parsers
from civitai_crawler.sidecars.formats import MODELS
from civitai_crawler.sidecars.subject import kind
from tests.sidecar_keys import TABLES, faults
from tests.sidecar_support import archive, run

ROOT = Path(__file__).parents[1]
SAMPLES = Path(os.environ.get("CIVITAI_SAMPLES", ROOT.parent / "shared" / "samples"))
FOLDERS = ("rest_models_id", "rest_models_item", "rest_models_list", "rest_model_versions")
FILES = sorted(path for folder in FOLDERS for path in SAMPLES.glob(f"{folder}/*.json"))
pytestmark = pytest.mark.skipif(not FILES, reason="no recorded samples on this machine")

HASH = "ab" * 32
#: Of one version the recording does not tell the model.
UNTOLD = {"name": "n", "type": "LORA", "nsfw": False, "poi": False}


def answers(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the recorded versions, each with its model as far as the answer tells it."""
    payload = json.loads(path.read_bytes())
    if payload.get("success"):
        payload = payload["data"]  # one recording has passed a proxy with an envelope of its own
    found = []
    for one in payload.get("items", [payload]):
        if "modelVersions" in one:
            found += [(one, version) for version in one["modelVersions"]]
        else:
            told = one.get("model") or UNTOLD
            model = {"id": one["modelId"], "creator": one.get("creator"), **told}
            found.append((model, one))
    return found


def stored(folder: Path, model: dict[str, Any], version: dict[str, Any]) -> int | None:
    """Write an archive of one recorded version with its first loadable file on disk."""
    tree = parsers.version_tree({"modelId": model["id"], **version})
    parent = parsers.model_tree(model).model
    primary = [file for file in tree.files if file.primary] or tree.files
    chosen = next((file for file in primary if kind(parent.type, file)), None)
    if chosen is None:
        return None
    suffix = Path(chosen.name).suffix
    chosen.path, chosen.sha256, chosen.size_bytes = f"models/m/v/file{suffix}", HASH, 7
    chosen.fetched_at = "2026-05-03T00:00:00Z"
    made = [one.generation for one in tree.images if one.generation is not None]
    archive(folder, parent, tree.version, *tree.files, *(one.image for one in tree.images), *made)
    run(folder)
    return int(chosen.id)


# --- the same, made of the answer itself --------------------------------------------------------


def expected_version(model: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    creator = version.get("creator") or model.get("creator") or {}
    known = {key: value for key, value in version.items() if key not in ("images", "files")}
    return {
        **known,
        "modelId": model["id"],
        "model": expected_model(model),
        "creator": {"username": creator.get("username"), "image": creator.get("image")},
    }


def expected_model(model: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "type", "nsfw", "poi", "description", "allowNoCredit", "allowDerivatives",
            "allowDifferentLicense")  # fmt: skip
    tags = [tag if isinstance(tag, str) else tag["name"] for tag in model.get("tags") or []]
    uses = model.get("allowCommercialUse") or []
    if isinstance(uses, str):
        uses = re.findall(r"\w+", uses)
    uses = [use for use in uses if use != "None"]
    return {**{key: model.get(key) for key in keys}, "tags": tags, "allowCommercialUse": uses}


def expected_file(file: dict[str, Any]) -> dict[str, Any]:
    known = {key: value for key, value in file.items() if key != "url"}
    return {**known, "primary": file.get("primary", False)}


def expected_image(image: dict[str, Any]) -> dict[str, Any]:
    """Leave out the address, which names one size of many; the medium in it is compared."""
    meta = {key: value for key, value in (image.get("meta") or {}).items() if key != "comfy"}
    known = {key: value for key, value in image.items() if key != "url"}
    return {**known, "meta": meta or None}


def says(found: Any, expected: Any, at: str) -> list[str]:
    """Name what *found* says otherwise than *expected*; further keys are ours."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for key, value in expected.items()
            for fault in says(found.get(key), value, f"{at}.{key}")
        ]
    return [] if found == expected else [f"{at}: {found!r} is not {expected!r}"]


def compare_version(found: dict[str, Any], model: Any, version: Any, name: str) -> list[str]:
    wrong = says(found, expected_version(model, version), name)
    for kind_, make in (("files", expected_file), ("images", expected_image)):
        theirs = version.get(kind_) or []
        assert len(found[kind_]) == len(theirs)
        for ours, one in zip(found[kind_], theirs, strict=True):
            wrong += says(ours, make(one), f"{name}.{kind_}")
            if kind_ == "images":
                assert links.media_uuid(ours["url"]) == links.media_uuid(one["url"])
    return wrong


def text(description: str | None) -> str:
    """Return the letters of a description without its tags, as a browser's parser finds them."""
    found = Selector(description or "<p/>").xpath("//text()").getall()
    return "".join("".join(found).split())


def compare_rest(folder: Path, model: Any, version: Any, file_id: int) -> list[str]:
    wrong: list[str] = []
    for file in (f for f in version["files"] if f["id"] == file_id):
        found = {name: sidecar(folder, name) for name in MODELS}
        parent = expected_model(model)
        words = [word.strip(" ,") for word in version.get("trainedWords") or []]
        wrong += says(found["cm_info"], {
            "ModelId": model["id"], "ModelName": model["name"], "ModelType": model["type"],
            "ModelDescription": model.get("description") or "", "Nsfw": model["nsfw"],
            "Tags": parent["tags"], "VersionId": version["id"], "VersionName": version["name"],
            "VersionDescription": version.get("description"), "BaseModel": version["baseModel"],
            "AuthorUsername": (model.get("creator") or {}).get("username"),
            "RemoteFileName": file["name"], "RemoteFileId": file["id"],
            "FileMetadata": {key: file["metadata"].get(key) for key in ("fp", "size", "format")},
            "Hashes": file["hashes"], "TrainedWords": version.get("trainedWords") or [],
        }, "cm_info")  # fmt: skip
        wrong += says(found["lora_manager"] or {}, {
            "model_name": model["name"], "base_model": version["baseModel"], "sha256": HASH,
            "tags": parent["tags"], "modelDescription": model.get("description") or "",
            "trainedWords": version.get("trainedWords") or [], "file_name": "file", "size": 7,
        } if found["lora_manager"] else {}, "lora_manager")  # fmt: skip
        if found["lora_manager"]:
            wrong += compare_version(found["lora_manager"]["civitai"], model, version, "manager")
        if found["a1111"]:
            ids = {"modelId": model["id"], "modelVersionId": version["id"]}
            wrong += says(found["a1111"], {**ids, "sha256": HASH.upper()}, "a1111")
            assert "".join(found["a1111"]["description"].split()) == text(model.get("description"))
            activation = found["a1111"].get("activation text")
            assert activation is None or all(word in activation for word in words)
        wrong += says(found["swarm"], {
            "modelspec.title": f"{model['name']} - {version['name']}",
            "modelspec.tags": ", ".join(parent["tags"]),
            "modelspec.author": (model.get("creator") or {}).get("username") or "",
        }, "swarm")  # fmt: skip
        break
    return wrong


def sidecar(folder: Path, name: str) -> Any:
    file = folder / f"models/m/v/file{MODELS[name].ending}"
    return json.loads(file.read_bytes()) if file.exists() else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample(path, tmp_path):
    wrong: list[str] = []
    for number, (model, version) in enumerate(answers(path)):
        folder = tmp_path / str(number)
        file_id = stored(folder, model, version)
        if file_id is None:
            continue
        info = sidecar(folder, "civitai_info")
        wrong += compare_version(info, model, version, "civitai_info")
        wrong += compare_rest(folder, model, version, file_id)
        for form in MODELS:
            if (found := sidecar(folder, form)) is not None:
                wrong += faults(found, TABLES[form], form)
    assert wrong == []


def test_the_samples_hold_what_is_compared():
    versions = [one for path in FILES for one in answers(path)]
    assert len(versions) > 50
    assert {model["type"] for model, _ in versions} >= {"LORA", "Checkpoint", "TextualInversion"}
    assert sum(len(version.get("images") or []) for _, version in versions) > 100
