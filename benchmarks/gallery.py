"""The gallery on a large archive: what the first page of a list takes, and the thousandth.

    python benchmarks/gallery.py [--images N]

Makes an archive of 100,000 images (300 MB in the temporary folder), serves it with ``scrapy
browse`` and asks for pages over loopback. The figures are processor time of the server (Linux
only), since other work of a machine does not change it; "new" is a list that was not asked for
before, "again" one that was. Exits with 1 when pages 1 and 1,000 are further apart than 150 ms.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from civitai_crawler.items import (
    FEEDS,
    Creator,
    GenerationData,
    Image,
    Model,
    ModelVersion,
    Post,
    Record,
    Resource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Repetitions of each figure.
TIMES = 10
#: Milliseconds that lists may differ by between their first and their thousandth page.
MOST = 150
LISTS = {
    "all images": "",
    "search": "q=lantern",
    "search, two words": "q=lantern+har*",
    "by level": "level=1&level=2&level=4&level=8",
    "made with": "resource=1",
}
WORDS = "lantern harbor boat fog night meadow river paper kite owl lamp ink wash soft light".split()  # noqa: SIM905  # a text reads better
MADE = "2026-01-02T03:04:05Z"


def records(images: int) -> Iterator[Record]:
    """Make an archive: 50 models of 4 versions, posts of ten images, prompts of some 50 words."""
    chance = random.Random(1)  # a made-up archive
    yield Creator(id=1, username="fox")
    for model in range(1, 51):
        yield Model(id=model, name=f"Model {model}", type="LORA", creator="fox")
        for version in range(4):
            yield ModelVersion(id=model * 10 + version, model_id=model, name=f"v{version}")
    rare = [f"{one}{number}" for number in range(300) for one in WORDS]
    for number in range(1, images + 1):
        post, version = number // 10 + 1, chance.randrange(10, 514)
        if number % 10 == 1:
            yield Post(id=post, creator="fox", title=f"Post {post}", version_id=version)
        yield Image(
            id=number, post_id=post, creator="fox", version_id=version, fetched_at=MADE,
            nsfw_level=1 << chance.randrange(5), published_at=MADE, width=832, height=1216,
        )  # fmt: skip
        words = chance.choices(rare, k=40) + chance.choices(WORDS, k=20)
        yield GenerationData(
            id=number, post_id=post, creator="fox", prompt_state="present",
            prompt=", ".join(["lantern", "harbor", *words]), negative_prompt="blurry, text",
            seed=chance.randrange(2**64), steps=30, sampler="Euler a", fetched_at=MADE,
            meta={"Model": "fox", "Size": "832x1216"},
            resources=[
                Resource(version_id=10, model_id=1, model_name="Model 1", type="LORA", strength=1),
                Resource(model_id=chance.randrange(2, 999), model_name="other", strength=0.5),
            ],
        )  # fmt: skip


def make(folder: Path, images: int) -> None:
    stems = {kind: stem for stem, kind in FEEDS.items()}
    feeds = {kind: (folder / f"{stem}.jsonl").open("w") for kind, stem in stems.items()}
    for record in records(images):
        feeds[type(record)].write(json.dumps(asdict(record)) + "\n")
    for feed in feeds.values():
        feed.close()


class Server:
    """A gallery that runs, and what its answers cost it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        # How Linux numbers the clock of another process's processor time.
        self._clock = (~process.pid << 3) | 2

    def ask(self, query: str) -> tuple[float, str]:
        """Return the milliseconds of a processor that a page took, and the page."""
        started = time.clock_gettime(self._clock)
        self._connection.request("GET", f"/images?{query}")
        page = self._connection.getresponse().read().decode()
        return (time.clock_gettime(self._clock) - started) * 1000, page

    def measure(self, query: str, last: int, *, new: bool) -> tuple[float, float]:
        """Return the medians of what page 1 and page *last* take, asked in turn."""
        taken: dict[int, list[float]] = {1: [], last: []}
        for turn in range(TIMES):
            for page, all_of_them in taken.items():
                # A date before all images leaves the list as it is, and makes it a new one.
                other = f"&since={1900 + turn}-0{1 + (page > 1)}" if new else ""
                milliseconds, text = self.ask(f"{query}{other}&page={page}")
                if f'aria-current="page">{page:,}<' not in text:
                    raise SystemExit(f"The list {query} has no page {page}.")
                all_of_them.append(milliseconds)
        first, far = (statistics.median(one) for one in taken.values())
        return first, far


def compare(server: Server, last: int) -> bool:
    """Print the table; tell whether all lists are even enough."""
    server.ask("")
    print(f"{'list':<26}{'page 1':>12}{f'page {last:,}':>13}{'ratio':>8}{'apart':>12}")
    even = True
    for name, query in LISTS.items():
        for new in (True, False):
            first, far = server.measure(query, last, new=new)
            even = even and abs(far - first) < MOST
            print(
                f"{name + (', new' if new else ', again'):<26}{first:>9.1f} ms{far:>10.1f} ms"
                f"{far / first:>8.2f}{far - first:>9.1f} ms",
                flush=True,
            )
    return even


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "fox")
        archive.mkdir()
        make(archive, images)
        started = time.perf_counter()
        command = [sys.executable, "-m", "scrapy", "browse", str(archive), "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            found = next(filter(None, (re.search(r":(\d+)/", line) for line in server.stdout)))
            print(f"{images:,} images read in {time.perf_counter() - started:.1f} s")
            even = compare(Server(server, int(found[1])), min(1000, images // 100))
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    print("even" if even else f"further apart than {MOST} ms")
    return 0 if even else 1


if __name__ == "__main__":
    raise SystemExit(main())
