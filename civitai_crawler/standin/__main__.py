"""``python -m civitai_crawler.standin``: an embedded Civitai until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from civitai_crawler.standin.faults import Faults
from civitai_crawler.standin.server import ADDRESSES, Standin
from civitai_crawler.standin.world import MAIN_USER, World


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(prog="standin", description=__doc__)
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; ``--fault name=value`` sets any switch of :class:`Faults`."""
    for role, address in ADDRESSES.items():
        parser.add_argument(f"--{role}-port", type=int, default=0, help=f"on {address}; 0 any")
    parser.add_argument("--tls", action="store_true", help="https with a CA of its own")
    parser.add_argument("--colour", choices=("com", "red"), default="com")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another world")
    parser.add_argument("--small", action="store_true", help="fewer posts and smaller files")
    parser.add_argument("--username", default=MAIN_USER, help="name of the main creator")
    parser.add_argument("--file-size", type=int, help="bytes of a usual model file")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--log", type=Path, help="append every request to this JSONL file")


def fault_values(pairs: list[str]) -> dict[str, Any]:
    """``rate_429=0.1`` pairs to typed values; ValueError names what does not exist or parse."""
    kinds = {field.name: str(field.type) for field in fields(Faults)}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in kinds:
            raise ValueError(f"there is no fault called {name!r}")
        if kinds[name] == "bool":
            values[name] = text.lower() in {"", "1", "true", "yes"}
        elif kinds[name] == "str":
            values[name] = text
        else:
            values[name] = int(text) if kinds[name].startswith("int") else float(text)
    return values


def _announce(standin: Standin) -> None:
    for name in ("site_url", "media_url", "storage_url", "ca_file"):
        value = getattr(standin, name)
        if value:
            sys.stdout.write(f"{name}={value}\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> None:
    """Run a stand-in; its URLs are the first lines of the output."""
    parser = arguments()
    try:
        serve(parser.parse_args(argv))
    except ValueError as error:
        parser.error(str(error))


def serve(options: argparse.Namespace) -> None:
    """Run a stand-in until Ctrl-C; raises ValueError for a fault that does not exist."""
    sizes: dict[str, Any] = {"username": options.username}
    if options.file_size:
        sizes["file_size"] = options.file_size
    faults = Faults(**fault_values(options.fault))
    make = World.small if options.small else World.generate
    standin = Standin(
        make(options.seed, **sizes),
        faults=faults,
        tls=options.tls,
        colour=options.colour,
        ports={role: getattr(options, f"{role}_port") for role in ADDRESSES},
        log_path=options.log,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(standin.serve_forever(lambda: _announce(standin)))


if __name__ == "__main__":
    main()
