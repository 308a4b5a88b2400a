"""Bars on a terminal, a line elsewhere: both tell the archive's numbers; the log stays whole."""

from __future__ import annotations

import io
import itertools
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyte
import pytest
from rich.console import Console

from civitai_crawler.extensions.screen import Above, Screen, drawn, is_live
from civitai_crawler.extensions.standing import Arriving, Share, Standing, line
from civitai_crawler.standin import Accounts, Faults, Standin, World
from tests.cli import ROOT, crawl, environment, feed, pointed_at

if TYPE_CHECKING:
    from collections.abc import Mapping

USER = "lumen_fox"
KEY = "MARKERsecret-key"
HOSTILE = "[bold red]x[/bold red] [link=file:///etc]y[/link] :smile: [/]"
ROWS, COLUMNS = 60, 200


@pytest.fixture
def world():
    return World.small()


class Terminal:
    """A terminal of a person: what was written to it, and what it shows."""

    def __init__(self, *args: str, env: Mapping[str, str], out: Path | None = None) -> None:
        import fcntl  # noqa: PLC0415  # POSIX only, as is pty
        import termios  # noqa: PLC0415  # as above

        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        with (out or Path(os.devnull)).open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scrapy", *args],
                cwd=ROOT, env=environment(**{"TERM": "xterm-256color", **env}),
                stdout=stream if out else theirs, stderr=theirs, stdin=theirs,
            )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self.written = b""
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=100_000, ratio=1)
        self._stream = pyte.ByteStream(self.screen)
        #: What was shown at some moment.
        self.frames: list[list[str]] = []

    def run(self) -> Terminal:
        with suppress(OSError):  # how Linux says that nobody writes any more
            while piece := os.read(self._ours, 65536):
                self.written += piece
                self._stream.feed(piece)
                self.frames.append(list(self.screen.display))
        os.close(self._ours)
        self.process.wait(60)
        return self

    @property
    def lines(self) -> list[str]:
        """Everything above and on the screen in the end."""
        above = [
            "".join(row[column].data for column in range(COLUMNS)).rstrip()
            for row in self.screen.history.top
        ]
        return [*above, *(text.rstrip() for text in self.screen.display)]


def crawled(standin, folder, *more, out=None, **env):
    settings = {**pointed_at(standin, folder), **env}
    args = ("crawl", "user_models", "-a", f"username={USER}", *more)
    return Terminal(*args, env=settings, out=out).run()


def test_a_terminal_shows_bars_below_a_whole_log(world, tmp_path):
    file = next(iter(world.files.values()))
    file.name = f"{HOSTILE}.safetensors"
    accounts = Accounts(api_key=KEY)
    faults = Faults(latency=0.05, body_delay=0.1)
    with Standin.in_thread(world, tls=True, accounts=accounts, faults=faults) as standin:
        terminal = crawled(
            standin, tmp_path, CIVITAI_API_KEY=KEY, SSL_CERT_FILE=str(standin.ca_file)
        )
    assert terminal.process.returncode == 3, "\n".join(terminal.lines)
    archive = tmp_path / USER
    text = "\n".join(terminal.lines)
    # The bars end at what the feeds hold.
    last = terminal.lines
    for name, stem in (("models", "models"), ("posts", "posts"), ("images", "images")):
        shown = [one for one in last if re.match(rf"  {name} ", one)]
        assert len(shown) == 1, text
        assert f"{len(feed(archive, stem)):,} of " in shown[0]
    stored = sum(record["path"] is not None for record in feed(archive, "model_files"))
    assert re.search(rf"  model files +\S* +{stored} of {len(feed(archive, 'model_files'))}", text)
    assert re.search(r"  images +\S+ +(\d+) of \1 *$", text, re.MULTILINE), text
    assert "to go" not in [one for one in last if one.startswith(f"{USER} · ")][-1]
    # On the way they told files under way, the time to go and the pace.
    frames = ["\n".join(frame) for frame in terminal.frames]
    assert any(re.search(r"  model file \d+ ", frame) for frame in frames)
    assert any("to go" in frame for frame in frames)
    assert any("a minute, one every" in frame for frame in frames)
    # Every line of the log is there, once and whole, and no name was read as markup.
    logged = [one for one in terminal.lines if re.match(r"\d{4}-\d\d-\d\d .* INFO: Stored ", one)]
    assert len([one for one in logged if " Stored models/" in one]) == stored
    assert any("[bold red]x[_bold red]" in one.replace("/", "_") for one in logged), text
    assert b"\x1b]8;" not in terminal.written
    assert b"\x1b[31mx" not in terminal.written
    assert b"MARKER" not in terminal.written
    assert terminal.written.count(b"\x1b[?25h") >= 1  # the cursor is back


@pytest.mark.parametrize("env", [{"CIVITAI_PROGRESS": "lines"}, {"TERM": "dumb"}])
def test_without_bars_a_line_tells_the_same(world, tmp_path, env):
    with Standin.in_thread(world, faults=Faults(latency=0.02)) as standin:
        options = ("-s", "LOGSTATS_INTERVAL=0.2", "-a", "download=none")
        terminal = crawled(standin, tmp_path, *options, **env)
    assert b"\x1b[" not in terminal.written
    assert any("known to be left" in one for one in terminal.lines)


def test_the_line_holds_the_numbers_of_the_archive(world, tmp_path):
    with Standin.in_thread(world, faults=Faults(latency=0.05, body_delay=0.1)) as standin:
        ended = crawl(
            standin, tmp_path, "user_models", "-s", "LOGSTATS_INTERVAL=0.2", username=USER
        )
    said = [one for one in ended.log.splitlines() if "known to be left" in one]
    assert said, ended.log
    models = len(feed(tmp_path / USER, "models"))
    assert any(re.search(rf"\b{models}/\d+ models", one) for one in said), said
    assert any(re.search(r"\d+ requests? \(\d+ a minute", one) for one in said)
    assert any(re.search(r"about .* to go", one) for one in said), said


def test_the_log_in_a_file_leaves_the_bars_on_the_terminal(world, tmp_path):
    log = tmp_path / "log"
    with Standin.in_thread(world, faults=Faults(latency=0.02)) as standin:
        options = ("-s", f"LOG_FILE={log}", "-s", "LOGSTATS_INTERVAL=0.2", "-a", "download=none")
        terminal = crawled(standin, tmp_path, *options)
    assert not [one for one in terminal.lines if "INFO" in one]
    assert [one for one in terminal.lines if one.startswith("  models ")]
    text = log.read_text()
    assert "known to be left" in text
    assert "\x1b" not in text


def test_a_dry_run_prints_its_plan_whole_beside_bars(world, tmp_path):
    plan = tmp_path / "plan"
    with Standin.in_thread(world) as standin:
        terminal = crawled(standin, tmp_path, "-a", "dry_run=true", out=plan)
    assert plan.read_text().startswith(f"Dry run for {USER}")
    assert plan.read_text().endswith("Nothing was downloaded or written.\n")
    assert "\x1b" not in plan.read_text()
    assert [one for one in terminal.lines if one.startswith("  models ")]


def standing(**more: Any) -> Standing:
    values: dict[str, Any] = {
        "archive": "ada", "requests": 1200, "per_minute": 39.2, "interval": 1.53, "hold": 0.0,
        "shares": [Share("models", 3, 4), Share("posts", 7, None), Share("images", 0, None)],
        "bytes": 1_200_000, "speed": 8_200_000.0, "failures": 0, "pending": 12,
    }  # fmt: skip
    return Standing(**{**values, **more})


def test_what_is_unknown_is_not_said():
    told = line(standing())
    assert "to go" not in told
    assert "images" not in told
    assert "7 posts" in told
    assert "3/4 models" in told
    assert "1,200 requests (39 a minute, one every 1.53 s at most)" in told
    held = line(standing(hold=12.4, seconds=61.0, failures=2))
    assert "the site wants a pause, 12 s of it are left" in held
    assert "about 1 min 1 s to go" in held
    assert "2 failures" in held


def test_many_files_under_way_are_counted():
    files = [Arriving(f"image {number}", 10, 20 if number else None) for number in range(5)]
    assert line(standing(arriving=files)).endswith(
        "downloading image 0 (10 bytes), image 1 (10 bytes of 20 bytes), "
        "image 2 (10 bytes of 20 bytes) and 2 more"
    )


@pytest.mark.alone
def test_drawing_takes_a_few_milliseconds():
    files = [Arriving(f"model file {number}", 10**9, 7 * 10**9) for number in range(8)]
    now = standing(arriving=files, seconds=3600.0)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    console.print(drawn(now))
    began = time.perf_counter()
    for _ in range(20):
        console.print(drawn(now))
    assert (time.perf_counter() - began) / 20 < 0.1  # some 2 ms where nothing else runs


def test_only_a_terminal_gets_bars():
    terminal: Any = SimpleNamespace(isatty=lambda: True)
    assert is_live(terminal, {"TERM": "xterm"})
    assert not is_live(terminal, {"TERM": "dumb"})
    assert not is_live(terminal, {})
    assert not is_live(io.StringIO(), {"TERM": "xterm"})
    closed = io.StringIO()
    closed.close()
    assert not is_live(closed, {"TERM": "xterm"})


def test_no_line_is_lost_to_bars_that_are_drawn_meanwhile(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    stream, done = io.StringIO(), threading.Event()
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    handler, switch = logging.StreamHandler(stream), sys.getswitchinterval()
    screen = Screen(stream)

    def draw():
        for count in itertools.cycle(range(8)):
            files = [Arriving(f"model file {number}", 10, 20) for number in range(count)]
            screen.show([standing(arriving=files)])
            if done.is_set():
                return

    logging.getLogger().addHandler(handler)
    sys.setswitchinterval(1e-5)
    drawing = threading.Thread(target=draw)
    try:
        screen.open()
        drawing.start()
        for number in range(300):
            logging.getLogger().warning("line %d", number)
    finally:
        done.set()
        drawing.join()
        screen.close()
        sys.setswitchinterval(switch)
        logging.getLogger().removeHandler(handler)
    shown = pyte.HistoryScreen(100, 40, history=100_000, ratio=1)
    pyte.Stream(shown).feed(stream.getvalue().replace("\n", "\r\n"))
    above = ["".join(row[column].data for column in range(100)) for row in shown.history.top]
    lines = [one.rstrip() for one in (*above, *shown.display) if one.startswith("line ")]
    assert lines == [f"line {number}" for number in range(300)]


def test_the_log_has_its_stream_back_afterwards():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        screen = Screen(stream)
        screen.open()
        assert isinstance(handler.stream, Above)
        logging.getLogger().warning("a line of %s", HOSTILE)
        screen.show([standing()])
        screen.close()
        assert handler.stream is stream
    finally:
        logging.getLogger().removeHandler(handler)
    assert f"a line of {HOSTILE}\n" in stream.getvalue()
    assert "3 of 4" in stream.getvalue()
