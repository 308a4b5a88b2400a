"""Live bars below the log of a terminal, drawn by rich. One screen serves all crawls of a process.

Nothing that a stranger has named is shown in a bar, and log lines pass as plain text: rich's markup
is never read from them.
"""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from civitai_crawler.amounts import counted, duration, size
from civitai_crawler.extensions.standing import amount, pace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import TextIO

    from rich.console import RenderableType

    from civitai_crawler.extensions.standing import Standing

_BAR = 24
#: Files under way that are shown.
_SHOWN = 8


def is_live(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Tell whether bars can be drawn on *stream*: a terminal that is not dumb."""
    try:
        terminal = stream.isatty()
    except (AttributeError, ValueError):
        return False
    return terminal and environment.get("TERM", "dumb" if sys.platform != "win32" else "") != "dumb"


class Above(io.TextIOBase):
    """What the log's handler writes to while bars are shown: each line goes above them."""

    def __init__(self, console: Console, turn: AbstractContextManager[object]) -> None:
        super().__init__()
        self._console, self._turn = console, turn

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        line = text.removesuffix("\n")
        with self._turn:
            self._console.print(Text(line), soft_wrap=True, highlight=False)
        return len(text)


class Screen:
    """The bars, and the log lines above them, from :meth:`open` to :meth:`close`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=False,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        # Bars are drawn in a thread. rich reckons the way up and writes later: what another thread
        # writes in between would be wiped out. Signal handlers log in the midst of a line.
        self._turn = threading.RLock()
        self._handlers: list[logging.StreamHandler[TextIO]] = []

    def open(self) -> None:
        """Begin; log handlers that write to the same stream write above the bars from now on."""
        self._live.start()
        atexit.register(self.close)  # a terminal left in the middle has no cursor
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream:
                handler.setStream(Above(self._console, self._turn))
                self._handlers.append(handler)

    def show(self, crawls: list[Standing]) -> None:
        """Draw the bars anew. Takes some milliseconds and no loop: fit for a thread."""
        bars = Group(*(drawn(one) for one in crawls))
        with self._turn:
            self._live.update(bars, refresh=True)

    def close(self) -> None:
        """Leave the last state on the terminal and give the log its stream back."""
        atexit.unregister(self.close)
        for handler in self._handlers:
            handler.setStream(self._stream)
        self._handlers.clear()
        with self._turn:
            self._live.stop()


def drawn(now: Standing) -> RenderableType:
    """Draw one crawl."""
    grid = Table.grid(padding=(0, 1))
    for _ in range(3):
        grid.add_column(no_wrap=True)
    for one in now.shares:
        if one.held or one.expected:
            told = f"{one.held:,}" if one.expected is None else f"{one.held:,} of {one.expected:,}"
            grid.add_row(Text(f"  {one.name}"), _bar(one.held, one.expected), Text(told))
    # Images come and go; what has not begun to arrive would only flicker.
    begun = [file for file in now.arriving if file.size or not file.name.startswith("image")]
    for file in sorted(begun)[:_SHOWN]:
        grid.add_row(Text(f"  {file.name}"), _bar(file.size, file.total), Text(amount(file)))
    return Group(Text(" · ".join(_head(now)), overflow="ellipsis", no_wrap=True), grid)


def _head(now: Standing) -> Iterator[str]:
    if now.archive:
        yield now.archive
    if now.seconds is not None:
        yield f"about {duration(now.seconds)} to go"
    yield f"{size(now.bytes)}, {size(now.speed)}/s"
    if now.failures:
        yield counted(now.failures, "failure")
    yield pace(now)


def _bar(held: int, expected: int | None) -> RenderableType:
    if not expected:
        return Text("")
    return ProgressBar(total=expected, completed=min(held, expected), width=_BAR)
