"""``scrapy crawl``, with one sentence for wrong input and exit codes that tell how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler.exceptions import CivitaiError

if TYPE_CHECKING:
    import argparse

    from scrapy.crawler import Crawler

#: Exit codes: all was done; the crawl was ended early; it was interrupted and can go on.
DONE, ENDED, INTERRUPTED = 0, 1, 4


class Command(CrawlCommand):
    """Scrapy's command, called the same way."""

    def long_desc(self) -> str:
        return (
            "Archive a creator of Civitai, single posts or images. Spiders: user_models (-a "
            "username=NAME), post_pages (-a post_id=ID), image_pages (-a image_id=ID), "
            "generation_data (-a image_id=ID); the README lists all arguments. Exit codes: 0 done, "
            "1 ended early, 2 wrong input, 4 interrupted (the same command goes on)."
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if len(args) != 1:
            raise ScrapyUsageError("Name one spider: scrapy crawl user_models -a username=NAME")
        process = self.crawler_process
        if process is None:
            raise RuntimeError("Scrapy gave this command no crawler process.")
        try:
            spider = process.spider_loader.load(args[0])
            preflight = getattr(spider, "preflight", None)
            crawls = preflight(self.settings, opts.spargs) if preflight else [opts.spargs]
        except KeyError as error:
            known = ", ".join(process.spider_loader.list())
            raise ScrapyUsageError(f"There is no spider {args[0]!r}, only {known}.") from error
        except CivitaiError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        crawlers = [process.create_crawler(spider) for _ in crawls]
        for crawler, arguments in zip(crawlers, crawls, strict=True):
            process.crawl(crawler, **arguments)
        process.start()
        self.exitcode = max(exit_code(crawler) for crawler in crawlers)


def exit_code(crawler: Crawler) -> int:
    """Tell how a crawl ended."""
    try:
        reason: Any = crawler.stats.get_value("finish_reason")
    except RuntimeError:  # it never started
        return ENDED
    if reason == "finished":
        return DONE
    return INTERRUPTED if reason == "shutdown" else ENDED
