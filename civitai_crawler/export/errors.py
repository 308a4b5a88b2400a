"""What can go wrong with the files that an export reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.exceptions import CivitaiError

if TYPE_CHECKING:
    from pathlib import Path


class WriteError(CivitaiError):
    """The target cannot be written any further; what is there stays good and can be gone on with.

    Raised by ``export.folder``, for a full disk as well as for one that was taken away.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or type(error).__name__}.")


class SourceError(CivitaiError):
    """A file of the archive cannot be used; it costs itself only.

    Raised by ``export.sources`` and, where it fails on the way, by ``export.folder``.
    """

    def __init__(self, reason: str, why: str = "") -> None:
        super().__init__(why)
        #: ``missing``, ``unreadable`` or ``broken`` (the record).
        self.reason = reason
        #: In words, where the reason does not say all.
        self.why = why

    @classmethod
    def of(cls, error: OSError) -> SourceError:
        """Say what an error of the system means for the file."""
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return cls("missing")
        return cls("unreadable", error.strerror or type(error).__name__)
