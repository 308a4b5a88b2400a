"""Fills a world: the main creator from the blueprints, small presets and strangers."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING

from civitai_crawler.standin import gallery
from civitai_crawler.standin.blueprints import (
    ADDON_TAG,
    MAIN,
    PLAIN_NAMES,
    PLAIN_TYPES,
    SECRET,
    TAGS,
    FilePlan,
    ModelPlan,
    VersionPlan,
)
from civitai_crawler.standin.dates import DAY, from_text
from civitai_crawler.standin.records import File, Model, User, Version

if TYPE_CHECKING:
    from civitai_crawler.standin.world import Sizes, World

START = from_text("2024-01-05T12:00:00.789Z")
DEADLINE = from_text("2099-09-30T00:00:00.000Z")
EMPTY, SINGLE, SHELF = "empty_lantern", "one_boat", "long_shelf"
SHELF_MODELS = 12
STRANGERS = ("paperkite", "quiet_otter", "ReedLamp")
SMALL_FILE = 4_096
TWIN = 2


class Population:
    """Makes the records of one world; ids count up by kind, dates are spread by a seed."""

    def __init__(self, world: World, sizes: Sizes) -> None:
        self.world = world
        self.sizes = sizes
        self.rng = random.Random(world.seed)
        self.ids = {
            kind: count(first)
            for kind, first in (
                ("user", 900101),
                ("model", 501001),
                ("version", 701001),
                ("file", 660001),
            )
        }

    def user(self, name: str) -> User:
        number = next(self.ids["user"])
        avatar = f"33333333-2c3d-4e4f-a051-{number:012x}" if number % 2 else None
        user = User(number, name, START + (number % 97) * DAY, avatar)
        self.world.users[user.id] = user
        return user

    def model(self, user: User, plan: ModelPlan, *, small: bool = False) -> Model:
        number = next(self.ids["model"])
        age = START + (number * 37 % 700) * DAY // 2 + number % 1000
        tags = [*TAGS.items()][number % 3 : number % 3 + 3]
        model = Model(
            number,
            user,
            plan.name,
            plan.type,
            age - DAY,
            age,
            description=f"<p>{plan.name} &amp; more</p>" if number % 4 else None,
            tags=[(tag, name) for name, tag in tags] + [ADDON_TAG] * plan.addon_tag,
            status=plan.status,
            mode=plan.mode,
            poi=plan.poi,
            minor=plan.minor,
            nsfw=plan.level > 2,  # noqa: PLR2004  # R and above
            level=plan.level or 1,
            downloads=None if plan.hides_downloads else self.rng.randrange(9000),
            thumbs=self.rng.randrange(500),
            comments=number % 20,
            collected=number % 77,
            commercial=["Image", "RentCivit"] if number % 3 else [],
        )
        self.world.models[number] = model
        for version in plan.versions:
            self.version(model, version, small=small)
        return model

    def version(self, model: Model, plan: VersionPlan, *, small: bool = False) -> Version:
        number = next(self.ids["version"])
        index = len(model.versions)
        published = model.published + max(0, 40 - index * 7) * DAY
        words = [f"{model.name[:20]} ", "paper lamp"] if number % 2 else []
        version = Version(
            number,
            model,
            index,
            plan.name,
            plan.base,
            published - DAY,
            published,
            plan.status,
            plan.access,
            DEADLINE if plan.access == "early" else None,
            description="<p>Second pass.</p>" if number % 3 else None,
            words=words,
            level_without_posts=0 if plan.unrated else model.level,
            downloads=self.rng.randrange(3000),
            thumbs=self.rng.randrange(200),
        )
        model.versions.append(version)
        self.world.versions[number] = version
        plans = plan.files or (FilePlan(f"{model.type.lower()}_{number}.safetensors"),)
        for position, file in enumerate(plans):
            self.file(version, file, primary=position == 0, small=small)
        return version

    def file(self, version: Version, plan: FilePlan, *, primary: bool, small: bool) -> None:
        number = next(self.ids["file"])
        base = SMALL_FILE if small else self.sizes.file_size
        size = max(512, int(base * plan.scale * self.rng.uniform(0.7, 1.3)))
        metadata = {"format": plan.format, "size": plan.size, "fp": plan.fp}
        file = File(
            number,
            version,
            plan.name,
            plan.type,
            size,
            {key: value for key, value in metadata.items() if value is not None},
            primary,
            plan.scanned,
            plan.oddity,
        )
        version.files.append(file)
        self.world.files[number] = file


def _plans(sizes: Sizes) -> list[ModelPlan]:
    """Return the blueprint models that fit, then plain ones up to the wished number."""
    plans = list(MAIN[: sizes.models])
    for number in range(sizes.models - len(plans)):
        name = PLAIN_NAMES[number % len(PLAIN_NAMES)]
        kind = PLAIN_TYPES[number % len(PLAIN_TYPES)]
        plans.append(ModelPlan(f"{name} {number // len(PLAIN_NAMES) + 1}", kind))
    return plans


def _main(people: Population) -> User:
    """Make the creator with everything; plain versions top up the number wished for."""
    user = people.user(people.sizes.username)
    models = [people.model(user, plan) for plan in _plans(people.sizes)]
    if len(models) > TWIN:
        models[TWIN].published = models[TWIN - 1].published  # lists must fall back on ids
    hosts = [m for m in models if m.versions and not m.excluded and m.mode is None]
    drafts = sum(v.status != "Published" for m in models for v in m.versions)
    made = sum(len(model.versions) for model in models) - drafts
    for number in range(max(0, people.sizes.versions - made)):
        people.version(hosts[number % len(hosts)], VersionPlan(f"v0.{number + 1}"))
    if people.sizes.big_file:
        first = next(iter(people.world.files.values()))
        first.size = people.sizes.big_file
    people.model(user, SECRET)
    return user


def _link_vaes(main: User, stranger: Version | None, world: World) -> None:
    """Ties the planned checkpoints to the creator's own VAE and to a stranger's."""
    models = [model for model in world.models.values() if model.user is main]
    own = next((m.versions[0] for m in models if m.type == "VAE"), None)
    for model in models:
        for version, plan in zip(model.versions, _plan_of(model), strict=False):
            version.vae = {"own": own, "stranger": stranger}.get(plan.vae)


def _plan_of(model: Model) -> tuple[VersionPlan, ...]:
    return next((plan.versions for plan in MAIN if plan.name == model.name), ())


def populate(world: World, sizes: Sizes) -> None:
    """Everything of a world, the same for the same seed and sizes."""
    people = Population(world, sizes)
    main = _main(people)
    world.main = main
    people.user(EMPTY)
    single = people.user(SINGLE)
    people.model(single, ModelPlan("One Boat"), small=True)
    shelf = people.user(SHELF)
    for number in range(SHELF_MODELS):
        people.model(shelf, ModelPlan(f"Shelf {number:02d}"), small=True)
    strangers = [people.user(name) for name in STRANGERS]
    for user in strangers:
        kinds = ("VAE", "LORA", "Checkpoint")
        for kind in kinds:
            people.model(user, ModelPlan(f"{user.name} {kind}", kind), small=True)
    vae = next((m for m in world.models.values() if m.user is strangers[0]), None)
    _link_vaes(main, vae.versions[0] if vae else None, world)
    gallery.fill(world, [(main, sizes.posts, sizes.images), (single, 1, 3)], strangers)
