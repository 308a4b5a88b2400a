"""What tests share: a pace of its own for each, a served stand-in, an archive to look at."""

from __future__ import annotations

import gc
import resource
from contextlib import contextmanager

import pytest
from filelock import ReadWriteLock

from civitai_crawler.handlers import intake
from civitai_crawler.handlers.shared import Road
from civitai_crawler.standin import Standin, World
from tests.export_support import snapshot
from tests.standin_support import archived


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Let tests run beside each other, but not beside one that looks at the clock.

    Nor does the garbage collector: it would stop the stand-in, which is a thread of this process,
    for a quarter of a second.
    """
    lock = ReadWriteLock(item.config.cache.mkdir("company") / "lock")
    if item.get_closest_marker("alone") is None:
        with lock.read_lock():
            return (yield)
    with lock.write_lock():
        gc.disable()
        try:
            return (yield)
        finally:
            gc.enable()


@pytest.fixture(autouse=True)
def road_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Road._roads.clear()


@pytest.fixture(scope="module")
def world():
    return World.small()


@pytest.fixture
def standin(world):
    with Standin.in_thread(world) as standin:
        yield standin


@pytest.fixture(params=["copied", "taken over"])
def way(request, monkeypatch):
    """Let each test of the streaming run both ways that a body can take."""
    monkeypatch.setattr(intake, "LONG", {"copied": 1 << 60, "taken over": 1}[request.param])


@pytest.fixture(scope="session")
def crawled(tmp_path_factory):
    """Give the archive of the stand-in's creator as a crawl leaves it: to look at only."""
    archive = archived(tmp_path_factory.mktemp("crawled"))
    before = snapshot(archive)
    yield archive
    assert snapshot(archive) == before, "a test has changed the shared archive"


@pytest.fixture
def full_disk():
    """Give a context in which no file takes more than a thousand bytes."""

    @contextmanager
    def full():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full
