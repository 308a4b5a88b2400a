"""What makes a record of a known id an update: the fields that a creator changes.

Counters move all the time, and different calls tell different fields of one image, so neither
counts. Images and generation data do not change once published.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from civitai_crawler.items import Creator, Model, ModelFile, ModelVersion, Post

WATCHED: dict[type[Any], tuple[str, ...]] = {
    Creator: ("username", "image", "links", "banned_at", "deleted_at"),
    Model: (
        "name",
        "type",
        "description",
        "tags",
        "availability",
        "mode",
        "allow_no_credit",
        "allow_derivatives",
        "allow_different_license",
        "allow_commercial_use",
        "version_ids",
    ),
    ModelVersion: (
        "name",
        "base_model",
        "description",
        "trained_words",
        "availability",
        "published_at",
        "early_access_deadline",
        "file_ids",
    ),
    ModelFile: ("name", "type", "size_kb", "format", "size", "fp", "hashes"),
    Post: ("title", "version_id", "published_at", "image_count"),
}


def digest(item: Any) -> str | None:
    """Return a digest of the watched fields; ``None`` for items that are never updated."""
    names = WATCHED.get(type(item))
    if names is None:
        return None
    values = [getattr(item, name) for name in names]
    text = json.dumps(values, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
