"""``scrapy crawl``, with one sentence for wrong input and exit codes that tell how it ended."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.commands.crawl import Command as CrawlCommand
from scrapy.exceptions import UsageError as ScrapyUsageError
from scrapy.settings import Settings
from scrapy.spiderloader import SpiderLoader

from civitai_crawler.commands import crawl_help
from civitai_crawler.exceptions import CivitaiError, UsageError
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.summary import REFUSED, verdict

if TYPE_CHECKING:
    import argparse

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

logger = logging.getLogger(__name__)

#: Exit codes: the crawl was ended early; wrong input; interrupted and can go on. What a finished
#: crawl ends with, its ledger says: 0 complete, 3 but for refusals, 4 something is missing.
DONE, ENDED, MISUSED, INTERRUPTED = 0, 1, 2, 4
#: The same, the worst last: of several crawls it counts.
_BY_WEIGHT = (DONE, REFUSED, INTERRUPTED, ENDED, MISUSED)


class Command(CrawlCommand):
    """Scrapy's command, called the same way."""

    def long_desc(self) -> str:
        return (
            "Archive a creator of Civitai, single posts or images. Spiders: user_models (-a "
            "username=NAME), post_pages (-a post_id=ID), image_pages (-a image_id=ID), "
            "generation_data (-a image_id=ID); scrapy crawl SPIDER --help lists the arguments of "
            "one. Exit codes: "
            "0 complete, 1 ended early, 2 wrong input, 3 complete but for what the site "
            "refuses, 4 something is missing or the crawl was interrupted (the same command "
            "goes on)."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        # Scrapy's would print its own options only, before it is known which spider is meant.
        parser.add_argument("-h", "--help", action="store_true", help="show this, or of a spider")
        self._parser = parser

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        if opts.help or "help" in opts.spargs:
            self._print_help(args)
            sys.exit(DONE)
        super().process_options(args, opts)
        _check_log(self.settings or Settings())

    def _print_help(self, args: list[str]) -> None:
        """Tell the arguments of the spider that is named; without one, all there is."""
        loader = SpiderLoader.from_settings(self.settings or Settings())
        named = [name for name in args if name in loader.list()]
        if not named:
            self._parser.print_help()
        for name in named or loader.list():
            print("\n".join(["", *crawl_help.told(loader.load(name))]))  # noqa: T201  # the answer

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
        started = []
        for arguments in crawls:
            crawler = process.create_crawler(spider)
            started.append(Started(crawler, process.crawl(crawler, **arguments)))
        process.start()
        self.exitcode = max((each.exit_code() for each in started), key=_BY_WEIGHT.index)
        if any(each.interrupted for each in started):
            fresh = " (without fresh=true)" if "fresh" in opts.spargs else ""
            logger.info("Interrupted. The same command%s goes on where it was.", fresh)


def _check_log(settings: BaseSettings) -> None:
    """Raise Scrapy's UsageError for a log that Scrapy would fail to open with a traceback."""
    level, file = settings["LOG_LEVEL"], settings["LOG_FILE"]
    if isinstance(level, str) and level not in logging.getLevelNamesMapping():
        levels = "DEBUG, INFO, WARNING, ERROR, CRITICAL"
        sentence = f"LOG_LEVEL cannot be {level!r}: expected one of {levels}."
        raise ScrapyUsageError(sentence, print_help=False)
    try:
        if file:
            Path(file).open("ab").close()
    except OSError as error:
        sentence = f"The log file {file} cannot be written: {error.strerror}."
        raise ScrapyUsageError(sentence, print_help=False) from error


class Started:
    """One crawl of this command; an error of ours at its start is one sentence in the log."""

    def __init__(self, crawler: Crawler, crawl: Any) -> None:
        self.crawler = crawler
        self.error: BaseException | None = None
        if isinstance(crawl, asyncio.Task):
            crawl.add_done_callback(self._ended)

    def _ended(self, crawl: asyncio.Task[None]) -> None:
        if crawl.cancelled():
            return
        self.error = crawl.exception()
        if self.error is not None:
            Ledger.abandon(self.crawler)
        if isinstance(self.error, CivitaiError):
            logger.error("%s", self.error)
        elif self.error is not None:
            logger.error("The crawl failed to start", exc_info=self.error)

    @property
    def reason(self) -> str | None:
        """Scrapy's reason for the end; ``None`` when there was no time to give one."""
        try:
            reason: str | None = self.crawler.stats.get_value("finish_reason")
        except RuntimeError:  # stopped before it had begun
            return None
        return reason

    @property
    def interrupted(self) -> bool:
        """The crawl was stopped from outside, in order or at once."""
        return self.error is None and self.reason in ("shutdown", None)

    def exit_code(self) -> int:
        """Tell how the crawl ended."""
        if self.error is not None:
            return MISUSED if isinstance(self.error, UsageError) else ENDED
        if self.interrupted:
            return INTERRUPTED
        summary = Ledger.of(self.crawler).summary
        if self.crawler.settings.getbool("CIVITAI_DRY_RUN") and summary is not None:
            # Nothing was fetched, so nothing is missing but what the lists could not tell.
            if self.reason != "finished":
                return ENDED
            return INTERRUPTED if summary.pending else DONE
        return verdict(summary, self.reason).code
