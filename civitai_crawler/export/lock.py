"""One command at a time writes to one place."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other exports out of *folder* meanwhile; a disk without locks keeps nobody out.

    Raises:
        UsageError: another one is at work there.

    """
    descriptor = _locked(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


if sys.platform == "win32":

    def _locked(folder: Path) -> int | None:
        """Lock nothing: there, a file that is being written is not replaced by another program."""
else:
    import fcntl

    def _locked(folder: Path) -> int | None:
        """Lock the folder itself, so that no file is left of it."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UsageError(
                f"Another command is writing to {folder}; let it end first."
            ) from error
        except OSError:  # of a network share, mostly
            os.close(descriptor)
            return None
        return descriptor
