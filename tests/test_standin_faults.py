"""The stand-in's fault switches: each does what it says, and no request fails for ever."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from civitai_crawler.standin import Standin, World
from tests.standin_support import KEY, Client, ids, small_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

USER = "lumen_fox"
LIST = "/api/v1/models?username=lumen_fox"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Standin(small_world()) as standin, Client(standin) as opened:
        yield opened


@pytest.mark.parametrize("status", [429, 503, 500])
async def test_busy_answers_end_after_two(client, status):
    setattr(client.standin.faults, f"rate_{status}", 1.0)
    answers = [await client.get(LIST) for _ in range(6)]
    assert [a.status for a in answers] == [status, status, 200] * 2


async def test_retry_after_is_sent_when_switched(client):
    faults = client.standin.faults
    faults.rate_429 = 1.0
    assert "Retry-After" not in (await client.get(LIST)).headers
    faults.retry_after_429 = 0.25
    assert (await client.get(LIST)).headers["Retry-After"] == "0.25"
    faults.rate_429, faults.rate_503 = 0.0, 1.0
    answer = await client.get("/api/v1/enums")
    assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("2", "no-store")


async def test_busy_trpc_is_an_envelope_without_retry_after(client):
    client.standin.faults.rate_503 = 1.0
    answer = await client.call("image.get", {"json": {"id": 910001}})
    assert answer.status == 503
    assert answer.json["error"]["json"]["data"]["code"] == "SERVICE_UNAVAILABLE"
    assert "Retry-After" not in answer.headers
    batch = await client.get("/api/trpc/image.get,image.get?batch=1&input={}", KEY)
    assert (batch.status, len(batch.json)) == (503, 2)


async def test_a_429_of_a_download_always_says_when(client):
    faults = client.standin.faults
    faults.rate_429 = 1.0
    assert (await client.get("/api/download/models/701001")).status == 307
    faults.retry_after_429 = 1
    answer = await client.get("/api/download/models/701001")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


async def test_a_challenge_is_html(client):
    client.standin.faults.challenge_rate = 1.0
    answer = await client.get(LIST)
    assert (answer.status, answer.headers["cf-mitigated"]) == (403, "challenge")
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_pages_and_broken_json_in_place_of_json(client):
    faults = client.standin.faults
    faults.html_instead_rate = 1.0
    answer = await client.get(LIST)
    assert (answer.status, answer.text[:9]) == (200, "<!DOCTYPE")
    faults.html_instead_rate, faults.bad_json_rate = 0.0, 1.0
    answer = await client.get(LIST)
    assert answer.headers["Content-Type"].startswith("application/json")
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.body)


async def test_closed_connections(client):
    client.standin.faults.reset_rate = 1.0
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.get(LIST)  # aiohttp tries twice of its own accord
    assert (await client.get(LIST)).status == 200
    assert [e.status for e in client.standin.log.entries("site")] == [0, 0, 200]


def media_url(client: Client, form: str = "png") -> str:
    pictures = small_world().pictures.values()
    found = next(p for p in pictures if p.format == form and p.cdn == "direct")
    return f"{client.standin.media_url}/{found.uuid}/original=true/x.jpeg"


async def test_cut_bodies(client):
    client.standin.faults.truncate_rate = 1.0
    url = media_url(client)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.get(url)
    assert (await client.get(url)).status == 200


async def test_stalled_bodies(client):
    client.standin.faults.stall_rate = 1.0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get(media_url(client)), 0.3)


async def test_a_download_fails_at_most_twice_over_all_its_hops(client):
    faults = client.standin.faults
    faults.rate_503, faults.truncate_rate, faults.retry_after_503 = 0.5, 0.6, 0.01
    for file in list(small_world().files.values())[:20]:
        if file.version.access != "open" or not file.version.model.public or file.oddity:
            continue
        if file.version.model.poi or file.version.model.mode:
            continue
        tries, done = 0, False
        while not done:
            tries += 1
            assert tries <= 3
            path = f"/api/download/models/{file.version.id}?fileId={file.id}"
            answer = await client.get(path, KEY)
            if answer.status != 307:
                continue
            try:
                body = await client.get(answer.headers["Location"])
            except aiohttp.ClientPayloadError:
                continue
            assert len(body.body) == file.size
            done = True


async def test_the_same_seed_fails_the_same(client):
    async def run(seed: int) -> list[int]:
        async with Standin(small_world()) as standin, Client(standin) as other:
            standin.faults.seed, standin.faults.rate_500 = seed, 0.4
            paths = [f"/api/v1/images?postId={number}" for number in range(801001, 801020)]
            return [(await other.get(path)).status for path in paths]

    first = await run(1)
    assert set(first) == {200, 500}
    assert await run(1) == first
    assert await run(2) != first


async def test_a_broken_record_is_one_more(client):
    whole = ids((await client.rest("models", username=USER))["items"])
    client.standin.faults.broken_record = "model"
    assert ids((await client.rest("models", username=USER))["items"]) == [*whole, "not-a-number"]
    client.standin.faults.broken_record = "version"
    items = (await client.rest("models", username=USER))["items"]
    assert ids(items) == whole
    assert [v for item in items for v in item["modelVersions"] if "id" not in v]
    client.standin.faults.broken_record = "image"
    items = (await client.rest("images", username=USER))["items"]
    assert items[-1]["id"] == "not-a-number"


async def test_a_list_of_models_that_is_down_leaves_single_models(client):
    known = ids((await client.rest("models", username=USER))["items"])[0]
    client.standin.faults.models_down = True
    assert (await client.get("/api/v1/models", username=USER)).status == 500
    assert (await client.rest(f"models/{known}"))["id"] == known


async def test_false_ends_are_counted_down(client):
    client.standin.faults.false_end = 1
    empty = await client.trpc("image.getInfinite", postId=801001)
    assert empty == {"nextCursor": None, "items": []}
    assert (await client.trpc("image.getInfinite", postId=801001))["items"]


async def test_an_empty_page_with_a_cursor_loses_nothing(client):
    values = {"username": USER, "sort": "Oldest"}
    whole = ids(await client.pages("model.getAll", **values))
    client.standin.faults.empty_page_with_cursor = True
    first = await client.trpc("model.getAll", **values)
    assert (first["items"], first["nextCursor"] is not None) == ([], True)
    assert ids(await client.pages("model.getAll", **values)) == whole


async def test_repeated_items_and_cursors(client):
    faults = client.standin.faults
    whole = ids((await client.rest("models", username=USER, sort="Oldest"))["items"])
    faults.repeated_item = True
    paged = ids(await client.rest_pages("models", username=USER, sort="Oldest", limit=3))
    assert len(paged) > len(whole)
    assert set(paged) == set(whole)
    faults.repeated_item, faults.repeated_cursor = False, True
    page = await client.rest("models", username=USER, sort="Oldest")
    cursor = page["metadata"]["nextCursor"]
    again = await client.rest("models", username=USER, sort="Oldest", cursor=cursor)
    assert again["metadata"]["nextCursor"] == cursor
    images = await client.rest("images", username=USER, limit=200)
    cursor = images["metadata"]["nextCursor"]
    same = await client.rest("images", username=USER, limit=200, cursor=cursor)
    assert same["metadata"]["nextCursor"] == cursor


async def test_latency_is_added(client):
    client.standin.faults.latency = 0.15
    loop = asyncio.get_running_loop()
    started = loop.time()
    await client.get("/api/v1/enums")
    assert loop.time() - started >= 0.15


async def test_slow_bodies(client):
    client.standin.faults.body_delay = 0.2
    loop = asyncio.get_running_loop()
    started = loop.time()
    await client.get(media_url(client))
    assert loop.time() - started >= 0.2


def test_presets_and_sizes():
    world = World.generate(images=900, posts=60, models=20, versions=50, file_size=2_000)
    main = world.main
    public = [m for m in world.models_of(main) if m.public]
    posts = [p for p in world.posts_of(main) if p.visible]
    assert (len(public), len(posts)) == (20, 60)
    assert sum(len(m.public_versions) for m in public) == 50
    assert sum(len(post.pictures) for post in posts) == 900
    assert max(len(post.pictures) for post in posts) <= 20
    empty, single = world.user("Empty Lantern"), world.user("one_boat")
    assert empty is not None
    assert world.posts_of(empty) == []
    assert single is not None
    assert len(world.models_of(single)) == 1
    with pytest.raises(ValueError, match="posts hold"):
        World.generate(images=5, posts=60)


def test_the_same_seed_makes_the_same_world():
    first, second, other = World.small(), World.small(), World.small(2)
    assert first.truth(signed_in=True) == second.truth(signed_in=True)
    assert first.truth(signed_in=True) != other.truth(signed_in=True)
