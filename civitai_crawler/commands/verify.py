"""``scrapy verify``: whether an archive still holds what its records say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError
from scrapy.settings import Settings

from civitai_crawler.archive import archives
from civitai_crawler.commands.checking import Check
from civitai_crawler.exceptions import UsageError
from civitai_crawler.stores import StoreError, Stores
from civitai_crawler.terminal import say, show

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
            "names. PATH is an archive or a folder of archives; files in a bucket are read from "
            "where FILES_STORE and IMAGES_STORE say. Exit codes: 0 all is as recorded, "
            "2 wrong input, 3 something is missing, changed or extra, 4 interrupted."
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
            stores = Stores(self.settings or Settings())
            stores.check()
        except UsageError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        check = Check(_print, threads=opts.threads)
        try:
            for folder in folders:
                check.run(folder, lambda: show(check.progress()), stores)
        except KeyboardInterrupt:
            self.exitcode = INTERRUPTED
            say(f"Interrupted. {check.summary()}")
        except StoreError as error:
            self.exitcode = WRONG
            say(f"{error} {check.summary()}")
        else:
            self.exitcode = CLEAN if check.is_clean else WRONG
            say(check.summary())
        finally:
            stores.close()


def _print(finding: Finding) -> None:
    why = f" ({finding.why})" if finding.why else ""
    say(f"{finding.what:<10} {finding.path}{why}")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)
