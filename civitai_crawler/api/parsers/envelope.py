"""Bodies into JSON, error bodies into exceptions, pages into records and a cursor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.exceptions import (
    ApiError,
    BadRecordError,
    NotJsonError,
    UnexpectedShapeError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_MESSAGE_LENGTH = 500
_MESSAGE_DEPTH = 4
_ERROR_STATUS = 400


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list call."""

    items: tuple[T, ...]
    """The records that could be read, in the server's order."""
    broken: tuple[BadRecordError, ...]
    """One error for each record that could not."""
    next_cursor: str | int | None
    """The cursor of the next page as the server typed it; ``None`` at the end."""


def decode(body: bytes, content_type: str | None = None) -> Any:
    """Decode a body that should be JSON.

    Raises:
        NotJsonError: the body is empty, an HTML page, cut short or no JSON at all.

    """
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the answer is no UTF-8 text (byte {error.start})") from error
    if not text:
        raise NotJsonError("the answer is empty where JSON was due")
    if text.startswith("<"):
        raise NotJsonError("an HTML page arrived where JSON was due")
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError as error:
        raise NotJsonError("the answer is nested too deeply for JSON") from error
    except ValueError as error:
        kind = f" ({content_type})" if content_type else ""
        raise NotJsonError(f"the answer{kind} is no valid JSON: {error}") from error


def rest_error(status: int, payload: Any) -> ApiError:
    """Make the exception for a REST error body of any of its shapes.

    Known shapes: ``{error}``, ``{message}``, both, ``{error: {message}}``, a list of issues, a bare
    text, each with or without ``code``. The message is one line.
    """
    code = payload.get("code") if isinstance(payload, dict) else None
    message = " ".join(_message(json_safe(payload)).split())[:_MESSAGE_LENGTH]
    return ApiError(
        message or f"HTTP {status} without an explanation",
        status=status,
        code=str(code) if isinstance(code, (str, int)) else "",
    )


def raise_for_rest(status: int, payload: Any) -> None:
    """Raise :func:`rest_error` when the status says that the call failed."""
    if status >= _ERROR_STATUS:
        raise rest_error(status, payload)


def page(payload: Any, convert: Callable[[Any, str], T]) -> Page[T]:
    """Convert each entry of ``items``; ``convert`` gets the entry and its path.

    Raises:
        UnexpectedShapeError: there is no list of items, or the cursor is of no known kind.

    """
    items: list[T] = []
    broken: list[BadRecordError] = []
    for at, record in enumerate(_records(payload)):
        converted = attempt(convert, json_safe(record), f"items[{at}]", broken)
        if converted is not None:
            items.append(converted)
    return Page(tuple(items), tuple(broken), _next_cursor(payload))


def attempt(
    convert: Callable[[Any, str], T], record: Any, path: str, broken: list[BadRecordError]
) -> T | None:
    """Convert one record; its error goes to ``broken`` and costs nothing else."""
    try:
        return convert(record, path)
    except BadRecordError as error:
        broken.append(error)
        return None


def _records(payload: Any) -> list[Any]:
    if not isinstance(payload, dict):
        raise UnexpectedShapeError(f"expected a page, got {type(payload).__name__}")
    items = payload.get("items")
    if not isinstance(items, list):
        keys = ", ".join(sorted(map(str, payload))[:8]) or "no keys"
        raise UnexpectedShapeError(f"expected a page with a list of items, got {keys}")
    return items


def _next_cursor(payload: dict[str, Any]) -> str | int | None:
    metadata = payload.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    for cursor in (metadata.get("nextCursor"), payload.get("nextCursor")):
        if isinstance(cursor, float) and cursor.is_integer():
            return int(cursor)
        if cursor is None or cursor == "":
            continue
        if isinstance(cursor, bool) or not isinstance(cursor, (str, int)):
            raise UnexpectedShapeError(f"expected a cursor, got {type(cursor).__name__}")
        return cursor if isinstance(cursor, int) else str(json_safe(cursor))
    return _cursor_of(metadata.get("nextPage"))


def _cursor_of(link: Any) -> str | None:
    """Read the cursor out of an old ``nextPage`` link; the link itself is never followed."""
    if not isinstance(link, str):
        return None
    try:
        cursors = parse_qs(urlsplit(link).query).get("cursor", [])
    except ValueError:
        return None
    return cursors[0] if cursors else None


def _message(payload: Any, depth: int = 0) -> str:
    """Find the words of an error body; nothing of interest lies deeper than four levels."""
    if isinstance(payload, str):
        return _issues(payload, depth)
    if not isinstance(payload, (dict, list)) or depth > _MESSAGE_DEPTH:
        return ""
    if isinstance(payload, list):
        return "; ".join(filter(None, (_message(issue, depth + 1) for issue in payload[:3])))
    parts = [_message(payload.get(key), depth + 1) for key in ("error", "message")]
    return ": ".join(dict.fromkeys(filter(None, parts)))


def _issues(text: str, depth: int) -> str:
    """Give the messages inside a text that is a JSON list of issues, other texts as they are."""
    if not text.lstrip().startswith("["):
        return text
    try:
        issues = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _message(issues, depth + 1) or text
