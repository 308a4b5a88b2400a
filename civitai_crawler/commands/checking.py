"""Hashes the recorded files of archives in a few threads and constant memory."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from civitai_crawler.commands import inventory
from civitai_crawler.commands.inventory import Finding, Recorded
from civitai_crawler.stores import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from civitai_crawler.stores import Stores
    from civitai_crawler.stores.base import Reading

#: Seconds between two looks at the progress.
_PAUSE = 0.2
_GIB = 1024**3


class Check:
    """A check of one archive after the other; what is wrong is told as it is found."""

    def __init__(self, tell: Callable[[Finding], None], *, threads: int = 4) -> None:
        self._tell = tell
        self._threads = threads
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._counts: dict[str, int] = {}
        self._recorded = self._checked = self._bytes = 0

    @property
    def is_clean(self) -> bool:
        """Nothing was found wrong so far."""
        return not self._counts

    def run(self, archive: Path, tick: Callable[[], None], stores: Stores | None = None) -> None:
        """Check *archive*; *tick* is called now and then meanwhile.

        *stores*: where its files lie; left out: in its folder.
        """
        known = inventory.recorded(archive, self._note, stores)
        self._recorded += len(known)
        work = iter(known.values())
        with ThreadPoolExecutor(self._threads) as pool:
            tasks = [pool.submit(self._drain, work) for _ in range(self._threads)]
            try:
                while wait(tasks, timeout=_PAUSE).not_done:
                    tick()
            except BaseException:
                self._stop.set()
                raise
            for task in tasks:
                task.result()
        for finding in inventory.extras(archive, known):
            self._note(finding)
        if stores is not None:
            for finding in inventory.far_extras(known, archive, stores):
                self._note(finding)

    def progress(self) -> str:
        """Say how far it is."""
        return f"{self._checked} of {self._recorded} files, {self._bytes / _GIB:.1f} GiB"

    def summary(self) -> str:
        """Say what came of it."""
        told = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
        return (
            f"Checked {self._checked} of {self._recorded} recorded files "
            f"({self._bytes / _GIB:.2f} GiB): {told or 'all as recorded'}."
        )

    def _note(self, finding: Finding) -> None:
        with self._lock:
            self._counts[finding.what] = self._counts.get(finding.what, 0) + 1
            self._tell(finding)

    def _drain(self, work: Iterator[Recorded]) -> None:
        while not self._stop.is_set():
            with self._lock:
                one = next(work, None)
            if one is None:
                return
            finding = self._look(one)
            if self._stop.is_set():
                return
            if finding is not None:
                self._note(finding)
            with self._lock:
                self._checked += 1

    def _look(self, one: Recorded) -> Finding | None:
        name = one.store.name(one.path)
        try:
            with one.store.stream(one.path) as reading:
                if one.size is not None and reading.size != one.size:
                    return Finding("changed", name, f"{reading.size} bytes, not {one.size}")
                found = self._sha256(reading)
        except (FileNotFoundError, NotADirectoryError):
            return None if one.is_former else Finding("missing", name)
        except OSError as error:
            return Finding("unreadable", name, error.strerror or type(error).__name__)
        except StoreError as error:
            return Finding("unreadable", name, str(error))
        if one.sha256 is not None and found != one.sha256:
            return Finding("changed", name, f"SHA256 {found[:12]}…, not {one.sha256[:12]}…")
        return None

    def _sha256(self, reading: Reading) -> str:
        digest = hashlib.sha256()
        for block in reading.blocks:
            if self._stop.is_set():
                break
            digest.update(block)
            with self._lock:
                self._bytes += len(block)
        return digest.hexdigest()
