"""tRPC records of models with their versions and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import rest_shapes
from civitai_crawler.standin.encoding import UNDEFINED
from civitai_crawler.standin.trpc_people import date, person
from civitai_crawler.standin.trpc_pictures import picture_slim

if TYPE_CHECKING:
    from civitai_crawler.standin.records import File, Model, Picture, Version
    from civitai_crawler.standin.state import State


LIST_PICTURES = 12


def _model_base(model: Model) -> dict[str, Any]:
    """Return what model lists and details share."""
    return {
        "id": model.id,
        "name": model.name,
        "type": model.type,
        "minor": model.minor,
        "sfwOnly": False,
        "poi": model.poi,
        "nsfw": model.nsfw,
        "nsfwLevel": model.level,
        "status": model.status,
        "publishedAt": date(model.published),
        "locked": False,
        "mode": model.mode,
        "availability": "Public",
        "user": person(model.user, picture=True),
        "hiddenMetrics": {
            "buzz": False,
            "downloads": model.downloads is None,
            "generations": False,
        },
        "canGenerate": True,
    }


def _version_base(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "name": version.name,
        "description": version.description,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "createdAt": date(version.created),
        "publishedAt": date(version.published),
        "status": version.status,
        "trainingStatus": None,
        "trainedWords": version.words,
        "availability": "EarlyAccess" if version.access == "early" else "Public",
        "nsfwLevel": version.level,
    }


def _sha256s(state: State, version: Version) -> list[str]:
    hashes = [rest_shapes.hashes(state, file) for file in version.files]
    return [found["SHA256"].lower() for found in hashes if found]


def item(state: State, model: Model, shown: list[Picture]) -> dict[str, Any]:
    """model.getAll: one version, hashes and pictures, no files."""
    first = model.public_versions[0]
    deadline = date(first.deadline) if first.deadline else None
    return {
        **_model_base(model),
        "createdAt": date(model.created),
        "lastVersionAt": date(first.published),
        "userId": model.user.id,
        "earlyAccessDeadline": deadline,
        "baseModels": model.base_models,
        "cosmetic": None,
        "tags": [tag for tag, _ in model.tags],
        "hashes": _sha256s(state, first),
        "rank": {
            "downloadCount": model.downloads,
            "thumbsUpCount": model.thumbs,
            "thumbsDownCount": model.id % 5,
            "commentCount": model.comments,
            "collectedCount": model.collected,
            "tippedAmountCount": None if model.downloads is None else 350,
        },
        "version": {
            **_version_base(first),
            "index": first.index,
            "earlyAccessTimeFrame": 0,
            "flags": 0,
            "vaeId": first.vae.id if first.vae else None,
            "covered": True,
        },
        "images": [
            {**picture_slim(state, picture), "tags": picture.tags}
            for picture in shown[:LIST_PICTURES]
        ],
    }


def _file(state: State, file: File) -> dict[str, Any]:
    record = rest_shapes.file_record(state, file, file.version)
    for key in ("downloadUrl", "primary"):
        record.pop(key, None)
    return {
        **record,
        "url": f"https://storage.example.invalid/model/{file.version.model.user.id}/{file.id}",
        "visibility": "Public",
        "modelVersionId": file.version.id,
        "hashes": [{"type": kind, "hash": value} for kind, value in record["hashes"].items()],
    }


def _version(state: State, version: Version) -> dict[str, Any]:
    archived = version.model.mode == "Archived"
    linked = version.vae.files[:1] if version.vae else []
    return {
        **_version_base(version),
        "modelId": version.model.id,
        "steps": None,
        "epochs": None,
        "clipSkip": None,
        "updatedAt": date(version.published + 1000),
        "flags": UNDEFINED,
        "meta": {},
        "settings": None,
        "requireAuth": version.access == "login",
        "uploadType": "Created",
        "usageControl": "Generation" if version.access == "disabled" else "Download",
        "files": [] if archived else [_file(state, file) for file in version.files],
        "linkedComponents": [_file(state, file) for file in linked],
        "rank": {
            "generationCountAllTime": 310,
            "downloadCountAllTime": version.downloads,
            "thumbsUpCountAllTime": version.thumbs,
            "thumbsDownCountAllTime": 1,
            "earnedAmountAllTime": 0,
        },
        "posts": [{"id": post.id} for post in version.posts],
        "hashes": _sha256s(state, version),
        "earlyAccessDeadline": date(version.deadline) if version.deadline else UNDEFINED,
        "paidAccess": None,
        "canDownload": version.access != "disabled" and not archived,
        "canGenerate": True,
    }


def detail(state: State, model: Model) -> dict[str, Any]:
    """model.getById: everything but pictures."""
    return {
        **_model_base(model),
        "description": model.description,
        "isOfficial": False,
        "uploadType": "Created",
        "updatedAt": date(model.published + 60_000),
        "deletedAt": None,
        "checkpointType": None,
        "allowNoCredit": True,
        "allowCommercialUse": model.commercial,
        "allowDerivatives": True,
        "allowDifferentLicense": model.id % 2 == 0,
        "licenses": [],
        "meta": None,
        "modelVersions": [_version(state, version) for version in model.public_versions],
        "metrics": UNDEFINED,
        "rank": {
            "downloadCountAllTime": model.downloads,
            "thumbsUpCountAllTime": model.thumbs,
            "thumbsDownCountAllTime": model.id % 5,
            "commentCountAllTime": model.comments,
            "tippedAmountCountAllTime": 350,
            "imageCountAllTime": sum(len(v.pictures) for v in model.versions),
            "collectedCountAllTime": model.collected,
            "generationCountAllTime": 310,
        },
        "tagsOnModels": [
            {"tag": {"id": tag, "name": name, "isCategory": False}} for tag, name in model.tags
        ],
    }
