"""Downloads over loopback: time and peak memory of ours, of curl, and of Scrapy's own pipelines.

    python benchmarks/media.py [--rounds N] [--sizes MB ...] [--images N]

Every figure is of one process of its own, all in one run on one machine, the ways in turn in each
round; read the ratios, which are the medians of those of the rounds. The default takes some three
minutes and 8 GB of /dev/shm (or of the temporary folder).
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# This process stays small, because the peak memory of a child counts from its parent's.

WORKERS = Path(__file__).with_name("media_workers.py")
MB = 1_000_000
#: Sizes in MB.
SIZES = (200, 2_000, 4_000)
#: Scrapy's own pipeline holds a whole file in memory: larger ones are left out, and one round of it
#: says enough.
STOCK_SIZE = 2_000 * MB
STOCK = "Scrapy's ImagesPipeline (re-encodes)"
OURS, CURL, PIPED = "ours, SHA256", "curl -o (no hash)", "curl | tee | sha256sum"
#: Seconds after which one measurement is given up.
LIMIT = 180
COLUMNS = f"{'seconds':>8}{'CPU s':>8}{'peak MB':>9}"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one process took."""

    seconds: float
    """Of the download; for Python without the start of the interpreter, its imports and Scrapy's
    making of its components."""
    cpu: float
    """Seconds of processors, start and end included; says more on a busy machine."""
    peak: int
    """Bytes of memory at most."""


def measure(*command: str) -> Figure | None:
    """Run *command*; ``None`` when it failed or took too long.

    The last word that it prints are its seconds; of one that prints nothing all of it counts.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    assert process.stdout is not None
    with process.stdout as stream:
        printed = stream.read()
    # The only call that tells the memory of one child.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    words = printed.split()
    cpu = usage.ru_utime + usage.ru_stime
    return Figure(float(words[-1]) if words else seconds, cpu, usage.ru_maxrss * 1024)


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


def files(folder: Path, url: str, sizes: list[int], rounds: int) -> None:
    """Measure single files."""
    print(f"{'file':>8}  {'how':<37}{COLUMNS}{'time':>7}")
    peaks = []
    for size in sizes:
        source = folder / f"{size}.bin"
        make(source, size)
        found = compare(f"{url}/{source.name}", folder / "out", size, rounds)
        for name, figures in found.items():
            ratio = against(figures, found.get(CURL, []))
            print(f"{size // MB:>5} MB  {name:<37}{row(middle(figures))}{ratio}", flush=True)
        peaks += [figure.peak for figure in found[OURS] if figure]
        source.unlink()
    if peaks:
        spread = max(peaks) / min(peaks) - 1
        print(f"Our peak: at most {max(peaks) / MB:.0f} MB, {spread:.0%} apart over all sizes")


def compare(address: str, target: Path, size: int, rounds: int) -> dict[str, list[Figure | None]]:
    """Measure all ways in turn, round by round."""
    found: dict[str, list[Figure | None]] = {}
    for number in range(rounds):
        for name, command in ways(address, target, size, first=not number).items():
            found.setdefault(name, []).append(measure(*command))
            remove(target)
    return found


def middle(figures: list[Figure | None]) -> Figure | None:
    """Give the median of each column; the peak is the highest."""
    done = [figure for figure in figures if figure]
    if len(done) < len(figures):
        return None
    seconds, cpu = median(one.seconds for one in done), median(one.cpu for one in done)
    return Figure(seconds, cpu, max(figure.peak for figure in done))


def against(figures: list[Figure | None], base: list[Figure | None]) -> str:
    """Give the median of how much longer than *base* each round took."""
    pairs = [(one, other) for one, other in zip(figures, base, strict=False) if one and other]
    if not pairs:
        return ""
    return f"{median(one.seconds / other.seconds for one, other in pairs):>6.2f}x"


def ways(address: str, target: Path, size: int, *, first: bool) -> dict[str, list[str]]:
    """Give the commands by name; what says enough once is in the first round only."""
    python = [sys.executable, str(WORKERS)]
    found: dict[str, list[str]] = {}
    if curl := shutil.which("curl"):
        quiet = [curl, "-sS", "--fail", "--noproxy", "*"]
        found[CURL] = [*quiet, "-w", "%{time_total}", "-o", str(target), address]
        kept = f"tee {shlex.quote(str(target))}"
        pipe = f"{shlex.join([*quiet, address])} | {kept} | sha256sum >/dev/null"
        found[PIPED] = ["sh", "-c", pipe]
    found["plain reader, SHA256"] = [*python, "plain", address, str(target)]
    found[OURS] = [*python, "ours", address, str(target)]
    if first and size <= STOCK_SIZE:
        found["Scrapy's FilesPipeline, MD5"] = [*python, "stock", address, str(target)]
    return found


def row(figure: Figure | None) -> str:
    if figure is None:
        return f"{'failed':>8}"
    return f"{figure.seconds:>8.2f}{figure.cpu:>8.2f}{figure.peak / MB:>9.0f}"


def images(folder: Path, url: str, count: int, rounds: int) -> None:
    """Measure many small originals, all ways in turn, round by round."""
    print(f"\n{'images':>8}  {'how':<37}{COLUMNS}{'a second':>10}{'rate':>7}")
    ways = {
        STOCK: "stock-images",
        "Scrapy's FilesPipeline": "stock-files",
        "ours: checked, hashed, ledger": "our-images",
    }
    found: dict[str, list[Figure | None]] = {name: [] for name in ways}
    target = folder / "images"
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(worker(way, url, str(target), str(count)))
            remove(target)
    for name, figures in found.items():
        figure = middle(figures)
        rate = f"{count / figure.seconds:>10.0f}" if figure else ""
        ratio = against(found[STOCK], figures)
        print(f"{count:>8}  {name:<37}{row(figure)}{rate}{ratio}", flush=True)


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
    parser.add_argument("--rounds", type=int, default=3, help="of each (default: 3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of files, in MB")
    parser.add_argument("--images", type=int, default=2000, help="small files (default: 2000)")
    options = parser.parse_args()
    sizes = [size * MB for size in options.sizes]
    with tempfile.TemporaryDirectory(dir=place(max(sizes))) as name:
        folder = Path(name)
        with server(folder) as url:
            print(f"Loopback, {os.cpu_count()} cores, files in {folder.parent}\n")
            files(folder, url, sizes, options.rounds)
            images(folder, url, options.images, options.rounds)


if __name__ == "__main__":
    main()
