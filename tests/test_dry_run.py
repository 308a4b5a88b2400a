"""A dry run tells what a crawl is going to fetch, and leaves no trace."""

from __future__ import annotations

import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from civitai_crawler.amounts import duration, size
from civitai_crawler.commands.proof import prove
from civitai_crawler.items import FEEDS
from civitai_crawler.pipelines.plan_text import Plan, Wanted, lines
from civitai_crawler.standin import Faults, Standin
from civitai_crawler.terminal import say
from tests.cli import DONE, crawl, feed, pointed_at, start

if TYPE_CHECKING:
    from pathlib import Path

    from civitai_crawler.standin import Entry
    from tests.cli import Ended

USER = "lumen_fox"
#: Sidecars and previews follow the showcase of a version, which two lists tell differently.
PLAIN = {"CIVITAI_SIDECARS": "none"}


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held(archive):
    """Return everything an archive holds, without times."""
    files = {
        str(path.relative_to(archive)): path.read_bytes()
        for part in ("models", "posts", "quarantine")
        for path in (archive / part).rglob("*")
        if path.is_file()
    }
    feeds = {}
    for stem in FEEDS:
        records = [{**record, "fetched_at": None} for record in feed(archive, stem)]
        feeds[stem] = sorted(records, key=lambda record: str(record["id"]))
    return files, feeds


def told(log, pattern):
    found = re.search(pattern, log)
    assert found, log
    return int(found[1].replace(",", ""))


def interrupt(standin, folder):
    """Stop a crawl in order while its first file arrives."""
    env = pointed_at(standin, folder)
    running = start("crawl", "user_models", "-a", f"username={USER}", env=env)
    while not standin.log.entries("storage"):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 4, output.decode()


def asked(standin):
    return len(standin.log.entries("site"))


@dataclass
class Runs:
    """A dry run and a crawl into one folder, and a crawl into another one."""

    folder: Path
    dry: Ended
    left: list[Path]
    """What the dry run left on the disk."""
    asked_dry: list[Entry]
    real: Ended
    asked_real: list[Entry]
    alone: Path


@pytest.fixture(scope="module")
def runs(world, tmp_path_factory):
    folder, alone = tmp_path_factory.mktemp("both"), tmp_path_factory.mktemp("alone")
    with Standin.in_thread(world) as standin:
        dry = crawl(standin, folder, username=USER, dry_run="true")
        left, asked_dry = list(folder.rglob("*")), standin.log.entries()
        real = crawl(standin, folder, username=USER, env=PLAIN)
        asked_real = standin.log.entries()[len(asked_dry) :]
        crawl(standin, alone, username=USER, env=PLAIN)
    return Runs(folder, dry, left, asked_dry, real, asked_real, alone)


def test_a_dry_run_changes_nothing_for_the_crawl_that_follows(runs):
    assert runs.dry.code == 0, runs.dry.log
    assert runs.left == []
    assert {entry.role for entry in runs.asked_dry} == {"site"}
    assert not [one for one in runs.asked_dry if "/api/download/" in one.path]
    alone, both = held(runs.alone / USER), held(runs.folder / USER)
    assert alone[0]
    assert both == alone


def test_the_plan_is_what_the_crawl_then_does(world, runs):
    assert runs.real.code in DONE, runs.real.log
    archive, log = runs.folder / USER, runs.dry.log
    files = feed(archive, "model_files")
    # The dry run cannot know what the site is going to refuse, so it counts every file.
    assert told(log, r"Model files to be downloaded: ([\d,]+)") == len(files)
    assert told(log, r"Originals to be downloaded: ([\d,]+)") == len(feed(archive, "images"))
    for stem in ("models", "posts", "images", "generation data"):
        assert told(log, rf"([\d,]+) {stem}") == len(feed(archive, stem.replace(" ", "_")))
    planned = told(log, r"Requests to the site: ([\d,]+)")
    made = [entry for entry in runs.asked_real if entry.role == "site"]
    assert planned == pytest.approx(len(made), rel=0.15)
    published = sum(record["size_kb"] or 0 for record in files) * 1024
    assert f"{len(files)} ({size(published)}" in log
    assert prove(archive, world.truth(signed_in=False)).complete


def test_how_much_there_is_is_said_before_the_first_file(runs):
    log = runs.real.log
    said = [line for line in log.splitlines() if "To be downloaded: " in line]
    assert len(said) == 1, log
    files = feed(runs.folder / USER, "model_files")
    published = sum(record["size_kb"] or 0 for record in files) * 1024
    assert f"{len(files)} model files ({size(published)}" in said[0]
    assert "originals by the site's own count" in said[0]
    assert "free on the disk" in said[0]
    assert log.index(said[0]) < log.index("Stored models/")
    first = min(one.time for one in runs.asked_real if one.role in ("storage", "cdn"))
    lists = [one.time for one in runs.asked_real if one.path.startswith("/api/v1/models?")]
    assert max(lists) < first


def test_the_plan_is_true_for_another_way_of_asking(standin, tmp_path):
    given = {"username": USER, "generation": "auto", "download": "none"}
    dry = crawl(standin, tmp_path, dry_run="true", given=given)
    before = asked(standin)
    crawl(standin, tmp_path, given=given)
    made = feed(tmp_path / USER, "generation_data")
    assert told(dry.log, r"([\d,]+) generation data") == len(made)
    planned = told(dry.log, r"Requests to the site: ([\d,]+)")
    assert planned == pytest.approx(asked(standin) - before, rel=0.15)


def test_the_plan_of_an_archive_names_only_what_is_wanting(standin, tmp_path):
    crawl(standin, tmp_path, username=USER, download="images")
    before = bytes_of(tmp_path)
    dry = crawl(standin, tmp_path, username=USER, dry_run="true", fresh="false", max_size="20000")
    assert dry.code == 0, dry.log
    assert bytes_of(tmp_path) == before
    assert "New records: none." in dry.log
    assert "Originals to be downloaded: none" in dry.log
    chosen = told(dry.log, r"Model files to be downloaded: ([\d,]+)")
    left_out = told(dry.log, r"Left out by the choice of files: ([\d,]+)")
    assert min(chosen, left_out) > 0
    assert chosen + left_out == len(feed(tmp_path / USER, "model_files"))
    again = crawl(standin, tmp_path, username=USER, dry_run="true", fresh="true")
    assert bytes_of(tmp_path) == before, again.log
    assert f"{len(feed(tmp_path / USER, 'posts'))} posts" in again.log


def test_an_interrupted_crawl_goes_on_after_a_dry_run(world, tmp_path):
    with Standin.in_thread(world, faults=Faults(body_delay=0.3)) as standin:
        interrupt(standin, tmp_path)
        standin.faults.body_delay = 0.0
        before = bytes_of(tmp_path)
        dry = crawl(standin, tmp_path, username=USER, dry_run="true")
        assert dry.code == 0, dry.log
        assert bytes_of(tmp_path) == before
        assert crawl(standin, tmp_path, username=USER).code in DONE
    assert prove(tmp_path / USER, world.truth(signed_in=False)).complete


def test_a_dry_run_writes_no_feed_of_the_user_either(standin, tmp_path):
    ended = crawl(
        standin, tmp_path, "user_models", "-o", str(tmp_path / "x.jsonl"), username=USER,
        dry_run="true",
    )  # fmt: skip
    assert ended.code == 2, ended.log
    assert "A dry run writes no feed" in ended.log
    assert "Traceback" not in ended.log
    assert asked(standin) == 0


def test_a_plan_that_is_not_whole_says_so(standin, tmp_path):
    ended = crawl(standin, tmp_path / "new", username="nobody_at_all", dry_run="true")
    assert ended.code == 1, ended.log
    assert not (tmp_path / "new").exists()
    assert "the plan is not whole: There is no creator named" in ended.log
    standin.faults.rate_500 = 0.3
    env = {"CIVITAI_RETRY_TIMES": "0"}
    ended = crawl(standin, tmp_path, username=USER, dry_run="true", env=env)
    assert ended.code == 4, ended.log
    assert re.search(r"the plan is not whole: \d+ requests? got no answer", ended.log), ended.log


def test_a_disk_without_room_is_said_and_names_are_inert(capsys):
    plan = Plan(archive="a", free=10)
    plan.wanted.append(Wanted("model_file", 1, "Model", "\x1b[31mred\n.safetensors", 11))
    for line in lines(plan):
        say(line)
    text = capsys.readouterr().out
    assert "The disk has not enough room for it.\n" in text
    assert "\\x1b[31mred\\n.safetensors\n" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.6, "1 min"), (250, "4 min 10 s"), (11_100, "3 h 5 min"), (187_300, "2 d 4 h")],
)
def test_times_are_said_in_two_units(seconds, said):
    assert duration(seconds) == said
