"""Lists that lose, repeat or cut short: each crawl ends with everything, from a second source."""

from __future__ import annotations

import json
import signal
import time
import urllib.request

import pytest
from scrapy.crawler import Crawler
from scrapy.http import TextResponse
from scrapy.utils.project import get_project_settings

from civitai_crawler.ledger import Ledger
from civitai_crawler.spiders.user_models import UserModelsSpider
from civitai_crawler.standin import Standin, World, paging, rest_images, trpc_calls
from civitai_crawler.standin.trpc_input import TrpcError
from tests.cli import assert_archived, crawl, feed, ids, pointed_at, start


def report_of(folder):
    return json.loads((folder / "lumen_fox" / "report.json").read_text(encoding="utf-8"))


def code(folder):
    """Return the exit code that the report stands for."""
    return report_of(folder)["verdict"]["code"]


def assert_whole(standin, folder, *, signed_in=False):
    """Compare every feed with the truth by id, and see that the report agrees."""
    assert_archived(standin, folder / "lumen_fox", signed_in=signed_in)
    report = report_of(folder)
    assert report["verdict"]["code"] == 0, report
    assert report["not_obtained"] == []
    assert report["not_listed"] == {}
    for kind in report["kinds"].values():
        assert all(not count["missing"] for count in kind["expected"])


@pytest.mark.parametrize(
    "faults",
    [
        {},
        {"page_cap": 3, "posts_page_cap": 4, "images_page_cap": 3},
        {"page_cap": 4, "posts_page_cap": 5, "images_page_cap": 6, "repeated_item": True},
        {"page_cap": 5, "posts_page_cap": 7, "images_page_cap": 9, "repeated_cursor": True},
        {"repeated_cursor": True},
        {"false_end": 2},
    ],
    ids=["", "small pages", "repeated items", "repeated cursors", "one page", "false ends"],
)
def test_whatever_the_lists_lose_is_found(standin, tmp_path, faults):
    for name, value in faults.items():
        setattr(standin.faults, name, value)
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert code(tmp_path) == 0, ended.log
    assert "Traceback" not in ended.log
    assert_whole(standin, tmp_path)
    # A cursor that comes back is asked once more at most.
    asked = [entry.path for entry in standin.log.entries("site")]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("switch", ["empty_page_with_cursor", "repeated_cursor", "repeated_item"])
def test_the_list_of_models_by_trpc_is_completed_by_rest(standin, tmp_path, switch):
    setattr(standin.faults, switch, True)
    standin.faults.page_cap = 4
    ended = crawl(
        standin, tmp_path, username="lumen_fox", download="none", api="trpc", include="models"
    )
    assert code(tmp_path) == 0, ended.log
    truth = standin.truth(signed_in=False)
    assert ids(tmp_path / "lumen_fox", "models") == truth["models"]
    assert ids(tmp_path / "lumen_fox", "model_versions") == truth["versions"]


def test_what_no_source_shows_is_named_and_found_in_a_later_pass(standin, tmp_path):
    standin.faults.false_end = 1000
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert code(tmp_path) == 4, ended.log
    archive = tmp_path / "lumen_fox"
    truth = {one["id"]: one["post_id"] for one in standin.truth(signed_in=False)["images"]}
    unindexed = set(truth) - set(ids(archive, "images"))
    assert len(unindexed) == 1  # the search has all others
    missing = [one for one in feed(archive, "failures") if one["reason"] == "images_missing"]
    assert {one["item_id"] for one in missing} == {truth[one] for one in unindexed}
    standin.faults.false_end = 0
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert code(tmp_path) == 0, ended.log
    assert_whole(standin, tmp_path)


def test_a_shortage_that_two_passes_agree_on_is_asked_for_no_more(tmp_path):
    world = World.small()
    post = next(p for p in world.posts_of(world.main) if p.version is None)
    del world.pictures[post.pictures[-1].id]  # counted and shown by no list
    with Standin.in_thread(world) as standin:
        codes = []
        for _ in range(3):
            standin.log.clear()
            crawl(standin, tmp_path, username="lumen_fox", download="none")
            codes.append(code(tmp_path))
        assert codes == [4, 3, 3]
        assert len(standin.log.entries()) == 5
    report = report_of(tmp_path)
    missing = [(one["id"], one["reason"], one["final"]) for one in report["not_obtained"]]
    assert missing == [(post.id, "images_missing", True)]


def test_a_crawl_that_ended_early_says_so(standin, tmp_path):
    standin.faults.rate_500 = 1.0
    standin.faults.max_consecutive = 100
    ended = crawl(
        standin, tmp_path, username="lumen_fox", download="none",
        env={"CIVITAI_RETRY_TIMES": "0"},
    )  # fmt: skip
    assert code(tmp_path) == 1, ended.log
    report = report_of(tmp_path)
    assert report["verdict"]["word"] == "ended early"


def test_an_interrupted_crawl_says_so(standin, tmp_path):
    standin.faults.latency = 0.3
    arguments = ["-a", "username=lumen_fox", "-a", "download=none"]
    settings = pointed_at(standin, tmp_path)
    process = start("crawl", "user_models", *arguments, env=settings, log=tmp_path / "log")
    while len(standin.log.entries()) < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 4
    report = report_of(tmp_path)
    assert report["ended"] == "shutdown"
    assert report["verdict"]["code"] == 4
    assert report["requests_left"] > 0
    assert "interrupted" in (tmp_path / "lumen_fox" / "report.md").read_text(encoding="utf-8")


def test_a_restricted_crawl_raises_no_false_alarm(standin, tmp_path):
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none", level="1", types="LORA")
    assert code(tmp_path) == 0, ended.log
    report = report_of(tmp_path)
    counts = [count for kind in report["kinds"].values() for count in kind["expected"]]
    assert all(count["missing"] == 0 for count in counts)


def test_signed_in_the_counts_of_an_unknown_host_are_not_compared(world, tmp_path):
    with Standin.in_thread(world, tls=True, colour="red") as standin:
        ended = crawl(
            standin, tmp_path, username="lumen_fox", download="none",
            env={
                "CIVITAI_API_KEY": standin.accounts.api_key,
                "SSL_CERT_FILE": str(standin.ca_file),
            },
        )  # fmt: skip
        assert code(tmp_path) == 0, ended.log
        assert "Signed in" in ended.log
        assert_whole(standin, tmp_path, signed_in=True)


def test_posts_of_every_version_of_an_excluded_model_are_left_out(tmp_path):
    world = World.generate(posts=44, images=100, file_size=2_000)
    second = next(
        post
        for post in world.posts_of(world.main)
        if post.version and post.excluded and post.version is not post.version.model.versions[0]
    )
    with Standin.in_thread(world) as standin:
        ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
        assert code(tmp_path) == 0, ended.log
        assert_whole(standin, tmp_path)
    assert second.id not in ids(tmp_path / "lumen_fox", "posts")
    assert report_of(tmp_path)["kinds"]["posts"]["excluded"] == len(
        world.truth(signed_in=False)["excluded"]["posts"]
    )


@pytest.mark.parametrize("generation", ["full", "auto"])
def test_a_post_that_fails_inside_a_batch_is_asked_alone(
    standin, tmp_path, monkeypatch, generation
):
    failed: list[int] = []

    def busy(ask):
        if not failed:
            failed.append(ask.id())
            raise TrpcError("SERVICE_UNAVAILABLE", "server busy")
        return trpc_calls.post_get(ask)

    monkeypatch.setitem(trpc_calls.CALLS, "post.get", busy)
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none", generation=generation)
    assert failed
    assert code(tmp_path) == 0, ended.log
    assert_whole(standin, tmp_path)
    titles = {one["id"]: one["title"] for one in feed(tmp_path / "lumen_fox", "posts")}
    for image in feed(tmp_path / "lumen_fox", "images"):
        assert image["post_title"] == titles[image["post_id"]]


def test_hidden_is_told_from_absent_though_the_server_is_busy(standin, tmp_path, monkeypatch):
    asked: set[int] = set()

    def busy(ask):
        if ask.id() not in asked:
            asked.add(ask.id())
            raise TrpcError("SERVICE_UNAVAILABLE", "server busy")
        return trpc_calls.image_get(ask)

    monkeypatch.setitem(trpc_calls.CALLS, "image.get", busy)
    crawl(standin, tmp_path, username="lumen_fox", download="none")
    found = {
        one["id"]: one["prompt_state"] for one in feed(tmp_path / "lumen_fox", "generation_data")
    }
    states = {one["id"]: one["state"] for one in standin.truth(signed_in=False)["generation"]}
    assert found == states
    assert asked


def test_a_found_post_is_told_again_while_its_record_is_in_no_feed(standin, tmp_path):
    """A kill may come between the commit of what is noted of it and that of its record."""
    settings = get_project_settings()
    settings.setdict(pointed_at(standin, tmp_path), "cmdline")
    crawler = Crawler(UserModelsSpider, settings)
    spider = UserModelsSpider.from_crawler(crawler, username="lumen_fox")
    post_id = standin.truth(signed_in=False)["posts"][0]
    request = spider.posts_of([post_id], [], {})
    headers = {"Referer": f"{standin.site_url}/"}
    with urllib.request.urlopen(urllib.request.Request(request.url, headers=headers)) as answer:
        response = TextResponse(request.url, body=answer.read(), request=request)
    try:
        for _ in ("killed", "gone on"):
            found = list(spider.parse_found_posts(response, [post_id], [], {}))
            assert [post.id for post in found] == [post_id]
        spider.ledger.add_item("Post", post_id)
        assert not list(spider.parse_found_posts(response, [post_id], [], {}))
    finally:
        Ledger.abandon(crawler)


@pytest.mark.parametrize("generation", ["full", "auto"])
def test_data_of_another_creator_that_failed_is_asked_for_by_the_next_run(
    standin, world, tmp_path, monkeypatch, generation
):
    """Nothing lists it any more once the gallery is left out."""
    failed: set[tuple[int, str]] = set()
    healthy = trpc_calls.image_get_generation_data

    def busy(ask):
        picture = world.pictures[ask.id()]
        # Alone, one that shows no prompt still is a batch: whether it is hidden is asked as well.
        if picture.user is not world.main and picture.state != "present" and len(failed) < 2:
            failed.add((picture.id, picture.state))
        if picture.id in {number for number, _ in failed}:
            raise TrpcError("SERVICE_UNAVAILABLE", "server busy")
        return healthy(ask)

    monkeypatch.setitem(trpc_calls.CALLS, "image.getGenerationData", busy)
    given = {"username": "lumen_fox", "download": "none", "generation": generation}
    crawl(standin, tmp_path, gallery="true", **given)
    archive = tmp_path / "lumen_fox"
    assert code(tmp_path) == 4
    missing = set(ids(archive, "images")) - set(ids(archive, "generation_data"))
    assert missing == {number for number, _ in failed}
    assert len(missing) == 2
    monkeypatch.setitem(trpc_calls.CALLS, "image.getGenerationData", healthy)
    ended = crawl(standin, tmp_path, **given)
    assert ids(archive, "generation_data") == ids(archive, "images")
    assert code(tmp_path) == 0, ended.log


def test_an_empty_page_of_the_search_is_not_its_end(standin, tmp_path, monkeypatch):
    def by_offset(rows, limit, cursor, faults):
        if cursor is None:
            return [], "0|1"
        return paging.by_offset(rows, limit, cursor, faults)

    monkeypatch.setattr(rest_images, "by_offset", by_offset)
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert code(tmp_path) == 0, ended.log
    assert_whole(standin, tmp_path)


def test_data_that_cannot_be_decoded_costs_its_record_only(standin, tmp_path, monkeypatch):
    truth = sorted(one["id"] for one in standin.truth(signed_in=False)["generation"])
    deep: list[object] = []
    for _ in range(150):  # deeper than is decoded
        deep = [deep]

    def nested(ask):
        data = trpc_calls.image_get_generation_data(ask)
        return {**data, "tools": deep} if ask.id() == truth[0] else data

    monkeypatch.setitem(trpc_calls.CALLS, "image.getGenerationData", nested)
    standin.faults.devalue = True
    crawl(standin, tmp_path, username="lumen_fox", download="none")
    assert ids(tmp_path / "lumen_fox", "generation_data") == truth[1:]
    (failure,) = feed(tmp_path / "lumen_fox", "failures")
    assert (failure["kind"], failure["item_id"]) == ("generation_data", truth[0])
    assert "levels deep" in failure["message"]


@pytest.mark.parametrize("count", [["x"], {"models": "many"}, {"models": "12"}])
def test_a_count_of_another_kind_costs_the_count_only(standin, tmp_path, monkeypatch, count):
    def creator(ask):
        return {**trpc_calls.user_get_creator(ask), "_count": count}

    monkeypatch.setitem(trpc_calls.CALLS, "user.getCreator", creator)
    ended = crawl(standin, tmp_path, username="lumen_fox", download="none", include="models")
    assert "Traceback" not in ended.log
    assert ids(tmp_path / "lumen_fox", "models") == standin.truth(signed_in=False)["models"]
