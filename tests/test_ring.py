"""The memory between the loop and the threads: bounded, in order, and no byte twice."""

from __future__ import annotations

import asyncio
import random

import pytest

from civitai_crawler.handlers import ring
from civitai_crawler.handlers.ring import Ring

BODY = random.Random(3).randbytes(10_000)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(ring, "BATCH", 100)
    monkeypatch.setattr(ring, "ROOM", 200)


@pytest.fixture
def roomy():
    return asyncio.Event()


@pytest.fixture
def filling(roomy):
    return Ring(roomy.set)


def fill(filling, data):
    """Put in as much of *data* as there is room for in one piece; return how much."""
    space = filling.space()[: len(data)]
    space[:] = data[: len(space)]
    filling.filled(len(space))
    return len(space)


@pytest.mark.parametrize("step", [1, 7, 64, 99, 100, 101, 199, 200, 1000])
async def test_all_bytes_come_once_in_order_and_in_bounded_batches(filling, roomy, step):
    async def put():
        sent = 0
        while sent < len(BODY):
            if not (count := fill(filling, BODY[sent : sent + step])):
                assert filling.held == ring.ROOM
                roomy.clear()
                await roomy.wait()
            sent += count
        filling.end()

    putting = asyncio.create_task(put())
    found = bytearray()
    while pieces := await filling.batch():
        count = sum(map(len, pieces))
        assert count <= ring.BATCH
        await asyncio.sleep(0)  # the other side goes on, and leaves these bytes alone
        found += b"".join(pieces)
        filling.free(count)
    await putting
    assert found == BODY
    assert await filling.batch() == []


async def test_a_few_bytes_do_not_wait_for_a_full_batch(filling):
    fill(filling, b"few")
    async with asyncio.timeout(5):
        assert b"".join(await filling.batch()) == b"few"


async def test_a_full_batch_waits_for_nothing(filling, monkeypatch):
    monkeypatch.setattr(ring, "_MOMENT", 60)
    fill(filling, BODY[:100])
    async with asyncio.timeout(5):
        assert b"".join(await filling.batch()) == BODY[:100]


async def test_a_failure_is_told_behind_what_is_here(filling):
    fill(filling, b"few")
    filling.end(OSError("first"))
    filling.end(OSError("second"))
    assert b"".join(await filling.batch()) == b"few"
    filling.free(3)
    with pytest.raises(OSError, match="first"):
        await filling.batch()
