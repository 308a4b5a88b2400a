"""A small client for the tests of the stand-in, and an archive of its creator."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import aiohttp

from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = {"Authorization": "Bearer standin-key"}


@cache
def small_world() -> World:
    """One world for all tests that only read it."""
    return World.small()


def archived(folder: Path) -> Path:
    """Crawl the creator of the small world, as a user does; return the archive."""
    world = small_world()
    with Standin.in_thread(world) as standin:
        env = {"XDG_STATE_HOME": str(folder / "state")}
        ended = crawl(standin, folder / "archive", username=world.main.name, env=env)
    assert ended.code in DONE, ended.log
    return folder / "archive" / world.main.name


class Answer:
    """A finished answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """Asks one stand-in; follows no redirects, keeps no cookies."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Answer:
        """Ask for a path of the site, or a full URL."""
        url = path if path.startswith("http") else self.standin.site_url + path
        if query:
            url += "?" + urlencode(query, doseq=True)
        call = self.session.get(url, headers=headers, allow_redirects=False)
        async with call as response:
            return Answer(response.status, response.headers, await response.read())

    async def rest(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> Any:
        answer = await self.get(f"/api/v1/{path}", headers, **query)
        assert answer.status == 200, answer.text
        return answer.json

    async def call(
        self, name: str, envelope: Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One tRPC call with a ready envelope."""
        path = f"/api/trpc/{name}?input={quote(json.dumps(envelope))}"
        referer = {"Referer": self.standin.site_url + "/"}
        return await self.get(path, {**referer, **(headers or {})})

    async def trpc(self, name: str, headers: Mapping[str, str] | None = None, **values: Any) -> Any:
        """One good tRPC call; its plain data."""
        answer = await self.call(name, {"json": values}, headers)
        assert answer.status == 200, answer.text
        return answer.json["result"]["data"]["json"]

    async def pages(
        self, name: str, headers: Mapping[str, str] | None = None, **values: Any
    ) -> list[Any]:
        """All items of a tRPC list."""
        items: list[Any] = []
        cursor: Any = None
        for _ in range(99):
            more = {} if cursor is None else {"cursor": cursor}
            page = await self.trpc(name, headers, **values, **more)
            items += page["items"]
            cursor = page["nextCursor"]
            if cursor is None:
                return items
        raise AssertionError("the list does not end")

    async def rest_pages(self, path: str, **query: Any) -> list[Any]:
        """All items of a REST list."""
        items: list[Any] = []
        more: dict[str, Any] = {}
        for _ in range(99):
            page = await self.rest(path, **query, **more)
            items += page["items"]
            more = {"cursor": page["metadata"].get("nextCursor")}
            if more["cursor"] is None:
                return items
        raise AssertionError("the list does not end")


def ids(items: list[Any]) -> list[int]:
    return [item["id"] for item in items]
