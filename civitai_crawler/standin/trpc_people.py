"""tRPC records of users, and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import rest_shapes
from civitai_crawler.standin.dates import iso
from civitai_crawler.standin.encoding import Date

if TYPE_CHECKING:
    from civitai_crawler.standin.records import User


def date(ms: int) -> Date:
    return Date(iso(ms))


def profile_picture(user: User) -> dict[str, Any] | None:
    if user.avatar is None:
        return None
    metadata = {"hash": rest_shapes.BLURHASH, "size": 210_334, "width": 512, "height": 512}
    return {
        "id": user.id + 90_000,
        "name": "avatar.png",
        "url": user.avatar,
        "nsfwLevel": 1,
        "hash": rest_shapes.BLURHASH,
        "userId": user.id,
        "ingestion": "Scanned",
        "type": "image",
        "width": 512,
        "height": 512,
        "metadata": metadata,
    }


def person(user: User, *, picture: bool = False) -> dict[str, Any]:
    """Return a user inside another record."""
    return {
        "id": user.id,
        "username": user.name,
        "image": None,
        "deletedAt": None,
        "cosmetics": [],
        "profilePicture": profile_picture(user) if picture else None,
    }
