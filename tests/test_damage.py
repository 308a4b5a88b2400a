"""Every kind of damage, seeded into an archive that a crawl has made, is found; nothing else is."""

from __future__ import annotations

import io
import os
import shutil
from argparse import Namespace
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from scrapy.exceptions import UsageError

from civitai_crawler.commands.verify import Command
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, Ended, crawl, feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Found(NamedTuple):
    """A line of the answer."""

    what: str
    path: str
    """Relative to the archive."""


class Pair(NamedTuple):
    """The file that is damaged, and another one."""

    file: Path
    other: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    with Standin.in_thread(World.small()) as standin:
        assert crawl(standin, root, username="lumen_fox", thumbs="true").code in DONE
    return root / "lumen_fox"


@pytest.fixture(params=["model_files", "images"])
def archive(request, made, tmp_path) -> Path:
    """Copy the archive; the parameter says whose files are damaged."""
    folder: Path = tmp_path / "lumen_fox"
    shutil.copytree(made, folder)
    return folder


@pytest.fixture
def pair(request, archive) -> Pair:
    stem = request.node.callspec.params["archive"]
    paths = [one["path"] for one in feed(archive, stem) if one["path"]]
    return Pair(archive / paths[0], archive / paths[1])


def verify(archive: Path) -> tuple[int, set[Found]]:
    command, output = Command(), io.StringIO()
    with redirect_stdout(output):
        command.run([str(archive)], Namespace(threads=2))
    ended = Ended(command.exitcode, output.getvalue())
    lines = [line.split(None, 1) for line in ended.log.splitlines()[:-1]]
    return ended.code, {
        Found(what, rest.removeprefix(f"{archive}/").rpartition(" (")[0] or rest)
        if rest.endswith(")") and what != "missing"
        else Found(what, rest.removeprefix(f"{archive}/"))
        for what, rest in lines
    }


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def replace(pair: Pair) -> None:
    pair.file.write_bytes(pair.other.read_bytes())


def swap(pair: Pair) -> None:
    ours, theirs = pair.file.read_bytes(), pair.other.read_bytes()
    pair.file.write_bytes(theirs)
    pair.other.write_bytes(ours)


def folder_instead(pair: Pair) -> None:
    pair.file.unlink()
    pair.file.mkdir()


def link_to_itself(pair: Pair) -> None:
    pair.file.unlink()
    pair.file.symlink_to(pair.file.name)


def link_to_nowhere(pair: Pair) -> None:
    pair.file.unlink()
    pair.file.symlink_to("nowhere")


def same_size(pair: Pair) -> None:
    pair.file.write_bytes(b"\0" * pair.file.stat().st_size)


CHANGED, MISSING = [("changed", "file")], [("missing", "file")]
#: What is done to the pair, and the findings: of ``file``, ``other``, or a name beside the file.
DAMAGE: dict[str, tuple[Callable[[Pair], object], list[tuple[str, str]]]] = {
    "a flipped bit at the start": (lambda pair: flip(pair.file, 0), CHANGED),
    "in the middle": (lambda pair: flip(pair.file, pair.file.stat().st_size // 2), CHANGED),
    "at the end": (lambda pair: flip(pair.file, -1), CHANGED),
    "cut by a byte": (lambda pair: os.truncate(pair.file, pair.file.stat().st_size - 1), CHANGED),
    "grown by a byte": (
        lambda pair: pair.file.write_bytes(pair.file.read_bytes() + b"\0"), CHANGED
    ),
    "empty": (lambda pair: os.truncate(pair.file, 0), CHANGED),
    "zeros of the same size": (same_size, CHANGED),
    "deleted": (lambda pair: pair.file.unlink(), MISSING),
    "replaced by another": (replace, CHANGED),
    "swapped with another": (swap, [("changed", "file"), ("changed", "other")]),
    "renamed": (
        lambda pair: pair.file.rename(pair.file.with_name("moved.bin")),
        [("missing", "file"), ("extra", "moved.bin")],
    ),
    "name in upper case": (
        lambda pair: pair.file.rename(pair.file.with_name(pair.file.name.upper())),
        [("missing", "file"), ("extra", "NAME IN UPPER CASE")],
    ),
    "a file too many": (
        lambda pair: pair.file.with_name("more.bin").write_bytes(b"x"), [("extra", "more.bin")]
    ),
    "an empty file too many": (
        lambda pair: pair.file.with_name("more").touch(), [("extra", "more")]
    ),
    "a folder in its place": (folder_instead, [("unreadable", "file")]),
    "a link to itself": (link_to_itself, [("unreadable", "file")]),
    "a link to nowhere": (link_to_nowhere, MISSING),
    "nothing": (lambda _: None, []),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_to_a_file_is_named_and_nothing_else(archive, pair, name):
    harm, findings = DAMAGE[name]
    beside = pair.file.parent.relative_to(archive)
    places = {
        "file": str(pair.file.relative_to(archive)),
        "other": str(pair.other.relative_to(archive)),
        "NAME IN UPPER CASE": str(beside / pair.file.name.upper()),
    }
    wanted = {Found(what, places.get(where, str(beside / where))) for what, where in findings}
    harm(pair)

    assert verify(archive) == (3 if findings else 0, wanted)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Do it as a user whom file rights hold back, whoever runs the tests."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_may_not_be_read_is_named(archive, pair, monkeypatch):
    monkeypatch.chdir(archive)  # the folders above are closed to others
    pair.file.chmod(0)
    with unprivileged():
        found = verify(Path())

    assert found == (3, {Found("unreadable", str(pair.file.relative_to(archive)))})


def test_a_folder_that_may_not_be_entered_is_one_sentence(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("closed/archive").mkdir(parents=True)
    Path("closed").chmod(0)
    for path in (Path("closed"), Path("closed/archive")):
        with unprivileged(), pytest.raises(UsageError, match="cannot be read"):
            verify(path)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"id": 1, "pat', {Found("broken", "images.jsonl")}),
        ('{"id": 1, "path": "/etc/passwd"}', {Found("broken", "images.jsonl")}),
        ("\x00\x00\x00", {Found("broken", "images.jsonl")}),
        ('{"id": 1, "path": "posts/gone.png"}', {Found("missing", "posts/gone.png")}),
    ],
)
def test_a_broken_line_of_a_feed_is_named(made, tmp_path, line, found):
    archive = tmp_path / "lumen_fox"
    shutil.copytree(made, archive)
    lines = (archive / "images.jsonl").read_text().splitlines(keepends=True)
    (archive / "images.jsonl").write_text("".join([*lines[:3], line + "\n", *lines[3:]]))

    assert verify(archive) == (3, found)


def test_a_line_that_is_lost_or_torn_leaves_its_file_without_a_record(made, tmp_path):
    archive = tmp_path / "lumen_fox"
    shutil.copytree(made, archive)
    lines = (archive / "images.jsonl").read_text().splitlines(keepends=True)
    records = feed(archive, "images")
    lost, torn = [at for at, one in enumerate(records) if one["path"]][:2]
    cut = [line for at, line in enumerate(lines) if at not in (lost, torn)]
    (archive / "images.jsonl").write_text("".join([*cut, lines[torn][:-20]]))

    assert verify(archive) == (
        3,
        {Found("extra", records[at]["path"]) for at in (lost, torn)}
        | {Found("broken", "images.jsonl")},
    )


def test_all_damage_at_once_is_told_line_by_line(made, tmp_path):
    archive = tmp_path / "lumen_fox"
    shutil.copytree(made, archive)
    paths = [one["path"] for one in feed(archive, "images") if one["path"]][:40]
    wanted = set()
    for at, path in enumerate(paths):
        if at % 2:
            flip(archive / path, at)
            wanted.add(Found("changed", path))
        else:
            (archive / path).unlink()
            wanted.add(Found("missing", path))

    assert verify(archive) == (3, wanted)
