"""``scrapy standin``: serves the embedded stand-in of the site until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

from civitai_crawler.standin.__main__ import add_options, serve

if TYPE_CHECKING:
    import argparse


class Command(ScrapyCommand):
    """Prints the addresses of its hosts, then serves; point CIVITAI_BASE_URL at the site's."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def short_desc(self) -> str:
        return "Serve the embedded stand-in of Civitai on loopback"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        # Scrapy's options are about crawls; --log would be ambiguous among them.
        add_options(parser)
        parser.set_defaults(profile=None)

    def process_options(self, args: list[str], opts: argparse.Namespace) -> None:
        if args:
            raise UsageError(f"standin takes no argument {args[0]!r}")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        try:
            serve(opts)
        except (ValueError, OSError) as error:
            raise UsageError(str(error), print_help=False) from error
