"""What the doctor finds on this machine: Python, settings, the archive's folder, optional parts."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import scrapy

from civitai_crawler import options
from civitai_crawler.amounts import size
from civitai_crawler.archive.folders import check_names, nearest
from civitai_crawler.commands.finding import OK, PROBLEM, WARNING, Finding
from civitai_crawler.exceptions import UsageError
from civitai_crawler.ledger.schema import is_in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.settings import BaseSettings

_OLDEST = (3, 11)
#: Free bytes below which no crawl gets anywhere, and below which model files soon fill the disk.
_NO_ROOM, _LITTLE_ROOM = 200_000_000, 20_000_000_000
#: Extras that are for work on the crawler itself.
_FOR_WORK = {"dev", "test"}
_REQUIREMENT = re.compile(r"([\w.-]+).*extra\s*==\s*['\"]([\w.-]+)['\"]")


def python() -> Finding:
    """Look at the versions of what everything runs on."""
    text = (
        f"Python {platform.python_version()}, Scrapy {scrapy.__version__}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}"
    )
    if sys.version_info < _OLDEST:
        return Finding(PROBLEM, "Python", text, "Install Python 3.11 or newer.")
    return Finding(OK, "Python", text)


def settings_check(settings: BaseSettings) -> Finding:
    """Look at every ``CIVITAI_*`` name and value."""
    ours = {name: settings.get(name) for name in settings if name.startswith(options.PREFIX)}
    try:
        options.check(ours, os.environ)
        check_names()
    except UsageError as error:
        return Finding(
            PROBLEM, "Settings", str(error), "The README has a table of all settings."
        )  # fmt: skip
    changed = sorted(
        name
        for name, option in options.OPTIONS.items()
        if str(ours.get(name, option.default)) != str(option.default)
    )
    return Finding(OK, "Settings", f"all valid; changed: {', '.join(changed) or 'none'}")


def folder(settings: BaseSettings) -> Iterator[Finding]:
    """Look at the archive's folder and its disk; a folder to be made is tried in its parent."""
    wanted = Path(settings["CIVITAI_ARCHIVE"]).absolute()
    place = nearest(wanted)
    told = f"{wanted}" if place == wanted else f"{wanted} (to be made in {place})"
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as scratch:
            links = _tried(Path(scratch))
    except OSError as error:
        yield Finding(
            PROBLEM, "Folder", f"{told} cannot be written: {error.strerror}.",
            "Give yourself the right to write there, or name another folder by CIVITAI_ARCHIVE.",
        )  # fmt: skip
        return
    if links:
        yield Finding(OK, "Folder", f"{told}: writing, fsync, renaming and hard links work")
    else:
        yield Finding(
            WARNING, "Folder", f"{told}: this file system has no hard links.",
            "Crawls work; exports that link files have to copy them. NTFS, ext4, btrfs, XFS, ZFS "
            "and APFS have hard links, exFAT and FAT32 have none.",
        )  # fmt: skip
    yield _room(shutil.disk_usage(place).free)


def _tried(scratch: Path) -> bool:
    """Do in a folder what a crawl does; tell whether hard links work. Raises OSError."""
    part, target = scratch / "file.part", scratch / "file"
    with part.open("wb") as stream:
        stream.write(b"tried")
        stream.flush()
        os.fsync(stream.fileno())
    target.write_bytes(b"older")
    part.replace(target)
    try:
        (scratch / "link").hardlink_to(target)
    except (OSError, NotImplementedError):
        return False
    return True


def _room(free: int) -> Finding:
    text = f"{size(free)} free"
    advice = "See what a crawl needs with -a dry_run=true, or choose another disk."
    if free < _NO_ROOM:
        return Finding(PROBLEM, "Disk", f"only {text}.", advice)
    if free < _LITTLE_ROOM:
        return Finding(WARNING, "Disk", f"only {text}; one model file may have 7 GB.", advice)
    return Finding(OK, "Disk", text)


def jobs(settings: BaseSettings) -> Finding:
    """Look whether a crawl is at work on one of the archives."""
    root = Path(settings["CIVITAI_ARCHIVE"])
    ledgers = sorted(root.glob("*/.job/ledger.sqlite")) if root.is_dir() else []
    busy = [file.parent.parent.name for file in ledgers if is_in_use(file.parent)]
    if busy:
        return Finding(
            WARNING, "Running crawls", f"a crawl is at work on: {', '.join(busy)}.",
            "Let it end (or stop it with Ctrl-C) before you crawl the same creator.",
        )  # fmt: skip
    return Finding(OK, "Running crawls", f"none; {len(ledgers)} archives in the folder")


def robots(settings: BaseSettings) -> Finding:
    """Say how it is with robots.txt."""
    if settings.getbool("ROBOTSTXT_OBEY"):
        return Finding(
            WARNING, "robots.txt",
            "ROBOTSTXT_OBEY is on: Scrapy then refuses the public API and the download links.",
            "Leave ROBOTSTXT_OBEY off; the interval between requests is what keeps a crawl polite.",
        )  # fmt: skip
    return Finding(
        OK, "robots.txt",
        "not obeyed: it is written for search engines and disallows the API that is documented "
        "for programs; the pace and the back-off are kept instead",
    )  # fmt: skip


def optional_parts() -> Finding:
    """Name the extras of this package, and which of them are installed."""
    try:
        package = distribution("civitai_crawler")
    except PackageNotFoundError:
        return Finding(OK, "Optional parts", "not known: civitai_crawler is not installed by pip")
    needed: dict[str, list[str]] = {}
    for line in package.requires or ():
        if (found := _REQUIREMENT.match(line)) and found[2] not in _FOR_WORK:
            needed.setdefault(found[2], []).append(found[1])
    told = [
        f"{extra} {'installed' if all(map(_is_installed, names)) else 'not installed'}"
        for extra, names in sorted(needed.items())
    ]
    how = " (pip install 'civitai_crawler[NAME]')" if any("not " in one for one in told) else ""
    return Finding(OK, "Optional parts", f"{', '.join(told) or 'there are none'}{how}")


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
