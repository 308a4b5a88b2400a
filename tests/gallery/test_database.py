"""Archives as one SQLite database."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, fields
from typing import Any

import pytest

from civitai_crawler.archive import Problem, records
from civitai_crawler.export.database import DatabaseError, write
from civitai_crawler.items import (
    FEEDS,
    Creator,
    Failure,
    GenerationData,
    Image,
    ModelFile,
    Record,
    Resource,
)


def refuse(problem):
    pytest.fail(str(problem))


def put(folder, *items: Record):
    folder.mkdir(exist_ok=True)
    for item in items:
        stem = next(stem for stem, kind in FEEDS.items() if kind is type(item))
        with (folder / f"{stem}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(item)) + "\n")
    return folder


def ask(file, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(file)) as db:
        return db.execute(sql, values).fetchall()


def data(number: int, prompt: str | None = None, **more: Any) -> GenerationData:
    return GenerationData(id=number, prompt_state="present", prompt=prompt, **more)


def test_the_tables_hold_what_the_feeds_hold(archive, tmp_path):
    file = tmp_path / "new" / "all.sqlite"
    summary = write([archive], file, refuse)
    for stem, kind in FEEDS.items():
        items = {item.id: item for item in records(archive, kind)}  # type: ignore[attr-defined]  # all have one
        names = [field.name for field in fields(kind)]
        columns = ", ".join(f'"{name}"' for name in names)
        rows = ask(file, f"SELECT {columns} FROM {stem}")
        assert len(rows) == summary.rows[stem] == len(items) > 0
        for row in rows:
            values = dict(zip(names, row, strict=True))
            item = asdict(items[values["id"]])
            for name, value in item.items():
                if isinstance(value, (list, dict)):
                    assert json.loads(values[name]) == value
                elif name == "seed" and value is not None:
                    assert values[name] == str(value)
                else:
                    assert values[name] == value, (stem, name)
    assert summary.problems == 0


def test_each_resource_of_an_image_is_a_row(archive, tmp_path):
    file = tmp_path / "all.sqlite"
    write([archive], file, refuse)
    expected = [
        (item.id, position, one.version_id, one.model_name, one.strength)
        for item in records(archive, GenerationData)
        for position, one in enumerate(item.resources)
    ]
    rows = ask(file, "SELECT image_id, position, version_id, model_name, strength FROM resources")
    assert sorted(rows) == sorted(expected)
    assert any(strength not in (None, 1) for *_, strength in rows)


def test_foreign_keys_lead_to_what_is_held_and_break_nothing_else(archive, tmp_path):
    file = tmp_path / "all.sqlite"
    write([archive], file, refuse)
    joined = ask(
        file,
        "SELECT count(*) FROM model_files JOIN model_versions AS v ON v.id = version_id "
        "JOIN models ON models.id = v.model_id JOIN creators ON username = models.creator",
    )
    assert joined[0][0] == len(list(records(archive, ModelFile)))
    # Images are made with models of strangers, too; that these are not here is no error.
    broken = ask(file, "PRAGMA foreign_key_check")
    assert {(row[0], row[2]) for row in broken} == {
        ("model_versions", "model_versions"),
        ("resources", "model_versions"),
        ("resources", "models"),
    }


def test_values_of_every_kind_stay_exact(tmp_path):
    odd = "half \ud83d and NUL \0 and 狐"
    put(
        tmp_path / "fox",
        data(1, odd, seed=2**70, steps=2**80, meta={"a": odd, "n": 2**70}),
        data(2, seed=-1),
        data(3, seed=2**63),
    )
    file = tmp_path / "fox.sqlite"
    write([tmp_path / "fox"], file, refuse)
    assert ask(file, "SELECT seed FROM generation_data ORDER BY id") == [
        (str(2**70),), ("-1",), (str(2**63),),
    ]  # fmt: skip
    prompt, meta = ask(file, "SELECT prompt, meta FROM generation_data WHERE id = 1")[0]
    assert prompt == "half \\ud83d and NUL \0 and 狐"
    assert json.loads(meta)["n"] == 2**70
    assert ask(file, "SELECT json_valid(meta) FROM generation_data WHERE id = 1") == [(1,)]


def test_a_record_that_cannot_be_stored_is_told_and_costs_itself_only(tmp_path):
    folder = put(
        tmp_path / "fox",
        Creator(id=1, username="fox"),
        Creator(id=2, username="fox"),
        Image(id=2**70),
        Image(id=5),
        data(5, "kept"),
        data(6, meta={"a": float("nan")}),
    )
    with (folder / "images.jsonl").open("a") as stream:
        stream.write("{torn\n")
    told: list[Problem] = []
    summary = write([folder], tmp_path / "fox.sqlite", told.append)
    assert [problem.why.split(":")[0] for problem in told] == [
        "record 2",
        "line 3 is no record",
        f"record {2**70}",
        "record 6",
    ]
    assert summary.problems == 4
    assert {name: rows for name, rows in summary.rows.items() if rows} == {
        "creators": 1, "images": 1, "generation_data": 1,
    }  # fmt: skip


def test_of_two_archives_the_stored_and_then_the_newer_record_counts(tmp_path):
    one = put(
        tmp_path / "one",
        Image(id=1, path="posts/1.png", fetched_at="2026-01-01"),
        Image(id=2, fetched_at="2026-03-01", name="new"),
        data(1, "old fox", fetched_at="2026-01-01", resources=[Resource(model_id=7)]),
    )
    (tmp_path / "deep").mkdir()
    other = put(
        tmp_path / "deep" / "one",
        Image(id=1, fetched_at="2026-02-01"),
        Image(id=2, fetched_at="2026-02-01", name="old"),
        data(1, "new fox", fetched_at="2026-02-01", resources=[Resource(model_id=8)]),
        Failure(id="image:3:not_found", kind="image", item_id=3, reason="not_found"),
    )
    file = tmp_path / "both.sqlite"
    write([one, other], file, refuse)
    assert ask(file, "SELECT id, archive, path, name FROM images ORDER BY id") == [
        (1, "one", "posts/1.png", None),
        (2, "one", None, "new"),
    ]
    assert ask(file, "SELECT archive, prompt FROM generation_data") == [("one (2)", "new fox")]
    assert ask(file, "SELECT image_id, model_id FROM resources") == [(1, 8)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("fox", [1, 3]),
        ("negative_prompt : fox", [2]),
        ("meadow", [1, 2]),
        ("Café", [3]),
        ("cafe", [3]),
        ("mead*", [1, 2]),
        ('"fox meadow"', [1]),
        ("(fox) NOT (meadow)", [3]),
    ],
)
def test_full_text_search(tmp_path, words, found):
    put(
        tmp_path / "fox",
        data(1, "a FOX_meadow, night"),
        data(2, "meadow", negative_prompt="fox"),
        data(3, "fox in a café"),
    )
    write([tmp_path / "fox"], tmp_path / "fox.sqlite", refuse)
    if ":" not in words:
        words = f"prompt : ({words})"
    sql = "SELECT rowid FROM prompts WHERE prompts MATCH ? ORDER BY rowid"
    assert [row[0] for row in ask(tmp_path / "fox.sqlite", sql, words)] == found


def test_a_database_is_replaced_whole_or_not_at_all(tmp_path):
    folder = put(tmp_path / "fox", Image(id=1))
    file = tmp_path / "fox.sqlite"
    write([folder], file, refuse)
    put(folder, Image(id=2))

    def stop(problem):
        raise KeyboardInterrupt

    with (folder / "images.jsonl").open("a") as stream:
        stream.write("{torn\n")
    with pytest.raises(KeyboardInterrupt):
        write([folder], file, stop)
    assert ask(file, "SELECT id FROM images") == [(1,)]
    write([folder], file, lambda problem: None)
    assert ask(file, "SELECT id FROM images") == [(1,), (2,)]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["fox.sqlite"]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_a_program_left_open_is_no_part_of_the_new_database(tmp_path, mode):
    folder = put(tmp_path / "fox", Image(id=1))
    file = tmp_path / "fox.sqlite"
    write([folder], file, refuse)
    put(folder, *(Image(id=number, name="n" * 500) for number in range(2, 300)))
    with closing(sqlite3.connect(file, isolation_level=None)) as viewer:
        viewer.execute(f"PRAGMA journal_mode = {mode}")
        viewer.execute("PRAGMA cache_size = 1")
        viewer.execute("CREATE TABLE marks (image)")
        viewer.execute("BEGIN")
        viewer.executemany("INSERT INTO marks VALUES (?)", [("m" * 500,)] * 2000)
        if mode == "wal":
            viewer.execute("COMMIT")
        assert len([path for path in tmp_path.iterdir() if path.name.startswith("fox.s")]) > 1
        write([folder], file, refuse)
        assert ask(file, "PRAGMA integrity_check") == [("ok",)]
        assert ask(file, "SELECT count(*) FROM images") == [(299,)]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    folder = put(tmp_path / "fox", Image(id=1))
    with pytest.raises(DatabaseError, match="cannot be written"):
        write([folder], folder / "images.jsonl" / "x.sqlite", refuse)
    (tmp_path / "taken").mkdir()
    with pytest.raises(DatabaseError, match="cannot be written"):
        write([folder], tmp_path / "taken", refuse)
