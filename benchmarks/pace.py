"""How close a crawl comes to requests x interval, and what gaps the server sees.

    python benchmarks/pace.py

The server is a process of its own that answers after 0.15 s; original images are fetched beside the
requests. With 5 % of 429, whose pauses are asked for by the server, only the gaps count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawls import ROOT, crawl, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

LATENCY, MARGIN = 0.15, 0.02
RUNS = ((0.05, 0.0), (0.05, 0.05), (0.2, 0.0), (0.2, 0.05))
#: Images of the creator by interval: the requests make some twenty seconds of each.
IMAGES = {0.05: 400, 0.2: 150}
SERVE = """
import asyncio, sys
from pathlib import Path
from civitai_crawler.standin import Faults, Standin, World
async def main():
    faults = Faults(latency=float(sys.argv[2]), rate_429=float(sys.argv[3]), retry_after_429=1.0)
    world = World.generate(images=int(sys.argv[4]), posts=int(sys.argv[4]) // 8, file_size=20_000)
    for picture in world.pictures.values():
        world.media(picture)
    standin = Standin(world, faults=faults, log_path=Path(sys.argv[1]))
    await standin.serve_forever(lambda: print(standin.site_url, standin.media_url, flush=True))
asyncio.run(main())
"""


@contextmanager
def standin(log: Path, *options: float) -> Iterator[tuple[str, str]]:
    """Serve a stand-in from a process of its own; yield the addresses of site and media."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(log), *map(str, options)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        site, media = process.stdout.readline().split()
        yield site, media
    finally:
        process.terminate()
        process.communicate()


def requests(log: Path) -> list[dict[str, Any]]:
    """Return the site's requests in order of arrival."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return sorted((e for e in entries if e["role"] == "site"), key=lambda entry: entry["time"])


def measure(interval: float, rate: float) -> str:
    """Run one crawl and return its row of the table."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name, "log")
        with standin(log, LATENCY, rate, IMAGES[interval]) as (site, media):
            settings = {"CIVITAI_REQUEST_INTERVAL": str(interval), "CIVITAI_BATCH_SIZE": "5"}
            crawl(site, media, Path(name), settings, {"username": "lumen_fox"})
        entries = requests(log)
        originals = log.read_text().count('"role": "media"')
    times = [entry["time"] for entry in entries]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    limited = sum(entry["status"] == 429 for entry in entries)
    taken = (times[-1] - times[0]) / (len(gaps) * interval)
    near = sum(gap >= 0.98 * interval for gap in gaps) / len(gaps)
    # At a shorter interval than the latency, steps that need the answer of another leave a gap.
    swift = rate or interval < LATENCY or taken <= 1.03
    good = min(gaps) >= interval - MARGIN and (near >= 0.95 or interval < LATENCY) and swift
    return (
        f"{interval:>8}{rate:>7.0%}{len(entries):>10}{limited:>6}{originals:>11}{taken:>10.3f}"
        f"{min(gaps):>14.4f}{near:>9.1%}  {'' if good else 'MISSED'}"
    )


def main() -> None:
    print(f"Latency {LATENCY} s, originals and files on; time from the first to the last request\n")
    print(
        f"{'interval':>8}{'429':>7}{'requests':>10}{'429s':>6}{'originals':>11}{'time:ideal':>10}"
        f"{'smallest gap':>14}{'>= .98':>9}"
    )
    for interval, rate in RUNS:
        print(measure(interval, rate), flush=True)


if __name__ == "__main__":
    main()
