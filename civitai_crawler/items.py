"""The records of an archive: one dataclass per kind, joined by ids into one relational set.

Every record carries its ``id``, the ids of what it belongs to, where it came from (``source``) and
when (``fetched_at``). What the server sent beyond the named fields is kept in ``extra``. Texts stay
as the site wrote them; enumerations stay open text; missing values are ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Record:
    """What every item has."""

    archive: str = ""
    """Name of its archive folder: the creator asked for, or the spider's own."""
    fetched_at: str = ""
    """When the answer arrived: UTC, ISO 8601, seconds."""
    source: str = ""
    """The call it was read from, e.g. ``GET /api/v1/models`` or ``post.getInfinite``."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Fields of the answer that have no name of their own here, as received."""


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


@dataclass(slots=True, kw_only=True)
class Post(Record):
    """A post: a titled set of images, often the showcase of a version."""

    id: int
    """Post id."""
    creator: str | None
    """User name of the owner."""
    creator_id: int | None = None
    """User id of the owner."""
    title: str | None = None
    """Title; ``None`` when untitled."""
    detail: str | None = None
    """HTML text of the post; only ``post.get`` tells."""
    version_id: int | None = None
    """Model version it shows; ``None`` for free posts."""
    published_at: str | None = None
    """When it was published, ISO 8601."""
    nsfw_level: int | None = None
    """Bit mask of everything inside."""
    availability: str | None = None
    """``Public`` ...; only ``post.get`` tells."""
    image_count: int | None = None
    """Images in it by the site's own count; only the list tells."""
    tags: list[str] = field(default_factory=list)
    """Tag names; only ``post.get`` tells."""
    collection_id: int | None = None
    """Contest or collection it was entered in."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Counters as received."""


@dataclass(slots=True, kw_only=True)
class Image(Record):
    """One image, video or sound, and where its original lies in the archive."""

    id: int
    """Image id."""
    post_id: int | None = None
    """Id of its post; ``None`` where the answer does not tell."""
    post_title: str | None = None
    """Title of its post, where known (part of its path)."""
    creator: str | None = None
    """User name of the owner; ``None`` where the answer does not tell."""
    creator_id: int | None = None
    """User id of the owner."""
    uuid: str | None = None
    """Media id on the CDN (hex groups; early ones are no valid RFC 4122 uuids)."""
    url: str | None = None
    """URL of the original on the CDN."""
    type: str = "image"
    """``image``, ``video`` or ``audio``."""
    name: str | None = None
    """The creator's file name, as received."""
    mime_type: str | None = None
    """MIME type by the site; only ``image.get`` tells."""
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    hash: str | None = None
    """Blurhash."""
    nsfw_level: int | None = None
    """One bit (1 PG, 2 PG-13, 4 R, 8 X, 16 XXX, 32 blocked); ``None`` in old answers."""
    index: int | None = None
    """Position in its post."""
    created_at: str | None = None
    """When it was uploaded (search answers: when it was published), ISO 8601."""
    published_at: str | None = None
    """When it was published, ISO 8601."""
    has_meta: bool | None = None
    """The site shows generation data for it; ``False`` also where its creator hides them."""
    on_site: bool | None = None
    """Made in the site's own generator."""
    remix_of_id: int | None = None
    """Image it is a remix of."""
    minor: bool = False
    """Flagged as showing minors (left out of archives by default)."""
    poi: bool = False
    """Flagged as showing a real person (left out of archives by default)."""
    version_id: int | None = None
    """Model version its post shows."""
    version_ids: list[int] = field(default_factory=list)
    """Model versions used to make it, where the answer tells."""
    base_model: str | None = None
    """Base model, where the answer tells."""
    tag_ids: list[int] = field(default_factory=list)
    """Tag ids."""
    stats: dict[str, Any] = field(default_factory=dict)
    """Reaction counters as received."""
    media_size: int | None = None
    """Size of the original in bytes by the site; not always told."""
    duration: float | None = None
    """Seconds, for videos and sounds."""
    path: str | None = None
    """Where the original lies, relative to the archive folder; ``None`` when it was not fetched."""
    size_bytes: int | None = None
    """Size on disk in bytes."""
    sha256: str | None = None
    """SHA256 of the bytes on disk, lower-case hex."""
    content_type: str | None = None
    """What the bytes are (``image/png``, ``video/mp4`` ...), read from the bytes themselves."""


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


@dataclass(slots=True, kw_only=True)
class Failure(Record):
    """Something that could not be had, why, and when to try again."""

    id: str
    """``<kind>:<item_id>:<reason>``, so that one reason is told once."""
    kind: str
    """What is missing: an item class in snake_case (``model_file``, ``image`` ...) or ``page``."""
    item_id: int | None = None
    """Its id, where known."""
    reason: str
    """``login_required``, ``downloads_disabled``, ``early_access``, ``no_access``, ``archived``,
    ``quota``, ``not_found``, ``region_blocked``, ``not_the_file``, ``hash_mismatch``,
    ``bad_record``, ``challenge``, ``server_error``, ``network`` ... open text."""
    message: str = ""
    """One sentence for a person, without secrets."""
    status: int | None = None
    """HTTP status, where there was an answer."""
    retry_at: str | None = None
    """Earliest useful next try, ISO 8601 (the end of an early access); ``None``: not known."""
    model_id: int | None = None
    """Model it belongs to."""
    version_id: int | None = None
    """Version it belongs to."""
    post_id: int | None = None
    """Post it belongs to."""
    creator: str | None = None
    """User name of the owner."""


#: Every item class in the order of the archive, with the stem of its feed.
FEEDS: dict[str, type[Record]] = {
    "creators": Creator,
    "models": Model,
    "model_versions": ModelVersion,
    "model_files": ModelFile,
    "posts": Post,
    "images": Image,
    "generation_data": GenerationData,
    "failures": Failure,
}
