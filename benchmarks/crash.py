"""Kills crawls of the embedded stand-in at random moments and counts what that cost.

python -m benchmarks.crash [--kills 200] [--signal KILL|INT2|TERM] [--seed N]

Runs trials, each a crawl that is interrupted up to five times and then left to end, until there
were so many interruptions; with ``--seed`` the one trial of that seed. Prints records lost, doubled
and torn (all must be 0), and what was asked or sent beyond a crawl that was left alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash_trial import Trials, small_world
from tests.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.crash_trial import Outcome

AT_ONCE = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signal", choices=("KILL", "INT2", "TERM"), default="KILL")
    parser.add_argument("--seed", type=int, help="run the one trial of this seed")
    options = parser.parse_args()
    world = small_world()
    world.warm()
    with Forks() as forks, tempfile.TemporaryDirectory(prefix="crash-") as folder:
        trials = Trials(forks, world, Path(folder))
        started = time.monotonic()
        if options.seed is not None:
            outcomes = [trials.run(options.seed, options.signal)]
            print(outcomes[0])
        else:
            outcomes = list(until(options.kills, trials, options.signal))
        report(outcomes, trials, time.monotonic() - started)
    return int(any(outcome.problems for outcome in outcomes))


def until(kills: int, trials: Trials, how: str) -> Iterator[Outcome]:
    """Run trials, a few at a time, until they were interrupted so often."""
    seen, seed = 0, 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while seen < kills:
            seeds = range(seed, seed + AT_ONCE)
            seed += AT_ONCE
            for outcome in pool.map(lambda number: trials.run(number, how), seeds):
                seen += len(outcome.interruptions)
                if outcome.problems:
                    print(outcome)
                yield outcome
            print(f"{seen} interruptions, {seed} crawls", file=sys.stderr)


def report(outcomes: list[Outcome], trials: Trials, seconds: float) -> None:
    interruptions = sum(len(outcome.interruptions) for outcome in outcomes)
    requests = [outcome.requests - trials.alone.requests for outcome in outcomes]
    more = [outcome.media_bytes - trials.alone.media_bytes for outcome in outcomes]
    rows: Iterable[tuple[str, object]] = (
        ("crawls", len(outcomes)),
        ("interruptions", interruptions),
        ("records lost", sum(outcome.lost for outcome in outcomes)),
        ("records doubled", sum(outcome.doubled for outcome in outcomes)),
        ("feeds torn", sum(outcome.torn for outcome in outcomes)),
        ("other problems", sum(bool(outcome.problems) for outcome in outcomes)),
        ("requests to the site, left alone", trials.alone.requests),
        ("more per interruption", per(requests, interruptions)),
        ("media bytes, left alone", trials.alone.media_bytes),
        ("more per interruption, bytes", per(more, interruptions)),
        ("seconds", round(seconds)),
    )
    for name, value in rows:
        print(f"{name:<55}{value:>10}")


def per(numbers: list[int], interruptions: int) -> float:
    return round(sum(numbers) / max(1, interruptions), 1)


if __name__ == "__main__":
    sys.exit(main())
