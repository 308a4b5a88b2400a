"""Sidecars of images: a caption for training, and all that is known of an image."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_crawler.items import GenerationData, Image

CAPTION, FULL = ".txt", ".json"
#: ``<lora:name:weight>`` and its like call models and describe nothing.
_CALL = re.compile(r"<(?:lora|lyco|hypernet)\s*:[^<>]*+>", re.IGNORECASE)
_COMMAS = re.compile(r"(?:\s*,)+")


def caption(generation: GenerationData | None) -> str | None:
    """Return the prompt on one line, as kohya's scripts read it; ``None`` without a prompt."""
    if generation is None or generation.prompt_state != "present":
        return None
    text = " ".join(_CALL.sub("", generation.prompt or "").split())
    return _COMMAS.sub(",", text).strip(" ,") or None


def full(image: Image, generation: GenerationData | None) -> dict[str, Any]:
    """Return the image's record, with the one of its making under ``generation``."""
    return {**asdict(image), "generation": asdict(generation) if generation else None}
