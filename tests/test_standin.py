"""The stand-in's APIs and pages answer with the site's quirks, over real sockets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from civitai_crawler.standin import Faults, Standin
from tests.standin_support import KEY, Client, ids, small_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

USER = "lumen_fox"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Standin(small_world()) as standin, Client(standin) as opened:
        yield opened


def model(name: str) -> int:
    return next(m.id for m in small_world().models.values() if m.name == name)


# --- who asks


async def test_trpc_needs_the_sites_name_or_a_key(client):
    path = "/api/trpc/user.getCreator?input=" + json.dumps({"json": {"username": USER}})
    refused = await client.get(path)
    assert refused.status == 401
    assert refused.json["error"]["json"]["data"]["code"] == "UNAUTHORIZED"
    assert (await client.get(path, {"Referer": "https://elsewhere.example/"})).status == 401
    assert (await client.get(path, {"Origin": client.standin.site_url})).status == 200
    assert (await client.get(path, KEY)).status == 200


async def test_an_unknown_key_means_anonymous(client):
    wrong = {"Authorization": "Bearer wrong", "Cookie": "__Secure-civ-token=standin-session"}
    assert (await client.get("/api/v1/models", wrong, limit=1)).status == 200
    assert (await client.get("/api/v1/me", wrong)).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        KEY,
        {"Cookie": "__Secure-civ-token=standin-session"},
        {"Cookie": "__Secure-civitai-token=standin-legacy"},
    ],
)
async def test_me_with_each_credential(client, headers):
    answer = await client.get("/api/v1/me", headers)
    assert (answer.status, answer.json["username"]) == (200, "archive_owner")
    assert "private" in answer.headers["Cache-Control"]
    assert ("subject" in answer.json) == ("Authorization" in headers)


async def test_me_by_token_parameter(client):
    assert (await client.get("/api/v1/me", token="standin-key")).status == 200


async def test_the_former_cookie_is_exchanged_once(client):
    legacy = {"Cookie": "__Secure-civitai-token=standin-legacy"}
    first = await client.get("/api/v1/me", legacy)
    cookies = first.headers.getall("Set-Cookie")
    assert cookies[0].startswith("__Secure-civ-token=standin-session;")
    assert sum("Max-Age=0" in cookie for cookie in cookies) == 12
    assert "Set-Cookie" not in (await client.get("/api/v1/me", legacy)).headers
    client.standin.faults.legacy_expires = True
    assert (await client.get("/api/v1/me", legacy)).status == 401


@pytest.mark.parametrize(
    ("colour", "headers", "seen"),
    [("com", {}, {1}), ("com", KEY, {1, 2}), ("red", {}, {1}), ("red", KEY, {1, 2, 4, 8, 16})],
)
async def test_lists_are_capped_by_host_and_login(client, colour, headers, seen):
    client.standin.colour = colour
    values = {"username": USER, "browsingLevel": 31}
    items = await client.pages("image.getInfinite", headers, **values)
    assert {item["nsfwLevel"] for item in items} == seen


async def test_a_level_outside_the_cap_becomes_the_cap(client):
    items = await client.pages("image.getInfinite", username=USER, browsingLevel=16)
    assert {item["nsfwLevel"] for item in items} == {1}


async def test_calls_by_id_know_no_cap(client):
    wild = next(p for p in small_world().pictures.values() if p.level == 16)
    assert (await client.trpc("image.get", id=wild.id))["nsfwLevel"] == 16
    assert (await client.trpc("image.getGenerationData", id=wild.id))["type"] == "image"


async def test_get_all_without_a_level_is_empty_on_the_uncapped_host(client):
    client.standin.colour = "red"
    assert (await client.trpc("model.getAll", KEY, username=USER))["items"] == []


# --- model lists


async def test_each_maturity_switch_hides_something(client):
    tame = ids((await client.rest("models", username=USER))["items"])
    wild = ids((await client.rest("models", username=USER, nsfw="true"))["items"])
    assert set(tame) - set(wild) >= {model("Playground Days")}
    assert set(wild) - set(tame) >= {model("lantern meadow style")}
    tagged = next(m for m in small_world().models.values() if (5161, "tutorial clip") in m.tags)
    assert tagged.id in tame
    assert tagged.id not in wild
    assert model("Portrait of a Neighbour") not in tame + wild


async def test_archived_models_only_on_demand_and_without_files(client):
    plain = await client.rest("models", username=USER)
    assert model("Old Lamp Embedding") not in ids(plain["items"])
    # any text is true here, "false" as well
    both = await client.rest("models", username=USER, archived="false")
    found = {item["id"]: item for item in both["items"]}[model("Old Lamp Embedding")]
    assert found["mode"] == "Archived"
    assert [v["files"] for v in found["modelVersions"]] == [[], []]
    assert all("downloadUrl" not in v for v in found["modelVersions"])
    assert set(ids(plain["items"])) < set(found_ids := ids(both["items"]))
    assert len(found_ids) == len(set(found_ids))


async def test_page_does_not_move(client):
    first = await client.rest("models", username=USER, limit=2, sort="Oldest")
    second = await client.rest("models", username=USER, limit=2, sort="Oldest", page=2)
    assert ids(first["items"]) == ids(second["items"])
    assert (second["metadata"]["currentPage"], second["metadata"]["pageSize"]) == (2, 2)
    assert "page=3" in second["metadata"]["nextPage"]
    assert (await client.get("/api/v1/models", limit=100, page=11)).status == 429


async def test_newest_loses_a_row_per_page_edge_and_oldest_none(client):
    whole = ids((await client.rest("models", username=USER, sort="Oldest"))["items"])
    assert ids(await client.rest_pages("models", username=USER, sort="Oldest", limit=3)) == whole
    newest = ids(await client.rest_pages("models", username=USER, sort="Newest", limit=3))
    assert len(whole) - len(newest) == len(whole) // 4
    assert newest == sorted(newest, key=whole.index, reverse=True)


@pytest.mark.parametrize("sort", ["Most Downloaded", "Highest Rated", "Most Discussed"])
async def test_counted_sorts_lose_nothing(client, sort):
    whole = (await client.rest("models", username=USER))["items"]
    paged = await client.rest_pages("models", username=USER, sort=sort, limit=3)
    assert sorted(ids(paged)) == sorted(ids(whole))


async def test_the_last_page_has_no_cursor_and_next_page_repeats_the_query(client):
    page = await client.rest("models", username=USER, limit=2, sort="Oldest", token="standin-key")
    assert "token=standin-key" in page["metadata"]["nextPage"]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\|\d+", page["metadata"]["nextCursor"]
    )
    assert (await client.rest("models", username=USER))["metadata"] == {}


async def test_a_page_cap_cuts_pages(client):
    client.standin.faults.page_cap = 5
    page = await client.rest("models", username="long_shelf", limit=100, sort="Oldest")
    assert len(page["items"]) == 5
    assert len(await client.rest_pages("models", username="long_shelf", sort="Oldest")) == 12


@pytest.mark.parametrize(
    ("path", "query", "status", "shape"),
    [
        ("models", {"limit": 101}, 400, "object"),
        ("models", {"types": "LORA,Checkpoint"}, 400, "object"),
        ("models", {"browsingLevel": 31}, 400, "object"),
        ("models", {"nsfw": "perhaps"}, 400, "object"),
        ("models", {"cursor": "7", "sort": "Newest"}, 400, "message"),
        ("models", {"cursor": "x|7", "sort": "Oldest"}, 400, "message"),
        ("models", {"username": "nobody_at_all"}, 404, "message"),
        ("models", {"favorites": "true"}, 401, "error"),
        ("models/999999999", {}, 404, "error"),
        ("models/abc", {}, 400, "error"),
        ("models/99999999999", {}, 400, "error"),
        ("model-versions/999999999", {}, 404, "error"),
        ("images", {"limit": 201}, 400, "object"),
        ("images", {"cursor": "x|y"}, 400, "error"),
        ("images", {"username": "no such!"}, 400, "object"),
        ("images", {"sort": "Random"}, 400, "error"),
        ("creators", {"limit": 201}, 400, "list"),
    ],
)
async def test_refusals_have_the_sites_shapes(client, path, query, status, shape):
    answer = await client.get(f"/api/v1/{path}", **query)
    assert answer.status == status
    body = answer.json
    if shape == "list":
        assert body[0]["code"] == "too_big"
    elif shape == "object":
        assert json.loads(body["error"]["message"])[0]["path"]
    else:
        assert isinstance(body[shape], str)


async def test_posts_are_no_rest_resource(client):
    answer = await client.get("/api/v1/posts")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


async def test_lists_take_only_get(client):
    async with client.session.post(client.standin.site_url + "/api/v1/models") as response:
        assert (response.status, (await response.json())["error"]) == (405, "Method not allowed")


# --- one model, one version


async def test_model_detail_says_more_and_drops_empty_values(client):
    record = await client.rest(f"models/{model('Lantern Meadow Style')}")
    versions = record["modelVersions"]
    assert all(value not in (None, [], "") for v in versions for value in v.values())
    assert all({"status", "createdAt"} <= set(v) for v in versions)
    assert all("id" not in image for v in versions for image in v.get("images", []))


async def test_hidden_models_are_not_found(client):
    for name in ("Portrait of a Neighbour", "Not published yet"):
        assert (await client.get(f"/api/v1/models/{model(name)}")).status == 404
    assert (await client.get(f"/api/v1/models/{model('Playground Days')}")).status == 200


async def test_version_detail_carries_generation_data(client):
    version = next(v for v in small_world().versions.values() if v.pictures and v.model.public)
    record = await client.rest(f"model-versions/{version.id}")
    assert record["modelId"] == version.model.id
    assert all(isinstance(file["primary"], bool) for file in record["files"])
    assert [image["meta"] is None for image in record["images"]] == [
        picture.shown_meta is None for picture in version.pictures[:10]
    ]
    unrated = next(v for v in small_world().versions.values() if v.level == 0)
    assert (await client.get(f"/api/v1/model-versions/{unrated.id}")).status == 404


async def test_versions_are_found_by_any_published_hash(client):
    record = await client.rest(f"models/{model('Lantern Meadow Style')}")
    version = record["modelVersions"][0]
    for value in version["files"][0]["hashes"].values():
        found = await client.rest(f"model-versions/by-hash/{value.lower()}")
        assert found["id"] == version["id"]
    assert (await client.get("/api/v1/model-versions/by-hash/ABCDEF")).status == 404


async def test_published_hashes_are_true_unless_switched(client):
    path = f"models/{model('Lantern Meadow Style')}"
    files = small_world().truth(signed_in=True)["files"]
    true = {file["id"]: file["sha256"].upper() for file in files}

    async def wrong() -> list[int]:
        versions = (await client.rest(path))["modelVersions"]
        printed = [file for v in versions for file in v["files"] if file["hashes"]]
        return [f["id"] for f in printed if f["hashes"]["SHA256"] != true[f["id"]]]

    assert await wrong() == []
    client.standin.faults.wrong_hash = True
    assert len(await wrong()) == 1


# --- REST images


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ({}, {1}),
        ({"nsfw": "false"}, {1}),
        ({"nsfw": "true"}, {4, 8, 16}),
        ({"nsfw": "Soft"}, {1, 2}),
        ({"nsfw": "X"}, {1, 2, 4, 8, 16}),
        ({"nsfw": "X", "browsingLevel": 2}, {2}),
        ({"browsingLevel": 31}, {1, 2, 4, 8, 16}),
    ],
)
async def test_rest_images_know_no_cap_but_the_query(client, query, levels):
    items = await client.rest_pages("images", username=USER, limit=200, **query)
    assert {item["browsingLevel"] for item in items} == levels


async def test_rest_images_leave_out_flagged_ones(client):
    items = await client.rest_pages("images", username=USER, limit=200, browsingLevel=31)
    world = small_world()
    found = {world.pictures[number] for number in ids(items)}
    assert not any(picture.excluded for picture in found)
    unlisted = [p for p in world.pictures.values() if not p.indexed]
    assert len(unlisted) == 1
    assert unlisted[0] not in found


async def test_rest_meta_is_flat_or_nested_and_only_on_demand(client):
    picture = next(p for p in small_world().pictures.values() if p.state == "present")
    one = {"imageId": picture.id, "browsingLevel": 31}
    assert (await client.rest("images", **one))["items"][0]["meta"] is None
    nested = (await client.rest("images", withMeta="true", **one))["items"][0]["meta"]
    flat = (await client.rest("images", withMeta="true", flatMeta="1", **one))["items"][0]["meta"]
    assert nested == {"id": picture.id, "meta": flat}
    assert flat["seed"] == (picture.meta or {})["seed"]


async def test_index_cursors_keep_the_time_of_page_one(client):
    first = await client.rest("images", username=USER, limit=3)
    cursor = first["metadata"]["nextCursor"]
    assert re.fullmatch(r"3\|\d{13}", cursor)
    second = await client.rest("images", username=USER, limit=3, cursor=cursor)
    assert second["metadata"]["nextCursor"].split("|")[1] == cursor.split("|")[1]
    assert not set(ids(first["items"])) & set(ids(second["items"]))


# --- tRPC lists


async def test_markers_for_undefined_may_be_sent_and_nulls_may_not(client):
    marked = {
        "json": {"postId": 801001, "cursor": None, "browsingLevel": None},
        "meta": {"values": {"cursor": ["undefined"], "browsingLevel": ["undefined"]}},
    }
    assert (await client.call("image.getInfinite", marked)).status == 200
    refused = await client.call("image.getInfinite", {"json": marked["json"]})
    assert (refused.status, refused.json["error"]["json"]["code"]) == (400, -32600)
    dated = {"json": {"cursor": "2026-01-01"}, "meta": {"values": {"cursor": ["Date"]}}}
    assert (await client.call("post.getInfinite", dated)).status == 400
    assert (await client.get("/api/trpc/post.get?input={", KEY)).status == 400
    assert (await client.call("no.such", {"json": {}})).status == 404


async def test_a_post_is_paged_by_position(client):
    client.standin.colour = "red"
    post = max(small_world().posts.values(), key=lambda p: len(p.pictures) * p.visible)
    values = {"postId": post.id, "browsingLevel": 31}
    answer = await client.call("image.getInfinite", {"json": {**values, "limit": 2}}, KEY)
    data = answer.json["result"]["data"]
    assert data["json"]["nextCursor"] == post.pictures[2].index
    paged = await client.pages("image.getInfinite", KEY, limit=2, **values)
    assert ids(paged) == [picture.id for picture in post.pictures]
    last = await client.call("image.getInfinite", {"json": values}, KEY)
    assert last.json["result"]["data"]["meta"]["values"]["nextCursor"] == ["undefined"]


async def test_several_posts_lose_a_row_per_edge_unless_oldest(client):
    client.standin.colour = "red"
    posts = [p for p in small_world().posts_of(small_world().main) if p.visible][:8]
    values = {"postIds": [p.id for p in posts], "browsingLevel": 31, "limit": 5}
    whole = sorted(picture.id for post in posts for picture in post.pictures)
    oldest = await client.pages("image.getInfinite", KEY, sort="Oldest", **values)
    assert ids(oldest) == whole
    other = await client.pages("image.getInfinite", KEY, sort="Newest", **values)
    assert len(whole) - len(other) == len(whole) // 6


async def test_meta_in_image_lists_needs_the_include(client):
    values = {"username": USER, "limit": 200}
    bare = await client.pages("image.getInfinite", **values)
    assert {item["meta"] for item in bare} == {None}
    full = await client.pages("image.getInfinite", include=["metaSelect"], **values)
    assert any(item["meta"] and "prompt" in item["meta"] for item in full)


async def test_posts_of_an_unknown_user_are_everybodys(client):
    known = await client.pages("post.getInfinite", username=USER, sort="Newest", limit=7)
    assert {item["user"]["username"] for item in known} == {USER}
    assert len(known) == len(set(ids(known)))
    unknown = await client.pages("post.getInfinite", username="nobody_here", sort="Newest")
    assert len({item["user"]["username"] for item in unknown}) > 2


async def test_post_cursors_are_inclusive(client):
    page = await client.trpc("post.getInfinite", username=USER, sort="Newest", limit=2)
    moment, _, number = page["nextCursor"].partition("|")
    following = await client.trpc(
        "post.getInfinite", username=USER, sort="Newest", limit=2, cursor=page["nextCursor"]
    )
    assert following["items"][0]["id"] == int(number)
    assert following["items"][0]["publishedAt"] == moment


async def test_flagged_pictures_come_unless_switched_off(client):
    client.standin.colour = "red"
    post = next(p for p in small_world().posts.values() if p.excluded and p.visible)
    values = {"postId": post.id, "browsingLevel": 31}
    assert len(await client.pages("image.getInfinite", KEY, **values)) == len(post.pictures)
    off = {"disablePoi": True, "disableMinor": True}
    assert await client.pages("image.getInfinite", KEY, **values, **off) == []
    listed = await client.pages("post.getInfinite", KEY, username=USER, browsingLevel=31, **off)
    assert post.id not in ids(listed)


async def test_unknown_users_in_the_other_calls(client):
    for name in ("image.getInfinite", "user.getCreator", "model.getAll"):
        answer = await client.call(name, {"json": {"username": "nobody_here"}})
        assert answer.status == 404


async def test_get_all_has_one_version_and_no_files(client):
    items = await client.pages("model.getAll", username=USER, sort="Oldest", archived=True)
    assert all("modelVersions" not in item and "files" not in item for item in items)
    assert all(isinstance(tag, int) for item in items for tag in item["tags"])
    assert all(item["images"] for item in items)


async def test_a_model_by_id_has_hash_pairs(client):
    record = await client.trpc("model.getById", id=model("Lantern Meadow Style"))
    file = record["modelVersions"][0]["files"][0]
    assert {pair["type"] for pair in file["hashes"]} >= {"SHA256", "AutoV2"}
    assert isinstance(record["allowCommercialUse"], list)
    archived = await client.trpc("model.getById", id=model("Old Lamp Embedding"))
    assert [v["files"] for v in archived["modelVersions"]] == [[], []]


# --- generation data, batches, encodings


async def test_generation_data_in_its_three_states(client):
    pictures = small_world().pictures.values()
    for state in ("present", "hidden", "absent"):
        picture = next(p for p in pictures if p.state == state and p.resources)
        data = await client.trpc("image.getGenerationData", id=picture.id)
        assert (data["meta"] is None) == (state != "present")
        assert data["resources"][0]["modelVersionId"] == picture.resources[0][0].id
        assert data["canRemix"] == (state == "present")
        detail = await client.trpc("image.get", id=picture.id)
        assert (detail["hideMeta"], detail["hasMeta"]) == (state == "hidden", state == "present")


async def test_comfy_is_an_object_here_and_text_there(client):
    pictures = [p for p in small_world().pictures.values() if p.maker == "comfy" and not p.hidden]
    number = pictures[0].id
    data = await client.trpc("image.getGenerationData", id=number)
    assert set(data["meta"]["comfy"]) == {"prompt", "workflow"}
    query = {"imageId": number, "browsingLevel": 31, "withMeta": 1, "flatMeta": 1}
    listed = (await client.rest("images", **query))["items"][0]["meta"]["comfy"]
    assert json.loads(listed) == data["meta"]["comfy"]
    broken = next(p for p in small_world().pictures.values() if p.maker == "broken_comfy")
    data = await client.trpc("image.getGenerationData", id=broken.id)
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(data["meta"]["comfy"])


async def test_a_batch_of_mixed_fates_is_a_207(client):
    inputs = {"0": {"json": {"id": 910001}}, "1": {"json": {"id": 999999999}}}
    path = "/api/trpc/image.get,image.get?batch=1&input=" + json.dumps(inputs)
    answer = await client.get(path, KEY)
    assert answer.status == 207
    good, bad = answer.json
    assert good["result"]["data"]["json"]["id"] == 910001
    assert bad["error"]["json"]["data"]["path"] == "image.get"
    same = await client.get(path.replace("999999999", "910002"), KEY)
    assert same.status == 200


async def test_a_query_may_be_posted(client):
    url = client.standin.site_url + "/api/trpc/image.get"
    async with client.session.post(url, json={"json": {"id": 910001}}, headers=KEY) as response:
        assert (await response.json())["result"]["data"]["json"]["id"] == 910001
    assert '"id": 910001' in client.standin.log.entries()[-1].body


def hydrate(text: str) -> Any:
    """Read devalue text without our own decoder."""
    cells = json.loads(text)

    def value(index: int) -> Any:
        if index < 0:
            return None
        cell = cells[index]
        if isinstance(cell, dict):
            return {key: value(item) for key, item in cell.items()}
        if isinstance(cell, list):
            return cell[1] if cell and cell[0] == "Date" else [value(item) for item in cell]
        return cell

    return value(0)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("image.getInfinite", {"postId": 801001}),
        ("model.getAll", {"username": USER, "sort": "Oldest"}),
        ("image.getGenerationData", {"id": 910002}),
    ],
)
async def test_devalue_says_the_same(client, name, values):
    plain = await client.trpc(name, **values)
    client.standin.faults.devalue = True
    answer = await client.call(name, {"json": values})
    text = answer.json["result"]["data"]
    assert hydrate(text) == plain
    assert ('["Date",' in text) == ("items" in plain)
    failed = await client.call("image.get", {"json": {"id": 1}})
    assert hydrate(failed.json["error"])["data"]["httpStatus"] == 404


async def test_cache_headers(client):
    anonymous = await client.call("image.get", {"json": {"id": 910001}})
    assert anonymous.headers["Cache-Control"].startswith("public, max-age=60")
    signed_in = await client.call("image.get", {"json": {"id": 910001}}, KEY)
    assert "private" in signed_in.headers["Cache-Control"]
    missing = await client.get("/api/v1/models/1")
    assert missing.headers["Cache-Control"].startswith("public, s-maxage=300")


# --- people


async def test_counts_follow_the_cap(client):
    whole = await client.trpc("user.getCreator", username=USER)
    assert whole["_count"]["models"] == 14
    small = await client.trpc("userProfile.overview", username=USER)
    client.standin.colour = "red"
    large = await client.trpc("userProfile.overview", KEY, username=USER)
    assert (large["modelCount"], large["postCount"]) == (14, 24)
    assert large["imageCount"] + large["videoCount"] == 90
    assert small["imageCount"] < large["imageCount"]


async def test_users_and_creators(client):
    found = await client.rest("users", query="lumen")
    assert found["items"][0]["username"] == USER
    number = found["items"][0]["id"]
    assert (await client.rest("users", ids=number))["items"] == found["items"]
    creators = {c["username"]: c for c in (await client.rest("creators"))["items"]}
    assert creators[USER]["modelCount"] == 14
    assert "modelCount" not in creators["empty_lantern"]
    assert "LORA" in (await client.rest("enums"))["ModelType"]


# --- pages


def embedded(text: str) -> Any:
    found = re.search(r'type="application/json">(.*?)</script>', text)
    assert found is not None
    return json.loads(found[1])


async def test_a_post_page_in_both_encodings(client):
    post = next(p for p in small_world().posts.values() if p.title == "Lantern & Meadow <v2>")
    page = await client.get(f"/posts/{post.id}")
    assert "<title>Lantern &amp; Meadow &lt;v2&gt; | Civitai</title>" in page.text
    plain = embedded(page.text)["props"]["pageProps"]["trpcState"]["json"]
    found = {tuple(q["queryKey"][0]): q["state"]["data"] for q in plain["queries"]}
    assert found["post", "get"]["title"] == post.title
    shown = found["image", "getInfinite"]["pages"][0]["items"]
    assert ids(shown) == [p.id for p in post.pictures if p.level == 1]
    client.standin.faults.devalue = True
    again = embedded((await client.get(f"/posts/{post.id}")).text)
    assert hydrate(again["props"]["pageProps"]["trpcState"]) == plain


async def test_pages_of_untitled_gated_and_missing_things(client):
    posts = [post for post in small_world().posts.values() if post.visible]
    untitled = next(post for post in posts if post.title is None)
    page = await client.get(f"/posts/{untitled.id}")
    assert f"<title>Image post by {untitled.user.name} | Civitai</title>" in page.text
    gated = next(post for post in posts if not post.level & 1)
    page = await client.get(f"/posts/{gated.id}")
    assert (page.status, "noindex" in page.text) == (200, True)
    assert str(gated.id) in page.text
    assert (await client.get("/posts/5")).status == 404
    assert (await client.get("/posts/five")).status == 404
    image = await client.get("/images/910001")
    assert f"<title>Image posted by {USER}</title>" in image.text
    missing = await client.get("/images/5")
    assert (missing.status, "image.get" in missing.text) == (200, False)
    assert "<title>Civitai | Share your models</title>" in missing.text


async def test_a_user_page_has_no_models(client):
    page = await client.get(f"/user/{USER}/models")
    data = embedded(page.text)["props"]["pageProps"]["trpcState"]["json"]["queries"]
    assert [query["queryKey"][0][1] for query in data] == ["get", "overview"]


async def test_regions_are_refused(client):
    client.standin.faults.region_blocked = True
    refused = await client.get("/api/v1/models")
    assert (refused.status, refused.json["code"]) == (451, "REGION_BLOCKED")
    page = await client.get("/posts/801001")
    assert (page.status, page.headers["Location"]) == (307, "/region-blocked")
    assert (await client.get("/region-blocked")).status == 200


async def test_odd_names_and_shapes_are_there(client):
    pictures = small_world().pictures.values()
    assert any((p.meta or {}).get("seed", 0) > 2**63 for p in pictures)
    posts = [post for post in small_world().posts.values() if post.version is None]
    assert any(post.title is None for post in posts)
    assert any(all(p.state == "hidden" for p in post.pictures) for post in posts)
    names = {m.name for m in small_world().models_of(small_world().main)}
    assert {"CON", "../../etc/passwd", "몰루", "Trailing dots... "} <= names
    assert max(map(len, names)) > 250
    lower = [name.lower() for name in names]
    assert len(lower) > len(set(lower))
    items = (await client.rest("models", username=USER, nsfw="true"))["items"]
    assert [] in [item["modelVersions"] for item in items]
    uses = [item["allowCommercialUse"] for item in items]
    assert {type(use) for use in uses} == {str, list}
    times = [v["publishedAt"] for item in items for v in item["modelVersions"]]
    assert None in times
    assert {time[-1] for time in times if time} > {"Z"}


async def test_faults_are_plain_switches():
    faults = Faults(rate_429=0.5)
    async with Standin(small_world(), faults=faults) as standin:
        assert standin.faults is faults
