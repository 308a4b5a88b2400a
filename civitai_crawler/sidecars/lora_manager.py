"""``<stem>.metadata.json`` of ComfyUI LoRA Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.sidecars import civitai_info
from civitai_crawler.sidecars.merging import mapping

if TYPE_CHECKING:
    from civitai_crawler.sidecars.subject import Subject

ENDING = ".metadata.json"
KINDS = frozenset({"lora", "checkpoint", "embedding"})
_AUTOV3 = 12
#: What is true of the file whoever says it; all else that is already there stays.
_FACTS = ("file_name", "file_path", "size", "sha256", "hash_status", "autov3")


def build(subject: Subject) -> dict[str, Any]:
    """Return the content of the file."""
    root, preview = subject.local.root, subject.local.preview
    return {
        "file_name": subject.path.stem,
        "model_name": subject.model.name,
        "file_path": f"{root}/{subject.path}",
        "size": subject.file.size_bytes or 0,
        "modified": subject.local.modified,
        "sha256": subject.sha256,
        "base_model": subject.version.base_model or "Unknown",
        "preview_url": subject.local.preview_path,
        "preview_nsfw_level": (preview.nsfw_level or 0) if preview else 0,
        "notes": "",
        "from_civitai": True,
        "civitai": civitai_info.body(subject),
        "tags": subject.model.tags,
        "modelDescription": subject.model.description or "",
        "civitai_deleted": False,
        "favorite": False,
        "exclude": False,
        "db_checked": False,
        "skip_metadata_refresh": False,
        "metadata_source": "civitai_api",
        "last_checked_at": 0,
        "hash_status": "completed" if subject.sha256 else "pending",
        "trainedWords": subject.version.trained_words,
        **_autov3(subject),
        **_of_kind(subject.kind),
    }


def merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    """Fill what is missing, and bring facts about the file and the site's word up to date.

    ``None`` leaves the file alone: it is about another version.
    """
    told = mapping(old.get("civitai"))
    if told.get("id") not in (None, 0, "", new["civitai"]["id"]):
        return None
    facts = {key: new[key] for key in _FACTS if key in new}
    merged = {**new, **{key: value for key, value in old.items() if value is not None}, **facts}
    # An empty preview is none: the program writes it so.
    merged["preview_url"] = old.get("preview_url") or new["preview_url"]
    if old.get("skip_metadata_refresh") is not True:
        merged["civitai"] = {**told, **new["civitai"]}
        merged["from_civitai"] = True
    return merged


def _autov3(subject: Subject) -> dict[str, Any]:
    published = subject.file.hashes.get("AutoV3", "").lower()
    return {"autov3": published} if len(published) == _AUTOV3 else {}


def _of_kind(kind: str | None) -> dict[str, Any]:
    return {"usage_tips": "{}"} if kind == "lora" else {"sub_type": kind}
