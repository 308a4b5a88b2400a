"""What the benchmarks of whole crawls share: one crawl in a process of its own, and its figures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parent.parent
#: Seconds after which a crawl is given up.
LIMIT = 3600.0
_LOOK = 0.05


class CrawlFailedError(Exception):
    """A crawl did not end in order; its output is in the message."""


@dataclass(frozen=True, slots=True)
class Crawled:
    """What one crawl took."""

    seconds: float
    """Of the whole process, the start of the interpreter included."""
    cpu: float
    """Seconds of processor time, which a busy machine does not stretch."""
    log: str


def environment(**more: str) -> dict[str, str]:
    """Return the machine's environment without what would reach a crawl from outside."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CIVITAI_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def crawl(
    site: str,
    media: str,
    archive: Path,
    settings: Mapping[str, str],
    arguments: Mapping[str, str],
    watch: Callable[[int], None] = lambda _: None,
) -> Crawled:
    """Archive a creator from *site*; *watch* gets the process id every 50 ms."""
    words = [word for name, value in arguments.items() for word in ("-a", f"{name}={value}")]
    env = environment(
        CIVITAI_BASE_URL=site, CIVITAI_MEDIA_URL=media, CIVITAI_ARCHIVE=str(archive), **settings
    )
    return run([sys.executable, "-m", "scrapy", "crawl", "user_models", *words], env, watch)


def run(
    command: list[str], env: Mapping[str, str], watch: Callable[[int], None] = lambda _: None
) -> Crawled:
    """Run *command* in the project; raises CrawlFailedError unless it exits with 0."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(env), stdout=output, stderr=subprocess.STDOUT
        )
        pid = 0
        while not pid:
            watch(process.pid)
            if time.monotonic() - begun > LIMIT:
                process.kill()
            time.sleep(_LOOK)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        output.seek(0)
        log = output.read().decode(errors="replace")
    if process.returncode not in (0, 3):
        raise CrawlFailedError(f"exit code {process.returncode}:\n{log[-3000:]}")
    return Crawled(seconds, usage.ru_utime + usage.ru_stime, log)


def startup() -> Crawled:
    """Return what ``scrapy`` takes to start and to end, without a crawl."""
    listing = [sys.executable, "-m", "scrapy", "list"]
    return min((run(listing, environment()) for _ in range(2)), key=lambda each: each.seconds)


@contextmanager
def light_site(images: int, log: Path | None = None) -> Iterator[str]:
    """Serve ``lightsite.py`` with so many images from a process of its own; yield its address."""
    command = [sys.executable, str(Path(__file__).with_name("lightsite.py")), str(images)]
    process = subprocess.Popen(
        [*command, *([str(log)] if log else [])], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()
