"""``<stem>.swarm.json`` of SwarmUI, in the terms of the model metadata standard ``modelspec``.

The program writes what its user has edited here: merging fills missing keys only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars.wording import plain, sd_version, words

if TYPE_CHECKING:
    from civitai_crawler.sidecars.subject import Subject

ENDING = ".swarm.json"
#: Sizes that are the same for a whole family; of other base models none is said.
_RESOLUTIONS = {"SD1": "512x512", "SDXL": "1024x1024"}


def build(subject: Subject) -> dict[str, Any]:
    """Return the content of the file; the program finds the thumbnail beside the model."""
    model, version = subject.model, subject.version
    resolution = _RESOLUTIONS.get(sd_version(version.base_model))
    texts = (plain(version.description), plain(model.description))
    return {
        "modelspec.title": f"{model.name} - {version.name}",
        "modelspec.description": "\n\n".join(text for text in texts if text),
        "modelspec.date": version.published_at or version.created_at or "",
        "modelspec.author": model.creator or "",
        "modelspec.tags": ", ".join(model.tags),
        "modelspec.trigger_phrase": ", ".join(words(version.trained_words)),
        "modelspec.usage_hint": f"Base model: {version.base_model}" if version.base_model else "",
        **({"modelspec.resolution": resolution} if resolution else {}),
    }
