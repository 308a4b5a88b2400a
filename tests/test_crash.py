"""Killed at any moment, a crawl that is started again ends with what one left alone ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli import ROOT, environment
from tests.crash_trial import Trials, small_world
from tests.forks import Forks

#: Trials that run at once: a crawl waits about as long as it works.
AT_ONCE = 3


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    world = small_world()
    world.warm()
    with Forks() as forks:
        yield Trials(forks, world, tmp_path_factory.mktemp("trials"))


def run_all(trials, how, seeds, *more):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda seed: trials.run(seed, how, *more), seeds))


def wrong(outcomes):
    return "\n".join(str(outcome) for outcome in outcomes if outcome.problems)


@pytest.mark.parametrize(("how", "seeds"), [("KILL", 30), ("INT2", 10), ("TERM", 10)])
def test_nothing_is_lost_doubled_or_torn(trials, how, seeds):
    outcomes = run_all(trials, how, range(seeds))
    assert not wrong(outcomes), wrong(outcomes)
    assert sum(len(outcome.interruptions) for outcome in outcomes) >= seeds
    assert all(outcome.interruptions for outcome in outcomes)


def found_wrong(trials, scheduler, seeds):
    """Count records lost or doubled with a scheduler, killed where it commits."""
    settings = {"SCHEDULER": f"tests.broken.{scheduler}"}
    outcomes = run_all(trials, "KILL", seeds, settings, ("wal", "feeds"), 3)
    return sum(outcome.lost + outcome.doubled for outcome in outcomes), wrong(outcomes)


def test_a_slow_commit_is_as_good_as_a_quick_one(trials):
    found, told = found_wrong(trials, "SlowCommit", range(1000, 1003))
    assert not found, told


@pytest.mark.parametrize("scheduler", ["RowsFirst", "LengthsNever", "SettledEarly"])
def test_the_trial_finds_a_broken_order_of_commits(trials, scheduler):
    """With a scheduler that is wrong on purpose, lines are lost or doubled, and it is seen."""
    rounds = (range(seed, seed + AT_ONCE) for seed in range(1000, 1015, AT_ONCE))
    assert any(found_wrong(trials, scheduler, seeds)[0] for seeds in rounds)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        ("civitai_crawler.ledger.scheduler.LedgerScheduler", {"page", "other", "one", "two"}),
        ("tests.broken.SettledEarly", {"page", "one", "two"}),
    ],
)
def test_a_row_waits_for_what_scrapy_still_queues(tmp_path, scheduler, expected):
    """A generator that has ended is no row that is done: its requests may not be rows yet."""
    feed = tmp_path / "items.jsonl"
    settings = {
        "SCHEDULER": scheduler,
        "SPIDER_MIDDLEWARES": {"civitai_crawler.ledger.tracking.LedgerMiddleware": 10},
        "FEED_STORAGES": {"": "civitai_crawler.ledger.feeds.LedgerFeedStorage"},
        "FEEDS": {str(feed): {"format": "jsonlines"}},
        "JOBDIR": str(tmp_path / "job"),
        "CONCURRENT_ITEMS": 1,
    }
    for dies in ("yes", ""):
        job = {
            "spider": "tests.broken:PagesSpider",
            "settings": settings,
            "arguments": {"dies": dies},
        }
        ended = subprocess.run(
            [sys.executable, "-m", "tests.crawl", str(tmp_path / "result.json")],
            input=json.dumps(job), text=True, capture_output=True, check=False,
            cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)),
        )  # fmt: skip
        assert (ended.returncode == -9) is bool(dies), ended.stdout + ended.stderr
    assert {json.loads(line)["id"] for line in feed.read_text().splitlines()} == expected
