"""Requests as plain JSON: no pickles, no secrets, nothing that a later version could not read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scrapy.utils.request import request_from_dict

if TYPE_CHECKING:
    from scrapy import Request, Spider

#: Meta keys that belong to the request itself; all others are made anew on the way.
_KEPT_META = ("handle_httpstatus_list",)
_KEPT_PREFIX = "civitai_"
_NEVER_META = ("civitai_row", "civitai_parent", "civitai_stream", "civitai_streamed")
_KEPT_FIELDS = ("url", "method", "callback", "errback", "cb_kwargs", "priority", "dont_filter")


def encode(request: Request, spider: Spider) -> str:
    """Write a request as JSON, without headers, cookies and bodies: middlewares make these."""
    full = request.to_dict(spider=spider)
    kept = {name: full[name] for name in _KEPT_FIELDS if full.get(name) is not None}
    # Below the site's address, so that a job goes on when its setting has changed.
    kept["url"] = request.url.removeprefix(_site(spider))
    kept["meta"] = {
        key: value
        for key, value in request.meta.items()
        if key in _KEPT_META or (key.startswith(_KEPT_PREFIX) and key not in _NEVER_META)
    }
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def decode(text: str, spider: Spider) -> Request:
    """Read what :func:`encode` wrote; callbacks are looked up on *spider* by name."""
    kept = json.loads(text)
    if kept["url"].startswith("/"):
        kept["url"] = _site(spider) + kept["url"]
    return request_from_dict(kept, spider=spider)


def _site(spider: Spider) -> str:
    return getattr(spider, "base_url", "")
