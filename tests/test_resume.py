"""Stopping, going on and starting anew, by the command line as a user does."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest

from civitai_crawler.standin import Accounts, Faults, Standin
from tests.cli import DONE, Ended, feed, ids, pointed_at
from tests.crash_trial import small_world
from tests.forks import Forks

USER = "long_shelf"


@pytest.fixture(scope="module")
def world():
    return small_world()


@pytest.fixture
def standin(world):
    with Standin.in_thread(world) as standin:
        yield standin


@pytest.fixture(scope="module", autouse=True)
def forks():
    with Forks() as Running.forks:
        yield


class Running:
    """A crawl under way, whose output is read as it comes."""

    forks: Forks

    def __init__(self, standin, archive, *more, user=USER, env=None):
        settings = {**pointed_at(standin, archive, 0.0), **(env or {})}
        args = ("crawl", "user_models", "-a", f"username={user}", *more)
        archive.mkdir(parents=True, exist_ok=True)
        self._log = Path(tempfile.mkdtemp(dir=archive)) / "log.txt"
        self.process = self.forks.start(*args, env=settings, log=self._log)

    @property
    def log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def says(self, text):
        until(lambda: text in self.log)

    def interrupt(self, number=signal.SIGINT):
        self.process.send_signal(number)

    def ends(self, timeout=40):
        return self.process.wait(timeout)


def crawl(standin, archive, *more, interval=0.0, env=None, **given):
    """Crawl to the end."""
    user = given.pop("username", USER)
    pairs = [word for name, value in given.items() for word in ("-a", f"{name}={value}")]
    env = {"CIVITAI_REQUEST_INTERVAL": str(interval), **(env or {})}
    running = Running(standin, archive, *pairs, *more, env=env, user=user)
    return Ended(running.ends(), running.log)


def asked_of_storage(standin):
    return [one for one in standin.log.entries("storage") if one.status in (200, 206)]


def until(holds, timeout=30):
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.01)


def halfway(standin, archive, *more, env=None, user=USER, number=signal.SIGINT, twice=False):
    """Interrupt a crawl while its files arrive slowly."""
    standin.faults.body_delay = 0.3
    running = Running(standin, archive, *more, env=env, user=user)
    until(lambda: asked_of_storage(standin))
    running.interrupt(number)
    if twice:
        running.says("shutting down gracefully")
        running.interrupt(number)
    standin.faults.body_delay = 0.0
    return running.ends(), running.log


def lines_of(*paths):
    return sorted(line for path in paths for line in path.read_text().splitlines())


def sizes(parts):
    """Return the sizes of the parts; one may be finished and gone while it is looked at."""
    found = []
    for path in parts.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_ends_soon_and_says_how_to_go_on(world, tmp_path, number):
    big = small_world().generate(posts=1, images=1, big_file=40_000_000, file_size=4000)
    with Standin.in_thread(big, faults=Faults(body_delay=0.05)) as standin:
        running = Running(standin, tmp_path, user="lumen_fox")
        parts = tmp_path / "lumen_fox" / ".job" / "parts"
        until(lambda: any(size > 1_500_000 for size in sizes(parts)))
        began = time.monotonic()
        running.interrupt(number)
        assert running.ends() == 4, running.log
        assert time.monotonic() - began < 15  # the whole file would take twice that
        assert "The same command goes on where it was" in running.log.splitlines()[-1]
        assert "ERROR" not in running.log
        assert "Traceback" not in running.log
        kept = max(sizes(parts))
        standin.faults.body_delay = 0
        ended = crawl(standin, tmp_path, username="lumen_fox", interval=0)
        assert ended.code in DONE, ended.log
        asked = [one.header("range") for one in standin.log.entries("storage")]
        assert f"bytes={kept}-" in asked


def test_requests_that_an_interrupt_sends_away_are_no_failures(standin, tmp_path):
    slowly = {"CIVITAI_REQUEST_INTERVAL": "0.7"}
    running = Running(standin, tmp_path, env=slowly)
    until(lambda: len(asked_of_storage(standin)) > 1)
    running.interrupt()
    assert running.ends() == 4, running.log
    assert "Gave up" not in running.log
    assert "ERROR" not in running.log
    ended = crawl(standin, tmp_path, username=USER)
    assert ended.code in DONE, ended.log
    assert feed(tmp_path / USER, "failures") == []


def test_two_interrupts_end_at_once_and_lose_nothing(world, standin, tmp_path):
    code, log = halfway(standin, tmp_path, twice=True)
    assert code == 4, log
    assert "The same command goes on where it was" in log
    ended = crawl(standin, tmp_path, username=USER)
    assert ended.code == 0
    assert set(ids(tmp_path / USER, "models")) == set(
        world.truth(signed_in=False, username=USER)["models"]
    )
    assert feed(tmp_path / USER, "failures") == []


def test_fresh_starts_anew_and_downloads_nothing_twice(standin, tmp_path):
    crawl(standin, tmp_path, username=USER)
    archive = tmp_path / USER
    first = {name: ids(archive, name) for name in ("creators", "models", "model_files")}
    before = (archive / "models.jsonl").read_bytes()
    files = len(asked_of_storage(standin))
    lists = len(standin.log.entries("site", "/api/v1/models?"))
    ended = crawl(standin, tmp_path, username=USER, fresh="true")
    assert ended.code in DONE, ended.log
    assert {name: ids(archive, name) for name in first} == first
    assert all(record["path"] for record in feed(archive, "model_files"))
    assert [path.read_bytes() for path in archive.glob("models.*Z.jsonl")] == [before]
    assert len(standin.log.entries("site", "/api/v1/models?")) == 2 * lists
    assert len(asked_of_storage(standin)) == files
    ended = crawl(standin, tmp_path, username=USER, fresh="maybe")
    assert ended.code == 2
    assert "fresh=maybe" in ended.log


def test_overwriting_an_unfinished_job_is_refused(standin, tmp_path):
    own = tmp_path / "own.jsonl"
    code, log = halfway(standin, tmp_path, "-o", str(own))
    assert code == 4, log
    before = own.read_bytes()
    ended = crawl(standin, tmp_path, "-O", str(own), username=USER)
    assert ended.code == 2, ended.log
    assert len(ended.sentences) == 1, ended.log
    assert "-O would overwrite own.jsonl" in ended.log
    assert "Traceback" not in ended.log
    assert own.read_bytes() == before
    ended = crawl(standin, tmp_path, "-o", str(own), username=USER)
    assert ended.code in DONE, ended.log
    lines = lines_of(own)
    assert lines == lines_of(*(tmp_path / USER).glob("*.jsonl"))
    ended = crawl(standin, tmp_path, "-O", str(own), username=USER, fresh="true")
    assert ended.code in DONE, ended.log
    assert len(lines_of(own)) == len(lines)


def test_a_job_is_crawled_once_at_a_time(standin, tmp_path):
    standin.faults.body_delay = 2
    running = Running(standin, tmp_path)
    until(lambda: asked_of_storage(standin))
    ended = crawl(standin, tmp_path, username=USER)
    assert ended.code == 1
    assert len(ended.sentences) == 1, ended.log
    assert "Another crawl is using the job folder" in ended.log
    assert "Traceback" not in ended.log
    standin.faults.body_delay = 0
    assert running.ends() == 0, running.log


@pytest.mark.parametrize("damage", ["garbage", "newer"])
def test_an_unusable_ledger_ends_in_one_sentence(standin, tmp_path, damage):
    folder = tmp_path / USER / ".job"
    folder.mkdir(parents=True)
    file = folder / "ledger.sqlite"
    if damage == "garbage":
        file.write_bytes(b"no database" * 1000)
    else:
        db = sqlite3.connect(file)
        db.execute("PRAGMA user_version = 99")
        db.close()
    ended = crawl(standin, tmp_path, username=USER)
    assert ended.code == 1
    assert len(ended.sentences) == 1, ended.log
    assert ("cannot be used" if damage == "garbage" else "format 99") in ended.log
    assert "Traceback" not in ended.log


def test_a_full_disk_ends_in_one_sentence_and_loses_nothing(standin, tmp_path):
    own = tmp_path / "own.jsonl"
    own.symlink_to("/dev/full")
    ended = crawl(standin, tmp_path, "-o", str(own), username=USER)
    assert ended.code == 1, ended.log
    assert len(ended.sentences) == 1, ended.log
    assert "The disk is full" in ended.log
    assert "Traceback" not in ended.log
    own.unlink()
    ended = crawl(standin, tmp_path, "-o", str(own), username=USER)
    assert ended.code in DONE, ended.log
    assert lines_of(own) == lines_of(*(tmp_path / USER).glob("*.jsonl"))


def test_creators_of_one_command_write_a_file_each(standin, tmp_path):
    both = {"username": "one_boat,empty_lantern", "download": "none"}
    own = str(tmp_path / "%(username)s.csv")
    ended = crawl(standin, tmp_path, "-o", own, **both)
    assert ended.code in DONE, ended.log
    assert {path.name for path in tmp_path.glob("*.csv")} == {"one_boat.csv", "empty_lantern.csv"}


def test_nothing_secret_is_in_the_job_folder_of_an_interrupted_crawl(world, tmp_path):
    accounts = Accounts(api_key="MARKER-key")
    with Standin.in_thread(world, tls=True, accounts=accounts) as standin:
        env = {"CIVITAI_API_KEY": "MARKER-key", "SSL_CERT_FILE": str(standin.ca_file)}
        code, log = halfway(standin, tmp_path, env=env, twice=True)
        assert code == 4, log
        assert "Signed in as" in log
        job = tmp_path / USER / ".job"
        contents = {path.name: path.read_bytes() for path in job.rglob("*") if path.is_file()}
        held = b"".join(contents.values())
        assert "ledger.sqlite" in contents
        assert b"model_file/" in held, "there must be rows that could hold something"
        for secret in (b"MARKER", b"Authorization", b"Signature", b"127.0.0.3"):
            assert secret not in held
        assert {path.stat().st_mode & 0o777 for path in job.glob("ledger*")} == {0o600}


PATIENT = {"CIVITAI_RETRY_TIMES": "0", "CIVITAI_OFFLINE_PATIENCE": "30"}


def test_a_crawl_waits_for_a_lost_network(world, tmp_path):
    ports = {"site": 18511, "media": 18512, "storage": 18513, "second": 18514}
    with Standin.in_thread(world, ports=ports, faults=Faults(latency=0.1)) as standin:
        running = Running(standin, tmp_path, env=PATIENT)
        until(lambda: len(standin.log.entries("site")) > 3)
    running.says("The site is out of reach. Trying again for up to")
    with Standin.in_thread(world, ports=ports):
        assert running.ends() == 0, running.log
    assert "The site is within reach again" in running.log
    truth = world.truth(signed_in=False, username=USER)
    assert set(ids(tmp_path / USER, "models")) == set(truth["models"])
    assert "network" not in json.dumps(feed(tmp_path / USER, "failures"))


def test_a_network_that_does_not_come_back_ends_the_crawl(world, tmp_path):
    env = {**PATIENT, "CIVITAI_OFFLINE_PATIENCE": "2"}
    with Standin.in_thread(world, faults=Faults(latency=0.1)) as standin:
        running = Running(standin, tmp_path, env=env)
        until(lambda: len(standin.log.entries("site")) > 3)
    assert running.ends() == 1, running.log
    sentences = [line for line in running.log.splitlines() if "ERROR" in line]
    assert len(sentences) == 1, running.log
    assert "no connection to it for 2 s (network)" in sentences[0]
    assert "the same command goes on from here" in running.log
    with Standin.in_thread(world) as standin:
        ended = crawl(standin, tmp_path, username=USER)
    assert ended.code in DONE, ended.log
    truth = world.truth(signed_in=False, username=USER)
    assert set(ids(tmp_path / USER, "models")) == set(truth["models"])
