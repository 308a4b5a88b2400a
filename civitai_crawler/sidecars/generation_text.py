"""Generation data as programs write it into images: AUTOMATIC1111's text, ComfyUI's graphs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parameters import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from civitai_crawler.items import GenerationData

#: Names of the site → of the text; all others stay as they are.
_LABELS = {
    "steps": "Steps",
    "sampler": "Sampler",
    "cfgScale": "CFG scale",
    "seed": "Seed",
    "clipSkip": "Clip skip",
}
#: The usual order; what is not here follows, and the version of the program comes last.
_FIRST = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model",
    "VAE hash", "VAE", "Denoising strength", "Clip skip",
)  # fmt: skip
_LAST = ("Version",)
#: What is no plain pair.
_NO_PAIRS = frozenset({
    "prompt", "Prompt", "negativePrompt", "Negative prompt", "hashes", "resources",
    "civitaiResources", "comfy", "models", "vaes", "upscalers", "controlNets", "scheduler",
    "additionalResources", "external", "extra", "width", "height",
})  # fmt: skip
_NAME = re.compile(r"[^,:\n\r\"{}\[\]]+")
_QUOTED = re.compile(r'[,:\n\r"]')


def parameters(generation: GenerationData) -> str | None:
    """Return the text: prompt, ``Negative prompt:``, and the line that begins ``Steps:``.

    The line is left out where too little is known for it. ``None`` where the site shows nothing of
    the making.
    """
    if generation.prompt_state != "present":
        return None
    negative = generation.negative_prompt
    line = settings([*_pairs(generation), *_structures(generation)])
    parts = [generation.prompt or "", f"Negative prompt: {negative}" if negative else "", line]
    return "\n".join(part for part in parts if part).replace("\0", "") or None


def graphs(generation: GenerationData) -> dict[str, str]:
    """Return ComfyUI's ``prompt`` and ``workflow`` as JSON in ASCII, as far as they are held."""
    comfy = generation.comfy
    if generation.prompt_state == "hidden" or not isinstance(comfy, dict):
        return {}
    found = {name: comfy[name] for name in ("prompt", "workflow") if comfy.get(name)}
    return {name: json.dumps(graph) for name, graph in found.items() if isinstance(graph, dict)}


def _pairs(generation: GenerationData) -> Iterator[str]:
    told = {
        "Steps": generation.steps,
        "Sampler": generation.sampler,
        "CFG scale": generation.cfg_scale,
        "Seed": generation.seed,
        "Clip skip": generation.clip_skip,
    }
    pairs = {name: value for name, value in told.items() if value is not None}
    for name, value in generation.meta.items():
        label = _LABELS.get(name, name).strip()
        plain = isinstance(value, (str, int, float)) and value != ""
        if plain and name not in _NO_PAIRS and _NAME.fullmatch(label):
            pairs[label] = value
    width, height = generation.meta.get("width"), generation.meta.get("height")
    if width and height:
        pairs.setdefault("Size", f"{width}x{height}")
    last = [name for name in _LAST if name in pairs]
    first = [name for name in _FIRST if name in pairs]
    for name in [*first, *(n for n in pairs if n not in {*first, *last}), *last]:
        yield f"{name}: {_value(pairs[name])}"


def _structures(generation: GenerationData) -> Iterator[str]:
    """Yield what stands in the text as JSON: hashes, and resources in the words of the site."""
    hashes = generation.meta.get("hashes")
    if isinstance(hashes, dict) and hashes:
        yield f"Hashes: {_json(hashes)}"
    resources = [
        {
            "type": (one.type or "").lower(),
            "modelVersionId": one.version_id,
            **({"weight": one.strength} if one.strength is not None else {}),
            "modelName": one.model_name,
            "modelVersionName": one.version_name,
        }
        for one in generation.resources
        if one.version_id is not None
    ]
    if resources or generation.meta.get("civitaiResources"):
        yield f"Civitai resources: {_json(resources or generation.meta['civitaiResources'])}"


def _value(value: Any) -> str:
    text = str(value)
    if text != text.strip() or _QUOTED.search(text) or text[:1] in "{[":
        return json.dumps(text, ensure_ascii=False)
    return text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
