"""One crawl that is interrupted again and again, and what an archive must hold afterwards.

Shared by the tests and by ``benchmarks/crash.py``. Every choice is made by a seed; to see one
again: ``python -m benchmarks.crash --seed SEED --signal KILL --kills 1``.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from civitai_crawler.standin import Faults, Standin, World
from tests.cli import DONE, pointed_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.standin.log import Entry
    from tests.forks import Crawl, Forks

#: The creator of the trials, and files that differ from one stand-in to the next.
CREATOR = "lumen_fox"
_SIDECAR = re.compile(r"models/[^.].*\.(?:civitai\.info|json|preview\.\w+)")
_HOST = re.compile(r"http://127\.0\.0\.\d:\d+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
#: Fields that a repetition may fill otherwise: of a model's two lists, the one that is answered
#: first tells the images of its versions.
_VOLATILE = ("fetched_at", "source", "image_ids")
#: Seconds that a crawl which is not interrupted may take.
PATIENCE = 60.0
#: Seconds within which moments by the clock lie; a crawl of the small world takes about twice that.
SPAN = 1.2
#: Seconds between two looks whether a moment has come.
POLL = 0.005


def small_world() -> World:
    """Every oddity in as few answers as possible."""
    return World.small(posts=8, images=20, versions=14, file_size=4000)


def faults(seed: int) -> Faults:
    """Switch on what a retry cures, so that the archive must come out the same."""
    return Faults(
        seed=seed, rate_429=0.01, retry_after_429=0.02, rate_503=0.02, retry_after_503=0.02,
        rate_500=0.02, reset_rate=0.04, truncate_rate=0.1,
    )  # fmt: skip


# --- when to interrupt -----------------------------------------------------------------------

KINDS = ("clock", "clock", "clock", "start", "end", "lists", "media", "feeds", "wal")


def _after(seconds: float) -> Callable[[Trial, float], bool]:
    return lambda trial, since: time.monotonic() - since >= seconds


def _logged(text: str) -> Callable[[Trial, float], bool]:
    return lambda trial, since: text in trial.log_of_this_run()


def _never(trial: Trial, since: float) -> bool:
    return False


def _asked(role: str, more: int) -> Callable[[Trial, float], bool]:
    def come(trial: Trial, since: float) -> bool:
        return trial.asked(role) >= trial.asked_before.get(role, 0) + more

    return come


def _grown(pattern: str, times: int) -> Callable[[Trial, float], bool]:
    """Wait until files that match have grown so many times: just then the ledger commits."""
    seen: list[int] = []

    def come(trial: Trial, since: float) -> bool:
        size = sum(path.stat().st_size for path in trial.home.glob(pattern) if path.exists())
        if not seen or size != seen[-1]:
            seen.append(size)
        return len(seen) > times

    return come


def moment(
    dice: random.Random, kinds: tuple[str, ...]
) -> tuple[str, Callable[[Trial, float], bool]]:
    """Choose a moment: its name, and how to know that it has come."""
    kind = dice.choice(kinds)
    if kind == "clock":
        seconds = dice.uniform(0, SPAN)
        return f"after {seconds:.3f} s", _after(seconds)
    if kind == "start":
        text = dice.choice(("Overridden settings", "Enabled item pipelines", "Spider opened"))
        return f"at {text!r}", _logged(text)
    if kind == "end":
        text = dice.choice(("Closing spider", "The archive holds", "Stored jsonlines feed"))
        return f"at {text!r}", _logged(text)
    if kind in ("lists", "media"):
        role = {"lists": "site", "media": dice.choice(("media", "storage"))}[kind]
        number = dice.randint(1, 12)
        return f"at {role} request {number}", _asked(role, number)
    pattern = {"feeds": "*.jsonl", "wal": ".job/ledger.sqlite-wal"}[kind]
    times = dice.randint(1, 8)
    return f"when {pattern} has grown {times} times", _grown(pattern, times)


# --- the trial ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Outcome:
    """What a trial came to."""

    seed: int
    signal: str
    interruptions: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    requests: int = 0
    media_bytes: int = 0

    def __str__(self) -> str:
        return (
            f"seed {self.seed} {self.signal} [{'; '.join(self.interruptions)}]: "
            f"{'; '.join(self.problems) or 'nothing wrong'}\n"
            f"  again: python -m benchmarks.crash --signal {self.signal} --seed {self.seed} "
            f"--kills 1"
        )


class Trial:
    """A crawl of the small world, interrupted at random moments, then left to end."""

    def __init__(
        self, forks: Forks, world: World, root: Path, seed: int, how: str = "KILL",
        settings: dict[str, str] | None = None, *, with_faults: bool = True,
        kinds: tuple[str, ...] = KINDS,
    ) -> None:  # fmt: skip
        self.forks, self.world, self.root, self.how = forks, world, root, how
        self.dice = random.Random(f"{how} {seed}")
        self.faults = faults(seed) if with_faults else Faults()
        self.settings, self.kinds = settings or {}, kinds
        self.home = root / "archive" / CREATOR
        self.outcome = Outcome(seed, how)
        self.asked_before: dict[str, int] = {}
        self._log = root / "log.txt"
        self._log_start = 0

    def run(self, interruptions: int) -> Outcome:
        self.root.mkdir(parents=True, exist_ok=True)
        with Standin.in_thread(self.world, faults=self.faults) as standin:
            self.standin = standin
            for _ in range(interruptions):
                if not self._interrupted_run():
                    break
            else:
                self._last_run()
            self._count(standin)
        return self.outcome

    def _start(self) -> Crawl:
        args = ["crawl", "user_models", "-a", f"username={CREATOR}"]
        for name in ("all.jsonl", "all.csv"):
            args += ["-o", str(self.root / name)]
        for name, value in self.settings.items():
            args += ["-s", f"{name}={value}"]
        self.asked_before = {role: self.asked(role) for role in ("site", "media", "storage")}
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        env = pointed_at(self.standin, self.root / "archive", interval=0)
        return self.forks.start(*args, env=env, log=self._log)

    def _interrupted_run(self) -> bool:
        """Run until the next moment; ``False`` when the crawl was done before it came."""
        name, has_come = moment(self.dice, self.kinds)
        # A quick machine may be done before the moment comes: then the end is one, the first time.
        ending = _logged("Closing spider") if not self.outcome.interruptions else _never
        crawl = self._start()
        since = time.monotonic()
        while crawl.poll() is None and not (has_come(self, since) or ending(self, since)):
            time.sleep(POLL)
            if time.monotonic() - since > PATIENCE:
                self._hangs(crawl, f"waiting for the moment {name}")
                return False
        code = crawl.poll()
        if code is not None:
            if code not in DONE:
                self.outcome.problems.append(f"ended with {code} before {name}")
            return False
        self.outcome.interruptions.append(name)
        self._interrupt(crawl)
        return True

    def _interrupt(self, crawl: Crawl) -> None:
        number = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}.get(self.how, signal.SIGINT)
        crawl.send_signal(number)
        if self.how == "INT2":
            time.sleep(self.dice.uniform(0.002, 0.1))
            crawl.send_signal(number)
        try:
            crawl.wait(20)
        except TimeoutError:
            self._hangs(crawl, f"after {self.how}")

    def _last_run(self) -> None:
        crawl = self._start()
        try:
            code = crawl.wait(PATIENCE)
        except TimeoutError:
            self._hangs(crawl, "in the last run")
            return
        if code not in DONE:
            self.outcome.problems.append(f"the last run ended with {code}")

    def _hangs(self, crawl: Crawl, when: str) -> None:
        self.outcome.problems.append(f"hangs {when}")
        crawl.send_signal(signal.SIGKILL)
        crawl.wait(20)

    def _count(self, standin: Standin) -> None:
        """Count what was asked for, except where a fault made it necessary to ask again."""
        for entry in standin.log.entries():
            if entry.fault:
                continue
            if entry.role == "site":
                self.outcome.requests += 1
            elif entry.status in (200, 206):
                self.outcome.media_bytes += _asked_bytes(self.world, entry)

    def asked(self, role: str) -> int:
        return self.standin.log.counts().get(role, 0)

    def log_of_this_run(self) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as stream:
            stream.seek(self._log_start)
            return stream.read().decode(errors="replace")

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


def _asked_bytes(world: World, entry: Entry) -> int:
    """Return how many bytes a request to a media or storage host asked for."""
    start = int((entry.header("range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
    if found := _UUID.search(entry.path):
        return world.media_size(world.by_uuid[found[0]]) - start
    number = entry.path.partition("?")[0].rpartition("/")[2]
    return world.files[int(number)].size - start


# --- the checker --------------------------------------------------------------------------------


@dataclass(slots=True)
class Archive:
    """What lies on disk after a crawl, in a form that can be compared."""

    records: dict[str, Counter[str]] = field(default_factory=dict)
    """By feed: each record as JSON, without what differs from run to run, and how often."""
    files: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Record and SHA256 of each stored file."""
    torn: list[str] = field(default_factory=list)
    sidecars: set[str] = field(default_factory=set)
    """Files for other programs beside models, without previews."""
    strays: list[str] = field(default_factory=list)
    """Files that no record names."""


def read(home: Path, own: Path | None = None) -> Archive:
    """Read the archive at *home*, and the feeds ``all.jsonl`` and ``all.csv`` in *own*."""
    archive = Archive()
    named: set[Path] = set()
    for path in sorted(home.glob("*.jsonl")):
        archive.records[path.stem] = Counter()
        for record in _lines(path, archive):
            file = record.pop("path", None)
            if file:
                named.add(home / file)
                content = (home / file).read_bytes() if (home / file).is_file() else b"missing"
                key = f"{path.stem}:{record['id']}"
                archive.files[key, hashlib.sha256(content).hexdigest()] += 1
            archive.records[path.stem][_plain(record)] += 1
    for path in home.rglob("*"):
        inside = path.relative_to(home).parts
        if path.is_file() and len(inside) > 1 and inside[0] != ".job" and path not in named:
            _read_unnamed(path, str(path.relative_to(home)), archive)
    if own is not None:
        _read_own(own, archive)
    return archive


def _read_unnamed(path: Path, name: str, archive: Archive) -> None:
    if not _SIDECAR.fullmatch(name):
        archive.strays.append(name)
        return
    if ".preview." in name:  # which images show a version depends on which list was read first
        return
    archive.sidecars.add(name)
    try:
        json.loads(path.read_bytes())
    except ValueError:
        archive.torn.append(name)


def _read_own(own: Path, archive: Archive) -> None:
    both = Counter[str]()
    for record in _lines(own / "all.jsonl", archive):
        record.pop("path", None)
        both[_plain(record)] += 1
    archive.records["-o all.jsonl"] = both
    with (own / "all.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    archive.records["-o all.csv"] = Counter(row["id"] for row in rows)
    if any(None in row or None in row.values() for row in rows):
        archive.torn.append("all.csv")


def _lines(path: Path, archive: Archive) -> list[dict[str, Any]]:
    found = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            found.append(json.loads(line))
        except ValueError:
            archive.torn.append(path.name)
    if not path.read_bytes().endswith(b"\n"):
        archive.torn.append(path.name)
    return found


def _plain(record: dict[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if name not in _VOLATILE}
    return _HOST.sub("http://host", json.dumps(kept, sort_keys=True))


def compare(found: Archive, expected: Archive, outcome: Outcome) -> Outcome:
    """Hold *found* against the archive of a crawl that was left alone."""
    say = outcome.problems.append
    for feed in sorted(expected.records.keys() | found.records.keys()):
        wanted, held = expected.records.get(feed, Counter()), found.records.get(feed, Counter())
        lost, more = wanted - held, held - wanted
        if lost or more:
            say(f"{feed}: {lost.total()} lost, {more.total()} too many {_samples(lost, more)}")
        outcome.lost += lost.total()
        outcome.doubled += more.total()
    if files := (expected.files - found.files) + (found.files - expected.files):
        say(f"files that differ: {sorted(key for key, _ in files)[:4]}")
    if differing := found.sidecars ^ expected.sidecars:
        say(f"sidecars that differ: {sorted(differing)[:4]}")
    outcome.torn += len(found.torn)
    if found.torn:
        say(f"torn: {sorted(set(found.torn))}")
    if found.strays:
        say(f"files of no record: {found.strays[:4]}")
    return outcome


def _samples(*counters: Counter[str]) -> list[str]:
    return [text[:160] for counter in counters for text in sorted(counter)[:2]]


class Trials:
    """Many trials of one world, a few at a time, each against the same expectation."""

    def __init__(self, forks: Forks, world: World, root: Path) -> None:
        self.forks, self.world, self.root = forks, world, root
        self._expected: Archive | None = None
        self._lock = threading.Lock()
        #: The crawl that was left alone; known with ``expected``.
        self.alone = Outcome(0, "NONE")

    @property
    def expected(self) -> Archive:
        with self._lock:
            if self._expected is None:
                trial = Trial(
                    self.forks, self.world, self.root / "alone", 0, "NONE", with_faults=False
                )
                self.alone = trial.run(0)
                assert not self.alone.problems, f"{self.alone}\n{trial.log}"
                self._expected = read(trial.home, trial.root)
        return self._expected

    def run(
        self, seed: int, how: str, settings: dict[str, str] | None = None,
        kinds: tuple[str, ...] = KINDS, most: int | None = None,
    ) -> Outcome:  # fmt: skip
        """Run one trial; its folder is named by signal and seed."""
        expected = self.expected
        name = "-".join([how, str(seed), *(settings or {}).values()])
        root = self.root / name
        trial = Trial(self.forks, self.world, root, seed, how, settings, kinds=kinds)
        most = most or (5 if how == "KILL" else 2)
        number = trial.dice.choices(range(1, most + 1), (5, 3, 2, 1, 1)[:most])[0]
        outcome = trial.run(number)
        if any("hangs" in problem for problem in outcome.problems):
            return outcome
        return compare(read(trial.home, trial.root), expected, outcome)
