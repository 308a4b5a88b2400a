"""What a complete archiver can get out of a world, told without asking the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import media, payload
from civitai_crawler.standin.dates import iso

if TYPE_CHECKING:
    from civitai_crawler.standin.records import File, Model, Picture, Post, Version
    from civitai_crawler.standin.world import World

EVERY_LEVEL = 31
FORMATS_WITH_DATA = {"png", "jpeg", "webp"}
OBSTACLES = {"disabled": "downloads_disabled", "no_grant": "no_access"}
CAPS = {(False, "com"): 1, (False, "red"): 1, (True, "com"): 3, (True, "red"): EVERY_LEVEL}


def cap(*, signed_in: bool, colour: str) -> int:
    """Return the maturity that tRPC lists are cut to."""
    return CAPS[signed_in, colour]


def truth(
    world: World,
    *,
    signed_in: bool,
    colour: str = "com",
    level: int = EVERY_LEVEL,
    username: str | None = None,
    wrong_hash: bool = False,
) -> dict[str, Any]:
    """Everything obtainable of one creator (default: the main one), as JSON-able data.

    ``models``, ``versions``: ids. ``files``: ``{id, version_id, version_ids, name, size, sha256,
    published_sha256, obtainable, reason, retry_at}``. ``archived_versions``: ids whose downloads
    answer 410 and whose files no call names. ``posts``: ids. ``images``: ``{id, post_id, type,
    content_type, size, sha256, obtainable, reason}``. ``generation``: ``{id, state, embedded}``,
    state ``present``, ``hidden`` or ``absent`` as the site tells it, and whether the file itself
    holds the parameters. ``excluded``: ids by kind of what is flagged as real persons or minors.
    ``wrong_hash``: the switch of that name is on at the server.
    """
    user = world.main if username is None else world.user(username)
    if user is None:
        raise ValueError(f"nobody is called {username!r} in this world")
    models = [m for m in world.models_of(user) if m.public and m.level & level]
    posts = [post for post in world.posts_of(user) if post.visible]
    shown = CAPS[signed_in, colour]
    pictures = [
        picture
        for post in posts
        if not post.excluded
        for picture in post.pictures
        if picture.level & level and (picture.indexed or picture.level & shown)
    ]
    kept = [picture for picture in pictures if not picture.excluded]
    return {
        **_models([model for model in models if not model.excluded], signed_in, wrong_hash),
        "posts": sorted({picture.post.id for picture in kept}),
        "images": [_image(world, picture) for picture in kept],
        "generation": [_generation(picture) for picture in kept],
        "excluded": _excluded([m for m in models if m.excluded], posts, pictures),
    }


def _models(models: list[Model], signed_in: bool, wrong_hash: bool) -> dict[str, Any]:  # noqa: FBT001  # one caller, by position
    versions = [version for model in models for version in model.public_versions]
    hosts: dict[int, list[Version]] = {}
    files: dict[int, File] = {}
    for version in versions:
        for file in version.shown_files:
            files[file.id] = file
            hosts.setdefault(file.id, []).append(version)
    archived = [version.id for version in versions if version.model.mode == "Archived"]
    return {
        "models": sorted(model.id for model in models),
        "versions": sorted(version.id for version in versions),
        "files": [
            _file(files[number], hosts[number], signed_in, wrong_hash) for number in sorted(files)
        ],
        "archived_versions": sorted(archived),
    }


def _file(file: File, hosts: list[Version], signed_in: bool, wrong_hash: bool) -> dict[str, Any]:  # noqa: FBT001  # as above
    reason, retry_at = _obstacle(file, signed_in, wrong_hash)
    true_hash = payload.fingerprint(file).sha256
    return {
        "id": file.id,
        "version_id": file.version.id if file.version in hosts else hosts[0].id,
        "version_ids": sorted(version.id for version in hosts),
        "name": file.name,
        "size": file.size,
        "sha256": true_hash.lower(),
        "published_sha256": published_sha256(file, wrong_hash=wrong_hash),
        "obtainable": reason is None,
        "reason": reason,
        "retry_at": retry_at,
    }


def published_sha256(file: File, *, wrong_hash: bool) -> str | None:
    """Return the SHA256 that lists print: upper-case hex; ``None`` while scans are pending."""
    if not file.scanned:
        return None
    true_hash = payload.fingerprint(file).sha256
    return true_hash[::-1] if wrong_hash and file.oddity == "wrong_hash" else true_hash


def _obstacle(file: File, signed_in: bool, wrong_hash: bool) -> tuple[str | None, str | None]:  # noqa: FBT001  # as above
    """Why a file cannot be had, and from when on it can."""
    access = file.version.access
    if access in {"login", "no_grant"} and not signed_in:
        return "login_required", None
    if access == "early":
        return "early_access", iso(file.version.deadline or 0)
    if access in OBSTACLES:
        return OBSTACLES[access], None
    if file.oddity == "wrong_hash":
        return ("hash_mismatch" if wrong_hash else None), None
    return ("not_found" if file.oddity == "gone" else None), None


def _image(world: World, picture: Picture) -> dict[str, Any]:
    missing = picture.cdn == "missing"
    return {
        "id": picture.id,
        "post_id": picture.post.id,
        "type": picture.type,
        "content_type": media.CONTENT_TYPES[picture.format],
        "size": None if missing else world.media_size(picture),
        "sha256": None if missing else world.media_sha256(picture),
        "obtainable": not missing,
        "reason": "not_found" if missing else None,
    }


def _generation(picture: Picture) -> dict[str, Any]:
    carries = picture.embedded and bool(picture.meta) and picture.format in FORMATS_WITH_DATA
    return {"id": picture.id, "state": picture.state, "embedded": carries}


def _excluded(
    models: list[Model], posts: list[Post], pictures: list[Picture]
) -> dict[str, list[int]]:
    versions = [version for model in models for version in model.public_versions]
    flagged = [post for post in posts if post.excluded]
    images = [picture.id for post in flagged for picture in post.pictures]
    images += [picture.id for picture in pictures if picture.excluded]
    return {
        "models": sorted(model.id for model in models),
        "versions": sorted(version.id for version in versions),
        "files": sorted(file.id for version in versions for file in version.files),
        "posts": sorted(post.id for post in flagged),
        "images": sorted(images),
    }
