"""The records of an archive as items: of each id the latest, with the file that is stored."""

from __future__ import annotations

import json
import logging
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

import msgspec

from civitai_crawler.archive.feeds import Problem, Reader, lines
from civitai_crawler.archive.folders import feeds
from civitai_crawler.items import FEEDS, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)

#: What a record says of the stored file. A later line without a path comes from a run that fetched
#: no files, and leaves these as they were.
STORED = ("path", "size_bytes", "sha256", "verified", "content_type")
#: A feed and the byte at which a line begins.
Place = tuple["Path", int]
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
    """

    def __init__(self, archive: Path, kind: type[R], tell: Callable[[Problem], None] = log) -> None:
        self._kind = kind
        self._tell = tell
        self._index = _index(feeds(archive, _STEMS[kind]), tell)
        self._readers: dict[Path, Reader] = {}
        self._form = _Form.of(kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for reader in self._readers.values():
            reader.close()

    def __iter__(self) -> Iterator[R]:
        for latest, stored in self._index.values():
            record = self._record(latest, stored)
            if record is not None:
                yield record

    def get(self, number: int | str | None) -> R | None:
        """Return the record of an id; ``None`` where there is none that can be read."""
        places = self._index.get(str(number))
        return None if places is None else self._record(*places)

    def _record(self, latest: Place, stored: Place | None) -> R | None:
        values = self._values(*latest)
        if stored is not None and stored != latest:
            whole = self._values(*stored)
            values |= {name: whole[name] for name in STORED if name in whole}
        try:
            return msgspec.convert(values, self._kind)
        except msgspec.ValidationError as error:
            self._tell(Problem(latest[0], "broken", f"record {values.get('id')}: {error}"))
            return None

    def _values(self, feed: Path, start: int) -> dict[str, Any]:
        if feed not in self._readers:
            self._readers[feed] = Reader(feed)
        values = self._readers[feed].at(start)
        return self._form.values(values) if feed.suffix == ".csv" else values


def _index(
    found: list[Path], tell: Callable[[Problem], None]
) -> dict[str, tuple[Place, Place | None]]:
    """Return for each id where its latest line begins, and the latest that names a file."""
    index: dict[str, tuple[Place, Place | None]] = {}
    for feed in found:
        for line in lines(feed, tell):
            key, place = str(line.values.get("id")), (feed, line.start)
            before = index.get(key, (place, None))[1]
            index[key] = place, place if line.values.get("path") else before
    return index


@dataclass(frozen=True, slots=True)
class _Form:
    """What has to be known of an item class to read it from CSV, where everything is text."""

    texts: frozenset[str]
    """Fields that are text, whatever stands in them."""
    required: frozenset[str]
    """Fields without a default: an empty text is their value, not the lack of one."""

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
        )

    def values(self, texts: dict[str, str]) -> dict[str, Any]:
        """Return what the exporter has turned into *texts*."""
        return {
            name: text if name in self.texts else _value(text)
            for name, text in texts.items()
            if text or name in self.required
        }


def _value(text: str) -> Any:
    """Turn the CSV text of a field that is no text back into its value."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except ValueError:
        return text
