"""The keys of each sidecar with the types of their values, as the programs that read them say.

A key with ``?`` may be missing. ``...`` allows further keys: what the site says beside the named.
"""

from __future__ import annotations

from typing import Any

NULL = type(None)
NUMBER = (int, float)

CIVITAI_FILE: dict[str, Any] = {
    "id": int,
    "name": str,
    "type": (str, NULL),
    "sizeKB": (int, float, NULL),
    "primary": bool,
    "metadata": {
        "format": (str, NULL), "size": (str, NULL), "fp": (str, NULL), "quantType?": str, "...": 1
    },
    "hashes": {
        "AutoV1?": str, "AutoV2?": str, "AutoV3?": str, "SHA256?": str, "CRC32?": str,
        "BLAKE3?": str,
    },
    "downloadUrl": (str, NULL),
    "pickleScanResult": (str, NULL),
    "virusScanResult": (str, NULL),
    "scannedAt": (str, NULL),
    "overrideName?": (str, NULL),
    "pickleScanMessage?": (str, NULL),
    "virusScanMessage?": (str, NULL),
}  # fmt: skip
CIVITAI_IMAGE: dict[str, Any] = {
    "id": int,
    "url": str,
    "nsfwLevel": (int, NULL),
    "width": (int, NULL),
    "height": (int, NULL),
    "hash": (str, NULL),
    "type": str,
    "metadata": {
        "hash": (str, NULL), "size": (int, NULL), "width": (int, NULL), "height": (int, NULL)
    },
    "minor": bool,
    "poi": bool,
    "meta": (dict, NULL),
    "hasMeta": bool,
    "hasPositivePrompt": bool,
    "onSite": bool,
    "remixOfId": (int, NULL),
    "nsfw?": (str, bool),
    "availability?": str,
    "local_file?": str,
}  # fmt: skip
#: The answer about a version, as ``.civitai.info`` and LoRA Manager keep it.
VERSION: dict[str, Any] = {
    "id": int,
    "modelId": int,
    "name": str,
    "createdAt": (str, NULL),
    "updatedAt": (str, NULL),
    "publishedAt": (str, NULL),
    "trainedWords": [str],
    "baseModel": (str, NULL),
    "baseModelType": (str, NULL),
    "earlyAccessEndsAt": (str, NULL),
    "description": (str, NULL),
    "air": (str, NULL),
    "stats": dict,
    "model": {
        "name": str,
        "type": str,
        "nsfw": bool,
        "poi": bool,
        "mode?": str,
        "description": (str, NULL),
        "tags": [str],
        "allowNoCredit": (bool, NULL),
        "allowCommercialUse": [str],
        "allowDerivatives": (bool, NULL),
        "allowDifferentLicense": (bool, NULL),
    },
    "files": [CIVITAI_FILE],
    "images": [CIVITAI_IMAGE],
    "downloadUrl": (str, NULL),
    "creator": {"username": (str, NULL), "image": (str, NULL)},
    "...": 1,
}
TABLES: dict[str, dict[str, Any]] = {
    "civitai_info": {
        **VERSION,
        "extensions": {"civitai_crawler": {"version": str, "last_update": str}},
    },
    "lora_manager": {
        "file_name": str,
        "model_name": str,
        "file_path": str,
        "size": int,
        "modified": float,
        "sha256": str,
        "base_model": str,
        "preview_url": str,
        "preview_nsfw_level": int,
        "notes": str,
        "from_civitai": bool,
        "civitai": VERSION,
        "tags": [str],
        "modelDescription": str,
        "civitai_deleted": bool,
        "favorite": bool,
        "exclude": bool,
        "db_checked": bool,
        "skip_metadata_refresh": bool,
        "metadata_source": str,
        "last_checked_at": NUMBER,
        "hash_status": str,
        "autov3?": str,
        "trainedWords": [str],
        "usage_tips?": str,
        "sub_type?": str,
    },
    "a1111": {
        "description": str,
        "notes": str,
        "sd version?": str,
        "activation text?": str,
        "preferred weight?": NUMBER,
        "negative text?": str,
        "vae?": str,
        "modelId": int,
        "modelVersionId": int,
        "sha256": str,
    },
    "cm_info": {
        "ModelId": int,
        "ModelName": str,
        "ModelDescription": str,
        "Nsfw": bool,
        "Tags": [str],
        "ModelType": str,
        "VersionId": int,
        "VersionName": str,
        "VersionDescription": (str, NULL),
        "AuthorUsername": (str, NULL),
        "BaseModel": (str, NULL),
        "RemoteFileName": str,
        "RemoteFileId": int,
        "FileMetadata": {"fp": (str, NULL), "size": (str, NULL), "format": (str, NULL)},
        "ImportedAt": str,
        "Hashes": CIVITAI_FILE["hashes"],
        "TrainedWords": [str],
        "Stats": dict,
        "UserTitle": (str, NULL),
        "ThumbnailImageUrl": (str, NULL),
        "InferenceDefaults": NULL,
        "Source": str,
        "SourceUrl": (str, NULL),
    },
    "swarm": {
        "modelspec.title": str,
        "modelspec.description": str,
        "modelspec.date": str,
        "modelspec.author": str,
        "modelspec.tags": str,
        "modelspec.trigger_phrase": str,
        "modelspec.usage_hint": str,
        "modelspec.resolution?": str,
    },
}


def faults(value: Any, table: Any, at: str = "") -> list[str]:
    """Name every place where *value* is not as *table* says."""
    if isinstance(table, dict):
        return _faults_of_object(value, table, at)
    if isinstance(table, list):
        if not isinstance(value, list):
            return [f"{at} is no list"]
        return [
            fault for n, one in enumerate(value) for fault in faults(one, table[0], f"{at}[{n}]")
        ]
    kinds = table if isinstance(table, tuple) else (table,)
    # In Python a truth value is a number too; in JSON it is none.
    fits = type(value) in kinds
    return [] if fits else [f"{at} is {type(value).__name__}"]


def _faults_of_object(value: Any, table: dict[str, Any], at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at} is no object"]
    named = {key.removesuffix("?"): inner for key, inner in table.items() if key != "..."}
    found = [
        f"{at}.{key} is missing" for key in table if key not in {*value, "..."} and key[-1] != "?"
    ]
    if "..." not in table:
        found += [f"{at}.{key} is unknown" for key in value if key not in named]
    for key, inner in named.items():
        if key in value:
            found += faults(value[key], inner, f"{at}.{key}")
    return found
