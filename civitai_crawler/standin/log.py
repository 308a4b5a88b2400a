"""Every request that arrived: in memory, and as JSON lines when a path is given."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web


@dataclass(slots=True)
class Entry:
    """One request. ``time`` is ``time.monotonic()`` at arrival, ``status`` 0 means it was cut."""

    time: float
    unix: float
    role: str
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""
    status: int | None = None
    fault: str = ""

    def header(self, name: str) -> str | None:
        """By any spelling of the name; ``None`` when it was not sent."""
        return self.headers.get(name.lower())


class Log:
    """The requests in order of arrival. Thread-safe; ``path`` gets a line per finished request."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def begin(self, role: str, request: web.Request) -> Entry:
        """Note the arrival; header names lower-case, repeated ones joined by a comma."""
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        entry = Entry(time.monotonic(), time.time(), role, request.method, request.path_qs, headers)
        with self._lock:
            self._entries.append(entry)
        return entry

    def finish(self, entry: Entry, status: int) -> None:
        entry.status = status
        if self._file is not None:
            line = json.dumps(asdict(entry), ensure_ascii=False)
            with self._lock:
                self._file.write(line + "\n")
                self._file.flush()

    def entries(self, role: str | None = None, prefix: str = "") -> list[Entry]:
        """Return a snapshot, optionally of one host role and one beginning of paths."""
        with self._lock:
            snapshot = list(self._entries)
        return [e for e in snapshot if role in (None, e.role) and e.path.startswith(prefix)]

    def counts(self) -> dict[str, int]:
        """Count the requests by host role."""
        return dict(Counter(entry.role for entry in self.entries()))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
