"""The pace holds at the pacer and at the server, whatever the server answers."""

from __future__ import annotations

import itertools
import re

import pytest

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Faults, Standin, World
from tests.cli import crawl

INTERVAL = 0.2


@pytest.fixture(scope="module")
def world():
    return World.generate(images=200, posts=30, file_size=30_000)


@pytest.mark.alone
def test_the_interval_holds_under_429_and_503_and_nothing_is_lost(world, tmp_path):
    # tRPC never sends Retry-After, REST does: both ways of waiting are met.
    faults = Faults(rate_429=0.1, rate_503=0.05, retry_after_429=0.5, retry_after_503=0.5)
    with Standin.in_thread(world, faults=faults) as standin:
        ended = crawl(
            standin, tmp_path, "user_models", "-s", "STATS_DUMP=True", username="lumen_fox",
            interval=INTERVAL, timeout=280,
        )  # fmt: skip
        entries = standin.log.entries("site")
    assert ended.code in (0, 3), ended.log
    proof = prove(tmp_path / "lumen_fox", world.truth(signed_in=False))
    assert proof.complete, "\n".join(proof.lines())
    assert {429, 503} <= {entry.status for entry in entries}
    times = sorted(entry.time for entry in entries)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    # Where the machine pauses, one arrives late and the next near to it: over both the pace holds.
    for before, gap in itertools.pairwise([INTERVAL, *gaps]):
        assert gap >= INTERVAL - 0.02 or before + gap >= 2 * INTERVAL - 0.02, gaps
    least = re.search(r"'civitai/pacer/min_gap': ([\d.]+)", ended.log)
    assert least, ended.log
    assert float(least[1]) >= INTERVAL
