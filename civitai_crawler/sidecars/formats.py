"""The sidecars there are, by the names that CIVITAI_SIDECARS takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars import a1111, civitai_info, lora_manager, stability_matrix, swarm
from civitai_crawler.sidecars.merging import fill_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.sidecars.subject import Subject


@dataclass(frozen=True, slots=True)
class Format:
    """A JSON file beside a model file."""

    ending: str
    """What follows the stem of the model file in its name."""
    build: Callable[[Subject], dict[str, Any]]
    """Makes the content from the records."""
    merge: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any] | None]
    """Puts what was built into what is already there; ``None``: the file has to stay as it is."""
    kinds: frozenset[str] | None = None
    """Kinds of files that have it; ``None``: all that programs load."""


MODELS = {
    "civitai_info": Format(civitai_info.ENDING, civitai_info.build, civitai_info.merge),
    "lora_manager": Format(
        lora_manager.ENDING, lora_manager.build, lora_manager.merge, lora_manager.KINDS
    ),
    "a1111": Format(a1111.ENDING, a1111.build, fill_missing, a1111.KINDS),
    "cm_info": Format(stability_matrix.ENDING, stability_matrix.build, stability_matrix.merge),
    "swarm": Format(swarm.ENDING, swarm.build, fill_missing),
}
PREVIEW, CAPTION, IMAGE_JSON = "preview", "caption", "image_json"
FORMATS = (*MODELS, PREVIEW, CAPTION, IMAGE_JSON)
#: What is written beside model files unless something else is asked for.
DEFAULT = (*MODELS, PREVIEW)
