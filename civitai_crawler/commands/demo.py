"""``scrapy demo``: the real spider archives the embedded stand-in's creator, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.settings import get_settings_priority

from civitai_crawler import options
from civitai_crawler.commands.crawl import Started
from civitai_crawler.commands.proof import Proof, prove
from civitai_crawler.standin import Standin, World
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    import argparse

    from scrapy.settings import BaseSettings

#: Seconds between requests: the stand-in minds no haste, and a person waits for the end.
INTERVAL = 0.05
_BY_HAND = get_settings_priority("cmdline")


class Command(ScrapyCommand):
    """Starts the stand-in, crawls it, and holds the archive against the stand-in's own truth."""

    requires_project = True

    def syntax(self) -> str:
        return "[--folder FOLDER]"

    def short_desc(self) -> str:
        return "Archive the embedded stand-in's creator, offline, and check the result"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--folder", default="demo", help="where the archive goes (default: demo)"
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError(f"demo takes no argument {args[0]!r}")
        process = self.crawler_process
        if process is None:
            raise RuntimeError("Scrapy gave this command no crawler process.")
        world = World.generate()
        with Standin.in_thread(world) as standin:
            own = {
                "CIVITAI_BASE_URL": standin.site_url,
                "CIVITAI_MEDIA_URL": standin.media_url,
                "CIVITAI_ARCHIVE": opts.folder,
            }
            process.settings.setdict({**_usual(process.settings), **own}, priority="cmdline")
            crawler = process.create_crawler("user_models")
            started = Started(crawler, process.crawl(crawler, username=world.main.name))
            process.start()
        if started.error is not None:
            self.exitcode = started.exit_code()
            return
        archive = Path(opts.folder) / world.main.name
        proof = prove(archive, world.truth(signed_in=False))
        self._tell(archive, proof)
        self.exitcode = 0 if proof.complete else 1

    def _tell(self, archive: Path, proof: Proof) -> None:
        for line in ("", f"The archive is in {archive.resolve()}", *proof.lines()):
            say(line)


def _usual(settings: BaseSettings) -> dict[str, Any]:
    """Return what the demo sets besides, but for what the command line says.

    What a user has set for the real site, credentials above all, is not for the stand-in.
    """
    usual = {name: option.default for name, option in options.OPTIONS.items()}
    usual |= {"CIVITAI_REQUEST_INTERVAL": INTERVAL, "FILES_STORE": "", "IMAGES_STORE": ""}
    return {
        name: value for name, value in usual.items() if (settings.getpriority(name) or 0) < _BY_HAND
    }
