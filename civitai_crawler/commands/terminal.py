"""What commands write for a person: lines of their answer, and how far they are."""

from __future__ import annotations

import sys


def show(line: str) -> None:
    """Write *line* over the last one, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)  # noqa: T201  # progress


def say(line: str) -> None:
    """Write a line of the answer; what a terminal would obey or cannot show is escaped."""
    show("")
    seen = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
    encoding = sys.stdout.encoding or "utf-8"
    shown = seen.encode(encoding, "backslashreplace").decode(encoding)
    print(shown, flush=True)  # noqa: T201  # what the command is for
