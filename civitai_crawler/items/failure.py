"""What could not be had."""

from __future__ import annotations

from dataclasses import dataclass

from civitai_crawler.items.record import Record


@dataclass(slots=True, kw_only=True)
class Failure(Record):
    """Something that could not be had, why, and when to try again."""

    id: str
    """``<kind>:<item_id>:<reason>``, so that one reason is told once."""
    kind: str
    """What is missing: an item class in snake_case (``model_file``, ``image`` ...) or ``page``."""
    item_id: int | None = None
    """Its id, where known."""
    reason: str
    """``login_required``, ``downloads_disabled``, ``early_access``, ``no_access``, ``archived``,
    ``quota``, ``not_found``, ``region_blocked``, ``not_the_file``, ``hash_mismatch``,
    ``bad_record``, ``challenge``, ``server_error``, ``network`` ... open text."""
    message: str = ""
    """One sentence for a person, without secrets."""
    status: int | None = None
    """HTTP status, where there was an answer."""
    retry_at: str | None = None
    """Earliest useful next try, ISO 8601 (the end of an early access); ``None``: not known."""
    model_id: int | None = None
    """Model it belongs to."""
    version_id: int | None = None
    """Version it belongs to."""
    post_id: int | None = None
    """Post it belongs to."""
    creator: str | None = None
    """User name of the owner."""
