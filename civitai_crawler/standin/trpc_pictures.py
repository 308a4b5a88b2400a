"""tRPC records of pictures and their generation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import media, prompts, rest_shapes
from civitai_crawler.standin.encoding import UNDEFINED
from civitai_crawler.standin.trpc_people import date, person

if TYPE_CHECKING:
    from civitai_crawler.standin.records import Picture, Version
    from civitai_crawler.standin.state import State

STRENGTH_TYPES = {"TextualInversion", "LORA", "DoRA", "LoCon"}
SIZED_EVERY = 25


def stats(picture: Picture) -> dict[str, int]:
    return {
        "likeCountAllTime": picture.likes,
        "laughCountAllTime": 1,
        "heartCountAllTime": 7,
        "cryCountAllTime": 0,
        "commentCountAllTime": 2,
        "collectedCountAllTime": 5,
        "tippedAmountCountAllTime": 0,
        "dislikeCountAllTime": 0,
        "viewCountAllTime": 0,
    }


def metadata(state: State, picture: Picture, *, size: bool = True) -> dict[str, Any]:
    """Width, height and more; of images most list entries leave the size out."""
    record: dict[str, Any] = {
        "hash": rest_shapes.BLURHASH,
        "width": picture.width,
        "height": picture.height,
    }
    if size or picture.type == "video" or picture.id % SIZED_EVERY == 0:
        record["size"] = state.world.media_size(picture)
    if picture.type == "video":
        record |= {"audio": False, "duration": 5.04}
    return record


def _picture_base(picture: Picture) -> dict[str, Any]:
    return {
        "id": picture.id,
        "url": picture.uuid,
        "nsfwLevel": picture.level,
        "width": picture.width,
        "height": picture.height,
        "hash": rest_shapes.BLURHASH,
        "type": picture.type,
        "minor": picture.minor,
        "poi": picture.poi,
        "onSite": picture.maker == "onsite",
        "remixOfId": picture.remix_of,
        "postId": picture.post.id,
    }


def picture_slim(state: State, picture: Picture) -> dict[str, Any]:
    """Return a picture inside a post or model."""
    return {
        **_picture_base(picture),
        "userId": picture.user.id,
        "name": picture.name,
        "metadata": metadata(state, picture, size=False),
        "tagIds": picture.tags,
    }


def _picture_full(picture: Picture) -> dict[str, Any]:
    return {
        **_picture_base(picture),
        "hasMeta": bool(picture.shown_meta),
        "hasPositivePrompt": bool((picture.shown_meta or {}).get("prompt")),
        "ingestion": "Scanned",
        "blockedFor": None,
        "needsReview": None,
        "index": picture.index,
        "model3dId": None,
        "availability": "Public",
        "user": person(picture.user),
        "stats": stats(picture),
        "reactions": [],
        "cosmetic": None,
    }


def picture_database(state: State, picture: Picture, include: set[str]) -> dict[str, Any]:
    """image.getInfinite for posts."""
    version = picture.post.version
    meta = None
    if "metaSelect" in include:
        meta = {"id": picture.id, "meta": prompts.listed(picture.shown_meta)}
    return {
        **_picture_full(picture),
        "name": picture.name,
        "createdAt": date(picture.created),
        "sortAt": date(picture.post.published),
        "publishedAt": date(picture.post.published),
        "metadata": metadata(state, picture, size=False),
        "modelVersionId": version.id if version else None,
        "meta": meta,
        "modelVersionIds": [],
        "modelVersionIdsManual": [],
        "baseModel": UNDEFINED,
        "tags": UNDEFINED,
        "tagIds": picture.tags,
        "thumbnailUrl": UNDEFINED,
        "judgeScore": None,
    }


def picture_index(picture: Picture, include: set[str]) -> dict[str, Any]:
    """image.getInfinite for users, versions and feeds."""
    version = picture.post.version
    posted = picture.post.published
    return {
        **_picture_full(picture),
        "name": None,
        "userId": picture.user.id,
        "aiNsfwLevel": picture.level,
        "combinedNsfwLevel": picture.level,
        "createdAt": date(posted),
        "sortAt": date(posted),
        "publishedAt": date(posted),
        "sortAtUnix": posted,
        "existedAtUnix": posted + 1000,
        "metadata": {"width": picture.width, "height": picture.height},
        "modelVersionId": version.id if version else None,
        "postedToId": version.id if version else None,
        "meta": prompts.listed(picture.shown_meta) if "metaSelect" in include else None,
        "modelVersionIds": picture.version_ids,
        "modelVersionIdsManual": [],
        "baseModel": picture.resources[0][0].base_model if picture.resources else "",
        "tags": [],
        "tagIds": picture.tags,
        "toolIds": [],
        "techniqueIds": [],
        "reactionCount": picture.likes,
        "commentCount": 2,
        "collectedCount": 5,
        "thumbnailUrl": UNDEFINED,
    }


def picture_detail(state: State, picture: Picture) -> dict[str, Any]:
    """image.get: with MIME type and file name, without generation data."""
    return {
        **_picture_full(picture),
        "name": picture.name,
        "hideMeta": picture.hidden,
        "createdAt": date(picture.created),
        "mimeType": media.CONTENT_TYPES[picture.format],
        "scannedAt": date(picture.created + 1000),
        "metadata": metadata(state, picture),
        "acceptableMinor": False,
        "profilePictureId": None,
        "publishedAt": date(picture.post.published),
    }


def _resource(picture: Picture, version: Version, strength: float | None) -> dict[str, Any]:
    told = strength is not None and version.model.type in STRENGTH_TYPES and not picture.hidden
    return {
        "imageId": picture.id,
        "modelVersionId": version.id,
        "strength": strength if told else UNDEFINED,
        "modelId": version.model.id,
        "modelName": version.model.name,
        "modelType": version.model.type,
        "versionId": version.id,
        "versionName": version.name,
        "baseModel": version.base_model,
    }


def generation(picture: Picture) -> dict[str, Any]:
    """image.getGenerationData; hidden and absent look alike here but for the resources."""
    shown = picture.shown_meta
    partner = {
        "source": {"name": "Paper Service", "homepage": "https://service.example.invalid"},
        "details": {"Preset": "calm", "Retries": 2},
        "createUrl": f"https://service.example.invalid/create/{picture.id}",
    }
    tool = {
        "id": 1,
        "name": "Paper Tool",
        "icon": None,
        "domain": "https://tool.example.invalid",
        "priority": 1,
        "notes": None,
    }
    return {
        "type": picture.type,
        "onSite": picture.maker == "onsite",
        "process": ("comfy" if "comfy" in shown else "txt2img") if shown else UNDEFINED,
        "meta": prompts.detailed(shown) if shown else UNDEFINED,
        "displayKeys": UNDEFINED,
        "resources": [_resource(picture, v, strength) for v, strength in picture.resources],
        "tools": [tool] if picture.maker == "onsite" else [],
        "techniques": [{"id": 1, "name": "txt2img", "notes": None}] if picture.id % 3 == 0 else [],
        "external": partner if picture.maker == "external" and shown else UNDEFINED,
        "canRemix": bool(shown),
        "remixOfId": picture.remix_of or UNDEFINED,
    }
