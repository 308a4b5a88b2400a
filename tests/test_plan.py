"""The plan of a crawl: few requests, and the same archive whichever way it is asked."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time

import pytest

from civitai_crawler.api.parsers import ImageRecord
from civitai_crawler.items import GenerationData, Image
from civitai_crawler.spiders import resources
from civitai_crawler.spiders.base import LONGEST
from civitai_crawler.spiders.generation_data import GenerationDataSpider
from civitai_crawler.standin import Faults, Standin, World
from civitai_crawler.standin.blueprints import ADDON_TAG
from civitai_crawler.standin.prompts import meta
from tests.cli import DONE, crawl, feed, ids, pointed_at, start

NAME = "lumen_fox"
FEEDS = ("models", "model_versions", "model_files", "posts", "images", "generation_data")
APART = ("fetched_at", "source", "extra", "archive")


@pytest.fixture(scope="module")
def world():
    return World.small()


@pytest.fixture(scope="module")
def named_world():
    """Everything in it names its models by version id."""
    world = World.small()
    rng = random.Random(1)
    for picture in world.pictures.values():
        if picture.maker != "none":
            picture.maker, picture.hidden = "onsite", False
            picture.meta = meta(picture, rng)
    return world


def archive(standin, folder, env=None, **arguments):
    """Archive the creator's records; return its feeds by id and the requests it took."""
    before = len(standin.log.entries("site"))
    ended = crawl(
        standin, folder, username=NAME, download="none", interval=0.001, env=env, **arguments
    )
    assert ended.code in DONE, ended.log
    found = {}
    for name in FEEDS:
        records = feed(folder / NAME, name)
        found[name] = {record["id"]: bare(standin, record) for record in records}
        assert len(found[name]) == len(records)
    return found, standin.log.entries("site")[before:]


def bare(standin, record):
    """Leave out what differs by time and call, and the addresses of this very server."""
    text = json.dumps({name: value for name, value in record.items() if name not in APART})
    for role in ("site", "media", "storage", "second_media"):
        text = text.replace(getattr(standin, f"{role}_url"), role)
    return json.loads(text)


def generations(entries):
    return [entry for entry in entries if "getGenerationData" in entry.path]


@pytest.fixture(scope="module")
def usual(world, tmp_path_factory):
    with Standin.in_thread(world) as standin:
        return archive(standin, tmp_path_factory.mktemp("usual"))


def test_without_batches_the_archive_is_the_same(usual, standin, tmp_path):
    found, entries = archive(standin, tmp_path, {"CIVITAI_BATCH_SIZE": "1"})
    assert found == usual[0]
    assert len(generations(entries)) == len(found["generation_data"])


def test_with_large_batches_the_archive_is_the_same(usual, standin, tmp_path):
    found, entries = archive(standin, tmp_path, {"CIVITAI_BATCH_SIZE": "500"})
    assert found == usual[0]
    assert len(generations(entries)) < len(generations(usual[1]))
    assert max(len(entry.path) for entry in entries) <= LONGEST


def test_devalue_tells_the_same(usual, standin, tmp_path):
    standin.faults.devalue = True
    assert archive(standin, tmp_path)[0] == usual[0]


def test_small_pages_tell_the_same(tmp_path):
    """The list of PG shows only the PG images of a version, so the other one has to come first."""
    world = World.small()
    for model in world.models_of(world.main):
        if model.type in ("Hypernetwork", "VAE"):  # the oldest; the list of PG begins after them
            model.level = 4
            for version in model.versions:
                version.level = 4
                for picture in version.pictures:
                    picture.level = 4
    with Standin.in_thread(world) as standin:
        whole, _ = archive(standin, tmp_path / "whole", include="models")
        standin.faults.page_cap = 1
        paged, _ = archive(standin, tmp_path / "paged", include="models")
    assert paged == whole


def test_the_list_by_trpc_tells_the_same(usual, standin, tmp_path):
    found, entries = archive(standin, tmp_path, api="trpc")
    assert found == usual[0]
    assert len(entries) == len(usual[1])


def test_trpc_and_devalue_and_single_calls_tell_the_same(usual, standin, tmp_path):
    standin.faults.devalue = True
    found, _ = archive(standin, tmp_path, {"CIVITAI_BATCH_SIZE": "1"}, api="trpc")
    assert found == usual[0]


@pytest.fixture(scope="module")
def hiding_world():
    """No list of REST names one of its models, and tRPC only to those who are shown all levels."""
    world = World.small()
    model = hidden(world)
    model.tags = [*model.tags, ADDON_TAG]
    return world


def hidden(world):
    return next(model for model in world.models_of(world.main) if model.level == 16)


def by_both(world, folder, credential, colour="red", **arguments):
    """Return the feeds of two archives, by REST's lists and by tRPC's."""
    with Standin.in_thread(world, colour=colour, tls=True) as standin:
        env = {"SSL_CERT_FILE": str(standin.ca_file), **credential}
        rest, _ = archive(standin, folder / "rest", env, **arguments)
        trpc, _ = archive(standin, folder / "trpc", env, api="trpc", **arguments)
    return rest, trpc


KEY = {"CIVITAI_API_KEY": "standin-key"}
COOKIES = {"CIVITAI_COOKIES": "__Secure-civ-token=standin-session"}


@pytest.mark.parametrize("credential", [{}, KEY], ids=["signed out", "signed in"])
def test_either_list_tells_the_same_of_a_large_creator(tmp_path, credential):
    rest, trpc = by_both(World.generate(), tmp_path, credential, colour="com")
    assert trpc == rest


@pytest.mark.parametrize("credential", [KEY, COOKIES], ids=["key", "cookies"])
def test_signed_in_either_list_tells_the_same(hiding_world, tmp_path, credential):
    rest, trpc = by_both(hiding_world, tmp_path, credential)
    assert trpc == rest
    truth = hiding_world.truth(signed_in=True, colour="red")
    assert sorted(rest["models"]) == truth["models"]
    assert sorted(rest["model_versions"]) == truth["versions"]


@pytest.mark.parametrize(
    ("chosen", "signed_in"),
    [
        ({"types": "LORA,VAE"}, True),
        ({"since": "2024-08-01"}, True),
        ({"level": "28"}, True),
        ({"base_models": "SDXL 1.0"}, False),
    ],
    ids=["types", "since", "level", "base models"],
)
def test_a_part_is_the_same_by_either_list(hiding_world, tmp_path, chosen, signed_in):
    credential = KEY if signed_in else {}
    rest, trpc = by_both(hiding_world, tmp_path, credential, **chosen, generation="none")
    assert trpc == rest
    assert rest["models"]
    assert (hidden(hiding_world).id in rest["models"]) is signed_in


def own_lists(entries):
    return [entry for entry in entries if "model.getAll" in entry.path]


@pytest.mark.parametrize(("api", "asked"), [("rest", 0), ("trpc", 1)])
def test_rest_alone_is_asked_where_the_counts_prove_it_whole(world, tmp_path, api, asked):
    with Standin.in_thread(world) as standin:
        ended = crawl(standin, tmp_path, username="long_shelf", download="none", api=api)
        assert ended.code == 0, ended.log
        assert len(own_lists(standin.log.entries("site"))) == asked
    assert len(feed(tmp_path / "long_shelf", "models")) == 12


@pytest.mark.parametrize(("api", "code", "complete"), [("rest", 1, False), ("trpc", 4, True)])
def test_the_list_by_trpc_stands_in_for_a_list_that_is_down(world, tmp_path, api, code, complete):
    with Standin.in_thread(world, colour="red", tls=True) as standin:
        standin.faults.models_down = True
        env = {"SSL_CERT_FILE": str(standin.ca_file), "CIVITAI_RETRY_TIMES": "0", **KEY}
        ended = crawl(
            standin, tmp_path, username=NAME, download="none", include="models", api=api, env=env
        )
    assert ended.code == code, ended.log
    assert "Traceback" not in ended.log
    truth = world.truth(signed_in=True, colour="red")
    assert (set(ids(tmp_path / NAME, "model_files")) == {one["id"] for one in truth["files"]}) is (
        complete
    )


def test_nothing_is_asked_with_none(usual, standin, tmp_path):
    found, entries = archive(standin, tmp_path, generation="none")
    assert not generations(entries)
    assert found["images"] == usual[0]["images"]
    told = found["generation_data"]
    for image_id, record in usual[0]["generation_data"].items():
        if record["prompt_state"] == "present":
            assert told[image_id]["prompt"] == record["prompt"]


def test_auto_asks_only_for_what_is_open(named_world, tmp_path):
    with Standin.in_thread(named_world) as standin:
        full, many = archive(standin, tmp_path / "full")
        auto, few = archive(standin, tmp_path / "auto", generation="auto")
    assert auto["generation_data"].keys() == full["generation_data"].keys()
    for image_id, record in full["generation_data"].items():
        for name in ("prompt_state", "prompt", "seed", "sampler", "unresolved"):
            assert auto["generation_data"][image_id][name] == record[name]
        told = {resource["version_id"]: resource for resource in record["resources"]}
        for resource in auto["generation_data"][image_id]["resources"]:
            assert resource == told[resource["version_id"]]
    asked = [sum(e.path.count("getGenerationData") for e in entries) for entries in (few, many)]
    assert asked[0] < 0.7 * asked[1]


def test_auto_leaves_nothing_open_in_a_mixed_archive(usual, standin, tmp_path):
    found, _ = archive(standin, tmp_path, generation="auto")
    told = {key: value["resources"] for key, value in found["generation_data"].items()}
    expected = {key: value["resources"] for key, value in usual[0]["generation_data"].items()}
    prompts = usual[0]["generation_data"]
    assert told.keys() == expected.keys()
    differing = [
        key
        for key in told
        if prompts[key]["unresolved"]  # what only the site knows of is not told by the lists
        and sorted(map(str, told[key])) != sorted(map(str, expected[key]))
    ]
    assert not differing


def walked(entries):
    return [entry for entry in entries if entry.path.startswith("/api/v1/images?username=")]


def test_the_search_is_walked_only_for_what_the_lists_do_not_show(world, usual, tmp_path):
    """A visitor's lists end at PG; those of the host for mature content show all to a user."""
    assert walked(usual[1])
    with Standin.in_thread(world, colour="red", tls=True) as standin:
        env = {"SSL_CERT_FILE": str(standin.ca_file), "CIVITAI_API_KEY": "standin-key"}
        found, entries = archive(standin, tmp_path, env)
    assert not walked(entries)
    assert found["images"].keys() == usual[0]["images"].keys()


def test_small_posts_make_full_batches(world, standin, tmp_path):
    posts = [post for post in world.posts_of(world.main) if post.visible and not post.excluded]
    wanted = ",".join(str(post.id) for post in posts[:12])
    ended = crawl(standin, tmp_path, "post_pages", post_id=wanted, download="none")
    assert ended.code in DONE, ended.log
    asked = [entry.path.count("getGenerationData") for entry in generations(standin.log.entries())]
    unsure = [entry.path.count("image.get,") for entry in generations(standin.log.entries())]
    made = ids(tmp_path / "post-pages", "generation_data")
    assert made == ids(tmp_path / "post-pages", "images")
    assert sum(asked) == len(made)
    assert len(asked) <= -(-(sum(asked) + sum(unsure)) // 19) + 1


def test_a_member_that_fails_costs_only_itself(world, standin, tmp_path):
    good = [picture.id for picture in world.pictures.values() if picture.user is world.main][20:23]
    wanted = ",".join(map(str, [*good, 999_999_999]))
    ended = crawl(standin, tmp_path, "generation_data", image_id=wanted)
    assert ended.code in DONE, ended.log
    assert [entry.status for entry in standin.log.entries("site")] == [207]
    assert ids(tmp_path / "generation-data", "generation_data") == sorted(good)
    failures = feed(tmp_path / "generation-data", "failures")
    assert [(one["item_id"], one["reason"]) for one in failures] == [(999_999_999, "not_found")]


def test_a_batch_of_missing_images_is_believed_at_once(standin, tmp_path):
    ended = crawl(standin, tmp_path, "generation_data", image_id="999999998,999999999")
    assert ended.code in DONE, ended.log
    asked = [entry.path.count("getGenerationData") for entry in standin.log.entries("site")]
    assert asked == [2]
    assert len(feed(tmp_path / "generation-data", "failures")) == 2


def test_a_batch_refused_as_a_whole_is_taken_apart(world, tmp_path):
    wanted = [picture.id for picture in world.pictures.values() if picture.user is world.main][:3]
    with Standin.in_thread(world, faults=Faults(rate_500=1, max_consecutive=1)) as standin:
        crawl(
            standin, tmp_path, "generation_data", image_id=",".join(map(str, wanted)),
            env={"CIVITAI_RETRY_TIMES": "0"},
        )  # fmt: skip
        asked = [entry.path.count("getGenerationData") for entry in standin.log.entries("site")]
    assert asked == [3, 1, 1, 1]


def test_a_kill_loses_nothing_of_what_waits_to_be_packed(usual, standin, tmp_path):
    env = {**pointed_at(standin, tmp_path, 0.05), "CIVITAI_BATCH_SIZE": "1000"}
    process = start(
        "crawl", "user_models", "-a", f"username={NAME}", "-a", "download=none",
        env=env, log=tmp_path / "log",
    )  # fmt: skip
    ledger = tmp_path / NAME / ".job" / "ledger.sqlite"
    deadline = time.monotonic() + 60
    while not [e for e in standin.log.entries("site") if "image.getInfinite" in e.path]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.4)  # a commit later
    process.send_signal(signal.SIGKILL)
    process.wait()
    found, _ = archive(standin, tmp_path)
    assert found == usual[0]
    with sqlite3.connect(ledger) as db:
        assert not db.execute("SELECT count(*) FROM marks WHERE kind = 'wanted'").fetchone()[0]


@pytest.mark.parametrize("signed_in", [False, True])
def test_addresses_stay_short_with_long_ids(signed_in):
    spider = GenerationDataSpider(image_id="1")
    spider.signed_in, spider.batch_size = signed_in, 20
    spider.base_url = "https://civitai.com"
    rows = [[2_000_000_000 + number, None, None, None] for number in range(100)]
    batches = list(spider.batches(rows, spider.calls))
    assert [row for batch in batches for row in batch] == rows
    assert {len(batch) for batch in batches} == {20}  # two calls for each
    spider.batch_size = 1_000
    for batch in spider.batches(rows, spider.calls):
        assert len(spider.generation_batch(batch).url) <= LONGEST + len(spider.base_url)


@pytest.mark.parametrize(
    ("entries", "versions", "expected"),
    [
        ([], [], []),
        ([{"modelVersionId": 7, "weight": 1}], [], [7]),
        ([{"modelVersionId": 7}], [8], [7, 8]),
        ([{"name": "a", "hash": "AB"}], [7], None),
        ([{"modelVersionId": "7"}], [], None),
        ([{"modelVersionId": True}], [], None),
    ],
)
def test_what_is_open(entries, versions, expected):
    item = GenerationData(id=1, prompt_state="present", unresolved=entries)
    record = ImageRecord(Image(id=1, type="image", version_ids=versions), item)
    assert resources.needed(record, item) == expected


def test_hidden_parameters_are_open():
    record = ImageRecord(Image(id=1, type="image", has_meta=True), None)
    item = resources.listed(record)
    assert item is not None
    assert item.prompt_state == "hidden"
    assert resources.needed(record, item) is None


@pytest.mark.parametrize("has_meta", [None, False])  # hidden parameters are listed as none
def test_what_a_list_shows_nothing_of_is_open(has_meta):
    record = ImageRecord(Image(id=1, type="image", has_meta=has_meta), None)
    assert resources.listed(record) is None


@pytest.mark.parametrize(
    ("entry", "strength"),
    [
        ({"weight": 1}, "1.0"),
        ({"weight": "0.8"}, "0.8"),
        ({"weight": None, "strength": 0.7}, "0.7"),
        ({"weight": True}, "None"),
    ],
)
def test_a_resolved_model_has_the_strength_that_the_site_would_tell(entry, strength):
    item = GenerationData(id=1, prompt_state="present", unresolved=[{"modelVersionId": 7, **entry}])
    resources.resolve(item, {7: {"version_id": 7}})
    assert [repr(one.strength) for one in item.resources] == [strength]
