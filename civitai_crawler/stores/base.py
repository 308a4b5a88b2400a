"""What every store can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from civitai_crawler.exceptions import CivitaiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from pathlib import Path

    from civitai_crawler.ledger import Media


class StoreError(CivitaiError):
    """A bucket cannot be used.

    Raised by every method of a store that talks to one; the text is one sentence without secrets.
    """


class Found(NamedTuple):
    """What lies at a path."""

    size: int
    """Bytes."""
    sha256: str
    """Lower-case hex; empty when a bucket was filled by another program, which noted none."""


class Reading(NamedTuple):
    """A stored file that is being read from its beginning."""

    size: int
    """Bytes of the whole."""
    blocks: Iterator[bytes]
    """Its bytes, in blocks of at most a mebibyte."""


class Store(Protocol):
    """The stored files of one archive, by their path relative to it (POSIX).

    Everything blocks and belongs into a thread. Files are never written in place: a changed one
    takes the place of the old one, and other names of the old bytes keep them. Where *check* is a
    parameter, it is called now and then during long work and may raise to end it.
    """

    @property
    def remote(self) -> bool:
        """Whether the files lie on another machine."""

    @property
    def threads(self) -> Executor | None:
        """Threads for this store's work; ``None``: the loop's own."""

    def holds(self, media: Media) -> bool:
        """Tell whether a stored file is still there; its size is enough of a proof."""

    def found(self, path: str) -> Found | None:
        """Return what lies at *path*, if anything does."""

    def put(self, part: Path, media: Media, check: Callable[[], None]) -> None:
        """Move the checked bytes in *part* to ``media.path``.

        They are durable on return. The name of a small file may be lost with the power: the next
        run finds it missing and fetches it anew, which costs less than to wait for each.
        """

    def share(
        self, held: Media, media: Media, aside: Path, check: Callable[[], None], *, copy: bool
    ) -> str | None:
        """Give the bytes of *held* a second name, ``media.path``.

        Returns ``linked`` or ``copied``; ``None`` when *held* is not what it was when it was
        stored, or when its bytes cannot have two names and *copy* does not ask for a copy. *aside*
        is a free path on the local disk for what is not yet whole.
        """

    def missing(self, paths: Iterable[str]) -> set[str]:
        """Return those of *paths* at which nothing lies; a place that cannot be seen hides none."""

    def paths(self) -> Iterator[str]:
        """Yield the path of everything that lies in the archive."""

    def stream(self, path: str) -> AbstractContextManager[Reading]:
        """Read a file from its beginning; OSError when there is none or it cannot be read."""

    def pieces(self, path: str) -> AbstractContextManager[Callable[[int, int], bytes]]:
        """Read a file here and there: (offset, length) → bytes; raises like :meth:`stream`."""

    def at_hand(self, path: str) -> AbstractContextManager[Path]:
        """Have a file on the local disk, where programs take a path; raises like :meth:`stream`."""

    def name(self, path: str) -> str:
        """Say where a file lies, for a person."""

    def close(self) -> None:
        """Let go of connections."""
