"""``scrapy sidecars``: files that other programs look for beside models and images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler import options, sidecars
from civitai_crawler.archive import archives
from civitai_crawler.exceptions import UsageError
from civitai_crawler.sidecars.embedding import embed
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    import argparse

#: Exit codes: all is written; something could not be written or read, each told; interrupted.
DONE, SHORT, INTERRUPTED = 0, 3, 4


class Command(ScrapyCommand):
    """Writes the sidecars of archives that are there already; asks nobody."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "PATH [PATH ...] [--formats NAMES] [--embed FOLDER]"

    def short_desc(self) -> str:
        return "Write sidecars and previews beside the files of archives, for other programs"

    def long_desc(self) -> str:
        return (
            "Write what other programs look for beside the files of an archive, or bring it up to "
            "date. PATH is an archive or a folder of archives. Exit codes: 0 done, 2 wrong input, "
            "3 something could not be written, or a record not read, 4 interrupted."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--formats", help=f"of {', '.join(options.SIDECARS)} (default: CIVITAI_SIDECARS)"
        )
        parser.add_argument(
            "--embed",
            metavar="FOLDER",
            help="write no sidecars, but copies of the images with their generation data inside",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if not args:
            raise ScrapyUsageError("Name an archive: scrapy sidecars archive/NAME")
        self._short = False
        try:
            wish = self._wish(opts)
            for folder in archives(Path(arg) for arg in args):
                if opts.embed:
                    self._embed(folder, Path(opts.embed) / folder.resolve().name)
                else:
                    self._write(folder, wish)
        except UsageError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        except KeyboardInterrupt:
            self.exitcode = INTERRUPTED
            say("Interrupted: the same command goes on.")
        else:
            self.exitcode = SHORT if self._short else DONE

    def _wish(self, opts: argparse.Namespace) -> sidecars.Wish:
        if self.settings is None:
            raise RuntimeError("Scrapy gave this command no settings.")
        if opts.formats is not None:
            self.settings.set("CIVITAI_SIDECARS", opts.formats, priority="cmdline")
        options.check(self.settings)
        return sidecars.Wish(
            formats=options.words_of(self.settings["CIVITAI_SIDECARS"]),
            highest=self.settings.getint("CIVITAI_PREVIEW_LEVEL"),
        )

    def _write(self, folder: Path, wish: sidecars.Wish) -> None:
        try:
            outcome = sidecars.write(folder, wish, say, again=True) or sidecars.Outcome()
        except OSError as error:
            self._short = True
            say(f"{folder}: {error.strerror}")
            return
        self._short |= bool(outcome.problems)
        say(
            f"{folder}: {outcome.written} written, {outcome.same} as they should be, "
            f"{outcome.kept} of others kept, {outcome.problems} not written."
        )

    def _embed(self, folder: Path, target: Path) -> None:
        try:
            copied = embed(folder, target, say)
        except OSError as error:
            self._short = True
            say(f"{folder}: {error.strerror}")
            return
        self._short |= bool(copied.problems)
        say(
            f"{folder}: {copied.embedded} images copied with their generation data added, "
            f"{copied.plain} copied as they are, {copied.problems} with trouble."
        )
