"""What an answer shows: the tests that the table in ``api.backoff`` is made of. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of a body that are looked at for words.
_LOOK = 64 * 1024
_SECONDS = re.compile(r"\s*(\d{1,12}(?:\.\d+)?)\s*")
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{0,200})", re.IGNORECASE)
_MAINTENANCE = re.compile(r"we(?:'|\u2019|&#x27;|&#39;)ll be (?:right )?back", re.IGNORECASE)
_LOGIN_WORDS = re.compile(r"log(?:ged)?[ -]?in|sign(?:ed)?[ -]?in", re.IGNORECASE)
_HTML_STATUSES = frozenset({403, 503})
_PER_CALL = frozenset({400, 404, 409, 412})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it matters for a verdict."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """The beginning, 64 KiB are enough; for JSON better all of it, so that a cut is seen."""
    route: str
    """Who was asked for what: ``api``, ``trpc``, ``page``, ``download``, ``media``, ``storage``."""
    url: str = ""
    """What was asked for, to see whether a redirect stays on the host."""
    signed_in: bool = False
    """Credentials went along."""


def is_html(answer: Answer) -> bool:
    """Tell a web page by its type or its beginning."""
    if "html" in answer.headers.get("content-type", "").lower():
        return True
    return _start(answer)[:1] == b"<"


def is_challenge(answer: Answer) -> bool:
    """Tell Cloudflare's door: its header, its page, or any page under the site's 403.

    The site itself words a 403 as JSON.
    """
    if "challenge" in answer.headers.get("cf-mitigated", "").lower():
        return True
    if not is_html(answer):
        return False
    if answer.status == 403 and answer.route not in ("media", "storage"):  # noqa: PLR2004  # Forbidden
        return True
    return answer.status in _HTML_STATUSES and _title(answer).lower().startswith("just a moment")


def to_login(answer: Answer) -> bool:
    """Tell a redirect to the login page."""
    return _path(answer).startswith("/login")


def to_region_page(answer: Answer) -> bool:
    """Tell a redirect to the page that says that the region is blocked."""
    return _path(answer).startswith("/region-blocked")


def to_model_page(answer: Answer) -> bool:
    """Tell a redirect to a model's page: what browsers get instead of an early access refusal."""
    return _path(answer).startswith(("/model-versions/", "/models/"))


def stays(answer: Answer) -> bool:
    """Tell a redirect to another path of the host that was asked."""
    location = answer.headers.get("location", "")
    if not location:
        return False
    if not answer.url:
        return location.startswith("/") and not location.startswith("//")
    there, here = urlsplit(urljoin(answer.url, location)), urlsplit(answer.url)
    return (there.scheme, there.netloc) == (here.scheme, here.netloc)


def no_json(answer: Answer) -> bool:
    """Tell nothing, a page, or JSON that was cut off."""
    begin = _start(answer)[:1]
    if begin not in (b"{", b"["):
        return not begin or begin == b"<" or is_html(answer)
    return answer.body.rstrip()[-1:] != (b"}" if begin == b"{" else b"]")


def no_page(answer: Answer) -> bool:
    """Tell nothing, or the maintenance page."""
    return not _start(answer) or _MAINTENANCE.match(_title(answer)) is not None


def is_batch_of_errors(answer: Answer) -> bool:
    """Tell a tRPC batch whose calls failed alike, so that the whole answer has their status."""
    return answer.status in _PER_CALL and _start(answer)[:1] == b"["


def downloads_disabled(answer: Answer) -> bool:
    """Tell the 401 that no login helps against.

    It differs from the other one by its text only. Logins are checked first, so that with
    credentials a 401 that does not speak of them means this one.
    """
    text = _text(answer)
    return "disabled" in text.lower() or (answer.signed_in and _LOGIN_WORDS.search(text) is None)


def signed_in(answer: Answer) -> bool:
    return answer.signed_in


def foreign_origin(answer: Answer) -> bool:
    """Tell the tRPC gate that wants ``Origin`` or ``Referer`` of the site."""
    return "public api" in _text(answer).lower()


def early_access(answer: Answer) -> bool:
    return _error(answer).lower() == "early access"


def blacklisted(answer: Answer) -> bool:
    return _error(answer).lower() == "forbidden"


def page_cap(answer: Answer) -> bool:
    """Tell a 429 about page numbers: it never goes away by waiting."""
    return "cursor" in _text(answer).lower()


def quota(answer: Answer) -> bool:
    """Tell the download call's own 429: words in JSON, and never a ``Retry-After``."""
    return "retry-after" not in answer.headers and _start(answer)[:1] == b"{"


def deadline(answer: Answer) -> str | None:
    """When early access ends, ISO 8601, as the site writes it; ``None`` when it does not tell."""
    payload = _payload(answer)
    value = payload.get("deadline") if isinstance(payload, dict) else None
    try:
        datetime.fromisoformat(value)  # type: ignore[arg-type] # whatever it is, it is tested here
    except (TypeError, ValueError):
        return None
    return str(value)


def retry_after(answer: Answer, now: float) -> float | None:
    """Seconds that ``Retry-After`` asks for, from seconds or an HTTP date; ``None`` without it."""
    value = answer.headers.get("retry-after", "")
    if (seconds := _SECONDS.fullmatch(value)) is not None:
        return float(seconds[1])
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)


def words(answer: Answer) -> str:
    """Give the site's own explanation in one line of at most 200 characters; empty without one."""
    payload = _payload(answer)
    if isinstance(payload, list) and payload:
        payload = payload[0]
    for key in ("error", "json", "message"):
        if isinstance(payload, dict) and key in payload:
            payload = payload[key]
    return " ".join(payload.split())[:200] if isinstance(payload, str) else ""


def _error(answer: Answer) -> str:
    payload = _payload(answer)
    error = payload.get("error") if isinstance(payload, dict) else None
    return error if isinstance(error, str) else ""


def _payload(answer: Answer) -> Any:
    try:
        return json.loads(answer.body[:_LOOK])
    except (ValueError, RecursionError):
        return None


def _path(answer: Answer) -> str:
    return urlsplit(answer.headers.get("location", "")).path


def _start(answer: Answer) -> bytes:
    return answer.body[:_LOOK].removeprefix(b"\xef\xbb\xbf").lstrip()


def _text(answer: Answer) -> str:
    return answer.body[:_LOOK].decode(errors="replace")


def _title(answer: Answer) -> str:
    found = _TITLE.search(_text(answer))
    return found[1] if found else ""
