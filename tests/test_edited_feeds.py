"""Feeds that somebody has edited, cut or removed between two runs."""

from __future__ import annotations

import json
import shutil

import pytest

from civitai_crawler.archive import records
from civitai_crawler.items import Image
from tests.cli import assert_archived, crawl, feed, ids, scrapy

USER = "lumen_fox"
STEMS = (
    "creators",
    "models",
    "model_versions",
    "model_files",
    "posts",
    "images",
    "generation_data",
)


def assert_whole(standin, archive):
    """Compare every feed with the truth, each id once."""
    assert_archived(standin, archive)
    assert len(feed(archive, "creators")) == 1


def test_a_last_line_without_an_end_is_not_run_into(standin, tmp_path):
    given = {"username": USER, "include": "models"}
    assert crawl(standin, tmp_path, download="none", given=given).code == 0
    archive = tmp_path / USER
    path = archive / "model_files.jsonl"
    before = path.read_bytes().rstrip(b"\n")
    path.write_bytes(before)
    ended = crawl(standin, tmp_path, download="files", given=given)
    assert path.read_bytes().startswith(before + b"\n{")
    assert len(feed(archive, "model_files")) > len(set(ids(archive, "model_files")))
    assert "Traceback" not in ended.log


def test_removed_feeds_are_written_again(standin, tmp_path):
    archive = tmp_path / USER
    assert crawl(standin, tmp_path, username=USER, download="none").code == 0
    for stem in STEMS:
        (archive / f"{stem}.jsonl").unlink()
    ended = crawl(standin, tmp_path, username=USER, download="none")
    assert ended.code == 0, ended.log
    assert_whole(standin, archive)


def test_a_feed_that_was_cut_gets_back_what_it_lacks(standin, tmp_path):
    archive = tmp_path / USER
    assert crawl(standin, tmp_path, username=USER, download="none").code == 0
    for stem in ("images", "posts"):
        path = archive / f"{stem}.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-7]))
    ended = crawl(standin, tmp_path, username=USER, download="none")
    assert ended.code == 0, ended.log
    assert "7 records are not in images any more" in ended.log
    assert_whole(standin, archive)
    assert sum(one["kind"] == "images" for one in _changes(archive)) == 7


def _changes(archive):
    return json.loads((archive / "report.json").read_text(encoding="utf-8"))["changes"]


@pytest.mark.parametrize("start", ["fresh", "removed"])
def test_a_run_for_records_alone_names_the_files_that_are_held(standin, tmp_path, start):
    archive = tmp_path / "one_boat"
    given = {"username": "one_boat"}
    assert crawl(standin, tmp_path, given=given).code == 0
    before = {one.id: (one.path, one.sha256) for one in records(archive, Image)}
    assert all(path for path, _ in before.values())
    if start == "removed":
        for path in archive.glob("*.jsonl"):
            path.unlink()
    fresh = {"fresh": "true"} if start == "fresh" else {}
    assert crawl(standin, tmp_path, download="none", given={**given, **fresh}).code == 0
    assert {one.id: (one.path, one.sha256) for one in records(archive, Image)} == before
    ended = scrapy("verify", str(archive))
    assert ended.code == 0, ended.log


def test_feeds_without_their_job_folder_are_set_aside(standin, tmp_path):
    archive = tmp_path / USER
    given = {"username": USER, "download": "none"}
    assert crawl(standin, tmp_path, given=given).code == 0
    before = (archive / "images.jsonl").read_bytes()
    shutil.rmtree(archive / ".job")
    planned = crawl(standin, tmp_path, given={**given, "dry_run": "true"})
    assert planned.code == 0, planned.log
    assert (archive / "images.jsonl").read_bytes() == before
    ended = crawl(standin, tmp_path, given=given)
    assert ended.code == 0, ended.log
    assert "The job folder is gone" in ended.log
    assert_whole(standin, archive)
    (aside,) = archive.glob("images.*Z.jsonl")
    assert aside.read_bytes() == before
    assert "The job folder is gone" not in crawl(standin, tmp_path, given=given).log
    assert_whole(standin, archive)


def test_what_is_no_feed_in_its_place_is_told_in_one_sentence(standin, tmp_path):
    assert crawl(standin, tmp_path, username=USER, download="none", include="models").code == 0
    (tmp_path / USER / "models.jsonl").unlink()
    (tmp_path / USER / "models.jsonl").mkdir()
    ended = crawl(standin, tmp_path, username=USER, download="none")
    assert ended.code == 1
    assert "Traceback" not in ended.log
    assert f"The feed {tmp_path / USER / 'models.jsonl'} cannot be used" in ended.log
