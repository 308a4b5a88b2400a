"""How long the event loop stands still while big files stream and originals are checked.

    python benchmarks/calm.py [--mb N] [--images N]

One crawl of the embedded stand-in, which runs as a process of its own: two model files of 2 GB
each, and 200 originals that are decoded, hashed, looked into and made thumbnails of. A timer in the
crawler is due every 5 ms; a stall is what it comes too late. The same timer in an idle process, at
the same time, tells what the machine itself adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from crawls import ROOT, environment, run
from scrapy.utils.project import get_project_settings
from stalls import TICK

ALLOWED = 0.05
SERVE = """
import asyncio, sys
from civitai_crawler.standin import Standin, World
async def main():
    world = World.generate(images=int(sys.argv[2]), posts=int(sys.argv[2]) // 8)
    open_ = [f for f in world.files.values() if f.version.access == "open" and not f.oddity]
    for file in open_[:2]:
        file.size = int(sys.argv[1]) * 1_000_000
    for picture in world.pictures.values():
        if picture.format != "mp4":
            picture.width, picture.height = 1024, 1536
        world.media(picture)
    standin = Standin(world)
    await standin.serve_forever(lambda: print(standin.site_url, standin.media_url, flush=True))
asyncio.run(main())
"""
IDLE = f"""
import asyncio, sys
sys.path[:0] = {[str(ROOT), str(ROOT / "benchmarks")]!r}
from stalls import watch
async def main():
    stalls = []
    async for stall in watch():
        stalls.append(stall)
        if stall > 0.02:
            print(f"{{stall * 1000:.0f}}", end=" ", flush=True)
asyncio.run(main())
"""


def command() -> list[str]:
    """Return the crawl's command line, with thumbnails and the extension that measures."""
    extensions = {**get_project_settings().getdict("EXTENSIONS"), "benchmarks.stalls.Stalls": 900}
    return [
        *(sys.executable, "-m", "scrapy", "crawl", "user_models", "-a", "username=lumen_fox"),
        *("-s", f"EXTENSIONS={json.dumps(extensions)}"),
        *("-s", 'IMAGES_THUMBS={"small": [320, 320]}'),
    ]


def measure(megabytes: int, images: int) -> tuple[dict[str, Any], list[int]]:
    """Return what a crawl has measured, and the stalls (ms) of an idle process meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        server, idle = (
            subprocess.Popen(
                [sys.executable, "-c", code, str(megabytes), str(images)],
                cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
            )
            for code in (SERVE, IDLE)
        )  # fmt: skip
        try:
            assert server.stdout is not None
            assert idle.stdout is not None
            site, media = server.stdout.readline().split()
            target = Path(name, "figures.json")
            run(command(), environment(
                CIVITAI_BASE_URL=site, CIVITAI_MEDIA_URL=media, CIVITAI_ARCHIVE=name,
                CIVITAI_REQUEST_INTERVAL="0.05", STALLS=str(target),
            ))  # fmt: skip
            figures: dict[str, Any] = json.loads(target.read_text())
        finally:
            server.terminate()
            idle.terminate()
            machine = [int(word) for word in idle.communicate()[0].split()]
            server.communicate()
    return figures, machine


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mb", type=int, default=2000, help="size of each of two files")
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    figures, machine = measure(options.mb, options.images)
    stalls = sorted(figures["stalls"])
    print(
        f"{figures['civitai/images/stored']} originals and "
        f"{figures['civitai/files/bytes'] / 1e9:.1f} GB of files in "
        f"{figures['elapsed_time_seconds']:.0f} s, {len(stalls)} ticks of {TICK * 1000:.0f} ms\n"
    )
    for name, share in (("median", 0.5), ("99 %", 0.99), ("99.9 %", 0.999)):
        print(f"{name:>10}{stalls[int(share * (len(stalls) - 1))] * 1000:>8.1f} ms")
    late = sum(stall > ALLOWED for stall in stalls)
    print(f"{'longest':>10}{stalls[-1] * 1000:>8.1f} ms; {late} over {ALLOWED * 1000:.0f} ms")
    print(f"{'machine':>10}{max(machine, default=0):>8} ms at most in an idle process")


if __name__ == "__main__":
    main()
