"""``scrapy browse``: archives as a web gallery on this machine."""

from __future__ import annotations

import argparse
import os
import socket
import webbrowser
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError as ScrapyUsageError

from civitai_crawler.archive import archives
from civitai_crawler.exceptions import CivitaiError, UsageError
from civitai_crawler.export.database import names
from civitai_crawler.terminal import say

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from civitai_crawler.archive import Problem

#: The exit code of an interrupt before the gallery is there.
INTERRUPTED = 4
_PORT = 8765
_LARGEST_PORT = 65_535
#: Seconds that open downloads get at the end.
_GRACE = 1


class Command(ScrapyCommand):
    """Serves a gallery of archives until it is interrupted; asks nobody outside."""

    requires_crawler_process = False
    default_settings = {"LOG_ENABLED": False}

    def syntax(self) -> str:
        return "[options] ARCHIVE [ARCHIVE ...]"

    def short_desc(self) -> str:
        return "Look at archives in a web browser: a gallery on this machine"

    def long_desc(self) -> str:
        return (
            "Serve a gallery of archives: creators, models, posts, images with their prompts, "
            "search and filters. ARCHIVE is an archive or a folder of archives. Ctrl-C ends it."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--port", type=_port, default=_PORT, help=f"default: {_PORT}; 0: any that is free"
        )
        parser.add_argument(
            "--host",
            default="127.0.0.1",
            help="the address of this machine to serve at (default: 127.0.0.1, nobody else)",
        )
        parser.add_argument("--open", action="store_true", help="open it in the web browser")
        parser.add_argument(
            "--cache",
            type=Path,
            metavar="FOLDER",
            help="where database and thumbnails go (default: .job/gallery in ARCHIVE)",
        )

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        if not args:
            raise ScrapyUsageError("Name an archive: scrapy browse archive/NAME")
        try:
            folders = archives(Path(arg) for arg in args)
            home = folders[0] if len(folders) == 1 else Path(args[0])
            cache = opts.cache or home / ".job" / "gallery"
            with closing(_listen(opts.host, opts.port)) as listener:
                _serve(folders, cache, opts.host, listener, show=opts.open)
        except CivitaiError as error:
            raise ScrapyUsageError(str(error), print_help=False) from error
        except KeyboardInterrupt:
            self.exitcode = INTERRUPTED


def _serve(
    folders: list[Path], cache: Path, host: str, listener: socket.socket, *, show: bool
) -> None:
    try:
        # An optional part: every other command works without it.
        from civitai_crawler.gallery import app, store  # noqa: PLC0415  # optional, see above
    except ImportError as error:
        raise UsageError(
            f"The gallery needs the optional part 'browse' ({error.name} is not installed). "
            'Run: pip install "civitai_crawler[browse]"'
        ) from error
    print(f"Reading {len(folders)} archive{'s' * (len(folders) > 1)} ...", flush=True)  # noqa: T201  # tells what it waits for
    with closing(store.Store(store.prepare(folders, cache, _tell))) as opened:
        gallery = app.create(opened, names(folders), cache, host)
        address = f"http://{host}:{listener.getsockname()[1]}/"
        with suppress(KeyboardInterrupt):  # the way to end it
            print(f"The gallery is at {address} (Ctrl-C ends it)", flush=True)  # noqa: T201  # what the command is for
            if show:
                webbrowser.open(address)  # it is listened to already
            _run(gallery, listener)


def _run(gallery: Starlette, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415  # optional, as above

    config = uvicorn.Config(
        gallery, log_level="warning", server_header=False, timeout_graceful_shutdown=_GRACE
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except (OSError, UnicodeError) as error:
        number: int = getattr(error, "errno", None) or -1
        if number < 0:  # of a name that leads nowhere, not of the system
            raise UsageError(
                f"Nothing can be served at {host}:{port}: it is no address of this machine."
            ) from error
        raise UsageError(
            f"Nothing can be served at {host}:{port}: {os.strerror(number)}. "
            "Another program may use this port; choose one with --port."
        ) from error


def _tell(problem: Problem) -> None:
    say(f"Passed over in {problem.feed.name}: {problem.why}")


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"has to be between 0 and {_LARGEST_PORT}")
    return number
