"""Downloads over loopback: time and peak memory of ours, of curl, and of Scrapy's own pipelines.

    python benchmarks/media.py [--full] [--images N]

Every figure is of one process of its own, all in one run on one machine; read the ratios. The
default sizes take about a minute and 5 GB of /dev/shm (or of the temporary folder); ``--full``
adds 4 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# This process stays small, because the peak memory of a child counts from its parent's.

WORKERS = Path(__file__).with_name("media_workers.py")
MB = 1_000_000
SIZES, FULL_SIZES = (200 * MB, 2_000 * MB), (200 * MB, 2_000 * MB, 4_000 * MB)
#: Scrapy's own pipeline holds a file in memory several times; larger ones say nothing new.
STOCK_SIZE = 200 * MB
#: Seconds after which one measurement is given up.
LIMIT = 90
COLUMNS = f"{'seconds':>8}{'CPU s':>8}{'peak MB':>9}"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one process took."""

    seconds: float
    """Of the download; for Python without the start of the interpreter."""
    cpu: float
    """Seconds of processors, start and end included; says more on a busy machine."""
    peak: int
    """Bytes of memory at most."""


def measure(*command: str) -> Figure | None:
    """Run *command*, which prints its seconds; ``None`` when it failed or took too long."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    assert process.stdout is not None
    with process.stdout as stream:
        printed = stream.read()
    # The only call that tells the memory of one child.
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    cpu = usage.ru_utime + usage.ru_stime
    return Figure(float(printed.split()[-1]), cpu, usage.ru_maxrss * 1024)


def worker(*args: str) -> Figure | None:
    return measure(sys.executable, str(WORKERS), *args)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve *folder* from a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(WORKERS), "serve", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def make(file: Path, size: int) -> None:
    """Write *size* bytes that do not compress."""
    block = os.urandom(MB)
    with file.open("wb") as stream:
        for _ in range(size // MB):
            stream.write(block)


def files(folder: Path, url: str, sizes: tuple[int, ...]) -> None:
    """Measure single files."""
    print(f"{'file':>8}  {'how':<37}{COLUMNS}{'time':>7}")
    for size in sizes:
        source, target = folder / f"{size}.bin", folder / "out"
        make(source, size)
        address, first = f"{url}/{source.name}", None
        for name, command in ways(address, target, size).items():
            figure = measure(*command)
            if first is None:
                first = figure
            ratio = f"{figure.seconds / first.seconds:>6.1f}x" if figure and first else ""
            print(f"{size // MB:>5} MB  {name:<37}{row(figure)}{ratio}", flush=True)
            remove(target)
        source.unlink()


def ways(address: str, target: Path, size: int) -> dict[str, list[str]]:
    python = [sys.executable, str(WORKERS)]
    found: dict[str, list[str]] = {}
    if curl := shutil.which("curl"):
        found["curl -o (no hash)"] = [
            *(curl, "-sS", "--fail", "--noproxy", "*", "-w", "%{time_total}"),
            *("-o", str(target), address),
        ]
    found["plain reader, SHA256"] = [*python, "plain", address, str(target)]
    found["ours, SHA256"] = [*python, "ours", address, str(target)]
    if size <= STOCK_SIZE:
        found["Scrapy's FilesPipeline, MD5"] = [*python, "stock", address, str(target)]
    return found


def row(figure: Figure | None) -> str:
    if figure is None:
        return f"{'failed':>8}"
    return f"{figure.seconds:>8.2f}{figure.cpu:>8.2f}{figure.peak / MB:>9.0f}"


def images(folder: Path, url: str, count: int) -> None:
    """Measure many small originals."""
    print(f"\n{'images':>8}  {'how':<37}{COLUMNS}{'a second':>10}")
    for name, way in (
        ("ours: checked, hashed, ledger", "our-images"),
        ("Scrapy's FilesPipeline", "stock-files"),
        ("Scrapy's ImagesPipeline (re-encodes)", "stock-images"),
    ):
        target = folder / "images"
        figure = worker(way, url, str(target), str(count))
        rate = f"{count / figure.seconds:>10.0f}" if figure else ""
        print(f"{count:>8}  {name:<37}{row(figure)}{rate}", flush=True)
        remove(target)


def remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def place(needed: int) -> str | None:
    """Return a folder in memory if it has room, so that no disk is measured."""
    memory = Path("/dev/shm")
    if memory.is_dir() and shutil.disk_usage(memory).free > 2 * needed:
        return str(memory)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="also a file of 4 GB")
    parser.add_argument("--images", type=int, default=2000, help="small files (default: 2000)")
    options = parser.parse_args()
    sizes = FULL_SIZES if options.full else SIZES
    with tempfile.TemporaryDirectory(dir=place(2 * max(sizes))) as name:
        folder = Path(name)
        with server(folder) as url:
            print(f"Loopback, {os.cpu_count()} cores, files in {folder.parent}\n")
            files(folder, url, sizes)
            images(folder, url, options.images)


if __name__ == "__main__":
    main()
