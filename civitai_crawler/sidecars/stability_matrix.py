"""``<stem>.cm-info.json`` of Stability Matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_crawler.sidecars.subject import Subject

ENDING = ".cm-info.json"
#: What the user or the program sets.
_THEIRS = ("ImportedAt", "UserTitle", "ThumbnailImageUrl", "InferenceDefaults")


def build(subject: Subject) -> dict[str, Any]:
    """Return the content of the file."""
    model, version, file = subject.model, subject.version, subject.file
    preview = subject.local.preview
    return {
        "ModelId": model.id,
        "ModelName": model.name,
        "ModelDescription": model.description or "",
        "Nsfw": model.nsfw,
        "Tags": model.tags,
        "ModelType": model.type,
        "VersionId": version.id,
        "VersionName": version.name,
        "VersionDescription": version.description,
        "AuthorUsername": model.creator,
        "BaseModel": version.base_model,
        "RemoteFileName": file.name,
        "RemoteFileId": file.id,
        "FileMetadata": {"fp": file.fp, "size": file.size, "format": file.format},
        "ImportedAt": file.fetched_at or version.fetched_at,
        "Hashes": dict(file.hashes),
        "TrainedWords": version.trained_words,
        # Numbers that the creator hides are null, which the program does not take.
        "Stats": {key: value for key, value in model.stats.items() if value is not None},
        "UserTitle": None,
        "ThumbnailImageUrl": preview.url if preview else None,
        "InferenceDefaults": None,
        "Source": "Civitai",
        "SourceUrl": None,
    }


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    """Bring the site's word up to date; keep what the program sets, and every unknown key.

    ``None`` leaves the file alone: it is about another version.
    """
    if old.get("VersionId") not in (None, 0, new["VersionId"]):
        return None
    kept = {key: old[key] for key in _THEIRS if old.get(key) is not None}
    return {**old, **new, **kept}
