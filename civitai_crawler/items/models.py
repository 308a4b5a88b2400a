"""A creator, and the models, versions and files by that creator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from civitai_crawler.items.record import Record


@dataclass(slots=True, kw_only=True)
class Creator(Record):
    """A user of the site whose work is archived."""

    id: int
    """User id."""
    username: str
    """User name as the site writes it."""
    image: str | None = None
    """Avatar: full URL or media uuid; ``None`` without one."""
    created_at: str | None = None
    """When the account was made, ISO 8601."""
    banned_at: str | None = None
    """When the account was banned; ``None`` when it is not."""
    deleted_at: str | None = None
    """When the account was deleted; ``None`` when it is not."""
    links: list[dict[str, Any]] = field(default_factory=list)
    """The creator's own links: ``{url, type}``."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Counters as received (downloads, thumbs, followers ...)."""
    model_count: int | None = None
    """Published models by the site's own count, at the viewer's maturity cap."""
    post_count: int | None = None
    """Posts by the site's own count, at the viewer's cap."""
    image_count: int | None = None
    """Images by the site's own count, at the viewer's cap."""
    video_count: int | None = None
    """Videos by the site's own count, at the viewer's cap."""


@dataclass(slots=True, kw_only=True)
class Model(Record):
    """A model page: the parent of versions."""

    id: int
    """Model id."""
    creator: str | None
    """User name of the owner; ``None`` for the site's own account."""
    creator_id: int | None = None
    """User id of the owner; ``None`` in older answers."""
    creator_image: str | None = None
    """Avatar of the owner: full URL or media uuid; ``None`` without one."""
    name: str
    """Display name."""
    type: str
    """Model type, open text (``Checkpoint``, ``LORA`` ...)."""
    description: str | None = None
    """HTML as written by the creator."""
    tags: list[str] = field(default_factory=list)
    """Tag names; numeric tag ids (as text) where the call gives only these."""
    nsfw: bool = False
    """The creator's own flag."""
    nsfw_level: int | None = None
    """Bit mask of everything inside: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX; 0 not rated."""
    minor: bool = False
    """Flagged as showing minors (left out of archives by default)."""
    poi: bool = False
    """Flagged as showing a real person (left out of archives by default)."""
    sfw_only: bool = False
    """The creator allows only SFW images with it."""
    availability: str | None = None
    """``Public``, ``EarlyAccess`` ... open text."""
    mode: str | None = None
    """``Archived`` or ``TakenDown``; ``None`` for a healthy model."""
    base_models: list[str] = field(default_factory=list)
    """Base models over all versions."""
    allow_no_credit: bool | None = None
    """May be used without naming the creator."""
    allow_derivatives: bool | None = None
    """Merges may be shared."""
    allow_different_license: bool | None = None
    """Merges may have other permissions."""
    allow_commercial_use: list[str] = field(default_factory=list)
    """Commercial uses allowed: ``Image``, ``RentCivit``, ``Rent``, ``Sell`` (empty: none)."""
    supports_generation: bool | None = None
    """Usable in the site's own generator."""
    published_at: str | None = None
    """When it was published, ISO 8601; only some calls tell."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Counters as received; a value is ``None`` where the creator hides it."""
    version_ids: list[int] = field(default_factory=list)
    """Ids of its versions in the order of the site, newest first."""


@dataclass(slots=True, kw_only=True)
class ModelVersion(Record):
    """One version of a model: the parent of files."""

    id: int
    """Version id."""
    model_id: int | None
    """Id of its model; ``None`` only where an answer does not tell."""
    creator: str | None = None
    """User name of the model's owner."""
    name: str
    """Display name of the version."""
    index: int | None = None
    """Position on the model page, 0 first."""
    base_model: str | None = None
    """Base model, open text (``SDXL 1.0``, ``Illustrious`` ...)."""
    base_model_type: str | None = None
    """``Standard``, ``Inpainting`` ..."""
    description: str | None = None
    """HTML as written by the creator."""
    trained_words: list[str] = field(default_factory=list)
    """Trigger words as written, edge spaces included."""
    nsfw_level: int | None = None
    """Bit mask, as for a model; can be 0 under a rated model."""
    availability: str | None = None
    """``Public``, ``EarlyAccess`` ..."""
    status: str | None = None
    """``Published`` ...; only detail calls tell."""
    created_at: str | None = None
    """When it was made; only detail calls tell."""
    updated_at: str | None = None
    """When it was last changed; only the version call tells."""
    published_at: str | None = None
    """When it was published, ISO 8601; some years omit the zone (UTC then)."""
    early_access_deadline: str | None = None
    """When early access ends, ISO 8601."""
    paid_access: dict[str, Any] | None = None
    """``{permanent, endsAt}`` when sold."""
    air: str | None = None
    """The version's AIR urn; only the version call tells."""
    vae_id: int | None = None
    """Version id of a linked VAE."""
    usage_control: str | None = None
    """``Download``, ``Generation`` ...; only the version call tells."""
    supports_generation: bool | None = None
    """Usable in the site's own generator."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Counters as received."""
    download_url: str | None = None
    """The site's download link of the primary file; never a signed URL."""
    file_ids: list[int] = field(default_factory=list)
    """Ids of its files."""
    image_ids: list[int] = field(default_factory=list)
    """Ids of the showcase images that the answer listed (at most 20)."""


@dataclass(slots=True, kw_only=True)
class ModelFile(Record):
    """One file of a version, and where it lies in the archive."""

    id: int
    """File id (``?fileId=`` of the download call)."""
    version_id: int
    """Id of its version."""
    model_id: int | None
    """Id of its model."""
    creator: str | None = None
    """User name of the model's owner."""
    model_name: str | None = None
    """Display name of its model (part of its path)."""
    version_name: str | None = None
    """Display name of its version (part of its path)."""
    name: str
    """The creator's file name, as received (not necessarily legal on a disk)."""
    override_name: str | None = None
    """The site's display name for it."""
    type: str | None = None
    """``Model``, ``VAE``, ``Training Data``, ``Config`` ... open text."""
    size_kb: float | None = None
    """Published size in kibibytes; compare with tolerance."""
    format: str | None = None
    """``SafeTensor``, ``PickleTensor``, ``GGUF`` ..."""
    size: str | None = None
    """``full`` or ``pruned``."""
    fp: str | None = None
    """``fp16``, ``bf16`` ..."""
    quant_type: str | None = None
    """Quantisation of a GGUF file."""
    primary: bool = False
    """The file that the plain download link serves."""
    pickle_scan_result: str | None = None
    """``Success``, ``Danger``, ``Pending``, ``Error``."""
    virus_scan_result: str | None = None
    """``Success``, ``Danger``, ``Pending``, ``Error``."""
    scanned_at: str | None = None
    """When it was scanned."""
    hashes: dict[str, str] = field(default_factory=dict)
    """Published hashes by type (SHA256, AutoV2 ...); empty while scans are pending."""
    download_url: str | None = None
    """The site's download link as printed; never a signed URL."""
    path: str | None = None
    """Where it lies, relative to the archive folder; ``None`` when it was not fetched."""
    size_bytes: int | None = None
    """Size on disk in bytes."""
    sha256: str | None = None
    """SHA256 of the bytes on disk, lower-case hex."""
    verified: str | None = None
    """The published hash that the bytes match (``SHA256`` ...); ``none``: none is published."""
