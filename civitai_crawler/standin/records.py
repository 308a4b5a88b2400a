"""What a made-up Civitai holds: users, models, versions, files, posts and pictures.

Plain records tied to each other by reference. Times are milliseconds since 1970, levels are bits
(1 PG, 2 PG-13, 4 R, 8 X, 16 XXX).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False, repr=False)
class User:
    """An account. ``avatar`` is a media uuid or ``None``."""

    id: int
    name: str
    created: int
    avatar: str | None = None


@dataclass(slots=True, frozen=True)
class Fingerprint:
    """True hashes of a file's bytes, upper-case hex; ``None`` where the kind does not apply."""

    sha256: str
    crc32: str
    autov1: str | None
    autov3: str | None


@dataclass(slots=True, eq=False, repr=False)
class File:
    """One file of a version.

    ``oddity``: ``transient`` (404 the first time), ``gone`` (always 404), ``printed_dead`` (404 by
    its printed link, fine by ``fileId``), ``wrong_hash`` (the published SHA256 is wrong while the
    switch is on) or nothing.
    """

    id: int
    version: Version
    name: str
    type: str
    size: int
    metadata: dict[str, str]
    primary: bool = False
    scanned: bool = True
    oddity: str = ""
    fingerprint: Fingerprint | None = None


@dataclass(slots=True, eq=False, repr=False)
class Version:
    """One version of a model.

    ``access``: ``open``, ``login``, ``early`` (with ``deadline``), ``disabled`` or ``no_grant``.
    """

    id: int
    model: Model
    index: int
    name: str
    base_model: str
    created: int
    published: int
    status: str = "Published"
    access: str = "open"
    deadline: int | None = None
    description: str | None = None
    words: list[str] = field(default_factory=list)
    vae: Version | None = None
    level: int = 0
    level_without_posts: int = 1
    downloads: int = 0
    thumbs: int = 0
    files: list[File] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """The showcase: pictures of its posts in their order."""
        return [picture for post in self.posts for picture in post.pictures]

    @property
    def shown_files(self) -> list[File]:
        """What the lists print: own files, then the linked VAE's; nothing for an archived model."""
        if self.model.mode == "Archived":
            return []
        linked = [f for f in self.vae.files if f.primary] if self.vae else []
        return [*self.files, *linked]


@dataclass(slots=True, eq=False, repr=False)
class Model:
    """A model page. ``tags`` are (id, name) pairs."""

    id: int
    user: User
    name: str
    type: str
    created: int
    published: int
    description: str | None = None
    tags: list[tuple[int, str]] = field(default_factory=list)
    status: str = "Published"
    mode: str | None = None
    poi: bool = False
    minor: bool = False
    nsfw: bool = False
    level: int = 1
    downloads: int | None = 0
    thumbs: int = 0
    comments: int = 0
    collected: int = 0
    commercial: list[str] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)

    @property
    def public(self) -> bool:
        return self.status == "Published"

    @property
    def excluded(self) -> bool:
        """Flagged as showing a real person or a minor."""
        return self.poi or self.minor

    @property
    def public_versions(self) -> list[Version]:
        return [version for version in self.versions if version.status == "Published"]

    @property
    def base_models(self) -> list[str]:
        return list(dict.fromkeys(version.base_model for version in self.public_versions))


@dataclass(slots=True, eq=False, repr=False)
class Post:
    """A post: titled pictures, often the showcase of a version."""

    id: int
    user: User
    version: Version | None
    title: str | None
    detail: str | None
    published: int
    tags: list[tuple[int, str]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def visible(self) -> bool:
        """Posts of unpublished models and versions are hidden from everybody."""
        if self.version is None:
            return True
        return self.version.model.public and self.version.status == "Published"

    @property
    def excluded(self) -> bool:
        """The showcase of a flagged model."""
        return self.version is not None and self.version.model.excluded

    @property
    def level(self) -> int:
        mask = 0
        for picture in self.pictures:
            mask |= picture.level
        return mask


@dataclass(slots=True, eq=False, repr=False)
class Picture:
    """An image or a video.

    ``maker``: ``a1111``, ``onsite``, ``comfy``, ``legacy``, ``external`` or ``none`` (no data).
    ``cdn``: ``direct``, ``moved`` (301 to the second media host) or ``missing`` (404).
    ``format``: ``png``, ``jpeg``, ``webp``, ``gif`` or ``mp4``: what the bytes really are.
    """

    id: int
    uuid: str
    user: User
    post: Post
    index: int
    level: int
    width: int
    height: int
    created: int
    format: str = "png"
    name: str | None = None
    poi: bool = False
    minor: bool = False
    maker: str = "none"
    hidden: bool = False
    embedded: bool = True
    indexed: bool = True
    cdn: str = "direct"
    still_first: bool = False
    remix_of: int | None = None
    meta: dict[str, Any] | None = None
    resources: list[tuple[Version, float | None]] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    likes: int = 0

    @property
    def type(self) -> str:
        return "video" if self.format == "mp4" else "image"

    @property
    def excluded(self) -> bool:
        return self.poi or self.minor

    @property
    def shown_meta(self) -> dict[str, Any] | None:
        """What the site shows of the generation data: nothing when hidden."""
        return None if self.hidden else self.meta

    @property
    def state(self) -> str:
        """``present``, ``hidden`` or ``absent``."""
        if not self.meta:
            return "absent"
        return "hidden" if self.hidden else "present"

    @property
    def version_ids(self) -> list[int]:
        """Versions used to make it."""
        return [version.id for version, _ in self.resources]
