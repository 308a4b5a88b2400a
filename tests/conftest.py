"""What every test has: a pace of its own, shared with no other test and no other crawl."""

from __future__ import annotations

import pytest

from civitai_crawler.handlers.shared import Road
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl
from tests.export_support import snapshot


@pytest.fixture(autouse=True)
def road_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Road._roads.clear()


@pytest.fixture(scope="session")
def crawled(tmp_path_factory):
    """Give the archive of the stand-in's creator as a crawl leaves it: to look at only."""
    folder = tmp_path_factory.mktemp("crawled")
    world = World.small()
    with Standin.in_thread(world) as standin:
        state = {"XDG_STATE_HOME": str(folder / "state")}
        ended = crawl(standin, folder, username=world.main.name, env=state)
    assert ended.code in DONE, ended.log
    archive = folder / world.main.name
    before = snapshot(archive)
    yield archive
    assert snapshot(archive) == before, "a test has changed the shared archive"
