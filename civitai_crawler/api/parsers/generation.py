"""Generation data: prompt, parameters and models of an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.items import GenerationData, Resource

if TYPE_CHECKING:
    from civitai_crawler.items import Image

_KIND = "generation_data"
_LISTS = ("resources", "hashes", "additionalResources", "civitaiResources")


def generation_data(data: Any, *, image_id: int, has_meta: bool | None = None) -> GenerationData:
    """Read ``image.getGenerationData``; ``has_meta`` is the image's own flag, where known.

    Without a prompt it is called hidden when the image's flag or the answer says so, and absent
    otherwise.

    Raises:
        BadRecordError: the answer is no object.

    """
    fields = Fields(json_safe(data), _KIND, record_id=image_id)
    meta, rotten = _unwrapped(fields.raw("meta"))
    resources, odd = _resources(fields)
    item = GenerationData(
        id=image_id,
        prompt_state="absent",
        process=fields.text("process"),
        on_site=fields.flag("onSite"),
        resources=resources,
        tools=fields.listed(convert.objects, "tools"),
        techniques=fields.listed(convert.objects, "techniques"),
        external=fields.mapping("external") or None,
        can_remix=fields.flag("canRemix"),
        remix_of_id=fields.integer("remixOfId"),
    )
    _fill(item, meta)
    if not meta and _is_hidden(item, fields.flag("hideMeta") or has_meta):
        item.prompt_state = "hidden"
    item.extra = {**fields.rest(), **odd, **rotten}
    return item


def inline_generation(meta: Any, image: Image) -> GenerationData | None:
    """Read the ``meta`` of an image in a list or version answer, flat or as ``{id, meta}``.

    ``None`` when the answer carried none: it was not asked for, is hidden or does not exist.
    ``meta`` has passed :func:`json_safe`.
    """
    parameters, rotten = _unwrapped(meta)
    if not parameters and not rotten:
        return None
    item = GenerationData(
        id=image.id,
        post_id=image.post_id,
        creator=image.creator,
        prompt_state="absent",
        on_site=image.on_site,
        remix_of_id=image.remix_of_id,
        extra=rotten,
    )
    _fill(item, parameters)
    return item


def _fill(item: GenerationData, meta: dict[str, Any]) -> None:
    """Read the parameters; what does not convert leaves its field empty and stays in ``meta``."""
    fields = Fields(meta, _KIND, record_id=item.id)
    item.meta = meta
    item.provenance = "api" if meta else None
    item.prompt = fields.text("prompt", "Prompt")
    item.negative_prompt = fields.text("negativePrompt", "Negative prompt")
    item.seed = fields.integer("seed", "Seed")
    item.steps = fields.integer("steps", "Steps")
    item.cfg_scale = fields.number("cfgScale", "CFG scale")
    item.sampler = fields.text("sampler", "Sampler")
    item.clip_skip = fields.integer("clipSkip", "Clip skip")
    item.process = item.process if item.process is not None else fields.text("process")
    item.comfy = _comfy(meta.get("comfy"))
    item.unresolved = [entry for name in _LISTS for entry in _entries(name, meta.get(name))]
    if item.remix_of_id is None:
        item.remix_of_id = fields.child("extra").integer("remixOfId")
    if item.prompt is not None:
        item.prompt_state = "present"


def _unwrapped(meta: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the parameters, and what arrived in their place but is no object, for ``extra``."""
    if isinstance(meta, dict) and "meta" in meta and meta.keys() <= {"id", "meta"}:
        meta = meta["meta"]
    if isinstance(meta, dict):
        return meta, {}
    return {}, {} if meta in (None, "", []) else {"meta": meta}


def _is_hidden(item: GenerationData, told: bool | None) -> bool:  # noqa: FBT001  # a tri-state
    """Tell whether parameters that the answer does not hold exist; ``told`` are the site's flags.

    Resources alone do not tell: they can have been named by hand. They count only while no flag is
    known and the site refuses a remix.
    """
    if told is not None:
        return told
    return bool(item.resources) and item.can_remix is False


def _resources(fields: Fields) -> tuple[list[Resource], dict[str, Any]]:
    """Read the resolved resources; entries with an unreadable part also go to ``extra``."""
    resources: list[Resource] = []
    odd: list[Any] = []
    for entry, path in fields.records("resources"):
        part = Fields(entry if isinstance(entry, dict) else {}, _KIND, path, fields.record_id)
        resource = Resource(
            version_id=part.integer("modelVersionId", "versionId"),
            version_name=part.text("versionName", "modelVersionName"),
            model_id=part.integer("modelId"),
            model_name=part.text("modelName", "name"),
            type=part.text("modelType", "type"),
            base_model=part.text("baseModel"),
            strength=part.number("strength", "weight"),
        )
        if part.failed or not isinstance(entry, dict):
            odd.append(entry)
        if isinstance(entry, dict):
            resources.append(resource)
    return resources, {"resources": odd} if odd else {}


def _entries(name: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [{"name": key, "hash": entry, "from": name} for key, entry in value.items()]
    if not isinstance(value, list):
        return []
    key = "hash" if name == "hashes" else "value"
    return [
        {**(entry if isinstance(entry, dict) else {key: entry}), "from": name} for entry in value
    ]


def _comfy(value: Any) -> dict[str, Any] | str | None:
    if isinstance(value, dict):
        return value
    if not isinstance(value, str) or not value:
        return None
    try:
        decoded = json.loads(value, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return value
    return json_safe(decoded) if isinstance(decoded, dict) else value
