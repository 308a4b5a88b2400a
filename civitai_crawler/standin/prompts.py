"""Generation data in the shapes of different makers and years."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from civitai_crawler.standin.records import Picture

PLACES = ("night meadow", "calm pond", "paper harbor", "foggy pier", "reed bank", "old lighthouse")
THINGS = ("paper lanterns", "a folded boat", "fireflies", "blue kites", "a sleeping fox", "мост")
MOODS = ("wide shot", "soft light", "morning fog", "BREAK long exposure", "ink wash", "🌙 calm")
SAMPLERS = ("Euler a", "DPM++ 2M Karras", "euler", "Undefined")
HUGE_SEED = 17_739_416_935_733_250_000
BROKEN_GRAPH = '{"prompt": {"3": {"class_type": "KSampler"}}, "workflow": undefined}'


def meta(picture: Picture, rng: random.Random) -> dict[str, Any] | None:
    """Return the picture's generation data as the site stores it; ``None`` for maker ``none``."""
    makers: dict[str, Callable[[Picture, random.Random], dict[str, Any]]] = {
        "a1111": _a1111,
        "onsite": _onsite,
        "comfy": _comfy,
        "broken_comfy": _broken_comfy,
        "legacy": _legacy,
        "external": _comfy,
        "torn": _torn,
        "empty": lambda _picture, _rng: {},
    }
    maker = makers.get(picture.maker)
    return maker(picture, rng) if maker else None


def _base(picture: Picture, rng: random.Random) -> dict[str, Any]:
    words = ", ".join(rng.choice(pool) for pool in (PLACES, THINGS, MOODS))
    return {
        "prompt": words,
        "negativePrompt": "blurry, text",
        "cfgScale": rng.choice((5, 7, 3.5)),
        "steps": rng.choice((20, 28, 40)),
        "sampler": rng.choice(SAMPLERS),
        "seed": rng.choice((0, -1, HUGE_SEED, 4242346144803208700, *[rng.getrandbits(32)] * 8)),
        "Size": f"{picture.width}x{picture.height}",
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10].upper()


def _a1111(picture: Picture, rng: random.Random) -> dict[str, Any]:
    data = _base(picture, rng)
    hashes, resources = {}, []
    for version, strength in picture.resources:
        kind = "model" if strength is None else "lora"
        name = version.model.name[:40]
        hashes[kind if kind == "model" else f"lora:{name}"] = _hash(name)
        entry: dict[str, Any] = {"type": kind, "name": name, "hash": _hash(name)}
        resources.append(entry if strength is None else {**entry, "weight": strength})
    resources.append({"type": "lora", "name": "lost-lora", "weight": None})
    extra = {"Model": "paperBoatMix_v1", "Model hash": _hash("m"), "Version": "v1.10.1"}
    return {**data, "hashes": hashes, "resources": resources, **extra, "clipSkip": 2}


def _onsite(picture: Picture, rng: random.Random) -> dict[str, Any]:
    used: list[dict[str, Any]] = []
    for version, strength in picture.resources:
        entry: dict[str, Any] = {"type": version.model.type.lower(), "modelVersionId": version.id}
        used.append(entry if strength is None else {**entry, "weight": strength})
    return {
        **_base(picture, rng),
        "civitaiResources": used,
        "workflow": "txt2img",
        "Created Date": "2026-05-02T1011:00.0000000Z",
        "baseModel": "Illustrious",
        "extra": {"remixOfId": picture.remix_of} if picture.remix_of else {},
        "clipSkip": 2,
    }


def _comfy(picture: Picture, rng: random.Random) -> dict[str, Any]:
    data = _base(picture, rng)
    sampler = {"class_type": "KSampler", "inputs": {"seed": data["seed"], "steps": data["steps"]}}
    graph = {"prompt": {"3": sampler}, "workflow": {"nodes": [{"id": 3, "type": "KSampler"}]}}
    return {
        **data,
        "comfy": graph,
        "models": ["paperBoatMix_v1.safetensors"],
        "scheduler": "normal",
        "controlNets": ["depth.safetensors"],
        "additionalResources": [{"name": "lantern-meadow-v2", "type": "lora", "strength": 0.7}],
        "versionIds": [],
    }


def _broken_comfy(picture: Picture, rng: random.Random) -> dict[str, Any]:
    return {**_comfy(picture, rng), "comfy": BROKEN_GRAPH}


def _legacy(picture: Picture, rng: random.Random) -> dict[str, Any]:
    """Numbers as texts, hashes as a list, no negative prompt."""
    data = _base(picture, rng)
    del data["negativePrompt"]
    texts = {"Clip skip": "2", "ENSD": "31337", "Denoising strength": "0.4", "Hires upscale": "2"}
    return {**data, **texts, "hashes": [_hash("a"), _hash("b")], "resources": []}


def _torn(picture: Picture, _rng: random.Random) -> dict[str, Any]:
    """Return a parameter line that was never split, under an empty key."""
    line = f"worst quality\nSteps: 16, Sampler: Euler a, Seed: {picture.id}"
    return {"": "", "prompt": "", "resources": [], "negativePrompt": line, "{'Method'": "'x'"}


def listed(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the meta as lists print it: ComfyUI's graphs as one JSON text."""
    if data is None or not isinstance(data.get("comfy"), dict):
        return data
    return {**data, "comfy": json.dumps(data["comfy"])}


def detailed(data: dict[str, Any]) -> dict[str, Any]:
    """Return the meta as getGenerationData prints it: clip skip folded, empty values dropped."""
    folded = {k: v for k, v in data.items() if k != "Clip skip" and v not in ([], None, {})}
    if "Clip skip" in data:
        folded["clipSkip"] = int(data["Clip skip"])
    return folded
