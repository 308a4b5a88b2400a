"""What a sidecar is about: one stored file with the records it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from civitai_crawler.items import GenerationData, Image, Model, ModelFile, ModelVersion

#: What programs sort files into, by the site's model type; every other type is ``other``.
_KINDS = {
    "LORA": "lora",
    "LoCon": "lora",
    "DoRA": "lora",
    "Checkpoint": "checkpoint",
    "TextualInversion": "embedding",
    "Hypernetwork": "hypernetwork",
    "VAE": "vae",
}
#: File types that are not what their model is.
_OWN_KINDS = {"VAE": "vae", "Negative": "embedding"}
#: File types that are what their model is.
_AS_THE_MODEL = frozenset({None, "Model", "Pruned Model"})
#: File types that no program loads as a model.
_NO_MODELS = frozenset({"Training Data", "Config", "Archive", "Workflow"})
#: Endings of files that programs load as models.
_WEIGHTS = frozenset({".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A showcase image of a version, with what is known of its making."""

    image: Image
    generation: GenerationData | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What only the disk knows."""

    root: str = ""
    """The archive's folder, absolute, with forward slashes."""
    modified: float = 0.0
    """When the model file was last written, seconds since 1970."""
    preview: Image | None = None
    """The image that stands beside the file as its preview."""
    preview_path: str = ""
    """Where it stands, absolute, with forward slashes; empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model file that is stored, with the records that it belongs to."""

    model: Model
    version: ModelVersion
    file: ModelFile
    siblings: list[ModelFile]
    """All files of the version, this one included, in the order of the site."""
    shown: list[Shown] = field(default_factory=list)
    """The showcase images that the archive has, in the order of the site."""
    local: Local = field(default_factory=Local)

    @property
    def path(self) -> PurePosixPath:
        """Where the file lies, relative to the archive."""
        return PurePosixPath(self.file.path or self.file.name)

    @property
    def kind(self) -> str | None:
        """What programs take the file for (see :func:`kind`)."""
        return kind(self.model.type, self.file)

    @property
    def sha256(self) -> str:
        """SHA256 of the bytes on disk, else the published one; lower-case hex, may be empty."""
        return (self.file.sha256 or self.file.hashes.get("SHA256") or "").lower()


def kind(model_type: str, file: ModelFile) -> str | None:
    """Tell what programs take a file for.

    ``lora``, ``checkpoint``, ``embedding``, ``hypernetwork``, ``vae`` or ``other``; ``None`` when
    no program loads it as a model.
    """
    suffix = PurePosixPath(file.path or file.name).suffix.lower()
    if suffix not in _WEIGHTS or file.type in _NO_MODELS:
        return None
    if file.type in _AS_THE_MODEL:
        return _KINDS.get(model_type, "other")
    return _OWN_KINDS.get(file.type or "", "other")
