"""What a crawl would fetch: counted in a dry run, where the media pipelines stand otherwise."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from scrapy import signals
from scrapy.exceptions import NotConfigured

from civitai_crawler.amounts import counted
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.items import FEEDS, Failure, Image, ModelFile, Record
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.queue import State
from civitai_crawler.pipelines import shelf
from civitai_crawler.pipelines.filters import FileFilter
from civitai_crawler.pipelines.plan_text import Plan, Wanted, lines
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from scrapy import Spider
    from scrapy.crawler import Crawler

#: Original of an item: its name in the ledger, and the word of CIVITAI_DOWNLOAD that asks for it.
_MEDIA: dict[type[Any], tuple[str, str]] = {
    ModelFile: ("model_file", "files"),
    Image: ("image", "images"),
}
_FAILED = "SELECT count(*) FROM requests WHERE state = ?"
_EXCLUDED = (
    "SELECT substr(kind, 10), count(*) FROM marks WHERE kind LIKE 'excluded\\_%' ESCAPE '\\' "
    "GROUP BY 1"
)


class PlanPipeline:
    """Counts what passed as new or wanting, and prints the plan at the end; on in a dry run.

    The ledger is then a copy in memory, so nothing that is noted here outlives the run.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._chosen = FileFilter.from_settings(crawler.settings)
        self._downloads = crawler.settings.getlist("CIVITAI_DOWNLOAD")
        self._stems = {item: stem for stem, item in FEEDS.items()}
        self._plan = Plan()
        self._lines: list[str] = []
        self._seen: set[tuple[str, Any]] = set()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        if not crawler.settings.getbool("CIVITAI_DRY_RUN"):
            raise NotConfigured
        pipeline = cls(crawler)
        crawler.signals.connect(pipeline.engine_stopped, signals.engine_stopped)
        return pipeline

    def process_item(self, item: Any) -> Any:
        if not isinstance(item, Record) or isinstance(item, Failure):
            return item
        key = (type(item).__name__, getattr(item, "id", 0))
        if key in self._seen:  # named by several lists; nothing is fetched that would tell
            return item
        self._seen.add(key)
        known = self._ledger.has_item(*key)
        self._plan.records[self._stems[type(item)]] += not known
        if isinstance(item, (ModelFile, Image)):
            self._look_at_file(item)
        return item

    def _look_at_file(self, item: ModelFile | Image) -> None:
        kind, word = _MEDIA[type(item)]
        if word not in self._downloads:
            return
        if isinstance(item, ModelFile) and not self._chosen.admits(item):
            self._plan.not_chosen += 1
        elif not self._is_held(kind, item):
            self._plan.wanted.append(_wanted(item))

    def _is_held(self, kind: str, item: ModelFile | Image) -> bool:
        media = self._ledger.media(kind, item.id)
        if media is None:
            return False
        # One that the site has replaced since is wanted; weaker hashes would mean to read the file.
        published = item.hashes.get("SHA256", "") if isinstance(item, ModelFile) else ""
        return not published or published.strip().lower() == media.sha256

    def close_spider(self) -> None:
        self._lines = lines(self._finished())

    def engine_stopped(self) -> None:
        """Print it after the log's last line, when no bars are drawn any more."""
        for line in self._lines:
            say(line)

    def _finished(self) -> Plan:
        plan, spider = self._plan, self._crawler.spider
        stats, pacer = self._crawler.stats, Pacer.of(self._crawler)
        plan.archive = getattr(spider, "archive", "")
        plan.signed_in = bool(getattr(spider, "signed_in", False))
        plan.failed = getattr(spider, "verdict", "") or self._open_questions()
        plan.records["generation_data"] += stats.get_value("civitai/plan/generation_data", 0)
        files = sum(one.kind == "model_file" for one in plan.wanted)
        plan.asked = stats.get_value("civitai/pacer/turns", 0)
        plan.requests = plan.asked + stats.get_value("civitai/plan/requests", 0) + files
        plan.interval = pacer.interval + pacer.margin
        plan.excluded = Counter(dict(self._ledger.db.execute(_EXCLUDED)))
        plan.free = free(self._archive(spider))
        return plan

    def _open_questions(self) -> str:
        """Say what the lists could not tell; empty when they told all."""
        if left := len(self._ledger.queue):
            return f"it was stopped with {counted(left, 'request')} left."
        row = self._ledger.db.execute(_FAILED, (State.FAILED,)).fetchone()
        return f"{counted(row[0], 'request')} got no answer; see the log." if row[0] else ""

    def _archive(self, spider: Spider | None) -> Path:
        root = self._crawler.settings["CIVITAI_ARCHIVE"]
        return shelf.folder(root, getattr(spider, "archive", ""))


def _wanted(item: ModelFile | Image) -> Wanted:
    if isinstance(item, ModelFile):
        size = None if item.size_kb is None else round(item.size_kb * 1024)
        name = f"{item.name} ({item.model_name}, {item.version_name})"
        return Wanted("model_file", item.id, item.type or "of no type", name, size)
    return Wanted("image", item.id, item.type, f"{item.type} {item.id}", item.media_size)


def free(folder: Path) -> int:
    """Return the free bytes of the disk that *folder* is, or is going to be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
