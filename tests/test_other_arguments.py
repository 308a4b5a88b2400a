"""A run that goes on takes what the last one passed over, and asks for nothing that was read."""

from __future__ import annotations

import json
import signal
import time

import pytest

from civitai_crawler.standin import Standin, World
from tests.cli import assert_archived, crawl, feed, ids, pointed_at, scrapy, start

USER = "lumen_fox"


def interrupted(standin, folder, spider, *arguments, after, env=None):
    """Interrupt a crawl once it has asked so much of the site."""
    standin.faults.latency = 0.1
    words = [word for argument in arguments for word in ("-a", argument)]
    settings = {**pointed_at(standin, folder), **(env or {})}
    process = start("crawl", spider, *words, env=settings, log=folder / "log")
    while len(standin.log.entries("site")) < after:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 4
    standin.faults.latency = 0.0
    standin.log.clear()


@pytest.mark.parametrize("choice", ["since=2025-06-01", "level=1", "generation=none"])
def test_what_an_unfinished_run_passed_over_is_found(standin, tmp_path, choice):
    interrupted(
        standin, tmp_path, "user_models", f"username={USER}", "download=none", choice, after=9
    )  # fmt: skip
    ended = crawl(standin, tmp_path, username=USER, download="none")
    assert ended.code == 0, ended.log
    assert_archived(standin, tmp_path / USER)


def test_files_that_an_unfinished_run_did_not_want_are_fetched(standin, tmp_path):
    interrupted(
        standin, tmp_path, "user_models", f"username={USER}", "download=files", "generation=none",
        "max_size=10", after=8,
    )  # fmt: skip
    ended = crawl(standin, tmp_path, username=USER, download="files", generation="none")
    stored = {one["id"] for one in feed(tmp_path / USER, "model_files") if one["path"]}
    truth = standin.truth(signed_in=False)["files"]
    assert stored == {one["id"] for one in truth if one["obtainable"]}, ended.log


def test_with_the_same_arguments_nothing_is_read_twice(standin, tmp_path):
    given = {"username": USER, "download": "none", "since": "2025-06-01"}
    interrupted(
        standin, tmp_path, "user_models", *(f"{name}={value}" for name, value in given.items()),
        after=8,
    )  # fmt: skip
    ended = crawl(standin, tmp_path, given=given)
    assert ended.code == 0, ended.log
    assert not standin.log.entries("site", "/api/v1/models?")


@pytest.mark.parametrize("spider", ["post_pages", "image_pages", "generation_data"])
def test_what_was_named_and_read_is_not_asked_again(standin, tmp_path, spider):
    truth = standin.truth(signed_in=False)
    named, numbers = {
        "post_pages": ("post_id", truth["posts"]),
        "image_pages": ("image_id", [one["id"] for one in truth["images"]][:12]),
        "generation_data": ("image_id", [one["id"] for one in truth["images"]]),
    }[spider]
    value = ",".join(map(str, numbers))
    more = {"download": "none", "generation": "none"} if spider != "generation_data" else {}
    env = {"CIVITAI_BATCH_SIZE": "5"}
    whole = tmp_path / "whole"
    ended = crawl(standin, whole, spider, env=env, given={named: value, **more})
    assert ended.code == 0, ended.log
    number = len(standin.log.entries("site"))
    standin.log.clear()
    given = [f"{name}={text}" for name, text in {named: value, **more}.items()]
    interrupted(standin, tmp_path, spider, *given, after=9, env=env)
    ended = crawl(standin, tmp_path, spider, env=env, given={named: value, **more})
    assert ended.code == 0, ended.log
    assert len(standin.log.entries("site")) < number - 4
    folder = spider.replace("_", "-")
    for stem in ("posts", "images", "generation_data"):
        assert ids(tmp_path / folder, stem) == ids(whole / folder, stem)


def test_a_job_folder_belongs_to_one_archive(standin, tmp_path):
    job = ("-s", f"JOBDIR={tmp_path / 'job'}")
    given = {"download": "none", "include": "models"}
    assert crawl(standin, tmp_path, "user_models", *job, username=USER, given=given).code == 0
    before = (tmp_path / USER / "report.json").read_bytes()
    standin.log.clear()
    for spider, one in (
        ("user_models", {"username": "one_boat", **given}),
        ("user_models", {"username": "one_boat", **given, "fresh": "true"}),
        ("image_pages", {"image_id": "1"}),
    ):
        ended = crawl(standin, tmp_path, spider, *job, given=one)
        assert ended.code == 2
        assert "Traceback" not in ended.log
        assert f"holds what was done for '{USER}', not for" in ended.log
    assert not standin.log.entries()
    ended = crawl(standin, tmp_path, "user_models", *job, username=USER.upper(), given=given)
    assert ended.code == 0, ended.log
    assert json.loads(before)["pass"] == 1
    assert json.loads((tmp_path / USER / "report.json").read_bytes())["pass"] == 2
    assert scrapy("verify", str(tmp_path / USER)).code == 0


def test_the_folder_of_a_creator_goes_on_under_a_new_name(tmp_path):
    given = {"download": "none", "include": "models"}
    with Standin.in_thread(World.small()) as standin:
        assert crawl(standin, tmp_path, username="one_boat", given=given).code == 0
        user = next(user for user in standin.world.users.values() if user.name == "one_boat")
        user.name = "two_boats"
        (tmp_path / "one_boat").rename(tmp_path / "two_boats")
        ended = crawl(standin, tmp_path, username="two_boats", given=given)
    assert ended.code == 0, ended.log
    assert len(feed(tmp_path / "two_boats", "models")) == 1
    assert json.loads((tmp_path / "two_boats" / "report.json").read_bytes())["pass"] == 2
