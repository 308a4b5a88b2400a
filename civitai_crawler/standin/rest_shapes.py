"""REST records: models, versions and files as the public API prints them, in several eras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from civitai_crawler.standin import payload, prompts, truths
from civitai_crawler.standin.dates import iso

if TYPE_CHECKING:
    from civitai_crawler.standin.records import File, Model, Picture, User, Version
    from civitai_crawler.standin.state import State

SHOWCASE, SHOWCASE_OF_VERSION = 20, 10
SUFFIX = {"image": "jpeg", "video": "mp4"}
BLURHASH = "UBJ8V0-;~qof%MofRjWB4nM{WBof"
SCANNED = "2026-05-02T10:05:11.204"
_YEARS, _DETAIL = 7, 5


def picture_url(state: State, picture: Picture, stem: str) -> str:
    """Return the full CDN link of an original; the stem is the id or the uuid, by call."""
    suffix = SUFFIX[picture.type]
    return f"{state.urls.media}/{picture.uuid}/original=true/{stem}.{suffix}"


def avatar_url(state: State, user: User) -> str | None:
    if user.avatar is None:
        return None
    return f"{state.urls.media}/{user.avatar}/width=96/{user.name}.jpeg"


def kind_under(file: File, host: Version) -> str:
    """Return the type that a file has in a list: a linked file of another version is a VAE."""
    return file.type if file.version is host else "VAE"


def download_url(state: State, file: File, host: Version) -> str:
    """Plain for the primary file; with the picking parameters for the others."""
    base = f"{state.urls.site}/api/download/models/{host.id}"
    if file.primary and file.version is host:
        return base
    parameters = {"type": kind_under(file, host), **file.metadata}
    return f"{base}?{urlencode(parameters, quote_via=quote)}"


def hashes(state: State, file: File) -> dict[str, str]:
    """Return the published hashes; empty while scans are pending."""
    sha256 = truths.published_sha256(file, wrong_hash=state.faults.wrong_hash)
    if sha256 is None:
        return {}
    true = payload.fingerprint(file)
    published = {
        "AutoV1": true.autov1,
        "AutoV2": sha256[:10],
        "AutoV3": true.autov3,
        "SHA256": sha256,
        "CRC32": true.crc32,
    }
    return {kind: value for kind, value in published.items() if value is not None}


def file_record(state: State, file: File, host: Version, *, detail: bool = False) -> dict[str, Any]:
    """Return a file under a version; ``detail`` as the version call writes it."""
    scan = "Success" if file.scanned else "Pending"
    record: dict[str, Any] = {
        "id": file.id,
        "sizeKB": file.size / 1024,
        "name": file.name,
        "type": kind_under(file, host),
        "pickleScanResult": "Danger" if file.name.endswith(".pt") else scan,
        "pickleScanMessage": "No Pickle imports" if file.scanned else None,
        "virusScanResult": scan,
        "virusScanMessage": None,
        "scannedAt": (SCANNED if detail else SCANNED + "Z") if file.scanned else None,
        "metadata": dict(file.metadata),
        "hashes": hashes(state, file),
        "downloadUrl": download_url(state, file, host),
    }
    primary = file.primary and file.version is host
    if primary or detail:
        record["primary"] = primary
    if not detail:
        record["overrideName"] = None
    return record


def showcase_picture(state: State, picture: Picture) -> dict[str, Any]:
    """Return a picture under a version, without its id."""
    return {
        "url": picture_url(state, picture, str(picture.id)),
        "nsfwLevel": picture.level,
        "width": picture.width,
        "height": picture.height,
        "hash": BLURHASH,
        "type": picture.type,
        "minor": picture.minor,
        "poi": picture.poi,
        "hasMeta": bool(picture.shown_meta),
        "hasPositivePrompt": bool((picture.shown_meta or {}).get("prompt")),
        "onSite": picture.maker == "onsite",
        "remixOfId": picture.remix_of,
    }


def published_at(version: Version) -> str | None:
    """With a zone, without one, or null, as different years wrote it."""
    era = version.id % _YEARS
    if era == _YEARS - 1:
        return None
    text = iso(version.published)
    return text.removesuffix("Z") if era == 1 else text


def _version_base(version: Version) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": version.id,
        "index": version.index,
        "name": version.name,
        "baseModel": version.base_model,
        "baseModelType": "Standard" if version.id % 4 else None,
        "publishedAt": published_at(version),
        "flags": 0,
        "availability": "EarlyAccess" if version.access == "early" else "Public",
        "nsfwLevel": version.level,
        "description": version.description,
        "trainedWords": version.words,
        "vaeId": version.vae.id if version.vae else None,
        "paidAccess": None,
        "stats": {
            "downloadCount": version.downloads,
            "thumbsUpCount": version.thumbs,
            "thumbsDownCount": version.id % 3,
        },
        "supportsGeneration": version.access != "early",
    }
    if version.access == "early":
        deadline = iso(version.deadline or 0)
        record["earlyAccessDeadline"] = deadline
        record["paidAccess"] = {"permanent": False, "endsAt": deadline}
    if version.id % _DETAIL == 0:  # before these keys existed
        for key in ("index", "flags", "supportsGeneration"):
            del record[key]
    return record


def _downloadable(version: Version) -> bool:
    return version.model.mode != "Archived" and version.access != "disabled"


def version_item(state: State, version: Version, *, mature: bool) -> dict[str, Any]:
    """Return a version in a model list; without ``mature`` only PG pictures."""
    record = _version_base(version)
    shown = [] if version.model.mode == "TakenDown" else version.pictures
    pictures = [p for p in shown if mature or p.level == 1][:SHOWCASE]
    record["files"] = [file_record(state, file, version) for file in version.shown_files]
    record["images"] = [{"id": p.id, **showcase_picture(state, p)} for p in pictures]
    if _downloadable(version):
        record["downloadUrl"] = f"{state.urls.site}/api/download/models/{version.id}"
    return record


def _commercial(model: Model) -> Any:
    """Return a Postgres array text today; a list or one word in other years."""
    if model.id % _DETAIL == 0:
        return model.commercial
    if model.id % _DETAIL == 1:
        return model.commercial[0] if model.commercial else "None"
    return "{" + ",".join(model.commercial) + "}"


def _model_base(state: State, model: Model) -> dict[str, Any]:
    stats: dict[str, Any] = {
        "downloadCount": model.downloads,
        "thumbsUpCount": model.thumbs,
        "thumbsDownCount": model.id % 5,
        "commentCount": model.comments,
        "tippedAmountCount": None if model.downloads is None else 350,
    }
    if model.id % 4 == 1:  # kept for years with these values
        stats |= {"favoriteCount": 0, "ratingCount": 0, "rating": 0}
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "allowNoCredit": True,
        "allowCommercialUse": _commercial(model),
        "allowDerivatives": True,
        "allowDifferentLicense": model.id % 2 == 0,
        "type": model.type,
        "minor": model.minor,
        "sfwOnly": False,
        "poi": model.poi,
        "nsfw": model.nsfw,
        "nsfwLevel": model.level,
        "availability": "Public",
        "userId": model.user.id,
        "baseModels": model.base_models,
        "cosmetic": None,
        "supportsGeneration": True,
        "stats": stats,
        "creator": {"username": model.user.name, "image": avatar_url(state, model.user)},
        "tags": [name for _, name in model.tags],
    }


def _with_mode(record: dict[str, Any], model: Model) -> dict[str, Any]:
    return record if model.mode is None else {**record, "mode": model.mode}


def model_item(state: State, model: Model, *, mature: bool) -> dict[str, Any]:
    """Return a model in a list."""
    versions = [version_item(state, v, mature=mature) for v in model.public_versions]
    return _with_mode({**_model_base(state, model), "modelVersions": versions}, model)


def model_detail(state: State, model: Model) -> dict[str, Any]:
    """``/models/{id}``: versions say more, and lose every key whose value is null or empty."""
    versions = []
    for version in model.public_versions:
        record = version_item(state, version, mature=True)
        for picture in record["images"]:
            del picture["id"]
        record |= {"status": version.status, "createdAt": iso(version.created), "covered": True}
        versions.append({k: v for k, v in record.items() if v not in (None, [], "")})
    record = {**_model_base(state, model), "modelVersions": versions}
    if record["description"] is None:
        del record["description"]
    return _with_mode(record, model)


def version_picture(state: State, picture: Picture) -> dict[str, Any]:
    """Return a picture under ``/model-versions/{id}``: with the generation data."""
    metadata = {"hash": BLURHASH, "width": picture.width, "height": picture.height}
    return {
        **showcase_picture(state, picture),
        "metadata": {**metadata, "size": state.world.media_size(picture)},
        "availability": "Public",
        "meta": prompts.listed(picture.shown_meta),
    }


def version_detail(state: State, version: Version, *, zoned: bool = False) -> dict[str, Any]:
    """``/model-versions/{id}``; by hash (``zoned``) the scan times carry their zone letter."""
    model = version.model
    parent = {"name": model.name, "type": model.type, "nsfw": model.nsfw, "poi": model.poi}
    shown = [] if model.mode == "TakenDown" else version.pictures[:SHOWCASE_OF_VERSION]
    files = [file_record(state, f, version, detail=True) for f in version.shown_files]
    if zoned:
        for file in files:
            file["scannedAt"] = f"{file['scannedAt']}Z" if file["scannedAt"] else None
            file["overrideName"] = None
    record: dict[str, Any] = {
        "id": version.id,
        "modelId": model.id,
        "name": version.name,
        "nsfwLevel": version.level,
        "createdAt": iso(version.created),
        "updatedAt": iso(version.published + 1000),
        "status": version.status,
        "publishedAt": iso(version.published),
        "trainedWords": version.words,
        "trainingStatus": None,
        "trainingDetails": None,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "description": version.description,
        "uploadType": "Created",
        "usageControl": "Generation" if version.access == "disabled" else "Download",
        "licensingFee": None,
        "paidAccess": None,
        "air": f"urn:air:sdxl:{model.type.lower()}:civitai:{model.id}@{version.id}",
        "stats": {"downloadCount": version.downloads, "thumbsUpCount": version.thumbs},
        "model": _with_mode(parent, model),
        "files": files,
        "images": [version_picture(state, picture) for picture in shown],
    }
    if _downloadable(version):
        record["downloadUrl"] = f"{state.urls.site}/api/download/models/{version.id}"
    return record
