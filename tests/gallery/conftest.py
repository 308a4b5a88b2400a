"""One archive of the stand-in's small world, and galleries served by the real command."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.cli import start
from tests.gallery import hostile
from tests.gallery.visitor import Visitor
from tests.standin_support import archived

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def gallery(*args: Path | str) -> Iterator[Visitor]:
    """Run ``scrapy browse`` at a free port; it has to end in order."""
    process = start("browse", *map(str, args), "--port", "0")
    said = []
    try:
        for line in process.stdout:
            said.append(line.decode())
            if found := re.search(r"at http://127\.0\.0\.1:(\d+)/", said[-1]):
                yield Visitor(int(found[1]))
                break
        else:
            pytest.fail("".join(said))
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, rest) == (0, b"")


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    return archived(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def site(archive) -> Iterator[Visitor]:
    with gallery(archive) as visitor:
        yield visitor


@pytest.fixture(scope="session")
def enemy(tmp_path_factory) -> Iterator[Visitor]:
    folder = hostile.write(tmp_path_factory.mktemp("hostile") / "enemy")
    with gallery(folder) as visitor:
        yield visitor
