"""Runs the real command line in a process of its own, as a user does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from civitai_crawler.standin import Standin

ROOT = Path(__file__).resolve().parent.parent
#: Exit codes of a crawl that came to its end: complete, or but for what the site refuses.
DONE = (0, 3)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    log: str
    """Standard output and error together."""

    @property
    def sentences(self) -> list[str]:
        return [line for line in self.log.splitlines() if "ERROR" in line or "error:" in line]


def environment(**more: str) -> dict[str, str]:
    """Return the machine's environment without what would reach a crawl from outside."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CIVITAI_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "PYTHONWARNINGS": "error::ResourceWarning", **more}


def start(*args: str, env: Mapping[str, str] | None = None, log: Path | None = None) -> Any:
    """Start ``scrapy ARGS`` in the project and return the process."""
    with (log or Path(os.devnull)).open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "scrapy", *args],
            cwd=ROOT,
            env=environment(**(env or {})),
            stdout=stream if log else subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def scrapy(*args: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Ended:
    """Run ``scrapy ARGS`` to its end."""
    process = start(*args, env=env)
    output, _ = process.communicate(timeout=timeout)
    return Ended(process.returncode, output.decode(errors="replace"))


def pointed_at(standin: Standin, archive: Path, interval: float = 0.01) -> dict[str, str]:
    """Return the settings that lead a crawl to a stand-in and its records to *archive*."""
    return {
        "CIVITAI_BASE_URL": standin.site_url,
        "CIVITAI_MEDIA_URL": standin.media_url,
        "CIVITAI_ARCHIVE": str(archive),
        "CIVITAI_REQUEST_INTERVAL": str(interval),
    }


def crawl(
    standin: Standin, archive: Path, spider: str = "user_models", *more: str,
    interval: float = 0.01, env: Mapping[str, str] | None = None, timeout: float = 120,
    given: Mapping[str, str] | None = None, **arguments: str,
) -> Ended:  # fmt: skip
    """Run ``scrapy crawl`` against a stand-in; *given* are arguments whose names Python keeps."""
    pairs = {**(given or {}), **arguments}
    args = [word for name, value in pairs.items() for word in ("-a", f"{name}={value}")]
    settings = {**pointed_at(standin, archive, interval), **(env or {})}
    return scrapy("crawl", spider, *args, *more, env=settings, timeout=timeout)


def feed(archive: Path, name: str) -> list[dict[str, Any]]:
    """Return the records of one feed; a feed that was never written is empty."""
    path = archive / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ids(archive: Path, name: str) -> list[Any]:
    """Return the ids of one feed, sorted, repetitions included."""
    return sorted(record["id"] for record in feed(archive, name))


def assert_archived(standin: Standin, archive: Path, *, signed_in: bool = False) -> None:
    """Compare the feeds of *archive* with the stand-in's truth, each id once."""
    truth = standin.truth(signed_in=signed_in)
    assert ids(archive, "models") == truth["models"]
    assert ids(archive, "model_versions") == truth["versions"]
    assert ids(archive, "model_files") == [one["id"] for one in truth["files"]]
    assert ids(archive, "posts") == truth["posts"]
    assert ids(archive, "images") == sorted(one["id"] for one in truth["images"])
    assert ids(archive, "generation_data") == sorted(one["id"] for one in truth["generation"])
