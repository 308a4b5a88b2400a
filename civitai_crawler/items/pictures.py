"""Posts, and the images, videos and sounds in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from civitai_crawler.items.record import Record


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
