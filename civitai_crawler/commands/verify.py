"""``scrapy verify``: whether an archive still holds what its records say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler.archive import archives
from civitai_crawler.commands.checking import Check
from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from civitai_crawler.commands.inventory import Finding

#: Exit codes: all is as recorded; something is not; interrupted.
CLEAN, WRONG, INTERRUPTED = 0, 3, 4


class Command(ScrapyCommand):
    """Hashes all recorded files anew; changes nothing and asks nobody."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "PATH [PATH ...]"

    def short_desc(self) -> str:
        return "Check the files of archives against their records (size and SHA256)"

    def long_desc(self) -> str:
        return (
            "Hash every file that the records of an archive name, and look for files that none "
            "names. PATH is an archive or a folder of archives. Exit codes: 0 all is as recorded, "
            "2 wrong input, 3 something is missing, changed or extra."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--threads", type=_number, default=4, help="files that are hashed at once (default: 4)"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if not args:
            raise ScrapyUsageError("Name an archive: scrapy verify archive/NAME")
        try:
            folders = archives(Path(arg) for arg in args)
        except UsageError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        check = Check(_print, threads=opts.threads)
        try:
            for folder in folders:
                check.run(folder, lambda: _show(check.progress()))
        except KeyboardInterrupt:
            self.exitcode = INTERRUPTED
            _say(f"Interrupted. {check.summary()}")
        else:
            self.exitcode = CLEAN if check.is_clean else WRONG
            _say(check.summary())


def _show(line: str) -> None:
    """Write *line* over the last one, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)  # noqa: T201  # progress


def _print(finding: Finding) -> None:
    why = f" ({finding.why})" if finding.why else ""
    _say(f"{finding.what:<10} {finding.path}{why}")


def _say(line: str) -> None:
    """Write a line of the answer; what a terminal would obey or cannot show is escaped."""
    _show("")
    seen = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    encoding = sys.stdout.encoding or "utf-8"
    shown = seen.encode(encoding, "backslashreplace").decode(encoding)
    print(shown, flush=True)  # noqa: T201  # what the command is for


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("has to be at least 1")
    return number
