"""What the lists tell of how an image was made, and what they leave open.

A record made from a list's inline parameters is as good as the site's own when every model in it is
named by a version id that some other answer has resolved already. A model named by hash or file
name alone is open: only the site can tell which one it is.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.items import GenerationData, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from civitai_crawler.api.parsers import ImageRecord


def listed(record: ImageRecord) -> GenerationData | None:
    """Make the record that a list's answer allows; ``None`` when it did not tell enough."""
    image = record.image
    if record.generation is not None:
        return record.generation
    if not image.has_meta:  # hidden parameters are listed as none
        return None
    return GenerationData(
        id=image.id,
        post_id=image.post_id,
        creator=image.creator,
        prompt_state="hidden",
        provenance=None,
        on_site=image.on_site,
        remix_of_id=image.remix_of_id,
    )


def needed(record: ImageRecord, item: GenerationData | None) -> list[int] | None:
    """Return the ids of the versions to be resolved; ``None`` when only the site can complete it.

    Of an image whose parameters are hidden the site still shows the models, and only there.
    """
    if item is None or item.prompt_state == "hidden":
        return None
    named: list[Any] = [entry.get("modelVersionId") for entry in item.unresolved]
    listed_ids = item.meta.get("versionIds")
    named += listed_ids if isinstance(listed_ids, list) else []
    if not all(type(version_id) is int for version_id in named):
        return None
    return list(dict.fromkeys([*named, *record.image.version_ids]))


def described(item: GenerationData) -> dict[int, dict[str, Any] | None]:
    """Return by version id what an answer of the site tells of it; ``None``: it has no such model.

    The strength is left out, which is the image's own.
    """
    found: dict[int, dict[str, Any] | None] = {
        entry["modelVersionId"]: None
        for entry in item.unresolved
        if type(entry.get("modelVersionId")) is int
    }
    for resource in item.resources:
        if resource.version_id is not None:
            fields = asdict(resource)
            del fields["strength"]
            found[resource.version_id] = fields
    return found


def resolve(item: GenerationData, known: Mapping[int, dict[str, Any] | None]) -> None:
    """Fill in the models of *known*, each with the strength that the parameters give it."""
    strengths = {entry.get("modelVersionId"): _strength(entry) for entry in item.unresolved}
    item.resources = [
        Resource(**fields, strength=strengths.get(version_id))
        for version_id, fields in known.items()
        if fields is not None
    ]


def _strength(entry: Mapping[str, Any]) -> float | None:
    weight = convert.number(entry.get("weight"))
    return convert.number(entry.get("strength")) if weight is None else weight
