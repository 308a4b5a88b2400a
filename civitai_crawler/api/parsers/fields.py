"""Reading one JSON object key by key, with the path for errors and the rest for ``extra``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import plain_url, without_storage
from civitai_crawler.exceptions import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_ABSENT = object()
_BRIEF = 40


class Fields:
    """One JSON object of an answer.

    The readers take the first of the keys whose value converts. A value that does not convert is no
    reason to lose a record: the reader gives ``None`` and the value stays, as received, in
    :meth:`rest`. Only what a record cannot be without, and the ids that join records, raise.
    """

    def __init__(self, value: Any, kind: str, path: str = "", record_id: int | None = None) -> None:
        """Take the object; ``path`` leads to it from the top of the answer.

        Raises:
            BadRecordError: the value is no object.

        """
        self.kind = kind
        self.path = path
        self.record_id = record_id
        if not isinstance(value, dict):
            where = f"{path}: " if path else ""
            raise self._error(f"{where}expected an object, got {_brief(value)}")
        self._data = value
        self._left = dict(value)
        self._failed: set[str] = set()
        self._children: list[tuple[str, Fields, bool]] = []
        if record_id is None:
            self.record_id = convert.integer(value.get("id"))

    def where(self, key: str) -> str:
        """Path of a key from the top of the answer, for messages."""
        return f"{self.path}.{key}" if self.path else key

    def identity(self, key: str = "id") -> int:
        """Read a whole number that the record cannot be without."""
        value = self.reference(key)
        if value is None:
            raise self.bad(key, "an integer")
        return value

    def reference(self, *keys: str) -> int | None:
        """Read the id of another record: missing is fine, wrong is not."""
        value = self._take(keys, convert.record_id)
        for key in keys:
            if value is None and key in self._failed:
                raise self.bad(key, "an integer")
        return value

    def needed_text(self, key: str) -> str:
        """Read a text that the record cannot be without."""
        value = self.text(key)
        if value is None:
            raise self.bad(key, "a text")
        return value

    def text(self, *keys: str) -> str | None:
        """Read a text as written."""
        return self._take(keys, convert.text)

    def url(self, *keys: str) -> str | None:
        """Read a link, without tokens."""
        value = self.text(*keys)
        return None if value is None else plain_url(value)

    def integer(self, *keys: str) -> int | None:
        """Read a whole number."""
        return self._take(keys, convert.integer)

    def number(self, *keys: str) -> float | None:
        """Read a finite number."""
        return self._take(keys, convert.number)

    def flag(self, *keys: str) -> bool | None:
        """Read a boolean."""
        return self._take(keys, convert.flag)

    def mapping(self, *keys: str) -> dict[str, Any]:
        """Read an object as received, empty when there is none."""
        return self._take(keys, convert.mapping) or {}

    def mapping_of(
        self, converter: Callable[[Any], dict[str, T] | None], *keys: str
    ) -> dict[str, T]:
        """Read an object by a converter, empty when there is none."""
        return self._take(keys, converter) or {}

    def listed(self, convert_list: Callable[[Any], list[T] | None], *keys: str) -> list[T]:
        """Read a list by one of the list converters, empty when there is none."""
        return self._take(keys, convert_list) or []

    def records(self, key: str) -> list[tuple[Any, str]]:
        """Take the entries of a list of records, each with its path; a null list is empty."""
        value = self._take((key,), lambda raw: raw if isinstance(raw, list) else None) or []
        return [(entry, f"{self.where(key)}[{at}]") for at, entry in enumerate(value)]

    def child(self, key: str, *, keep: bool = False) -> Fields:
        """Take a nested object, empty when there is none; with ``keep`` its rest stays in ours.

        Taken again, it is the same one.
        """
        for taken, child, _ in self._children:
            if taken == key:
                return child
        value = self._take((key,), convert.mapping) or {}
        child = Fields(value, self.kind, self.where(key), self.record_id)
        self._children.append((key, child, keep))
        return child

    def raw(self, key: str) -> Any:
        """Take a value as received, ``None`` when there is none."""
        return self._left.pop(key, None)

    def keep(self, key: str, value: Any) -> None:
        """Put a value that a reader has taken back among the rest."""
        self._left[key] = value

    def rest(self) -> dict[str, Any]:
        """Everything that no reader has taken, without storage addresses of files."""
        for key, child, keep in self._children:
            rest = child.rest()
            left = rest if keep else {name: rest[name] for name in child.failed if name in rest}
            if left:
                self._left[key] = left
        cleaned: dict[str, Any] = without_storage(self._left)
        return cleaned

    @property
    def failed(self) -> frozenset[str]:
        """Keys whose value was there and did not convert."""
        return frozenset(self._failed)

    def bad(self, key: str, expected: str) -> BadRecordError:
        """Make the error for the value of a key."""
        value = _brief(self._data.get(key, _ABSENT))
        return self._error(f"{self.where(key)}: expected {expected}, got {value}")

    def _error(self, why: str) -> BadRecordError:
        return BadRecordError(self.kind, self.record_id, why)

    def _take(self, keys: tuple[str, ...], converter: Callable[[Any], T | None]) -> T | None:
        for key in keys:
            raw = self._data.get(key)
            value = None if raw is None else converter(raw)
            if value is not None or raw is None:
                self._left.pop(key, None)
            else:
                self._failed.add(key)
            if value is not None:
                return value
        return None


def _brief(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value)
    return shown if len(shown) <= _BRIEF else shown[:_BRIEF] + "…"
