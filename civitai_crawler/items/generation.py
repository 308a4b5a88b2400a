"""How images were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from civitai_crawler.items.record import Record


@dataclass(slots=True, kw_only=True)
class Resource:
    """A model that an image was made with. Part of :class:`GenerationData`, no item of its own."""

    version_id: int | None = None
    """Model version; ``None`` when the site could not resolve it."""
    version_name: str | None = None
    """Name of the version."""
    model_id: int | None = None
    """Its model."""
    model_name: str | None = None
    """Name of the model (older answers: the resource's name)."""
    type: str | None = None
    """Model type, open text."""
    base_model: str | None = None
    """Base model."""
    strength: float | None = None
    """Weight as a fraction (0.8); ``None`` where it has none."""


@dataclass(slots=True, kw_only=True)
class GenerationData(Record):
    """How an image was made: prompt, parameters, models."""

    id: int
    """Image id (one record per image)."""
    post_id: int | None = None
    """Id of the image's post, where known."""
    creator: str | None = None
    """User name of the image's owner, where known."""
    prompt_state: str
    """``present``, ``hidden`` (the creator keeps it private) or ``absent`` (the image has none).

    A prompt that only the file tells makes it ``present``; ``hidden`` stays whatever it says.
    """
    provenance: str | None = "api"
    """Who tells how it was made: ``api``; ``file``, where the site does not; ``both``, where they
    agree or complete each other; ``None``: nobody. Only stored originals are looked into."""
    prompt: str | None = None
    """Prompt as written; may be empty."""
    negative_prompt: str | None = None
    """Negative prompt as written."""
    seed: int | None = None
    """Seed of any size (64 bit and more survive; -1 and 0 are real values)."""
    steps: int | None = None
    """Sampling steps."""
    cfg_scale: float | None = None
    """Guidance."""
    sampler: str | None = None
    """Sampler, open text."""
    clip_skip: int | None = None
    """CLIP layers skipped."""
    process: str | None = None
    """``txt2img``, ``img2img`` ... or a composed text."""
    on_site: bool | None = None
    """Made in the site's own generator."""
    resources: list[Resource] = field(default_factory=list)
    """Models the site resolved; filled even when the prompt is hidden."""
    unresolved: list[dict[str, Any]] = field(default_factory=list)
    """Entries of the parameters' own ``resources``, ``hashes``, ``additionalResources`` and
    ``civitaiResources`` lists, as received, each with the list's name under ``from``."""
    meta: dict[str, Any] = field(default_factory=dict)
    """All parameters as received, every key of the creator's tool included."""
    comfy: dict[str, Any] | str | None = None
    """ComfyUI ``{prompt, workflow}``; text where it is no valid JSON."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    """Tools the creator named."""
    techniques: list[dict[str, Any]] = field(default_factory=list)
    """Techniques the creator named."""
    external: dict[str, Any] | None = None
    """The partner application that made it."""
    can_remix: bool | None = None
    """The site offers to remix it."""
    remix_of_id: int | None = None
    """Image it is a remix of."""
    embedded: dict[str, Any] = field(default_factory=dict)
    """What the stored file itself tells: ``{source, parameters, comfy, text}``, as far as there;
    ``parameters`` with the keys of ``meta``, ``text`` as it stands in the file."""
