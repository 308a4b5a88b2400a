"""Whole crawls by the command line against the stand-in, compared with its own truth by id."""

from __future__ import annotations

import csv
import json

import pytest

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Standin, trpc_calls
from civitai_crawler.standin.trpc_input import TrpcError
from tests.cli import DONE, crawl, feed, ids, scrapy


def assert_complete(archive, truth):
    proof = prove(archive, truth)
    assert proof.complete, "\n".join(
        [*proof.lines(), *(f"{row.kind}: {row.missing}" for row in proof.rows if row.missing)]
    )


def test_a_creator_is_archived_completely(world, standin, tmp_path):
    ended = crawl(standin, tmp_path, username="lumen_fox")
    assert ended.code in DONE, ended.log
    assert_complete(tmp_path / "lumen_fox", world.truth(signed_in=False))
    assert "Traceback" not in ended.log
    truth = world.truth(signed_in=False)
    for kind, name in (("models", "models"), ("posts", "posts"), ("images", "images")):
        left_out = set(truth["excluded"][kind])
        assert not left_out & set(ids(tmp_path / "lumen_fox", name))


def test_every_record_says_whence_and_when(standin, tmp_path):
    crawl(standin, tmp_path, username="lumen_fox", download="none")
    for name in ("creators", "models", "model_files", "images", "generation_data"):
        for record in feed(tmp_path / "lumen_fox", name):
            assert record["archive"] == "lumen_fox"
            assert record["source"]
            assert record["fetched_at"].endswith("Z")


def test_the_list_by_trpc_gives_the_same_models(world, standin, tmp_path):
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none", api="trpc",
                  include="models", level="1")  # fmt: skip
    assert ended.code in DONE, ended.log
    rest = crawl(standin, tmp_path / "rest", username="lumen_fox", download="none",
                 include="models", level="1")  # fmt: skip
    assert rest.code == 0
    by_trpc = ids(tmp_path / "lumen_fox", "models")
    assert by_trpc
    assert by_trpc == ids(tmp_path / "rest" / "lumen_fox", "models")


def test_devalue_answers_give_the_same_archive(world, standin, tmp_path):
    standin.faults.devalue = True
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert ended.code in DONE, ended.log
    truth = world.truth(signed_in=False)
    assert set(ids(tmp_path / "lumen_fox", "images")) == {one["id"] for one in truth["images"]}


@pytest.mark.parametrize(
    ("username", "models"), [("empty_lantern", 0), ("one_boat", 1), ("long_shelf", 12)]
)
def test_small_and_paged_creators(world, standin, tmp_path, username, models):
    standin.faults.page_cap = 5
    ended = crawl(standin, tmp_path, username=username)
    assert ended.code in DONE, ended.log
    truth = world.truth(signed_in=False, username=username)
    assert_complete(tmp_path / username, truth)
    if models is not None:
        assert len(truth["models"]) == models


def test_a_broken_record_costs_itself_and_is_named(world, standin, tmp_path):
    standin.faults.broken_record = "model"
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert ended.code in DONE, ended.log
    archive = tmp_path / "lumen_fox"
    assert set(ids(archive, "models")) == set(world.truth(signed_in=False)["models"])
    broken = [one for one in feed(archive, "failures") if one["reason"] == "bad_record"]
    assert {one["kind"] for one in broken} == {"model"}


def test_feeds_as_csv(world, standin, tmp_path):
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none",
                  env={"CIVITAI_FEED_FORMAT": "csv"})  # fmt: skip
    assert ended.code in DONE, ended.log
    with (tmp_path / "lumen_fox" / "models.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {int(row["id"]) for row in rows} == set(world.truth(signed_in=False)["models"])
    assert isinstance(json.loads(rows[0]["tags"]), list)


def test_a_feed_of_ones_own_beside_the_archive(standin, tmp_path):
    own = tmp_path / "all.jsonl"
    ended = crawl(standin, tmp_path, "user_models", "-o", str(own), username="lumen_fox",
                  include="models", download="none")  # fmt: skip
    assert ended.code in DONE, ended.log
    lines = [json.loads(line) for line in own.read_text().splitlines()]
    models = feed(tmp_path / "lumen_fox", "models")
    assert len(lines) > len(models) > 0


def test_running_again_adds_nothing_and_asks_for_no_file(standin, tmp_path):
    crawl(standin, tmp_path, username="lumen_fox")
    archive = tmp_path / "lumen_fox"
    before = {path.name: path.read_bytes() for path in archive.glob("*.jsonl")}
    asked = len([entry for entry in standin.log.entries() if entry.role != "site"])
    ended = crawl(standin, tmp_path, username="lumen_fox")
    assert ended.code in DONE, ended.log
    again = {path.name: path.read_bytes() for path in archive.glob("*.jsonl")}
    assert again == before
    media = [entry for entry in standin.log.entries() if entry.role != "site"][asked:]
    assert [entry.path for entry in media if entry.status == 200] == []


def test_several_creators_in_one_command(world, standin, tmp_path):
    ended = crawl(standin, tmp_path, username="one_boat,long_shelf", download="none")
    assert ended.code in DONE, ended.log
    for name in ("one_boat", "long_shelf"):
        truth = world.truth(signed_in=False, username=name)
        assert set(ids(tmp_path / name, "models")) == set(truth["models"])


def test_one_unknown_creator_is_not_hidden_by_refusals_of_another(standin, tmp_path):
    given = {"username": "lumen_fox,nobody_here", "include": "models", "download": "files"}
    ended = crawl(standin, tmp_path, given=given)
    assert "There is no creator named 'nobody_here'" in ended.log
    assert "complete but for refusals" in (tmp_path / "lumen_fox/report.json").read_text()
    assert ended.code == 1


def test_single_posts(world, standin, tmp_path):
    truth = world.truth(signed_in=False)
    post = next(post for post in truth["posts"])
    ended = crawl(standin, tmp_path, "post_pages", post_id=f"https://civitai.com/posts/{post}")
    assert ended.code in DONE, ended.log
    archive = tmp_path / "post-pages"
    expected = [one["id"] for one in truth["images"] if one["post_id"] == post]
    assert ids(archive, "posts") == [post]
    assert ids(archive, "images") == sorted(expected)
    assert ids(archive, "generation_data") == sorted(expected)


def test_single_images_and_their_posts(world, standin, tmp_path):
    truth = world.truth(signed_in=False)
    image = next(one for one in truth["images"] if one["obtainable"])
    ended = crawl(standin, tmp_path, "image_pages", image_id=str(image["id"]))
    assert ended.code in DONE, ended.log
    archive = tmp_path / "image-pages"
    assert ids(archive, "images") == [image["id"]]
    assert ids(archive, "generation_data") == [image["id"]]
    crawl(standin, tmp_path, "image_pages", image_id=str(image["id"]), posts="true")
    siblings = [one["id"] for one in truth["images"] if one["post_id"] == image["post_id"]]
    assert ids(archive, "images") == sorted(siblings)
    assert ids(archive, "posts") == [image["post_id"]]


def test_generation_data_alone_from_a_feed(world, standin, tmp_path):
    crawl(standin, tmp_path, username="lumen_fox", download="none", include="images")
    images = tmp_path / "lumen_fox" / "images.jsonl"
    ended = crawl(standin, tmp_path, "generation_data", given={"from": str(images)})
    assert ended.code in DONE, ended.log
    truth = world.truth(signed_in=False)
    states = {one["id"]: one["state"] for one in truth["generation"]}
    told = {
        one["id"]: one["prompt_state"]
        for one in feed(tmp_path / "generation-data", "generation_data")
    }
    assert told == states


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["-a", "usrname=x"], "no argument 'usrname'"),
        (["-a", "username="], "needs the argument username"),
        (["-a", "username=x", "-s", "CIVITAI_REQUEST_INTERVAL=fast"], "CIVITAI_REQUEST_INTERVAL"),
        (["-a", "username=x", "-s", "CIVITAI_INTERVAL=1"], "There is no setting CIVITAI_INTERVAL"),
        (["-a", "username=x", "-s", "CIVITAI_ARCHIVE=/proc/nowhere"], "cannot be written"),
        (["-a", "username=x", "-s", "CIVITAI_ARCHIVE=README.md/here"], "cannot be written"),
        (["-a", "username=x", "-s", "DOWNLOAD_TIMEOUT=long"], "expected a number"),
        (["-a", "username=x", "-s", "HTTPCACHE_ENABLED=perhaps"], "expected True or False"),
    ],
)
def test_wrong_input_ends_in_one_sentence(args, sentence):
    ended = scrapy("crawl", "user_models", *args)
    assert ended.code == 2, ended.log
    assert sentence in ended.log
    assert "Traceback" not in ended.log


def test_an_unknown_user_ends_in_one_sentence(standin, tmp_path):
    ended = crawl(standin, tmp_path, username="nobody_at_all")
    assert ended.code == 1
    assert "There is no creator named 'nobody_at_all'" in ended.log
    assert "Traceback" not in ended.log
    assert len(ended.sentences) == 1, ended.log


@pytest.mark.parametrize(("failures", "code"), [(2, 0), (99, 1)])
def test_a_creator_that_the_server_cannot_tell_is_not_unknown(
    standin, tmp_path, monkeypatch, failures, code
):
    left = [TrpcError("SERVICE_UNAVAILABLE", "server busy")] * failures

    def busy(ask):
        if left:
            raise left.pop()
        return trpc_calls.user_get_creator(ask)

    monkeypatch.setitem(trpc_calls.CALLS, "user.getCreator", busy)
    ended = crawl(
        standin, tmp_path, username="lumen_fox", include="models", download="none",
        env={"CIVITAI_RETRY_TIMES": "2"},
    )  # fmt: skip
    assert ended.code == code, ended.log
    assert "There is no creator" not in ended.log
    assert ("The site cannot be asked" in ended.log) == bool(code)
    if not code:
        assert feed(tmp_path / "lumen_fox", "creators")[0]["post_count"] is not None


def test_a_stopped_server_ends_in_one_sentence(tmp_path, world):
    with Standin.in_thread(world) as standin:
        pass
    ended = crawl(
        standin,
        tmp_path,
        username="lumen_fox",
        env={"CIVITAI_RETRY_TIMES": "1", "CIVITAI_OFFLINE_PATIENCE": "1"},
    )
    assert ended.code == 1
    assert "The site cannot be asked" in ended.log
    assert "Traceback" not in ended.log
    assert len(ended.sentences) == 1, ended.log
