"""``scrapy doctor``: whether a crawl can do its work here, and what to do if it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler.commands import machine, network, visit
from civitai_crawler.commands.crawl import Started
from civitai_crawler.commands.finding import OK, PROBLEM, WARNING, Finding
from civitai_crawler.exceptions import CivitaiError
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from scrapy.crawler import CrawlerProcessBase

#: Exit codes: all is fine, warnings included; there is a problem; interrupted. 2 is wrong input.
FINE, TROUBLE, INTERRUPTED = 0, 1, 4


class Command(ScrapyCommand):
    """Looks at machine, settings, folder, network and login; writes nothing that stays."""

    requires_project = True
    default_settings = {"LOG_ENABLED": False}

    def short_desc(self) -> str:
        return "Check settings, folder, network and login, and say what to do about each finding"

    def long_desc(self) -> str:
        return (
            "Look at everything a crawl needs: Python, settings, the archive's folder and disk, "
            "running crawls, proxy, certificates, the site, the clock and the login. At most two "
            "requests are sent, at the pace of a crawl. Exit codes: 0 fine (warnings allowed), "
            "1 there is a problem, 2 wrong input."
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise ScrapyUsageError(f"doctor takes no argument {args[0]!r}")
        process = self.crawler_process
        if process is None:
            raise RuntimeError("Scrapy gave this command no crawler process.")
        self.exitcode = FINE
        grades = {OK: 0, WARNING: 0, PROBLEM: 0}
        for finding in self._findings(process):
            grades[finding.grade] += 1
            for line in finding.lines():
                say(line)
        if self.exitcode == INTERRUPTED:
            say("Interrupted.")
            return
        self.exitcode = TROUBLE if grades[PROBLEM] else FINE
        say(_summary(grades[PROBLEM], grades[WARNING]))

    def _findings(self, process: CrawlerProcessBase) -> Iterator[Finding]:
        settings = process.settings
        yield machine.python()
        checked = machine.settings_check(settings)
        yield checked
        yield machine.optional_parts()
        if checked.grade == PROBLEM:
            return  # what is named wrongly cannot be looked at
        yield from machine.folder(settings)
        yield machine.jobs(settings)
        yield machine.robots(settings)
        way = [network.proxy(settings), network.certificates(settings)]
        yield from way
        if all(finding.grade != PROBLEM for finding in way):
            yield from self._visit(process)

    def _visit(self, process: CrawlerProcessBase) -> Iterator[Finding]:
        """Ask the site; wrong credentials are found before that."""
        settings, visited = process.settings, visit.Visited()
        with_me = network.has_credentials(settings)
        process.settings.setdict(visit.SETTINGS, priority="cmdline")
        crawler = process.create_crawler(visit.Visit)
        started = Started(crawler, process.crawl(crawler, visited=visited, with_me=with_me))
        process.start()
        if isinstance(started.error, CivitaiError):
            advice = "docs/sign-in.md says how a credential is given."
            yield Finding(PROBLEM, "Login", str(started.error), advice)
            return
        if started.error is None and started.interrupted:
            self.exitcode = INTERRUPTED
            return
        yield from network.site(settings, visited)
        yield network.login(settings, visited)


def _summary(problems: int, warnings: int) -> str:
    if problems:
        return f"Problems: {problems}, warnings: {warnings}. A crawl will not work well like this."
    command = "scrapy crawl user_models -a username=NAME"
    return f"No problem found, warnings: {warnings}. Go on with: {command}"
