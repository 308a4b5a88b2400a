"""Reading of REST query strings with the site's rules; refusals in its body shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multidict import MultiMapping

YES = frozenset({"true", "1", "yes", "on", "y", "enabled"})
NO = frozenset({"false", "0", "no", "off", "n", "disabled"})
LARGEST_ID = 2_147_483_647
BAD_REQUEST = 400


class RefusalError(Exception):
    """An error answer: status, JSON body and headers."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status, self.body, self.headers = status, body, dict(headers or {})


class InvalidError(Exception):
    """A value that the schema does not take; ``issue`` as the site's validator prints it."""

    def __init__(self, name: str, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.name, self.message = name, message
        self.issue = {**details, "code": code, "path": [name], "message": message}

    def as_object(self) -> RefusalError:
        """Return the form of model and image lists."""
        text = json.dumps([self.issue], indent=2)
        return RefusalError(BAD_REQUEST, {"error": {"name": "ZodError", "message": text}})

    def as_text(self) -> RefusalError:
        """Return the form of calls by id and of downloads."""
        return RefusalError(BAD_REQUEST, {"error": f"✖ {self.message}\n  → at {self.name}"})

    def as_list(self) -> RefusalError:
        """Return the form of creators."""
        return RefusalError(BAD_REQUEST, [self.issue])


class Query:
    """Typed reading of a query string; raises :class:`InvalidError`."""

    def __init__(self, values: MultiMapping[str]) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def number(self, name: str, low: int = 0, high: int = LARGEST_ID) -> int | None:
        """Return an int within bounds; ``None`` when absent."""
        text = self.values.get(name)
        return None if text is None else number(name, text, low, high)

    def limit(self, default: int, low: int, high: int) -> int:
        value = self.number("limit", low, high)
        return default if value is None else value

    def numbers(self, name: str) -> list[int]:
        """Return a comma list of ints; empty when absent."""
        text = self.values.get(name, "")
        return [number(name, part.strip(), 0, LARGEST_ID) for part in text.split(",") if part]

    def strict(self, name: str) -> bool | None:
        """Read a word for yes or no; anything else is refused."""
        text = self.values.get(name)
        if text is None:
            return None
        if text.lower() in YES | NO:
            return text.lower() in YES
        raise InvalidError(name, "invalid_value", 'Invalid option: expected "true" or "false"')

    def coerced(self, name: str) -> bool:
        """Any text is true, ``false`` too."""
        return bool(self.values.get(name))

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        text = self.values.get(name)
        return default if text is None else _known(name, text, allowed)

    def choices(self, name: str, allowed: Iterable[str] | None = None) -> list[str]:
        """Read a repeated key; a comma list is one unknown value and so refused."""
        texts = self.values.getall(name, [])
        return texts if allowed is None else [_known(name, text, allowed) for text in texts]


def _known(name: str, text: str, allowed: Iterable[str]) -> str:
    if text not in allowed:
        options = "|".join(f'"{option}"' for option in allowed)
        raise InvalidError(name, "invalid_value", f"Invalid option: expected one of {options}")
    return text


def number(name: str, text: str, low: int, high: int) -> int:
    """Return an int from query text; refusals tell NaN, too small and too big apart."""
    try:
        value = int(text)
    except ValueError:
        message = "Invalid input: expected number, received NaN"
        raise InvalidError(name, "invalid_type", message, expected="number") from None
    if value > high:
        message = f"Too big: expected number to be <={high}"
        raise InvalidError(name, "too_big", message, origin="number", maximum=high, inclusive=True)
    if value < low:
        message = f"Too small: expected number to be >={low}"
        raise InvalidError(name, "too_small", message, origin="number", minimum=low, inclusive=True)
    return value
