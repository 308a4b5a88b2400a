"""tRPC records of posts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin.trpc_people import date, person
from civitai_crawler.standin.trpc_pictures import picture_slim

if TYPE_CHECKING:
    from civitai_crawler.standin.records import Picture, Post
    from civitai_crawler.standin.state import State

SLIM_PICTURES = 8


def post_detail(post: Post) -> dict[str, Any]:
    """post.get."""
    version = post.version
    return {
        "id": post.id,
        "nsfw": False,
        "nsfwLevel": post.level,
        "title": post.title,
        "detail": post.detail,
        "modelVersionId": version.id if version else None,
        "modelVersion": {"id": version.id} if version else None,
        "user": person(post.user, picture=True),
        "publishedAt": date(post.published),
        "availability": "Public",
        "tags": [{"id": tag, "name": name, "isCategory": False} for tag, name in post.tags],
        "collectionId": None,
        "wasPublished": False,
        "unpublishedAt": None,
        "unpublishedBy": None,
        "parentModelId": None,
    }


def post_item(state: State, post: Post, shown: list[Picture]) -> dict[str, Any]:
    """post.getInfinite; ``imageCount`` counts all pictures, ``images`` only some visible ones."""
    counts = dict.fromkeys(("dislikeCount", "laughCount", "cryCount"), 0)
    return {
        "id": post.id,
        "nsfwLevel": post.level,
        "title": post.title,
        "publishedAt": date(post.published),
        "modelVersionId": post.version.id if post.version else None,
        "collectionId": None,
        "imageCount": len(post.pictures),
        "user": person(post.user),
        "stats": {
            "postId": post.id,
            "commentCount": 2,
            "likeCount": sum(p.likes for p in post.pictures),
            "heartCount": 7,
            "collectedCount": 5,
            **counts,
        },
        "images": [picture_slim(state, picture) for picture in shown[:SLIM_PICTURES]],
        "cosmetic": None,
    }
