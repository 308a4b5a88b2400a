"""A plain, patient crawl of the stand-in reaches exactly what the world says can be reached."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from civitai_crawler.standin import Standin
from tests.standin_support import KEY, Client, ids, small_world

if TYPE_CHECKING:
    from collections.abc import Mapping

FLAGS = ("poi", "minor")


class Crawl:
    """The recipe of a complete archive, as simple as possible."""

    def __init__(self, client: Client, headers: Mapping[str, str], user: str) -> None:
        self.client, self.headers, self.user = client, headers, user
        self.models: dict[int, Any] = {}
        self.images: dict[int, Any] = {}

    async def run(self) -> dict[str, Any]:
        await self.find_models()
        await self.find_images()
        kept = {n: m for n, m in self.models.items() if not any(m[flag] for flag in FLAGS)}
        versions = [version for m in kept.values() for version in m["modelVersions"]]
        archived = [
            version["id"]
            for model in kept.values()
            for version in model["modelVersions"]
            if model.get("mode") == "Archived"
        ]
        return {
            "models": sorted(kept),
            "versions": sorted(ids(versions)),
            "archived_versions": sorted(archived),
            "files": await self.files(versions),
            "posts": sorted({image["postId"] for image in self.images.values()}),
            "images": [await self.image(self.images[n]) for n in sorted(self.images)],
            "generation": [await self.generation(n) for n in sorted(self.images)],
        }

    async def find_models(self) -> None:
        query = {"username": self.user, "sort": "Oldest", "archived": "true", "limit": 3}
        for more in ({}, {"nsfw": "true"}):
            for item in await self.client.rest_pages("models", **query, **more):
                if more or item["id"] not in self.models:
                    self.models[item["id"]] = item

    async def find_images(self) -> None:
        listed = await self.client.rest_pages(
            "images", username=self.user, browsingLevel=31, limit=50, sort="Oldest"
        )
        posts = {image["postId"] for image in listed}
        values = {"username": self.user, "sort": "Newest", "browsingLevel": 31, "limit": 7}
        posts |= set(ids(await self.client.pages("post.getInfinite", self.headers, **values)))
        values = {"postIds": sorted(posts), "sort": "Oldest", "browsingLevel": 31, "limit": 40}
        found = await self.client.pages("image.getInfinite", self.headers, **values)
        for image in [*listed, *found]:
            if not any(image.get(flag) for flag in FLAGS):
                self.images[image["id"]] = image

    async def files(self, versions: list[Any]) -> list[Any]:
        found: dict[int, Any] = {}
        for version in versions:
            for file in version["files"]:
                entry = found.setdefault(
                    file["id"], {"id": file["id"], "hosts": [], "sha256": None}
                )
                entry["hosts"].append(version["id"])
                if entry["sha256"] is None:
                    entry |= await self.fetch(file, version["id"])
        return [found[number] for number in sorted(found)]

    async def fetch(self, file: Any, version_id: int) -> dict[str, Any]:
        by_id = f"/api/download/models/{version_id}?fileId={file['id']}"
        printed = urlsplit(file["downloadUrl"])
        for path in (by_id, by_id, f"{printed.path}?{printed.query}"):
            answer = await self.client.get(path, self.headers)
            if answer.status != 404:
                break
        if answer.status != 307:
            return {"status": answer.status, "error": answer.json["error"]}
        body = await self.client.get(answer.headers["Location"])
        assert body.status == 200
        digest = hashlib.sha256(body.body).hexdigest()
        right = file["hashes"].get("SHA256", digest.upper()) == digest.upper()
        return {"status": 200, "error": None if right else "hash", "sha256": digest}

    async def image(self, image: Any) -> Any:
        link = image["url"]
        uuid = urlsplit(link).path.split("/")[2] if link.startswith("http") else link
        answer = await self.client.get(f"{self.client.standin.media_url}/{uuid}/original=true/x")
        if answer.status == 301:
            answer = await self.client.get(answer.headers["Location"])
        digest = hashlib.sha256(answer.body).hexdigest() if answer.status == 200 else None
        return {"id": image["id"], "sha256": digest}

    async def generation(self, number: int) -> Any:
        inputs = {"0": {"json": {"id": number}}, "1": {"json": {"id": number}}}
        path = "/api/trpc/image.getGenerationData,image.get?batch=1&input=" + json.dumps(inputs)
        referer = {"Referer": self.client.standin.site_url}
        data, detail = (
            element["result"]["data"]["json"]
            for element in (await self.client.get(path, {**referer, **self.headers})).json
        )
        hidden = "hidden" if detail["hideMeta"] else "absent"
        return {"id": number, "state": "present" if data["meta"] else hidden}


STATUS = {
    "login_required": 401,
    "downloads_disabled": 401,
    "early_access": 403,
    "no_access": 403,
    "not_found": 404,
    "hash_mismatch": 200,
    None: 200,
}


@pytest.mark.parametrize(
    ("headers", "colour", "wrong_hash"),
    [({}, "com", False), (KEY, "com", True), (KEY, "red", False)],
)
async def test_the_truth_is_what_a_crawl_finds(headers, colour, wrong_hash):
    async with Standin(small_world(), colour=colour) as standin, Client(standin) as client:
        standin.faults.wrong_hash = wrong_hash
        truth = standin.truth(signed_in=bool(headers))
        json.dumps(truth)
        found = await Crawl(client, headers, "lumen_fox").run()
    for kind in ("models", "versions", "archived_versions", "posts"):
        assert found[kind] == truth[kind], kind
    assert found["generation"] == [
        {"id": g["id"], "state": g["state"]} for g in truth["generation"]
    ]
    assert found["images"] == [{"id": i["id"], "sha256": i["sha256"]} for i in truth["images"]]
    assert ids(found["files"]) == ids(truth["files"])
    for file, expected in zip(found["files"], truth["files"], strict=True):
        assert sorted(file["hosts"]) == expected["version_ids"]
        assert file["status"] == STATUS[expected["reason"]], expected
        assert (file["error"] is None) == expected["obtainable"]
        if expected["obtainable"]:
            assert file["sha256"] == expected["sha256"]


def test_the_truth_names_every_reason_and_all_that_is_left_out():
    world = small_world()
    anonymous = world.truth(signed_in=False)
    signed_in = world.truth(signed_in=True, wrong_hash=True)
    reasons = {file["reason"] for t in (anonymous, signed_in) for file in t["files"]}
    assert reasons == set(STATUS)
    assert {image["reason"] for image in anonymous["images"]} == {None, "not_found"}
    states = {(g["state"], g["embedded"]) for g in anonymous["generation"]}
    assert states >= {("present", True), ("hidden", True), ("hidden", False), ("absent", False)}
    excluded = anonymous["excluded"]
    assert all(excluded.values())
    for kind in ("models", "versions", "posts"):
        assert not set(excluded[kind]) & set(anonymous[kind])
    assert not set(excluded["images"]) & set(ids(anonymous["images"]))
    early = next(f for f in anonymous["files"] if f["reason"] == "early_access")
    assert early["retry_at"].startswith("2099-")


def test_small_presets_have_their_own_truth():
    world = small_world()
    empty = world.truth(signed_in=False, username="empty_lantern")
    assert not any(empty[kind] for kind in ("models", "files", "posts", "images"))
    single = world.truth(signed_in=False, username="one_boat")
    assert (len(single["models"]), len(single["images"])) == (1, 3)
    assert len(world.truth(signed_in=False, username="long_shelf")["models"]) == 12
    with pytest.raises(ValueError, match="nobody"):
        world.truth(signed_in=False, username="nobody_here")


def test_a_lower_level_wants_less():
    tame, whole = (small_world().truth(signed_in=True, level=level) for level in (1, 31))
    assert set(ids(tame["images"])) < set(ids(whole["images"]))
    assert set(tame["models"]) < set(whole["models"])
