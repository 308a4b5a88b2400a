"""Watches a crawl: counters are read at every look, the ledger only now and then."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import signals

from civitai_crawler.extensions.standing import Arriving, Share, Standing
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.partfile import side
from civitai_crawler.ledger import Ledger, outlook
from civitai_crawler.ledger.tracking import FAILURES

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

#: Seconds over which pace and speed are taken.
_WINDOW = 60.0
#: Seconds between two questions to the ledger, and how much longer than a question took.
_PAUSE, _PATIENCE = 5.0, 200.0
#: Images that one request lists.
_PAGE = 200
_RECORDS = {
    "Model": ("models", "models"), "Post": ("posts", "posts"), "Image": ("images", "images"),
    "GenerationData": ("generation data", "images"),
}  # fmt: skip
_MEDIA = {"model_file": ("model files", "files"), "image": ("originals", "images")}


class Watch:
    """Knows where one crawl stands."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._pacer = Pacer.of(crawler)
        #: Parts under way, with their size when they were begun, and their full size once known.
        self._parts: dict[str, tuple[int, int | None]] = {}
        self._samples: deque[tuple[float, int, int]] = deque()
        self._before: dict[str, int] = {}
        self._outlook = outlook.Outlook()
        self._due = -math.inf
        for handler, signal in (
            (self.download_begins, signals.request_reached_downloader),
            (self.download_ends, signals.request_left_downloader),
        ):
            crawler.signals.connect(handler, signal)

    def begin(self) -> None:
        """Count once what earlier runs have left."""
        self._before = outlook.held(Ledger.of(self._crawler))

    def download_begins(self, request: Request) -> None:
        if part := request.meta.get("civitai_stream"):
            self._parts[part] = (_size(part), None)

    def download_ends(self, request: Request) -> None:
        self._parts.pop(request.meta.get("civitai_stream", ""), None)

    def look(self) -> Standing:
        """Tell where the crawl stands now; takes well below a millisecond."""
        arriving = [self._arriving(part) for part in sorted(self._parts)]
        under_way = sum(
            one.size - self._parts[part][0]
            for part, one in zip(sorted(self._parts), arriving, strict=True)
        )
        received = self._stat("civitai/stream/bytes") + max(0, under_way)
        requests = self._stat("civitai/pacer/turns")
        per_second, speed = self._rates(requests, received)
        self._ask_ledger()
        shares = list(self._shares())
        queue = Ledger.of(self._crawler).queue
        return Standing(
            archive=str(getattr(self._crawler.spider, "archive", "")),
            requests=requests,
            per_minute=per_second * 60,
            interval=self._pacer.pace,
            hold=self._pacer.hold_left,
            shares=shares,
            bytes=received,
            speed=speed,
            arriving=arriving,
            failures=self._stat(FAILURES),
            pending=len(queue) + len(queue.open),
            seconds=self._seconds(speed, under_way),
        )

    def _stat(self, name: str) -> int:
        return int(self._crawler.stats.get_value(name, 0))

    def _arriving(self, part: str) -> Arriving:
        begun, total = self._parts[part]
        found = _size(part)
        if total is None and found:
            total = _total(part)
            self._parts[part] = (begun, total)
        name = Path(part).stem.replace("-", " ").replace("_", " ")
        return Arriving(name, found, total)

    def _rates(self, requests: int, received: int) -> tuple[float, float]:
        """Return requests and bytes a second over the last minute."""
        now = time.monotonic()
        self._samples.append((now, requests, received))
        while now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()
        began, before, had = self._samples[0]
        passed = max(now - began, 1.0)
        return (requests - before) / passed, max(0, received - had) / passed

    def _ask_ledger(self) -> None:
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._outlook = outlook.look(Ledger.of(self._crawler))
        except sqlite3.Error:  # closed a moment ago, or unusable: whoever writes to it says so
            self._due = math.inf
            return
        took = time.monotonic() - began
        pause = _PAUSE if self._outlook.counts else 0.0
        self._due = began + max(pause, took * _PATIENCE)

    def _held(self, kind: str) -> int:
        return self._before.get(kind, 0) + self._stat(f"civitai/added/{kind}")

    def _shares(self) -> Any:
        """Yield what is held of everything that is wanted."""
        counts = self._outlook.counts
        wanted = self._crawler.settings.getlist("CIVITAI_DOWNLOAD")
        for kind, (name, stem) in _RECORDS.items():
            yield _share(name, self._held(kind), counts.get(stem))
        for kind, (name, word) in _MEDIA.items():
            if word in wanted:
                held = self._before.get(kind, 0) + self._stat(f"civitai/{word}/stored")
                listed = self._outlook.files if kind == "model_file" else counts.get("images")
                expected = listed if kind == "model_file" else _most(listed, self._held("Image"))
                yield _share(name, held, expected)

    def _seconds(self, speed: float, under_way: int) -> float | None:
        """Estimate the time to the end from what is left to be asked and to be received."""
        queue = Ledger.of(self._crawler).queue
        pending = len(queue) + len(queue.open)
        if not pending or not self._outlook.counts or queue.is_listing():
            return None
        left = max(pending, self._expected_requests())
        asking = left * self._pacer.pace + self._pacer.hold_left
        receiving = max(0, self._outlook.bytes_due - under_way) / speed if speed else 0.0
        return max(asking, receiving)

    def _expected_requests(self) -> int:
        images = self._outlook.counts.get("images", 0)
        batch = max(1, self._crawler.settings.getint("CIVITAI_BATCH_SIZE"))
        asks = getattr(self._crawler.spider, "asking", "full") == "full"
        data = max(0, images - self._held("GenerationData")) / batch if asks else 0
        lists = max(0, images - self._held("Image")) / _PAGE
        return math.ceil(data) + math.ceil(lists) + self._outlook.files_due


def _share(name: str, held: int, expected: int | None) -> Share:
    """Make a share; the counts may be of what a visitor sees, and less than what is there."""
    return Share(name, held, None if expected is None else max(expected, held))


def _most(expected: int | None, held: int) -> int:
    return max(expected or 0, held)


def _size(part: str) -> int:
    try:
        return os.stat(part).st_size  # noqa: PTH116  # asked for every picture; a Path is slow
    except OSError:
        return 0


def _total(part: str) -> int | None:
    """Read the full size from the note beside a part."""
    try:
        total = json.loads(side(Path(part)).read_bytes()).get("total")
    except (OSError, ValueError, AttributeError):
        return None
    return total if isinstance(total, int) else None
