"""The made-up Civitai as data: one creator with every oddity, small presets and strangers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import media, payload, population, truths

if TYPE_CHECKING:
    from civitai_crawler.standin.records import File, Model, Picture, Post, User, Version

MAIN_USER = "lumen_fox"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a world holds; counts are those of the main creator, sizes are bytes."""

    models: int = 14
    versions: int = 32
    posts: int = 44
    images: int = 420
    username: str = MAIN_USER
    file_size: int = 1_200_000
    big_file: int = 0


@dataclass(slots=True)
class World:
    """All records by id. ``main`` is the creator that the tests archive."""

    seed: int
    main: User = field(init=False)
    users: dict[int, User] = field(default_factory=dict)
    models: dict[int, Model] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    files: dict[int, File] = field(default_factory=dict)
    posts: dict[int, Post] = field(default_factory=dict)
    pictures: dict[int, Picture] = field(default_factory=dict)
    by_uuid: dict[str, Picture] = field(default_factory=dict)
    _media: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def generate(cls, seed: int = 1, **sizes: Any) -> World:
        """Return a world from a seed; ``sizes`` as in :class:`Sizes`.

        The first fourteen models carry the oddities; ``versions`` is a wish that cannot go below
        what they need. ``big_file`` is the size in bytes of the very first model file.
        """
        world = cls(seed)
        population.populate(world, Sizes(**sizes))
        world.by_uuid = {picture.uuid: picture for picture in world.pictures.values()}
        return world

    @classmethod
    def small(cls, seed: int = 1, **sizes: Any) -> World:
        """Every oddity in a world that is archived in a moment: 90 images, files of some 30 kB."""
        return cls.generate(seed, **{"posts": 24, "images": 90, "file_size": 30_000, **sizes})

    def user(self, name: str) -> User | None:
        """By name as the site matches it: case, other characters and the first space forgiven."""
        slug = re.sub(r"[^\w]", "", name.strip().replace(" ", "_", 1)).lower()
        return next((user for user in self.users.values() if user.name.lower() == slug), None)

    def models_of(self, user: User) -> list[Model]:
        return [model for model in self.models.values() if model.user is user]

    def posts_of(self, user: User) -> list[Post]:
        return [post for post in self.posts.values() if post.user is user]

    def media(self, picture: Picture) -> bytes:
        """Return the original bytes of a picture, made on first use and kept."""
        if picture.id not in self._media:
            self._media[picture.id] = media.original(picture)
        return self._media[picture.id]

    def media_size(self, picture: Picture) -> int:
        if picture.type == "video":
            return media.video_size(picture)
        return len(self.media(picture))

    def media_sha256(self, picture: Picture) -> str:
        """Lower-case hex."""
        return hashlib.sha256(self.media(picture)).hexdigest()

    @property
    def total_bytes(self) -> int:
        """Bytes of all model files together."""
        return sum(file.size for file in self.files.values())

    def warm(self) -> None:
        """Do now what would slow the first answers: formats, hashes of all model files."""
        media.prepare()
        for file in self.files.values():
            payload.fingerprint(file)

    def truth(self, *, signed_in: bool, **options: Any) -> dict[str, Any]:
        """Tell what a complete archive holds; options and shape as in :func:`truths.truth`."""
        return truths.truth(self, signed_in=signed_in, **options)
