"""Posts and pictures of a world: sizes, levels, oddities and generation data."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import prompts
from civitai_crawler.standin.blueprints import MAIN, PICTURE_NAMES, SECRET, TAGS, TITLES
from civitai_crawler.standin.dates import DAY, from_text
from civitai_crawler.standin.records import Picture, Post

if TYPE_CHECKING:
    from civitai_crawler.standin.records import Model, User, Version
    from civitai_crawler.standin.world import World

FIRST_POST, FIRST_PICTURE = 801001, 910001
START = from_text("2024-06-01T09:00:00.120Z")
MOST_PICTURES = 20
FORMATS = ("png", "jpeg", "png", "webp", "png", "jpeg", "png", "gif")
MAKERS = ("a1111", "onsite", "comfy", "a1111", "legacy", "none", "a1111", "torn", "external")
MIXED_LEVELS = (1, 1, 1, 1, 1, 1, 2, 4, 8, 16)
VIDEO_EVERY, MOVED_EVERY, HIDDEN_EVERY, SIDES = 35, 7, 11, (64, 96, 128, 160)
HIDDEN_POST, REMIX_EVERY = 3, 13


def _sizes(rng: random.Random, posts: int, pictures: int) -> list[int]:
    """How many pictures each post has: 1 to 20 each, ``pictures`` in all."""
    if not posts <= pictures <= posts * MOST_PICTURES:
        raise ValueError(f"{posts} posts hold {posts} to {posts * MOST_PICTURES} pictures")
    sizes = [1] * posts
    open_posts = list(range(posts))
    for _ in range(pictures - posts):
        slot = rng.randrange(len(open_posts))
        sizes[open_posts[slot]] += 1
        if sizes[open_posts[slot]] == MOST_PICTURES:
            open_posts.pop(slot)
    return sizes


def _showcase(models: list[Model], posts: int) -> list[Version | None]:
    """Which version each post shows: first versions first, and ``None`` for the free posts."""
    versions = [v for m in models for v in m.versions if v.level_without_posts]
    published = [v for v in versions if v.status == "Published" and v.model.public]
    published.sort(key=lambda version: (version.index, version.id))
    linked: list[Version | None] = list(published[: max(1, posts * 7 // 10)])
    free: list[Version | None] = [None] * (posts - len(linked))
    order = [*linked, *free]
    return order[:posts]


class Gallery:
    """Makes posts and pictures; one for a world, so that ids count up."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = random.Random(world.seed + 1)
        self.post_ids, self.picture_ids = count(FIRST_POST), count(FIRST_PICTURE)
        public = [m for m in world.models.values() if m.public and not m.excluded]
        versions = [version for model in public for version in model.public_versions]
        self.bases = [v for v in versions if v.model.type == "Checkpoint"]
        self.loras = [v for v in versions if v.model.type in {"LORA", "DoRA", "LoCon"}]

    def post(self, user: User, version: Version | None, size: int) -> Post:
        number = next(self.post_ids)
        published = START + (number * 41 % 300) * 2 * DAY + number % 60_000
        title = TITLES[number % len(TITLES)]
        post = Post(
            number,
            user,
            version,
            title,
            f"<p>{title}</p>" if title and number % 3 == 0 else None,
            published,
            [(TAGS["night"], "night")],
        )
        if version is not None:
            version.posts.append(post)
        self.world.posts[number] = post
        for index in range(1, size + 1):
            self.picture(post, index)
        return post

    def picture(self, post: Post, index: int) -> None:
        number, rng = next(self.picture_ids), self.rng
        template = PICTURE_NAMES[number % len(PICTURE_NAMES)]
        picture = Picture(
            number,
            f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-4c2d-0e3f-{number:012x}",
            post.user,
            post,
            index,
            _level(post, rng),
            rng.choice(SIDES),
            rng.choice(SIDES),
            post.published - DAY + index,
            FORMATS[number % len(FORMATS)],
            template.format(n=number) if template else None,
            maker=MAKERS[number % len(MAKERS)],
            tags=[TAGS["night"], TAGS["lantern"]][: number % 3],
            likes=rng.randrange(40),
        )
        if post.version is not None:
            picture.poi, picture.minor = post.version.model.poi, post.version.model.minor
        self._resources(picture)
        post.pictures.append(picture)
        self.world.pictures[number] = picture

    def _resources(self, picture: Picture) -> None:
        if self.bases:
            picture.resources.append((self.rng.choice(self.bases), None))
        for version in self.rng.sample(self.loras, min(len(self.loras), picture.id % 3)):
            picture.resources.append((version, self.rng.choice((0.8, 1, 0.35, -0.5))))


def _level(post: Post, rng: random.Random) -> int:
    """Return a bit that suits the post's model; mixed for free posts and mixed models."""
    plan = None
    if post.version is not None:
        plan = next((p for p in (*MAIN, SECRET) if p.name == post.version.model.name), None)
    return plan.level if plan and plan.level else rng.choice(MIXED_LEVELS)


def _regular_oddities(pictures: list[Picture]) -> None:
    """Oddities that come back every few pictures."""
    for number, picture in enumerate(pictures):
        if number % VIDEO_EVERY == 5:  # noqa: PLR2004  # any place in the cycle
            picture.format, picture.maker = "mp4", "none"
        if number % MOVED_EVERY == 0:
            picture.cdn = "moved"
        if number % HIDDEN_EVERY == 3 and picture.maker != "none":  # noqa: PLR2004  # as above
            picture.hidden, picture.embedded = True, number % 2 == 0
        if number % REMIX_EVERY == 1 and number:
            picture.remix_of = pictures[number - 1].id


def _single_oddities(pictures: list[Picture]) -> None:
    """Oddities that one picture has, where the world has enough pictures."""
    videos = [picture for picture in pictures if picture.type == "video"]
    still = [p for p in pictures if p.type == "image" and not p.hidden]
    safe = [picture for picture in still if picture.level == 1 and picture.cdn == "direct"]
    for video in videos[:1]:
        video.still_first = True
    changes: tuple[dict[str, Any], ...] = (
        {"cdn": "missing"},
        {"poi": True},
        {"minor": True},
        {"indexed": False},
        {"maker": "broken_comfy", "format": "png"},
        {"maker": "empty"},
        {"maker": "a1111", "hidden": True, "format": "png", "embedded": True},
        {"maker": "comfy", "format": "webp"},
        {"maker": "comfy", "format": "png"},
    )
    for picture, values in zip(safe, changes, strict=False):
        for name, value in values.items():
            setattr(picture, name, value)


def _finish(world: World, user: User) -> None:
    """Oddities of one user's pictures, outside the showcases of flagged models."""
    posts = [p for p in world.posts.values() if p.user is user and p.visible and not p.excluded]
    pictures = [picture for post in posts for picture in post.pictures]
    _regular_oddities(pictures)
    if len(posts) > HIDDEN_POST:
        for picture in posts[-HIDDEN_POST].pictures:
            picture.hidden = picture.type == "image"
            picture.maker = "onsite" if picture.hidden else "none"
    _single_oddities(pictures)


def _rate(world: World) -> None:
    """Levels of versions and models from their showcase."""
    for model in world.models.values():
        for version in model.versions:
            for picture in version.pictures:
                version.level |= picture.level
            version.level = version.level or version.level_without_posts
        mask = 0
        for version in model.public_versions:
            mask |= version.level
        model.level = mask or model.level


def fill(world: World, creators: list[tuple[User, int, int]], strangers: list[User]) -> None:
    """All posts of a world; ``creators`` are (user, posts, pictures)."""
    gallery = Gallery(world)
    for user, posts, pictures in creators:
        models = [model for model in world.models.values() if model.user is user]
        sizes = _sizes(gallery.rng, posts, pictures) if posts else []
        for version, size in zip(_showcase(models, posts), sizes, strict=True):
            gallery.post(user, version, size)
        if user is world.main:
            _finish(world, user)
        for model in models:
            if not model.public and posts:
                gallery.post(user, model.versions[0], 2)
    for user in strangers:
        own = [m.versions[0] for m in world.models.values() if m.user is user]
        for version in [*own[:2], None]:
            gallery.post(user, version, 4)
    for picture in world.pictures.values():
        picture.meta = prompts.meta(picture, gallery.rng)
    _rate(world)
