"""What commands write for a person: lines of their answer, and how far they are."""

from __future__ import annotations

import os
import sys


def inert(text: str) -> str:
    """Escape what is no printable character: names come from strangers, terminals obey some."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def show(line: str) -> None:
    """Write *line* over the last one, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)  # noqa: T201  # progress


def say(line: str) -> None:
    """Write a line of the answer; what a terminal would obey or cannot show is escaped.

    Where nobody reads any more (``| head``) it is dropped, and with it all that follows.
    """
    show("")
    encoding = sys.stdout.encoding or "utf-8"
    shown = inert(line).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(shown, flush=True)  # noqa: T201  # what the command is for
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
