"""Images a second without an interval, against plain Scrapy spiders that fetch the same pages.

    python benchmarks/throughput.py [--images N]

One run on one machine; read the ratios. The plain spiders get the very requests that ours made.
One keeps nothing; the other yields a dict for each record into one JSON Lines feed, by Scrapy's
defaults. Ours makes typed records, drops repetitions, and commits feeds and requests together. The
seconds are of processor time, without those that starting takes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from crawls import crawl, environment, light_site, run, startup
from lightsite import NAME

PLAIN = """
import sys
from scrapy import Request, Spider
from scrapy.crawler import CrawlerProcess
class Plain(Spider):
    name = "plain"
    async def start(self):
        with open(sys.argv[2]) as lines:
            for line in lines:
                yield Request(sys.argv[1] + line.strip(), dont_filter=True)
    def parse(self, response):
        if not sys.argv[3:]:
            return
        answers = response.json()
        for answer in answers if isinstance(answers, list) else [answers]:
            data = answer.get("result", {}).get("data", {}).get("json", {})
            yield from data.get("items", [data])
process = CrawlerProcess({"LOG_LEVEL": "INFO", "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False, "URLLENGTH_LIMIT": 0, "DOWNLOAD_DELAY": 0,
    "FEEDS": {feed: {"format": "jsonlines"} for feed in sys.argv[3:]}})
process.crawl(Plain)
process.start()
"""


def measure(images: int, asking: str, start: float) -> tuple[int, float, float, float]:
    """Return the number of requests, and the seconds of ours, fetching, fetching to a feed."""
    with tempfile.TemporaryDirectory() as name, light_site(images, Path(name, "log")) as site:
        arguments = {"username": NAME, "download": "none", "generation": asking}
        settings = {"CIVITAI_REQUEST_INTERVAL": "0"}
        ours = crawl(site, f"{site}/media", Path(name), settings, arguments)
        pages = Path(name, "pages")
        pages.write_text(Path(name, "log").read_text())
        plain = [sys.executable, "-c", PLAIN, site, str(pages)]
        nothing = Path(name, "nothing")
        nothing.touch()
        idle = run([*plain[:-1], str(nothing)], environment()).cpu
        fetched = run(plain, environment())
        kept = run([*plain, str(Path(name, "feed.jsonl"))], environment())
        requests = len(pages.read_text().splitlines())
    return requests, ours.cpu - start, fetched.cpu - idle, kept.cpu - idle


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, help="images (default: 10,000)")
    images = parser.parse_args().images
    start = startup().cpu
    print(
        f"{images} images; images a second of processor time; start-up of {start:.1f} s taken off"
    )
    head = ("ours", "fetch only", "fetch to feed", "ours : fetch", "ours : feed")
    print(f"\n{'generation':<12}{'requests':>9}" + "".join(f"{name:>15}" for name in head))
    for asking in ("full", "auto"):
        requests, ours, fetched, kept = measure(images, asking, start)
        rates = "".join(f"{images / each:>13.0f}/s" for each in (ours, fetched, kept))
        print(f"{asking:<12}{requests:>9}{rates}{fetched / ours:>15.2f}{kept / ours:>15.2f}")


if __name__ == "__main__":
    main()
