"""What a crawl takes of what the lists name: two runs that choose alike read them alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapy import Spider
    from scrapy.settings import BaseSettings

_SETTINGS = (
    "CIVITAI_DOWNLOAD", "CIVITAI_EXCLUDE", "CIVITAI_FILE_TYPES", "CIVITAI_FORMATS", "CIVITAI_FP",
    "CIVITAI_MAX_SIZE", "CIVITAI_PRIMARY_ONLY",
)  # fmt: skip
#: Arguments as the spiders keep them.
_ARGUMENTS = (
    "include", "types", "base_models", "since", "gallery", "level", "asking", "with_posts"
)  # fmt: skip


def chosen(spider: Spider, settings: BaseSettings) -> str:
    """Return the choices of *spider* as text that is the same for the same."""
    found = {name: str(settings.get(name)) for name in _SETTINGS}
    for name in _ARGUMENTS:
        value = getattr(spider, name, "")
        found[name] = ",".join(sorted(value)) if isinstance(value, (set, list)) else str(value)
    return json.dumps(found)
