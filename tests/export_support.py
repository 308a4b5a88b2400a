"""Runs ``scrapy export`` in this process, and makes small archives to export."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scrapy.settings import Settings

from civitai_crawler.commands.export import Command
from civitai_crawler.items import FEEDS
from tests.cli import Ended

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.items import Record

STEMS = {item: stem for stem, item in FEEDS.items()}


def export(to: str, out: Path, *args: str | Path, exclude: str = "poi,minor") -> Ended:
    """Run ``scrapy export --to TO --out OUT ARGS``; as :func:`run` does."""
    return run("--to", to, "--out", str(out), *map(str, args), exclude=exclude)


def run(*words: str, exclude: str = "poi,minor") -> Ended:
    """Run ``scrapy export WORDS`` in this process, which is quicker.

    Wrong input raises Scrapy's UsageError, or SystemExit where argparse has seen it.
    """
    command = Command()
    command.settings = Settings({"CIVITAI_EXCLUDE": exclude})
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    command.add_options(parser)
    opts, rest = parser.parse_known_args(words)
    output = io.StringIO()
    with redirect_stdout(output):
        command.run(rest, opts)
    return Ended(command.exitcode, output.getvalue())


def make(archive: Path, *items: Record, files: dict[str, bytes] | None = None) -> Path:
    """Make or extend an archive of *items*; *files* by their path in it."""
    archive.mkdir(exist_ok=True)
    for item in items:
        with (archive / f"{STEMS[type(item)]}.jsonl").open("a", encoding="utf-8") as feed:
            feed.write(json.dumps(asdict(item)) + "\n")
    for path, data in (files or {}).items():
        (archive / path).parent.mkdir(parents=True, exist_ok=True)
        (archive / path).write_bytes(data)
    return archive


def snapshot(folder: Path) -> dict[str, Any]:
    """Return what *folder* holds, by path: bytes and time of files."""
    return {
        str(file.relative_to(folder)): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            file.stat().st_mtime_ns,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def tree(folder: Path) -> set[str]:
    """Return the files of an export by path, without its marker."""
    return {name for name in snapshot(folder) if not name.startswith(".civitai-export/")}
