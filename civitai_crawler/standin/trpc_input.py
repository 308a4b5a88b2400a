"""Reading of tRPC inputs: undefined markers, typed fields, the maturity cap, errors by name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_crawler.standin.records import User
    from civitai_crawler.standin.state import State, Viewer

NUMBERS = {
    "BAD_REQUEST": (-32600, 400),
    "PARSE_ERROR": (-32700, 400),
    "UNAUTHORIZED": (-32001, 401),
    "FORBIDDEN": (-32003, 403),
    "NOT_FOUND": (-32004, 404),
    "METHOD_NOT_SUPPORTED": (-32005, 405),
    "TOO_MANY_REQUESTS": (-32029, 429),
    "INTERNAL_SERVER_ERROR": (-32603, 500),
    "SERVICE_UNAVAILABLE": (-32603, 503),
}
EVERY_LEVEL = 31
_ALWAYS_TYPED = ("browsingLevel", "cursor", "ids", "postIds", "username", "limit", "id", "postId")


class TrpcError(Exception):
    """A failed call; ``name`` is a key of :data:`NUMBERS`."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name, self.message = name, message

    @property
    def status(self) -> int:
        return NUMBERS[self.name][1]

    def data(self, path: str) -> dict[str, Any]:
        code, status = NUMBERS[self.name]
        details = {"code": self.name, "httpStatus": status, "path": path}
        return {"message": self.message, "code": code, "data": details}


def invalid(name: str, expected: str, received: str) -> TrpcError:
    """Return a value of the wrong type, in the validator's words."""
    issue = {
        "expected": expected,
        "code": "invalid_type",
        "path": [name],
        "message": f"Invalid input: expected {expected}, received {received}",
    }
    return TrpcError("BAD_REQUEST", json.dumps([issue], indent=2))


def plain(envelope: Any) -> dict[str, Any]:
    """``{"json", "meta"}`` to the input; keys marked undefined are dropped, stray nulls refused."""
    if envelope is None:
        return {}
    if not isinstance(envelope, dict) or not isinstance(envelope.get("json"), dict):
        raise invalid("input", "object", type(envelope).__name__)
    values = dict(envelope["json"])
    for path, marks in ((envelope.get("meta") or {}).get("values") or {}).items():
        if marks == ["undefined"]:
            values.pop(path, None)
        elif marks == ["Date"] and path == "cursor":
            raise invalid("cursor", "string", "date")
    for name in _ALWAYS_TYPED:
        if name in values and values[name] is None:
            raise invalid(name, "number", "null")
    return values


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: the shared state, who asks, and the plain input."""

    state: State
    who: Viewer
    values: dict[str, Any]

    def number(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid(name, "number", type(value).__name__)
        return int(value)

    def id(self) -> int:
        value = self.number("id")
        if value is None:
            raise invalid("id", "number", "undefined")
        return value

    def limit(self, default: int, most: int) -> int:
        value = self.number("limit")
        if value is None:
            return default
        if not 0 <= value <= most:
            text = f"Too big: expected number to be <={most}"
            issue = {"code": "too_big", "maximum": most, "path": ["limit"], "message": text}
            raise TrpcError("BAD_REQUEST", json.dumps([issue], indent=2))
        return value

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid(name, "string", type(value).__name__)
        return value

    def level(self) -> int:
        """Return the mask under the viewer's cap; one without a common bit becomes the cap."""
        wanted = self.number("browsingLevel")
        if wanted is None:
            return self.who.cap
        return (wanted & self.who.cap) or self.who.cap

    def owner(self) -> User | None:
        """By ``username`` or ``userId``; an unknown name is NOT_FOUND."""
        name = self.text("username")
        if name is None:
            number = self.number("userId")
            return None if number is None else self.state.world.users.get(number)
        user = self.state.world.user(name)
        if user is None:
            raise TrpcError("NOT_FOUND", "User not found")
        return user

    def flag(self, name: str) -> bool:
        return self.values.get(name) is True
