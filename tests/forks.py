"""Starts crawls as fast as they can be killed: real processes, forked from one with all imports.

A crash trial needs some hundred processes, and importing takes longer than crawling a small world.
``Forks`` starts a child (this module as a program) that has imported everything and made nothing;
each crawl is a fork of it that runs Scrapy's own command line to its end.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import queue
import select
import signal
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self

from scrapy import cmdline

import civitai_crawler
from tests.cli import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Crawl:
    """A running process, as far as ``subprocess.Popen`` is alike."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: queue.Queue[int] = queue.Queue()
        self.returncode: int | None = None

    def ended(self, code: int) -> None:
        self._code.put(code)

    def poll(self) -> int | None:
        return self._take(0)

    def wait(self, timeout: float) -> int:
        """Return the exit code, negative for a signal; raises TimeoutError."""
        code = self._take(timeout)
        if code is None:
            raise TimeoutError(f"process {self.pid} runs for more than {timeout:.0f} s")
        return code

    def _take(self, timeout: float) -> int | None:
        if self.returncode is None:
            try:
                self.returncode = self._code.get(block=timeout > 0, timeout=timeout or None)
            except queue.Empty:
                return None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended: the server has not waited for it then."""
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


class Forks:
    """The server and what it started. A context manager, usable from several threads."""

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            cwd=ROOT,
            env=environment(PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._crawls: dict[int, Crawl] = {}
        self._new: queue.Queue[Crawl] = queue.Queue()
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()
        self._reader.join()
        assert self._server.stdout is not None
        self._server.stdout.close()

    def start(self, *args: str, env: Mapping[str, str], log: Path) -> Crawl:
        """Start ``scrapy ARGS``; its output is appended to *log*."""
        job = {"args": args, "env": environment(**env), "log": str(log)}
        assert self._server.stdin is not None
        with self._lock:
            self._server.stdin.write(json.dumps(job) + "\n")
            self._server.stdin.flush()
            return self._new.get(timeout=30)

    def _read(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            told = json.loads(line)
            if "code" in told:
                self._crawls.pop(told["pid"]).ended(told["code"])
            else:
                crawl = self._crawls[told["pid"]] = Crawl(told["pid"])
                self._new.put(crawl)


def serve() -> None:
    """Fork a crawl for each line on standard input until it ends; then end what still runs."""
    import_everything()
    running: set[int] = set()
    waiting = b""
    while True:
        if select.select([0], [], [], 0.005)[0]:
            chunk = os.read(0, 1 << 20)
            if not chunk:
                break
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                pid = os.fork()
                if not pid:
                    crawl(json.loads(line))
                running.add(pid)
                tell(pid=pid)
        while running and (found := os.waitpid(-1, os.WNOHANG))[0]:
            running.discard(found[0])
            tell(pid=found[0], code=os.waitstatus_to_exitcode(found[1]))
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def crawl(job: dict[str, Any]) -> None:
    """Become ``scrapy ARGS``; does not return."""
    log = os.open(job["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    warnings.simplefilter("error", ResourceWarning)
    os.environ.clear()
    os.environ.update(job["env"])
    cmdline.execute(["scrapy", *job["args"]])


def import_everything() -> None:
    """Import what a crawl imports, except the settings, which read the environment."""
    for module in pkgutil.walk_packages(civitai_crawler.__path__, "civitai_crawler."):
        if "standin" not in module.name and module.name != "civitai_crawler.settings":
            importlib.import_module(module.name)
    importlib.import_module("scrapy.extensions.feedexport")
    importlib.import_module("scrapy.extensions.throttle")
    gc.freeze()  # else each fork would copy what its collector touches
    assert "twisted.internet.reactor" not in sys.modules, "each crawl installs its own"


if __name__ == "__main__":
    serve()
