"""Equal bytes are stored once: links, copies, and what must never be linked to."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from civitai_crawler.ledger import Media
from civitai_crawler.stores import LocalStore
from tests.media_support import (
    LEDGER,
    PNG,
    Outcome,
    image,
    link,
    model_file,
    original,
    run,
    sha256,
    weights,
)

if TYPE_CHECKING:
    from pathlib import Path

BODY = weights(1)
HELD = Media("models/a.bin", len(BODY), sha256(BODY))
SECOND = Media("models/b.bin", len(BODY), sha256(BODY))


def job(root: Path) -> dict[str, Any]:
    return {"JOBDIR": str(root / "ada" / ".job"), **LEDGER}


def inode(outcome: Outcome, number: int) -> int:
    return outcome.folder.joinpath(outcome.item(number)["path"]).stat().st_ino


def parts(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "ada/.job/parts").iterdir())


async def test_a_published_hash_that_is_held_is_not_downloaded(tmp_path):
    """Both are on their way at once; the second waits for the first."""
    records = [model_file(1, BODY), model_file(2, BODY, name="other.safetensors", version_id=21)]
    done = await run(tmp_path, {link(1): BODY, link(2, 21): BODY}, records)

    assert sum(done.shop.asked.values()) == 1
    assert done.bytes_of(1) == done.bytes_of(2) == BODY
    assert inode(done, 1) == inode(done, 2)
    assert done.item(1)["path"] != done.item(2)["path"]
    for number in (1, 2):
        item = done.item(number)
        assert (item["sha256"], item["verified"]) == (sha256(BODY), "SHA256")
        assert item["size_bytes"] == len(BODY)
    assert done.stats["civitai/files/linked"] == done.stats["civitai/files/stored"] == 1
    assert parts(tmp_path) == []


async def test_equal_pictures_are_one_file_on_the_disk(tmp_path):
    """They arrive together: one is stored first, the others have to see it."""
    numbers = range(1, 13)
    goods: dict[str, bytes | list[bytes]] = {original(number): PNG for number in numbers}
    done = await run(tmp_path, goods, [image(number) for number in numbers])

    assert sum(done.shop.asked.values()) == len(numbers)  # nobody publishes their hash
    assert {done.bytes_of(number) for number in numbers} == {PNG}
    assert len({inode(done, number) for number in numbers}) == 1
    assert done.stats["civitai/images/linked"] == len(numbers) - 1
    assert parts(tmp_path) == []


async def test_what_the_site_refuses_is_taken_from_what_is_held(tmp_path):
    goods: dict[str, bytes | list[bytes]] = {link(1): BODY, link(2): b"410"}
    first = await run(tmp_path, goods, [model_file(1, BODY)], **job(tmp_path))
    again = await run(tmp_path, goods, [model_file(2, BODY)], **job(tmp_path))

    assert again.shop.asked == {}
    assert again.bytes_of(2) == BODY
    assert inode(first, 1) == inode(again, 2)


@pytest.mark.parametrize("damage", ["changed", "gone", "cut"])
async def test_a_damaged_file_is_no_source(tmp_path, damage):
    goods: dict[str, bytes | list[bytes]] = {link(1): BODY, link(2): BODY}
    first = await run(tmp_path, goods, [model_file(1, BODY)], **job(tmp_path))
    held = first.folder / first.item(1)["path"]
    if damage == "gone":
        held.unlink()
    else:
        held.write_bytes(BODY[:-1] + b"X" if damage == "changed" else BODY[:-1])
    again = await run(tmp_path, goods, [model_file(2, BODY)], **job(tmp_path))

    assert again.shop.asked == {link(2): 1}
    assert again.bytes_of(2) == BODY
    assert "civitai/files/linked" not in again.stats


async def test_a_file_published_anew_leaves_the_other_name_of_the_old_bytes(tmp_path):
    new = weights(2)
    goods: dict[str, bytes | list[bytes]] = {link(1): BODY, link(2): [BODY, new]}
    records = [model_file(1, BODY), model_file(2, BODY)]
    first = await run(tmp_path, goods, records, **job(tmp_path))
    goods[link(2)] = new
    again = await run(tmp_path, goods, [model_file(2, new)], **job(tmp_path))

    assert again.item(2)["path"] != first.item(2)["path"]
    assert again.bytes_of(2) == new
    assert first.bytes_of(1) == first.bytes_of(2) == BODY


async def test_a_run_that_was_killed_after_linking_is_repeated(tmp_path):
    """The second picture is in its place, and the ledger does not know it."""
    goods: dict[str, bytes | list[bytes]] = {original(1): PNG, original(2): PNG}
    first = await run(tmp_path, goods, [image(1)], **job(tmp_path))
    held = first.folder / first.item(1)["path"]
    os.link(held, held.with_name("2.png"))
    os.link(held, tmp_path / "ada/.job/parts/image-2.link")
    again = await run(tmp_path, goods, [image(2)], **job(tmp_path))

    assert again.bytes_of(2) == PNG
    assert inode(first, 1) == inode(again, 2)
    assert parts(tmp_path) == []
    assert held.stat().st_nlink == 2


async def test_a_part_never_leads_into_a_held_file(tmp_path):
    """Whatever a killed run leaves beside the parts, a download writes to no stored file."""
    goods: dict[str, bytes | list[bytes]] = {link(1): BODY, link(2): weights(2)}
    first = await run(tmp_path, goods, [model_file(1, BODY)], **job(tmp_path))
    os.link(first.folder / first.item(1)["path"], tmp_path / "ada/.job/parts/model_file-2.link")
    again = await run(tmp_path, goods, [model_file(2, weights(2))], **job(tmp_path))

    assert again.bytes_of(2) == weights(2)
    assert first.bytes_of(1) == BODY


# --- where the file system makes no links --------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    (tmp_path / "ada/models").mkdir(parents=True)
    (tmp_path / "ada" / HELD.path).write_bytes(BODY)
    return LocalStore(tmp_path / "ada")


def share(store: LocalStore, *, copy: bool = True) -> str | None:
    return store.share(HELD, SECOND, store.folder / "aside.link", lambda: None, copy=copy)


@pytest.mark.parametrize("code", ["EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"])
def test_where_no_link_can_be_made_a_copy_is(store, monkeypatch, code):
    def refuse(*_: object) -> None:
        raise OSError(getattr(errno, code), code)

    monkeypatch.setattr(os, "link", refuse)
    assert share(store, copy=False) is None
    assert not (store.folder / SECOND.path).exists()
    assert share(store) == "copied"
    first, second = (store.folder / media.path for media in (HELD, SECOND))
    assert first.read_bytes() == second.read_bytes() == BODY
    assert first.stat().st_ino != second.stat().st_ino
    assert sorted(path.name for path in store.folder.iterdir()) == ["models"]


def test_a_link_that_fails_for_another_reason_is_an_error(store, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="full"):
        share(store)


def test_a_copy_needs_room(store, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("civitai_crawler.stores.local.SPARE", 1 << 62)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        share(store)
    assert not (store.folder / SECOND.path).exists()


def test_hashing_ends_with_the_crawl(store):
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.share(HELD, SECOND, store.folder / "aside.link", stop, copy=True)
    assert not (store.folder / SECOND.path).exists()
