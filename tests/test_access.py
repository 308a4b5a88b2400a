"""What servers answer instead of a file: the record of each, what the next run does, what stays.

Three real servers: the site and the storage on hosts of their own, and the media host. Each case is
one file or image of one crawl; the same crawl is run three times.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from civitai_crawler.standin import Standin, World
from tests.cli import crawl as project_crawl
from tests.cli import feed, scrapy
from tests.crawl import Result, crawl
from tests.media_support import (
    HTML,
    LEDGER,
    MP4,
    PIPELINES,
    PNG,
    form,
    image,
    link,
    model_file,
    original,
    settings,
    sha256,
    webp,
    weights,
)
from tests.servers import Server, serve

if TYPE_CHECKING:
    from pathlib import Path

BODY = weights(1)
NEVER = "2099-01-01T00:00:00.000Z"
#: Over before the second run.
SOON = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="milliseconds")
LOGIN_WORDS = "The creator of this asset requires you to be logged in"
DISABLED_WORDS = "The creator has disabled downloads of this file"


class Told(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    kind: str = "application/octet-stream"
    headers: dict[str, str] = {}
    cut: int = 0
    """Bytes that are promised and not sent."""


def json_told(status: int, **payload: Any) -> Told:
    return Told(status, json.dumps(payload).encode(), "application/json")


def moved(location: str, status: int = 307) -> Told:
    return Told(status, headers={"Location": location})


GOOD = Told(200, BODY)
PAGE = Told(200, HTML, "text/html")


@dataclass(frozen=True)
class Case:
    """A file that cannot be had, by what the site or (with ``stored``) its storage answers."""

    reason: str
    told: Told
    status: int | None = None
    stored: bool = False
    retry_at: str | None = None
    again: int = 0
    """In how many of the two further runs it is asked for."""
    published: bool = True
    """Whether its SHA256 is."""
    later: Told | None = None
    """The answer from the second run on."""
    quarantined: bool = False


def refused(reason: str, status: int, told: Told | None = None, **more: Any) -> Case:
    """Make a case whose failure names the status of the answer."""
    return Case(reason, told or json_told(status, error="No"), status, **more)


FILES = {
    "login": refused(
        "login_required", 401, json_told(401, error="Unauthorized", message=LOGIN_WORDS)
    ),
    "disabled": refused(
        "downloads_disabled", 401, json_told(401, error="Unauthorized", message=DISABLED_WORDS)
    ),
    "early": refused(
        "early_access", 403, json_told(403, error="Early Access", deadline=NEVER), retry_at=NEVER
    ),
    "early, over soon": refused(
        "early_access", 403, json_told(403, error="Early Access", deadline=SOON),
        retry_at=SOON, again=1, later=GOOD,
    ),
    "early, without a date": refused("early_access", 403, json_told(403, error="Early Access")),
    "no grant": refused("no_access", 403, json_told(403, error="You do not have access")),
    "blacklisted": refused("forbidden", 403, json_told(403, error="Forbidden")),
    "archived": refused("archived", 410),
    "not found": refused("not_found", 404, again=1),
    "not found at first": refused("not_found", 404, again=1, later=GOOD),
    "bad query": refused("bad_request", 400),
    "login page": refused("login_required", 307, moved("/login?returnUrl=%2Fx")),
    "model page": refused("early_access", 307, moved("/model-versions/20")),
    "stays on the site": refused("unexpected_redirect", 307, moved("/somewhere/else"), again=2),
    "nowhere": refused("unexpected_redirect", 302, Told(302), again=2),
    "another protocol": refused("unexpected_redirect", 302, moved("ftp://x/y", 302), again=2),
    "too many": refused(
        "rate_limited", 429, Told(429, b"slow", headers={"Retry-After": "0"}), again=2
    ),
    "broken server": refused("server_error", 500, again=1, later=GOOD),
    "overloaded": refused(
        "server_error", 503, Told(503, headers={"Retry-After": "0"}), again=2
    ),
    "page of the site": Case("not_the_file", PAGE, 200),
    "JSON of the site": Case("not_the_file", json_told(200, error="Unauthorized")),
    "page of the storage": Case("not_the_file", PAGE, stored=True),
    "JSON of the storage": Case("not_the_file", json_told(200, code="x"), stored=True),
    "XML of the storage": Case("not_the_file", Told(200, b"<?xml version='1.0'?>"), stored=True),
    "words of the storage": Case(
        "not_the_file", Told(200, b"Please try again"), stored=True, published=False
    ),
    "empty": Case("not_the_file", Told(200), stored=True),
    "empty, without a hash": Case("not_the_file", Told(200), stored=True, published=False),
    "too short": Case("hash_mismatch", Told(200, BODY[:-9]), stored=True, quarantined=True),
    "too short, without a hash": Case(
        "not_the_file", Told(200, BODY[:-9]), stored=True, published=False, quarantined=True
    ),
    "much too short, without a hash": Case(
        "size_mismatch", Told(200, BODY[:900]), stored=True, published=False, quarantined=True
    ),
    "another file": Case("hash_mismatch", Told(200, weights(9)), stored=True, quarantined=True),
    "cut off": Case("network", Told(200, BODY[:-9], cut=9), stored=True, again=2),
    "compressed": Case(
        "network", Told(200, BODY, headers={"Content-Encoding": "gzip"}), stored=True, again=2
    ),
    "a part unasked": Case("network", Told(206, BODY[:100]), stored=True, again=2),
    "expired link": refused("storage_refused", 403, stored=True, again=1, later=GOOD),
    "authorization refused": refused("storage_refused", 400, stored=True, again=2),
    "gone from the storage": refused("not_found", 404, stored=True, again=1),
    "back to the site": refused("unexpected_redirect", 302, stored=True, again=2),
    "in circles": Case("network", Told(302), stored=True, again=2),
}  # fmt: skip
NUMBERS = {name: number for number, name in enumerate(FILES, 1)}

#: Images by number: what each address gives in turn, the reason, its status, and asked again.
STILL, OTHER = 101, 102
IMAGES: dict[int, tuple[str, Told, str | None, int | None, int]] = {
    101: ("video", Told(200, webp()), "not_the_file", None, 0),
    103: ("image", Told(404), "not_found", 404, 0),
    104: ("image", PAGE, "not_the_file", None, 0),
    105: ("image", Told(200), "not_the_file", None, 0),
    106: ("image", Told(200, PNG[:-2000]), "not_the_file", None, 0),
    107: ("image", Told(403), "no_access", 403, 0),
    108: ("image", Told(500), "server_error", 500, 2),
    109: ("image", Told(200, BODY), "not_the_file", None, 0),
}


class Town:
    """The three servers, which know what to tell by the address and the run."""

    def __init__(self) -> None:
        self.run = 0
        self.storage = ""
        self.asked: list[Counter[str]] = [Counter() for _ in range(3)]

    async def site(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked[self.run][request.path_qs] += 1
        if "/bucket/" in request.path:
            return await send(request, self._media(request.path))
        case = by_link(request)
        told = case.later if self.run and case.later else case.told
        if case.stored or told is GOOD:
            told = moved(f"{self.storage}/{request.query['fileId']}?signature=secret")
        return await send(request, told)

    async def store(self, request: web.BaseRequest) -> web.StreamResponse:
        name = list(FILES)[int(request.path.strip("/")) - 1]
        case = FILES[name]
        if name == "back to the site":
            return await send(request, moved(f"{self.url}/login", 302))
        if name == "in circles":
            return await send(request, moved(request.path_qs, 302))
        # A case of the site's comes here only with what is good.
        good = not case.stored or (self.run and case.later is GOOD)
        return await send(request, GOOD if good else case.told)

    def _media(self, path: str) -> Told:
        number = int(path.split("/")[2].rpartition("-")[2])
        if number == OTHER:  # the first form leads to what wants a login, the second to a still
            return {0: Told(401), 1: Told(200, webp())}.get(
                next(at for at in range(3) if path == form(OTHER, at)), Told(200, MP4)
            )
        return IMAGES[number][1]

    url = ""


def by_link(request: web.BaseRequest) -> Case:
    return FILES[list(FILES)[int(request.query["fileId"]) - 1]]


async def send(request: web.BaseRequest, told: Told) -> web.StreamResponse:
    length = {"Content-Length": str(len(told.body) + told.cut)}
    response = web.StreamResponse(status=told.status, headers={**length, **told.headers})
    response.content_type = told.kind
    await response.prepare(request)
    await response.write(told.body)
    if told.cut and request.transport is not None:
        request.transport.close()
    return response


class Runs(NamedTuple):
    folder: Path
    town: Town
    results: list[Result]

    def failure(self, number: int, at: int = 0) -> dict[str, Any]:
        found = [one for one in self.results[at].items if one.get("item_id") == number]
        assert len(found) == 1, self.results[at].log
        return found[0]

    def asked(self, address: str) -> list[bool]:
        """Tell for each further run whether *address* was asked for."""
        return [bool(asked[address]) for asked in self.town.asked[1:]]


def records() -> list[list[Any]]:
    """Make the items: each its own file of its own name."""
    files = [
        model_file(
            number,
            size_kb=len(BODY) / 1024,
            # Not the whole SHA256: by that, all would be linked to the first that arrives.
            hashes={"AutoV2": sha256(BODY)[:10]} if FILES[name].published else {},
        )
        for name, number in NUMBERS.items()
    ]
    images = [image(number, type=kind) for number, (kind, *_) in IMAGES.items()]
    found = [*files, *images, image(OTHER, type="video")]
    return [[kind, {"archive": "ada", **fields}] for kind, fields in found]


def options(root: Path, site: Server) -> dict[str, Any]:
    feeds = {
        str(root / f"ada/{stem}.jsonl"): {"format": "jsonlines", "item_classes": [item]}
        for stem, item in (
            ("model_files", "civitai_crawler.items.ModelFile"),
            ("images", "civitai_crawler.items.Image"),
        )
    }
    pipelines = {
        "civitai_crawler.pipelines.duplicates.DuplicatesPipeline": 100,
        **PIPELINES,
        "civitai_crawler.pipelines.duplicates.KnownItemsPipeline": 900,
    }
    slots = {"storage": {"concurrency": 8, "delay": 0.001}}
    job = {"JOBDIR": str(root / "ada/.job"), "FEEDS": feeds, **LEDGER}
    return settings(root, site, ITEM_PIPELINES=pipelines, DOWNLOAD_SLOTS=slots, **job)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root, town = tmp_path_factory.mktemp("access"), Town()

    async def thrice() -> list[Result]:
        results = []
        async with serve(town.site) as site, serve(town.store, "127.0.0.2") as storage:
            town.storage, town.url = storage.url, site.url
            for town.run in range(3):
                results.append(
                    await crawl(
                        "tests.media_support:MediaSpider", options(root, site), records=records()
                    )
                )
        return results

    return Runs(root / "ada", town, asyncio.run(thrice()))


@pytest.mark.parametrize("name", FILES)
def test_what_is_recorded_of_a_file(runs, name):
    case, failure = FILES[name], runs.failure(NUMBERS[name])

    assert failure["reason"] == case.reason
    assert failure["status"] == case.status
    assert failure["retry_at"] == case.retry_at
    assert (failure["kind"], failure["version_id"], failure["creator"]) == ("model_file", 20, "ada")
    assert "secret" not in failure["message"]


@pytest.mark.parametrize("name", FILES)
def test_whether_further_runs_ask_for_a_file(runs, name):
    asked = runs.asked(link(NUMBERS[name]))

    assert asked == {0: [False, False], 1: [True, False], 2: [True, True]}[FILES[name].again]


@pytest.mark.parametrize("name", [name for name, case in FILES.items() if case.later])
def test_what_a_further_run_gets_is_stored(runs, name):
    (item,) = (one for one in runs.results[1].items if one.get("id") == NUMBERS[name])

    assert (runs.folder / item["path"]).read_bytes() == BODY
    assert item["verified"] == "AutoV2"


@pytest.mark.parametrize("number", IMAGES)
def test_what_is_recorded_of_an_image(runs, number):
    kind, _, reason, status, again = IMAGES[number]
    failure = runs.failure(number)
    address = form(number, 0) if kind == "video" else original(number)

    assert (failure["reason"], failure["status"]) == (reason, status)
    assert sum(runs.asked(address)) == again


def test_a_video_is_asked_for_in_the_next_form(runs):
    (item,) = (one for one in runs.results[0].items if one.get("id") == OTHER)

    assert (runs.folder / item["path"]).read_bytes() == MP4
    assert [runs.town.asked[0][form(STILL, at)] for at in range(3)] == [1, 1, 1]


def test_the_archive_holds_nothing_that_is_not_what_it_claims(runs):
    held = {
        path.relative_to(runs.folder): path.read_bytes()
        for path in runs.folder.rglob("*")
        if path.is_file() and path.relative_to(runs.folder).parts[0] in ("models", "posts")
    }

    assert sorted(held.values()) == sorted([MP4, *(BODY for case in FILES.values() if case.later)])
    kept = {path.name: path for path in (runs.folder / "quarantine").iterdir()}
    files = [number for name, number in NUMBERS.items() if FILES[name].quarantined]
    assert set(kept) == {f"{n} castle-{n}.safetensors" for n in files} | {"image-106"}
    ended = scrapy("verify", str(runs.folder))
    assert ended.code == 0, ended.log


def test_no_run_shows_a_bug(runs):
    for result in runs.results:
        assert result.reason == "finished"
        assert "Traceback" not in result.log
        assert "secret" not in result.log


def test_a_used_up_quota_leaves_files_to_the_next_run_and_nothing_else(tmp_path):
    archive = tmp_path / "lumen_fox"
    with Standin.in_thread(World.small()) as standin:
        standin.faults.quota_after = 2
        first = project_crawl(standin, tmp_path, username="lumen_fox")
        asked = len(standin.log.entries("site", "/api/download/"))
        told = {one["item_id"] for one in feed(archive, "failures") if one["reason"] == "quota"}
        standin.faults.quota_after = None
        originals = sum(bool(one["path"]) for one in feed(archive, "images"))
        second = project_crawl(standin, tmp_path, username="lumen_fox")
    had = {one["id"] for one in feed(archive, "model_files") if one["path"]}
    other = {one["item_id"] for one in feed(archive, "failures") if one["reason"] != "quota"}

    assert (first.code, second.code) == (4, 3), first.log
    assert originals > 70
    assert len(told) > 20
    # Two are had; as many as run at once meet the quota; nobody else is sent for.
    assert asked <= 2 + 4
    assert first.log.count("Left to the next run.") >= len(told) - 4
    assert told <= had | other


async def test_a_blocked_region_stops_the_crawl_and_says_nothing_about_files(tmp_path):
    told = Told(451, b'{"error":"Region blocked","code":"REGION_BLOCKED"}', "application/json")
    given = [[kind, {"archive": "ada", **fields}] for kind, fields in [model_file(1, BODY)]]
    results: list[Result] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await send(request, GOOD if results else told)

    async with serve(answer) as server:
        for _ in range(2):
            given_to = options(tmp_path, server)
            result = await crawl("tests.media_support:MediaSpider", given_to, records=given)
            results.append(result)  # what it holds decides the next answer

    assert results[0].reason == "region_blocked"
    assert results[0].items == []
    assert [one["verified"] for one in results[1].items] == ["SHA256"]
