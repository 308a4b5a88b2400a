"""Where an item comes from: kept with a row when its answer is read in a later step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from scrapy.http import Response

_TRPC = "/api/trpc/"


def stamp_of(response: Response) -> dict[str, str]:
    """Return ``source`` (the call, without its arguments) and ``fetched_at`` (UTC) of an answer."""
    path = urlsplit(response.url).path
    if path.startswith(_TRPC):
        source = ",".join(dict.fromkeys(path.removeprefix(_TRPC).split(",")))
    else:
        source = f"GET {path}"
    return {"source": source, "fetched_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
