"""The records of an archive as items: of each id the latest, with the file that is stored."""

from __future__ import annotations

import json
import logging
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec

from civitai_crawler.archive.feeds import Problem, Reader, heads
from civitai_crawler.archive.folders import feeds
from civitai_crawler.items import FEEDS, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path
    from typing import Self

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

#: What a record says of the stored file. A later line without a path comes from a run that fetched
#: no files, and leaves these as they were.
STORED = ("path", "size_bytes", "sha256", "verified", "content_type")
#: What a record is known by.
Key = int | str
_STEMS = {item: stem for stem, item in FEEDS.items()}


def log(problem: Problem) -> None:
    """Put a problem into the log; what :func:`records` does with them unless told otherwise."""
    logger.warning("%s: %s (%s)", problem.feed, problem.why, problem.what)


def records(archive: Path, kind: type[R], tell: Callable[[Problem], None] = log) -> Iterator[R]:
    """Yield the records of class *kind* in *archive*, as :class:`Records` reads them."""
    with Records(archive, kind, tell) as found:
        yield from found


class Records(Generic[R]):
    """The records of class *kind* in *archive*: all in order of first appearance, or one by its id.

    Of each id the latest counts. The feeds are read twice, so that beyond some hundred bytes an id
    nothing is kept in memory. Records that cannot be read or have not the form of *kind* are told
    and left out.

    :param only: the ids that are wanted; left out: all.
    """

    def __init__(
        self,
        archive: Path,
        kind: type[R],
        tell: Callable[[Problem], None] = log,
        *,
        only: Collection[Key] | None = None,
    ) -> None:
        self._kind = kind
        self._tell = tell
        self._feeds = feeds(archive, _STEMS[kind])
        #: Where the latest line of each id begins, and the latest that names a file if it is not
        #: that one. One number for little memory: the byte, one bit for which of the (two) feeds,
        #: one for whether the line names a file.
        self._latest: dict[Key, int] = {}
        self._stored: dict[Key, int] = {}
        for number, feed in enumerate(self._feeds if only is None or only else ()):
            self._index(number, feed, only)
        self._readers: dict[Path, Reader] = {}
        self._form = _Form.of(kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for reader in self._readers.values():
            reader.close()

    def __iter__(self) -> Iterator[R]:
        for key in self._latest:
            record = self.get(key)
            if record is not None:
                yield record

    def get(self, number: int | str | None) -> R | None:
        """Return the record of an id; ``None`` where there is none that can be read."""
        key = _key(number)
        if key not in self._latest:
            return None
        place = self._latest[key]
        try:
            values = self._values(place)
            if key in self._stored:
                whole = self._values(self._stored[key])
                values |= {name: whole[name] for name in STORED if name in whole}
            return msgspec.convert(values, self._kind)
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            self._tell(Problem(self._feed(place), "broken", f"record {number}: {error}"))
            return None

    def _index(self, number: int, feed: Path, only: Collection[Key] | None) -> None:
        for start, head in heads(feed, self._tell):
            key = _key(head.id)
            if only is not None and key not in only:
                continue
            before = self._latest.get(key, 0)
            self._latest[key] = start << 2 | number << 1 | bool(head.path)
            if head.path:
                self._stored.pop(key, None)
            elif before & 1:
                self._stored[key] = before

    def _values(self, place: int) -> dict[str, Any]:
        feed = self._feed(place)
        if feed not in self._readers:
            self._readers[feed] = Reader(feed)
        values = self._readers[feed].at(place >> 2)
        return self._form.values(values) if feed.suffix == ".csv" else values

    def _feed(self, place: int) -> Path:
        return self._feeds[place >> 1 & 1]


def _key(number: Any) -> Key:
    """Return an id as it is known by: CSV has texts for numbers too."""
    try:
        return int(number)
    except (TypeError, ValueError, OverflowError):
        return str(number)


@dataclass(frozen=True, slots=True)
class _Form:
    """What has to be known of an item class to read it from CSV, where everything is text."""

    texts: frozenset[str]
    """Fields that are text, whatever stands in them."""
    required: frozenset[str]
    """Fields without a default: an empty text is their value, not the lack of one."""
    unset: frozenset[str]
    """Fields that may have no value though their default is one."""

    @classmethod
    def of(cls, kind: type[Record]) -> _Form:
        hints = get_type_hints(kind)
        return cls(
            frozenset(name for name, hint in hints.items() if hint in (str, str | None)),
            frozenset(
                one.name
                for one in fields(kind)
                if one.default is MISSING and one.default_factory is MISSING
            ),
            frozenset(
                one.name
                for one in fields(kind)
                if one.default not in (MISSING, None) and type(None) in get_args(hints[one.name])
            ),
        )

    def values(self, texts: dict[str, str]) -> dict[str, Any]:
        """Return what the exporter has turned into *texts*."""
        told = {
            name: text if name in self.texts else _value(text)
            for name, text in texts.items()
            if text or name in self.required
        }
        return told | {name: None for name in self.unset if texts.get(name) == ""}


def _value(text: str) -> Any:
    """Turn the CSV text of a field that is no text back into its value."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except ValueError:
        return text
