"""``<stem>.json``: the user metadata of AUTOMATIC1111's web UI and Forge.

What its user has written there stays: merging fills missing keys only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars.wording import activation, plain, sd_version

if TYPE_CHECKING:
    from civitai_crawler.sidecars.subject import Subject

ENDING = ".json"
KINDS = frozenset({"lora", "checkpoint", "embedding", "hypernetwork"})


def build(subject: Subject) -> dict[str, Any]:
    """Return the content of the file."""
    return {
        "description": plain(subject.model.description),
        "notes": "",
        **_of_kind(subject),
        "modelId": subject.model.id,
        "modelVersionId": subject.version.id,
        "sha256": subject.sha256.upper(),
    }


def _of_kind(subject: Subject) -> dict[str, Any]:
    if subject.kind == "checkpoint":
        return {"vae": ""}
    fields: dict[str, Any] = {
        "sd version": sd_version(subject.version.base_model),
        "activation text": activation(subject.version.trained_words),
    }
    if subject.kind == "lora":
        fields |= {"preferred weight": 0, "negative text": ""}
    return fields
