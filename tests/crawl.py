"""Runs one crawl in a process of its own, because a reactor can be started only once.

In tests: ``result = await crawl(spider, settings, ...)``; servers of the test's own loop go on
serving meanwhile. In the child: ``python -m tests.crawl``, the job as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy import Request, Spider, signals
from scrapy.crawler import AsyncCrawlerProcess
from scrapy.settings import Settings
from scrapy.utils.misc import load_object
from scrapy.utils.project import get_project_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from scrapy.http import Response
    from twisted.python.failure import Failure

ROOT = Path(__file__).resolve().parent.parent

#: What every crawl of the tests has: no servers on the side, no waiting, nothing from the machine.
QUIET: dict[str, Any] = {
    "TELNETCONSOLE_ENABLED": False,
    "REMOTE_CONTROL_ENABLED": False,
    "LOG_LEVEL": "DEBUG",
}


@dataclasses.dataclass(slots=True)
class Result:
    """What a crawl left behind."""

    items: list[dict[str, Any]]
    stats: dict[str, Any]
    reason: str | None
    """Why the spider was closed: ``finished`` ..."""
    max_rss: int
    """Peak memory of the process in bytes."""
    log: str
    returncode: int


class UrlsSpider(Spider):
    """Asks for the URLs it is given, and yields what became of each as an item.

    ``requests``: a list of ``{url, meta?, headers?, priority?}``; ``in_turn``: ask for one only
    when the one before it is answered.
    """

    name = "urls"
    requests: list[dict[str, Any]]
    in_turn = False

    async def start(self) -> AsyncIterator[Any]:
        while self.requests:
            yield self.following()
            if self.in_turn:
                return

    def following(self) -> Request:
        given = self.requests.pop(0)
        return Request(callback=self.parse, errback=self.failed, dont_filter=True, **given)

    def parse(self, response: Response, **kwargs: Any) -> Any:
        if self.requests:
            yield self.following()
        streamed = response.meta.get("civitai_streamed")
        yield {
            "url": response.url,
            "status": response.status,
            "flags": response.flags,
            "body": response.text if hasattr(response, "text") else response.body.decode("latin1"),
            "headers": {
                key.decode().lower(): [value.decode("latin1") for value in values]
                for key, values in response.headers.items()
            },
            "slot": response.meta.get("download_slot"),
            "streamed": None if streamed is None else plain(dataclasses.asdict(streamed)),
        }

    def failed(self, failure: Failure) -> Any:
        if self.requests:
            yield self.following()
        error = failure.value
        yield {
            "url": failure.request.url,  # type: ignore[attr-defined] # Scrapy puts it there
            "error": type(error).__name__,
            "text": str(error),
            **{
                name: getattr(error, name)
                for name in ("reason", "message", "status", "retry_at", "final")
                if hasattr(error, name)
            },
        }


def plain(value: Any) -> Any:
    """Make *value* fit for JSON; bytes become Latin-1 text."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin1")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


async def crawl(
    spider: str = "tests.crawl:UrlsSpider",
    settings: Mapping[str, Any] | None = None,
    *,
    timeout: float = 60,  # noqa: ASYNC109  # the child is killed when it is over
    env: Mapping[str, str] | None = None,
    stop_when: asyncio.Event | None = None,
    **arguments: Any,
) -> Result:
    """Run *spider* and tell what came of it.

    :param spider: ``module:Class``, or the name of a spider of the project (project settings then).
    :param settings: Scrapy settings, JSON-able; they win over the project's.
    :param timeout: seconds after which the process is killed.
    :param env: variables added to the environment; ``CIVITAI_*`` and proxies of the machine are not
        passed on.
    :param stop_when: sends one interrupt (Ctrl-C) to the crawl as soon as it is set.
    :param arguments: spider arguments, JSON-able.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("CIVITAI_") and not key.lower().endswith("_proxy")
    }
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "result.json")
        job = {"spider": spider, "settings": dict(settings or {}), "arguments": arguments}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.crawl", str(out)),
            cwd=ROOT,
            env={**kept, "PYTHONPATH": str(ROOT), **(env or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        stopper = asyncio.create_task(_interrupt(process, stop_when)) if stop_when else None
        try:
            async with asyncio.timeout(timeout):
                output, _ = await process.communicate(json.dumps(job).encode())
        finally:
            if stopper is not None:
                stopper.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _result(out, output.decode(errors="replace"), process.returncode or 0)


def _result(out: Path, log: str, returncode: int) -> Result:
    if not out.exists():
        raise AssertionError(f"the crawl left no result (exit {returncode}):\n{log}")
    return Result(**json.loads(out.read_text()), log=log, returncode=returncode)


async def _interrupt(process: asyncio.subprocess.Process, event: asyncio.Event) -> None:
    await event.wait()
    process.send_signal(2)


def child(out: Path) -> None:
    """Run the job on standard input and write its result to *out*."""
    job = json.load(sys.stdin)
    project = ":" not in job["spider"]
    settings = get_project_settings() if project else Settings()
    settings.setdict({**QUIET, **job["settings"]}, priority="cmdline")
    process = AsyncCrawlerProcess(settings)
    spider = job["spider"] if project else load_object(job["spider"].replace(":", "."))
    crawler = process.create_crawler(spider)
    items: list[Any] = []
    reasons: list[str] = []

    def scraped(item: Any) -> None:
        items.append(plain(dict(ItemAdapter(item))))

    def closed(reason: str) -> None:
        reasons.append(reason)

    crawler.signals.connect(scraped, signals.item_scraped)
    crawler.signals.connect(closed, signals.spider_closed)
    process.crawl(crawler, **job["arguments"])
    process.start()
    result = {
        "items": items,
        "stats": plain(crawler.stats.get_stats()),
        "reason": reasons[0] if reasons else None,
        "max_rss": peak(),
    }
    out.write_text(json.dumps(result))


def peak() -> int:
    """Return this process's peak memory in bytes; rusage would tell that of a large parent."""
    status = Path("/proc/self/status")
    if status.exists():
        found = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(found["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    child(Path(sys.argv[1]))
