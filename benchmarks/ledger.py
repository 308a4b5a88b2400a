"""Measures the ledger's scheduler against Scrapy's own, and the opening of a big ledger.

python -m benchmarks.ledger [--requests 10000] [--items 5] [--rounds 3] [--pending 1000000]

Crawls: that many ``data:`` requests, each yielding items to a JSON Lines feed, with Scrapy's memory
queue, Scrapy's disk queue (JOBDIR) and the ledger; the middle of the rounds counts, taken in turn
because other work on the machine comes and goes. Opening: a ledger of 10,000 and of 1,000,000
pending requests is opened and 1,000 requests are taken from it, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.settings import Settings

from civitai_crawler.ledger import Ledger

ROOT = Path(__file__).resolve().parent.parent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scrapy.http import Response

ROOT = Path(__file__).resolve().parent.parent
#: Requests that a listing request leads to.
FAN = 100
LEDGER = {
    "SCHEDULER": "civitai_crawler.ledger.scheduler.LedgerScheduler",
    "SPIDER_MIDDLEWARES": {"civitai_crawler.ledger.tracking.LedgerMiddleware": 10},
    "FEED_STORAGES": {"": "civitai_crawler.ledger.feeds.LedgerFeedStorage"},
}


class FanSpider(Spider):
    """Lists that lead to pages, pages that yield items."""

    name = "fan"
    requests: int
    items: int

    async def start(self) -> AsyncIterator[Any]:
        for number in range(self.requests // FAN):
            yield Request(f"data:,list-{number}", self.parse)

    def parse(self, response: Response, **kwargs: Any) -> Iterator[Any]:
        for number in range(FAN - 1):
            yield Request(f"{response.url}-{number}", self.parse_page)

    def parse_page(self, response: Response) -> Iterator[Any]:
        for number in range(self.items):
            yield {"id": f"{response.url}-{number}", "text": "x" * 200}


def crawl(kind: str, requests: int, items: int, folder: Path) -> None:
    """Crawl in this process and print the seconds."""
    settings = Settings(
        {
            "LOG_LEVEL": "ERROR",
            "TELNETCONSOLE_ENABLED": False,
            "REMOTE_CONTROL_ENABLED": False,
            "FEEDS": {str(folder / "items.jsonl"): {"format": "jsonlines"}},
            **({} if kind == "memory" else {"JOBDIR": str(folder / "job")}),
            **(LEDGER if kind == "ledger" else {}),
        }
    )
    process = AsyncCrawlerProcess(settings)
    crawler = process.create_crawler(FanSpider)
    process.crawl(crawler, requests=requests, items=items)
    started = time.perf_counter()
    process.start()
    seconds = time.perf_counter() - started
    lines = (folder / "items.jsonl").read_bytes().count(b"\n")
    expected = requests // FAN * (FAN - 1) * items
    assert lines == expected, f"{lines} lines instead of {expected}"
    print(json.dumps(seconds))


def fill(folder: Path, pending: int) -> None:
    """Make a ledger with so many pending requests."""
    ledger = Ledger(folder)
    for number in range(pending):
        url = f"https://example.com/api/v1/models/{number}?nsfw=true&limit=100"
        data = json.dumps({"url": url, "callback": "parse", "meta": {"civitai_route": "api"}})
        if number % 10_000 == 0:
            ledger.commit()
        ledger.queue.add(number.to_bytes(20), data, lane="site", stage=number % 5, priority=0)
    ledger.close(finished=False)


def open_and_take(folder: Path, take: int) -> None:
    """Open a ledger, take requests, and print seconds and the peak of memory."""
    started = time.perf_counter()
    ledger = Ledger(folder)
    opened = time.perf_counter()
    for _ in range(take):
        taken = ledger.queue.take("site")
        assert taken is not None
        taken[0].exhausted = True
        ledger.queue.settle(taken[0])
    ledger.commit()
    seconds = time.perf_counter() - opened
    # Not getrusage: its peak counts the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
    print(json.dumps([opened - started, seconds, peak, len(ledger.queue)]))


def child(*args: object) -> Any:
    command = [sys.executable, "-m", "benchmarks.ledger", *map(str, args)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return json.loads(ended.stdout)


def compare(requests: int, items: int, rounds: int) -> None:
    times: dict[str, list[float]] = {"memory": [], "disk": [], "ledger": []}
    for _ in range(rounds):
        for kind, seconds in times.items():
            with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
                seconds.append(child("crawl", kind, requests, items, folder))
    rates = {kind: requests / statistics.median(seconds) for kind, seconds in times.items()}
    for kind, rate in rates.items():
        print(f"{kind:<8}{rate:>8.0f} requests/s, {rate * items:>8.0f} items/s")
    print(f"ledger to disk queue    {rates['ledger'] / rates['disk']:.2f}")
    print(f"ledger to memory queue  {rates['ledger'] / rates['memory']:.2f}")


def opening(*sizes: int) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
            fill(Path(folder) / "job", size)
            opened, taken, peak, left = child("open", Path(folder) / "job", 1000)
            print(
                f"{size:>9} pending: opened in {opened:.2f} s, 1,000 taken and settled in "
                f"{taken:.2f} s, peak memory {peak:.0f} MB, {left} left"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pending", type=int, default=1_000_000)
    options = parser.parse_args()
    compare(options.requests, options.items, options.rounds)
    opening(10_000, options.pending)


if __name__ == "__main__":
    if sys.argv[1:2] == ["crawl"]:
        crawl(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
    elif sys.argv[1:2] == ["open"]:
        open_and_take(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
