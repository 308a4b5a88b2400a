"""``scrapy schema``: the JSON Schema of every feed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from civitai_crawler.items import FEEDS
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    import argparse


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each feed's lines, by the feed's name."""
    return {stem: ItemAdapter.get_json_schema(item) for stem, item in FEEDS.items()}


class Command(ScrapyCommand):
    """Prints schemas; needs no settings and asks nobody."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "[feed ...]"

    def short_desc(self) -> str:
        return "Print the JSON Schema of the feeds (models, images ...)"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        known = schemas()
        if unknown := [name for name in args if name not in known]:
            raise UsageError(f"There is no feed {unknown[0]!r}, only {', '.join(known)}.")
        chosen = {name: known[name] for name in args or known}
        for line in json.dumps(chosen, indent=2, ensure_ascii=False).splitlines():
            say(line)
