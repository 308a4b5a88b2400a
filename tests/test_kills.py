"""A file of 300 MB arrives whole, however often the crawler is killed while it comes."""

from __future__ import annotations

import hashlib
import random
import signal
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from civitai_crawler.handlers.partfile import side
from civitai_crawler.standin import Standin, World, payload
from tests.big_storage import Storage, serve
from tests.cli import DONE, feed, pointed_at
from tests.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 300_000_000
USER = "lumen_fox"


@pytest.fixture(scope="module")
def world():
    return World.generate(posts=1, images=1, file_size=4000, big_file=SIZE)


@pytest.fixture(scope="module")
def forks():
    with Forks() as forks:
        yield forks


@dataclass
class Trial:
    """A crawl that is killed at chosen bytes of the big file."""

    forks: Forks
    standin: Standin
    storage: Storage
    root: Path
    dice: random.Random

    def start(self):
        args = ("crawl", "user_models", "-a", f"username={USER}", "-a", "download=files")
        env = {**pointed_at(self.standin, self.root, 0.0), "CIVITAI_RETRY_TIMES": "3"}
        return self.forks.start(*args, env=env, log=self.root / "log.txt")

    def kill_at(self, offset: int) -> None:
        self.storage.stop_behind(offset)
        crawl = self.start()
        end = time.monotonic() + 120
        while not self.storage.reached.wait(0.02):
            assert crawl.poll() is None, self.log
            assert time.monotonic() < end, self.log
        # In the middle of reading, of writing, or with all of it on the disk.
        time.sleep(self.dice.choice((0, 0, 0.001, 0.01)))
        crawl.send_signal(signal.SIGKILL)
        crawl.wait(60)

    def finish(self) -> None:
        self.storage.stop_at = None
        assert self.start().wait(120) in DONE, self.log
        file = self.storage.big
        found = [one for one in feed(self.home, "model_files") if one["id"] == file.id]
        assert len(found) == 1
        assert (found[0]["verified"], found[0]["size_bytes"]) == ("SHA256", SIZE)
        with (self.home / found[0]["path"]).open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        assert content == found[0]["sha256"] == payload.fingerprint(file).sha256.lower()
        assert not list((self.home / ".job" / "parts").iterdir())
        assert not (self.home / "quarantine").exists()

    def offsets(self, count: int) -> list[int]:
        return sorted(self.dice.sample(range(1, SIZE), count))

    @property
    def home(self) -> Path:
        return self.root / USER

    @property
    def log(self) -> str:
        return (self.root / "log.txt").read_text(errors="replace")[-4000:]


@pytest.fixture
def trial(world, forks, tmp_path):
    big = next(file for file in world.files.values() if file.size == SIZE)
    part = tmp_path / USER / ".job" / "parts" / f"model_file-{big.id}.part"
    storage = Storage(world.files, big, part)
    with Standin.in_thread(world) as standin, serve(storage) as url:
        standin.state.urls = replace(standin.state.urls, storage=url)
        yield Trial(forks, standin, storage, tmp_path, random.Random(3))


def run(trial: Trial, kills: int, before: Callable[[int], None] = lambda number: None) -> None:
    for number, offset in enumerate(trial.offsets(kills)):
        before(number)
        trial.kill_at(offset)
        assert trial.storage.on_disk() <= offset
        assert side(trial.storage.part).exists()
    trial.finish()


def test_a_file_takes_twenty_kills(trial):
    trial.storage.line = 512 * 1024
    run(trial, 20)
    assert trial.storage.sent <= SIZE * 1.05
    assert len([start for start in trial.storage.starts if start]) >= 19


def test_links_that_expire_on_the_way(trial):
    """The first link of every run has expired, and the line is cut once as well."""

    def before(number):
        trial.storage.refusals = [0] if number == 0 else [(403, 400)[number % 2], 0]
        trial.storage.cut_at = trial.storage.on_disk() + 1_000_000

    trial.storage.line = 2 << 20
    run(trial, 7, before)
    assert trial.storage.expired == 6
    assert trial.storage.sent <= SIZE * 1.05
    assert len([start for start in trial.storage.starts if start]) >= 6


def test_a_file_that_is_replaced_on_the_way(trial):
    """The bytes that came before are of another file; not one of them may stay."""
    trial.storage.published, trial.storage.etag = False, '"old"'

    def before(number):
        if number == 3:
            trial.storage.published, trial.storage.etag = True, '"new"'

    run(trial, 7, before)
    assert trial.storage.starts.count(0) == 2


def test_a_host_that_knows_no_ranges(trial):
    trial.storage.ranges = False
    run(trial, 6)
    assert trial.storage.starts == [0] * 7
