"""Creators, and who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.exceptions import BadRecordError, UnexpectedShapeError
from civitai_crawler.items import Creator


@dataclass(frozen=True)
class Me:
    """The account that the credentials belong to (``GET /api/v1/me``)."""

    id: int
    """User id."""
    username: str
    """User name."""
    tier: str | None
    """Membership (``free`` ...); ``None`` when not told."""
    status: str | None
    """``active``, ``muted``, ``banned``; ``None`` when not told."""


def me(payload: Any) -> Me:
    """Read ``GET /api/v1/me``.

    Raises:
        UnexpectedShapeError: it names no user.

    """
    try:
        fields = Fields(json_safe(payload), "account")
        return Me(
            id=fields.identity(),
            username=fields.needed_text("username"),
            tier=fields.text("tier"),
            status=fields.text("status"),
        )
    except BadRecordError as error:
        raise UnexpectedShapeError(f"expected the signed-in account: {error.why}") from error


def creator(data: Any, overview: Any = None) -> Creator:
    """Read ``user.getCreator``; the counts come from ``userProfile.overview`` when it is given.

    Raises:
        BadRecordError: it is no user (the site's own account is answered with null).

    """
    fields = Fields(json_safe(data), "creator")
    counts = Fields(json_safe(overview) if isinstance(overview, dict) else {}, "creator")
    picture = fields.child("profilePicture", keep=True)
    own_count = fields.child("_count", keep=True).integer("models")
    told = counts.integer("modelCount")
    return Creator(
        id=fields.identity(),
        username=fields.needed_text("username"),
        image=fields.url("image") or picture.url("url"),
        created_at=fields.text("createdAt"),
        banned_at=fields.text("bannedAt"),
        deleted_at=fields.text("deletedAt"),
        links=fields.listed(convert.objects, "links"),
        stats=fields.mapping("stats"),
        model_count=own_count if told is None else told,
        post_count=counts.integer("postCount"),
        image_count=counts.integer("imageCount"),
        video_count=counts.integer("videoCount"),
        extra=fields.rest(),
    )


def owner(fields: Fields) -> tuple[str | None, int | None]:
    """Read name and id of whom a record belongs to: REST ``creator``, tRPC ``user``, flat keys."""
    people = [fields.child("creator"), fields.child("user")]
    names = [fields.text("username"), *(person.text("username") for person in people)]
    ids = [*(person.integer("id") for person in people), fields.integer("userId")]
    return (
        next((name for name in names if name), None),
        next((user_id for user_id in ids if user_id is not None), None),
    )
