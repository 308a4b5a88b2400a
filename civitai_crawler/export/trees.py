"""``webui`` and ``comfyui``: model files where AUTOMATIC1111/Forge and ComfyUI look for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from civitai_crawler.archive import records
from civitai_crawler.export import companions
from civitai_crawler.export.errors import SourceError
from civitai_crawler.export.folder import Folder
from civitai_crawler.export.names import Names
from civitai_crawler.export.selection import Chooser
from civitai_crawler.export.sources import stored
from civitai_crawler.items import ModelFile

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.export.job import Job

#: Folders by the type of a model, relative to the program's own.
PLACES: dict[str, dict[str, str]] = {
    "webui": {
        "Checkpoint": "models/Stable-diffusion",
        "UNet": "models/Stable-diffusion",
        "LORA": "models/Lora",
        "LoCon": "models/Lora",
        "DoRA": "models/Lora",
        "TextualInversion": "embeddings",
        "Hypernetwork": "models/hypernetworks",
        "VAE": "models/VAE",
        "Controlnet": "models/ControlNet",
        "Upscaler": "models/ESRGAN",
        "TextEncoder": "models/text_encoder",
        "CLIP": "models/text_encoder",
        "Detection": "models/adetailer",
        "MotionModule": "extensions/sd-webui-animatediff/model",
        "Wildcards": "extensions/sd-dynamic-prompts/wildcards",
        "AestheticGradient": (
            "extensions/stable-diffusion-webui-aesthetic-gradients/aesthetic_embeddings"
        ),
        "Config": "models/Stable-diffusion",
    },
    "comfyui": {
        "Checkpoint": "models/checkpoints",
        "UNet": "models/diffusion_models",
        "LORA": "models/loras",
        "LoCon": "models/loras",
        "DoRA": "models/loras",
        "TextualInversion": "models/embeddings",
        "Hypernetwork": "models/hypernetworks",
        "VAE": "models/vae",
        "Controlnet": "models/controlnet",
        "Upscaler": "models/upscale_models",
        "TextEncoder": "models/text_encoders",
        "CLIP": "models/text_encoders",
        "CLIPVision": "models/clip_vision",
        "Detection": "models/ultralytics",
        "MotionModule": "models/animatediff_models",
        "Workflows": "user/default/workflows",
        "ComfyWorkflows": "user/default/workflows",
        "Config": "models/configs",
    },
}
#: Types of files that say more than the type of their model; all others are what their model is.
_OWN_TYPES = {
    "VAE": "VAE",
    "Config": "Config",
    "Negative": "TextualInversion",
    "Text Encoder": "TextEncoder",
    "Vision Encoder": "CLIPVision",
    "CLIPVision": "CLIPVision",
    "UNet": "UNet",
    "Diffusion Model": "UNet",
    "ControlNet": "Controlnet",
    "Upscaler": "Upscaler",
    "Enhancement LoRA": "LORA",
    "Workflow": "ComfyWorkflows",
    "Training Data": "Training Data",
}


def kind(file: ModelFile, model_type: str | None) -> str:
    """Return what a file is, as a key of ``PLACES``, or something that has no place there."""
    own = _OWN_TYPES.get(file.type or "") or model_type or "unknown"
    return "UNet" if own == "Checkpoint" and file.format == "GGUF" else own


def write(job: Job, program: str) -> None:
    """Add the model files of *job* to a tree for *program*, with what stands beside them."""
    with (
        Folder.opened(job.target, program, job.archives, copy=job.copy) as folder,
        folder.notes() as origins,
    ):
        tree = _Tree(job, folder, program, Names(job.target, origins))
        for archive in job.archives:
            tree.add(archive)
        if program == "comfyui":
            folder.write_text(job.target / "extra_model_paths.yaml", _paths(job.target))


@dataclass(slots=True)
class _Tree:
    job: Job
    folder: Folder
    program: str
    names: Names
    seen: set[int] = field(default_factory=set)
    checkpoints: dict[int, str] = field(default_factory=dict)
    """Stem under which the first checkpoint of a version stands in the tree."""

    def add(self, archive: Path) -> None:
        chooser = Chooser(archive, self.job.selection, self.job.outcome.problem)
        configs = []
        for file in records(archive, ModelFile, self.job.outcome.problem):
            self.job.tick()
            what = self._place(archive, file, chooser)
            if what == "Config":
                configs.append(file)
            elif what is not None:
                self._file(archive, file, what)
        for file in configs:  # after the checkpoints, whose names they take
            self._file(archive, file, "Config")

    def _place(self, archive: Path, file: ModelFile, chooser: Chooser) -> str | None:
        """Return what a file is, if it belongs into the tree; count why another does not."""
        outcome = self.job.outcome
        what = kind(file, chooser.model_type(file.model_id))
        refusal = chooser.refusal(file)
        if file.id in self.seen:
            return None
        if refusal or what not in PLACES[self.program]:
            outcome.passed[refusal or f"of type {what}"] += 1
        elif file.path is None:
            outcome.lack(file.id)
        elif "Danger" in (file.pickle_scan_result, file.virus_scan_result):
            outcome.lose("dangerous", archive / file.path, "by the scanners of the site")
        else:
            return what
        return None

    def _file(self, archive: Path, file: ModelFile, what: str) -> None:
        path = PurePosixPath(file.path or "")
        stem = self.checkpoints.get(file.version_id) if what == "Config" else None
        place = self.job.target / PLACES[self.program][what]
        try:
            source = stored(archive, str(path))
            beside = stem if self.program == "webui" else None
            target = self.names.target(place, beside or path.stem, path.suffix, source, file.id)
            self.job.outcome.count(added=self.folder.add(source, target))
        except SourceError as error:
            self.job.outcome.lose(error.reason, archive / path, error.why)
            return
        companions.add(self.folder, archive / path, target, self.job.outcome)
        self.seen.add(file.id)
        self.job.outcome.found(file.id)
        if what in ("Checkpoint", "UNet"):
            self.checkpoints.setdefault(file.version_id, target.stem)


def _paths(target: Path) -> str:
    """Return the file that shows ComfyUI the tree where it lies (--extra-model-paths-config)."""
    places = sorted({PurePosixPath(one) for one in PLACES["comfyui"].values()})
    lines = [f"    {one.name}: {one.name}" for one in places if one.parts[0] == "models"]
    base = json.dumps(str((target / "models").resolve()), ensure_ascii=False)
    return "\n".join(["civitai:", f"    base_path: {base}", *lines, ""])
