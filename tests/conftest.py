"""What every test has: a pace of its own, shared with no other test and no other crawl."""

from __future__ import annotations

import pytest

from civitai_crawler.handlers.shared import Road


@pytest.fixture(autouse=True)
def road_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Road._roads.clear()
