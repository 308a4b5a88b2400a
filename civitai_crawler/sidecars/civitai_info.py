"""``<stem>.civitai.info``: the site's answer about the version, as Civitai Helper keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars.merging import mapping

if TYPE_CHECKING:
    from civitai_crawler.items import Model, ModelFile, ModelVersion
    from civitai_crawler.sidecars.subject import Shown, Subject

ENDING = ".civitai.info"
#: Our own key under ``extensions``, with the version of what we write.
OURS, VERSION = "civitai_crawler", "1"
_HELPER = "sd_civitai_helper"
#: Beyond the named fields, what the public API says of an image; other calls say far more.
_OF_IMAGES = ("nsfw", "availability", "hasPositivePrompt")


def build(subject: Subject) -> dict[str, Any]:
    """Return the content of the file."""
    records = (subject.model, subject.version, subject.file)
    updated = max(record.fetched_at for record in records)
    return {
        **body(subject),
        "extensions": {OURS: {"version": VERSION, "last_update": updated}},
    }


def body(subject: Subject) -> dict[str, Any]:
    """Return ``GET /api/v1/model-versions/{id}`` with what the parent model adds to it."""
    version = subject.version
    extra = {key: value for key, value in version.extra.items() if key != "model"}
    return {
        "id": version.id,
        "modelId": subject.model.id,
        "name": version.name,
        "createdAt": version.created_at,
        "updatedAt": version.updated_at,
        "publishedAt": version.published_at,
        "trainedWords": version.trained_words,
        "baseModel": version.base_model,
        "baseModelType": version.base_model_type,
        "earlyAccessEndsAt": version.early_access_deadline,
        "description": version.description,
        **_told(version),
        "air": version.air,
        "stats": version.stats,
        "model": _model(subject.model, version),
        "files": [_file(file) for file in subject.siblings],
        "images": [_image(shown, subject.local.root) for shown in subject.shown],
        "downloadUrl": version.download_url,
        "creator": {
            "username": subject.model.creator or version.creator,
            "image": subject.model.creator_image,
        },
        **extra,
    }


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    """Bring the site's word up to date and keep every key that is not the site's.

    ``None`` leaves the file alone: it is about another version, or tells a description where the
    site has none by now.
    """
    extensions = mapping(old.get("extensions"))
    is_stub = mapping(extensions.get(_HELPER)).get("skeleton_file") is True
    another = old.get("id") not in (None, "", new["id"])
    if not is_stub and (another or (old.get("description") and not new["description"])):
        return None
    merged = {**old, **new, "model": {**mapping(old.get("model")), **new["model"]}}
    merged["extensions"] = {**extensions, **new["extensions"]}
    merged["images"] = _with_local_files(new["images"], old.get("images"))
    return merged


def _told(version: ModelVersion) -> dict[str, Any]:
    """Return what only some calls tell, where they did."""
    told = {
        "status": version.status,
        "nsfwLevel": version.nsfw_level,
        "availability": version.availability,
        "index": version.index,
        "vaeId": version.vae_id,
        "usageControl": version.usage_control,
        "supportsGeneration": version.supports_generation,
        "paidAccess": version.paid_access,
    }
    return {key: value for key, value in told.items() if value is not None}


def _model(model: Model, version: ModelVersion) -> dict[str, Any]:
    return {
        **mapping(version.extra.get("model")),
        "name": model.name,
        "type": model.type,
        "nsfw": model.nsfw,
        "poi": model.poi,
        **({"mode": model.mode} if model.mode else {}),
        "description": model.description,
        "tags": model.tags,
        "allowNoCredit": model.allow_no_credit,
        "allowCommercialUse": model.allow_commercial_use,
        "allowDerivatives": model.allow_derivatives,
        "allowDifferentLicense": model.allow_different_license,
    }


def _file(file: ModelFile) -> dict[str, Any]:
    metadata = {"format": file.format, "size": file.size, "fp": file.fp}
    if file.quant_type is not None:
        metadata["quantType"] = file.quant_type
    return {
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "sizeKB": file.size_kb,
        "pickleScanResult": file.pickle_scan_result,
        "virusScanResult": file.virus_scan_result,
        "scannedAt": file.scanned_at,
        "hashes": file.hashes,
        "primary": file.primary,
        "downloadUrl": file.download_url,
        **({"overrideName": file.override_name} if file.override_name else {}),
        **file.extra,
        "metadata": {**metadata, **mapping(file.extra.get("metadata"))},
    }


def _image(shown: Shown, root: str) -> dict[str, Any]:
    image, making = shown.image, shown.generation
    # The graphs of ComfyUI are many times larger than all the rest; the feed has them.
    meta = {key: value for key, value in (making.meta if making else {}).items() if key != "comfy"}
    told = {key: image.extra[key] for key in _OF_IMAGES if key in image.extra}
    return {
        "id": image.id,
        "url": image.url,
        "nsfwLevel": image.nsfw_level,
        "width": image.width,
        "height": image.height,
        "hash": image.hash,
        "type": image.type,
        "metadata": {
            "hash": image.hash,
            "size": image.media_size,
            "width": image.width,
            "height": image.height,
        },
        "minor": image.minor,
        "poi": image.poi,
        "meta": meta or None,
        "hasMeta": bool(image.has_meta),
        "hasPositivePrompt": bool(making and making.prompt),
        "onSite": bool(image.on_site),
        "remixOfId": image.remix_of_id,
        **told,
        **({"local_file": f"{root}/{image.path}"} if image.path else {}),
    }


def _with_local_files(images: list[dict[str, Any]], old: Any) -> list[dict[str, Any]]:
    """Keep where another program has saved an example that the archive does not hold."""
    saved = {
        one.get("url"): one["local_file"]
        for one in (old if isinstance(old, list) else [])
        if isinstance(one, dict) and isinstance(one.get("url"), str) and one.get("local_file")
    }
    return [
        {**image, "local_file": saved[image["url"]]}
        if "local_file" not in image and image["url"] in saved
        else image
        for image in images
    ]
