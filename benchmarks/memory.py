"""Memory of one crawl of very many images' metadata, by how many it has archived.

    python benchmarks/memory.py [--full] [--generation full]

The figures are resident memory at 10,000 and 100,000 images, with ``--full`` at a million too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from crawls import crawl, light_site
from lightsite import NAME

MB = 1_000_000
STEPS = (10_000, 100_000, 1_000_000)
#: Bytes by which memory may grow from the first step to the last.
ALLOWED = 100 * MB


def resident(pid: int) -> int:
    """Return the bytes that a process holds in memory; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def samples(images: int, asking: str) -> tuple[float, list[tuple[int, int]]]:
    """Return the seconds of a crawl, and pairs of images archived and bytes of memory."""
    taken: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as name, light_site(images) as site:
        feed = Path(name, NAME, "images.jsonl")

        def watch(pid: int) -> None:
            written = feed.stat().st_size if feed.exists() else 0
            if memory := resident(pid):
                taken.append((written, memory))

        arguments = {"username": NAME, "download": "none", "generation": asking}
        settings = {"CIVITAI_REQUEST_INTERVAL": "0"}
        seconds = crawl(site, f"{site}/media", Path(name), settings, arguments, watch).seconds
        size = feed.stat().st_size
    return seconds, [(images * written // size, memory) for written, memory in taken]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="a million images")
    parser.add_argument("--generation", default="auto", help="auto (default), full or none")
    options = parser.parse_args()
    steps = STEPS if options.full else STEPS[:-1]
    seconds, taken = samples(steps[-1], options.generation)
    print(f"{'images':>10}{'MB':>8}{'peak MB until then':>20}")
    found = []
    for step in steps:
        until = [memory for images, memory in taken if images <= step]
        found.append(max(until[-20:]))
        print(f"{step:>10}{found[-1] / MB:>8.0f}{max(until) / MB:>20.0f}")
    print(f"\n{steps[-1] / seconds:.0f} images a second.")
    grown = found[-1] - found[0]
    verdict = "within" if grown <= ALLOWED else "MORE than"
    print(f"Grown by {grown / MB:.0f} MB, {verdict} the {ALLOWED / MB:.0f} MB allowed.")


if __name__ == "__main__":
    main()
