"""The records of an archive, read back from its feeds as items."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from itemadapter import ItemAdapter

from civitai_crawler.archive import Problem, Records, records
from civitai_crawler.items import FEEDS, Failure, GenerationData, Image, ModelFile
from civitai_crawler.ledger.feedfile import FeedFile
from civitai_crawler.ledger.feeds import FlatCsvExporter
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl


def refuse(problem):
    pytest.fail(str(problem))


STEMS = {item: stem for stem, item in FEEDS.items()}


def write_csv(path, items):
    file = FeedFile(path, 0)
    exporter = FlatCsvExporter(cast("BinaryIO", file))
    for item in items:
        exporter.export_item(item)
    file.write_out()
    file.release()


def write_jsonl(path, items):
    lines = [json.dumps(ItemAdapter(item).asdict(), ensure_ascii=False) for item in items]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


WRITERS = {".csv": write_csv, ".jsonl": write_jsonl}


@pytest.mark.parametrize("suffix", WRITERS)
def test_records_of_all_kinds_of_values_survive(tmp_path, suffix):
    image = Image(id=11, name='a "b",\nc 狐', post_title="null", minor=True, stats={"likes": 1})
    data = GenerationData(
        id=11, prompt_state="present", prompt="1", seed=2**70, cfg_scale=7.0, meta={"a": None}
    )
    for item in (image, data):
        feed = tmp_path / f"{STEMS[type(item)]}{suffix}"
        WRITERS[suffix](feed, [item])
        assert list(records(tmp_path, type(item), refuse)) == [item]


@pytest.mark.parametrize("formats", [(".csv", ".jsonl"), (".jsonl", ".csv")])
def test_of_two_formats_the_one_that_was_written_last_counts(tmp_path, formats):
    for time, suffix in enumerate(formats, 1_000_000_000):
        path = tmp_path / f"images{suffix}"
        WRITERS[suffix](path, [Image(id=11, name=suffix)])
        os.utime(path, (time, time))
    assert [one.name for one in records(tmp_path, Image, refuse)] == [formats[-1]]


@pytest.mark.parametrize("suffix", WRITERS)
def test_no_value_is_not_taken_for_the_usual_one(tmp_path, suffix):
    unknown = GenerationData(id=11, prompt_state="absent", provenance=None)
    WRITERS[suffix](tmp_path / f"generation_data{suffix}", [unknown])
    assert list(records(tmp_path, GenerationData, refuse)) == [unknown]


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_latest_line_counts_with_the_file_of_the_latest_that_has_one(tmp_path, suffix):
    def file(number, name, **stored):
        return ModelFile(id=number, version_id=1, model_id=2, name=name, **stored)

    lines = [
        file(1, "old", path="a", size_bytes=1, sha256="aa", verified="none"),
        file(2, "never stored"),
        file(1, "newer", path="b", size_bytes=2, sha256="bb", verified="SHA256"),
        file(1, "latest"),
    ]
    WRITERS[suffix](tmp_path / f"model_files{suffix}", lines)
    assert list(records(tmp_path, ModelFile, refuse)) == [
        file(1, "latest", path="b", size_bytes=2, sha256="bb", verified="SHA256"),
        file(2, "never stored"),
    ]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_record_is_found_by_its_id(tmp_path, suffix):
    lines = [Image(id=1, path="a", sha256="aa"), Image(id=2), Image(id=1, name="latest")]
    WRITERS[suffix](tmp_path / f"images{suffix}", lines)
    with Records(tmp_path, Image, refuse) as found:
        assert found.get(2) == found.get("2") == lines[1]
        assert found.get(1) == Image(id=1, name="latest", path="a", sha256="aa")
        assert found.get(3) is None


def test_a_feed_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "images.jsonl", [Image(id=1)])

    def closed(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", closed)
    told: list[Problem] = []
    assert list(records(tmp_path, Image, told.append)) == []
    assert [(problem.what, problem.why) for problem in told] == [
        ("unreadable", "Permission denied")
    ]


def test_what_changed_its_format_counts_once(tmp_path):
    write_csv(tmp_path / "images.csv", [Image(id=1, name="old"), Image(id=2)])
    write_jsonl(tmp_path / "images.jsonl", [Image(id=1, name="new")])
    assert [(one.id, one.name) for one in records(tmp_path, Image)] == [(1, "new"), (2, None)]


@pytest.mark.parametrize("first", [b"\xff", b'"' + b"x" * 200_000])
def test_a_broken_first_line_costs_itself_only(tmp_path, first):
    good = json.dumps(asdict(Image(id=1))).encode()
    (tmp_path / "images.jsonl").write_bytes(first + b"\n" + good + b"\n")
    told: list[Problem] = []
    assert [one.id for one in records(tmp_path, Image, told.append)] == [1]
    assert [problem.why for problem in told] == ["line 1 is no record"]


def test_a_feed_that_cannot_be_read_at_all_is_told(tmp_path):
    (tmp_path / "images.csv").write_bytes(b"\xff\n1\n")
    (tmp_path / "images.jsonl").write_text(json.dumps(asdict(Image(id=1))) + "\n")
    told: list[Problem] = []
    assert [one.id for one in records(tmp_path, Image, told.append)] == [1]
    assert [problem.feed.name for problem in told] == ["images.csv"]


def test_broken_records_are_told_and_cost_themselves_only(tmp_path):
    good = json.dumps(asdict(Image(id=1)))
    lines = [good, "{torn", '{"id": "no number"}', "[1]", '{"id": 3, "stats": 5}', ""]
    (tmp_path / "images.jsonl").write_text("\n".join([*lines, good.replace('"id": 1', '"id": 9')]))
    told: list[Problem] = []
    assert [one.id for one in records(tmp_path, Image, told.append)] == [1, 9]
    assert [problem.why.partition(":")[0] for problem in told] == [
        "line 2 is no record",
        "line 4 is no record",
        "record no number",
        "record 3",
    ]


def test_a_rest_that_is_no_text_is_told(tmp_path):
    write_csv(tmp_path / "images.csv", [Image(id=1)])
    with (tmp_path / "images.csv").open("ab") as feed:
        feed.write(b"\xff\xfe,\n")
    told: list[Problem] = []
    assert [one.id for one in records(tmp_path, Image, told.append)] == [1]
    assert told[0].why.startswith("the rest cannot be read")


@pytest.mark.parametrize("feed_format", ["jsonlines", "csv"])
def test_a_crawled_archive_reads_back_whole(tmp_path, feed_format):
    world = World.small()
    with Standin.in_thread(world) as standin:
        ended = crawl(
            standin, tmp_path, username=world.main.name, download="none",
            env={"CIVITAI_FEED_FORMAT": feed_format},
        )  # fmt: skip
    assert ended.code in DONE, ended.log
    folder = next(path for path in tmp_path.iterdir() if path.name != "state")
    for kind in set(FEEDS.values()) - {Failure}:  # nothing fails where nothing is downloaded
        found: list[Any] = list(records(folder, kind, refuse))
        assert len({one.id for one in found}) == len(found) > 0
