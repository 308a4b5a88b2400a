"""What the main creator of a world has: models, versions, files, and every oddity once."""

from __future__ import annotations

from dataclasses import dataclass

TAGS = {"night": 5101, "lantern": 5102, "style": 5103, "paper": 5104, "harbor": 5105}
ADDON_TAG = (5161, "tutorial clip")
"""A tag whose models are left out of the list with ``nsfw=true``, at any level."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file to make; ``scale`` times the world's file size, ``oddity`` as in ``records.File``."""

    name: str
    type: str = "Model"
    format: str | None = "SafeTensor"
    size: str | None = None
    fp: str | None = None
    oddity: str = ""
    scanned: bool = True
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class VersionPlan:
    """A version to make; without files it gets one with a plain name."""

    name: str
    base: str = "SDXL 1.0"
    files: tuple[FilePlan, ...] = ()
    access: str = "open"
    vae: str = ""
    unrated: bool = False
    status: str = "Published"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model to make; ``level`` is the bit of its pictures, 0 for a mixture."""

    name: str
    type: str = "LORA"
    versions: tuple[VersionPlan, ...] = (VersionPlan("v1.0"),)
    level: int = 0
    poi: bool = False
    minor: bool = False
    mode: str | None = None
    status: str = "Published"
    addon_tag: bool = False
    hides_downloads: bool = False


def _pair(name: str) -> tuple[FilePlan, ...]:
    """Two precisions under one name, and what usually lies beside them."""
    return (
        FilePlan(name, fp="fp16", size="pruned"),
        FilePlan(name, fp="fp32", size="full", scale=1.6),
        FilePlan("paperBoat.vae.pt", "VAE", "PickleTensor", scale=0.4),
        FilePlan("paperBoat.yaml", "Config", "Other", scale=0.02),
    )


MAIN = (
    ModelPlan(
        "Lantern Meadow Style",
        versions=(
            VersionPlan(
                "v2.0",
                "Illustrious",
                (
                    FilePlan("lantern-meadow-v2.safetensors", fp="fp16", oddity="wrong_hash"),
                    FilePlan("501001_training_data.zip", "Training Data", "Other", scale=0.5),
                ),
            ),
            VersionPlan("v1.0", files=(FilePlan("lantern_meadow_v1.safetensors"),)),
            VersionPlan(
                "V1.0", "SD 1.5", files=(FilePlan("Lantern_Meadow_V1.safetensors", scanned=False),)
            ),
        ),
    ),
    ModelPlan(
        "Paper Boat Mix",
        "Checkpoint",
        (
            VersionPlan("v2 pruned", "Illustrious", _pair("paperBoatMix_v2.safetensors")),
            VersionPlan("v2-early", "Illustrious", access="early"),
            VersionPlan("fp32|6/19", vae="own"),
            VersionPlan("v1 ", "SD 1.5", vae="stranger"),
        ),
    ),
    ModelPlan(
        "Old Lamp Embedding",
        "TextualInversion",
        (
            VersionPlan("v2", "SD 1.5", (FilePlan("oldlamp.pt", "Model", "PickleTensor"),)),
            VersionPlan("v1", "SD 1.5", (FilePlan("oldlamp-1.pt", "Model", "PickleTensor"),)),
        ),
        mode="Archived",
    ),
    ModelPlan("Borrowed Light", mode="TakenDown", hides_downloads=True),
    ModelPlan("Portrait of a Neighbour", versions=(VersionPlan("v2"), VersionPlan("v1")), poi=True),
    ModelPlan("Playground Days", minor=True, level=1),
    ModelPlan("몰루", "Poses", versions=()),
    ModelPlan(
        "CON",
        "LoCon",
        (VersionPlan("aux", "Pony", access="login"), VersionPlan("v1", access="disabled")),
        level=1,
    ),
    ModelPlan(
        "🦊 Fox Fire 🤷\u200d♂️ Portraits",
        "DoRA",
        (
            VersionPlan("β ᗜ ‸ ᗜ", "Flux.1 D", access="no_grant"),
            VersionPlan("v1", "Flux.1 D", (FilePlan("foxfire.safetensors", oddity="transient"),)),
        ),
        level=4,
    ),
    ModelPlan("lantern meadow style", versions=(VersionPlan("v1"), VersionPlan("v0")), level=16),
    ModelPlan(
        "../../etc/passwd",
        "Controlnet",
        (
            VersionPlan(
                "..", "SD 1.5", (FilePlan("../evil.safetensors"), FilePlan("*.pt", fp="x"))
            ),
            VersionPlan(
                "a/b\\c",
                "SD 1.5",
                (
                    FilePlan("CON.safetensors", fp="fp16"),
                    FilePlan("con.SafeTensors", fp="fp32", size="full"),
                    FilePlan(" neg. mutation🔥.safetensors. ", "Negative", fp="fp32"),
                ),
            ),
        ),
        level=8,
    ),
    ModelPlan(
        "Very long " + "night " * 42 + "end",
        "Hypernetwork",
        (
            VersionPlan(
                "v2 " + "long " * 55,
                files=(
                    FilePlan("L" + "o" * 244 + "ng.safetensors", fp="fp16"),
                    FilePlan(
                        "pruned.safetensors", "Pruned Model", fp="fp16", oddity="printed_dead"
                    ),
                ),
            ),
            VersionPlan("v1", files=(FilePlan("removed.safetensors", oddity="gone"),)),
        ),
        level=1,
    ),
    ModelPlan(
        "Trailing dots... ",
        "VAE",
        (VersionPlan("v1.0.", files=(FilePlan("softlamp.vae.safetensors", scale=0.5),)),),
        level=1,
    ),
    ModelPlan(
        'Tab\there, slash / "What?" <Yes> | *',
        "Workflows",
        (
            VersionPlan("v1", "Other", (FilePlan("flow.zip", "Archive", "Other"),)),
            VersionPlan("v0 unrated", "Other", unrated=True),
            VersionPlan("draft", "Other", status="Draft"),
        ),
        level=1,
        addon_tag=True,
    ),
)

SECRET = ModelPlan("Not published yet", status="Unpublished")

PLAIN_NAMES = ("Quiet Harbor", "Reed Path", "Fog Signal", "Small Tide", "Blue Kiln", "Moth Hour")
PLAIN_TYPES = ("LORA", "Checkpoint", "TextualInversion", "LoCon", "Upscaler", "Wildcards")

TITLES: tuple[str | None, ...] = (
    "Lantern & Meadow <v2>",
    None,
    "Quiet Harbor",
    "",
    "PRN",
    "🌊 waves …",
    "../up/and/out",
    "Quiet harbor",
    None,
    "trailing dot. ",
    "t" * 280,
    'tab\tand "quotes" | pipes',
)

PICTURE_NAMES: tuple[str | None, ...] = (
    "lantern_{n}.png",
    None,
    "WMQ{n}D99B3RPV",
    ".img_{n}_.png",
    "00{n}-night, (paper:1.2).jpeg",
    "clip.mp4?token={n}",
    "n" * 290 + "{n}.png",
)
