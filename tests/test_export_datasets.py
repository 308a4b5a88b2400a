"""Exports of images and records, opened by the programs that they are for."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from civitai_crawler.archive import records
from civitai_crawler.export import parquet
from civitai_crawler.items import (
    FEEDS,
    GenerationData,
    Image,
    Model,
    ModelFile,
    ModelVersion,
    Resource,
)
from tests.export_support import export, make, snapshot, tree


def png(size=(2, 3)) -> bytes:
    stream = io.BytesIO()
    PIL.Image.new("RGB", size).save(stream, "PNG")
    return stream.getvalue()


def stills(archive: Path, suffixes: str) -> dict[int, Image]:
    """Return the images of an archive that have a file of one of *suffixes*, by id."""
    return {
        one.id: one
        for one in records(archive, Image)
        if one.type == "image" and one.path and Path(one.path).suffix[1:] in suffixes.split()
    }


def prompts(archive: Path) -> dict[int, str]:
    return {one.id: one.prompt or "" for one in records(archive, GenerationData)}


# --- hf -------------------------------------------------------------------------------------------


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a folder as users do, with a home of its own and without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets  # noqa: PLC0415  # reads the variables when it is imported

    datasets.disable_progress_bars()

    def load(folder: Path, *, decode: bool = False) -> Any:
        found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
        # Decoded images keep their files open.
        return found.cast_column("image", datasets.Image(decode=decode))

    return load


def test_hf_loads_with_datasets(crawled, tmp_path, load):
    ended = export("hf", tmp_path / "hf", crawled)
    images = stills(crawled, "png jpg jpeg webp gif")
    assert ended.log.startswith(f"Exported {len(images)} images to ")
    assert "Not chosen: 3 videos" in ended.log
    rows = {row["image_id"]: row for row in load(tmp_path / "hf")}
    assert rows.keys() == images.keys()
    told = prompts(crawled)
    for number, row in rows.items():
        assert (row["prompt"] or "") == told.get(number, "")
        assert row["post_id"] == images[number].post_id
        data = row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes()
        assert data == (crawled / str(images[number].path)).read_bytes()
    (first, *_) = load(tmp_path / "hf", decode=True).select(range(1))
    with (
        first["image"] as decoded,
        PIL.Image.open(crawled / str(images[first["image_id"]].path)) as it,
    ):
        assert decoded.tobytes() == it.tobytes()
    file = next((tmp_path / "hf").rglob("*.png"))
    assert file.samefile(crawled / str(images[int(file.stem)].path))
    assert {one["type"] for row in rows.values() for one in row["resources"]} >= {"LORA"}


def test_hf_columns_have_types_where_the_first_rows_have_no_values(tmp_path, load):
    """The types come from the first ten megabytes, where here nothing is told."""
    count, text = 2_000, "night " * 1_000
    items = [Image(id=n, path="a.png") for n in range(count)]
    items[-1].width = 7
    data = [GenerationData(id=n, prompt_state="present", prompt=text) for n in range(count)]
    data[-2].resources = [Resource(version_id=5)]
    data[-1].resources = [Resource(strength=0.5)]
    archive = make(tmp_path / "fox", *items, *data, files={"a.png": png()})
    export("hf", tmp_path / "hf", archive, "--caption", "none")
    assert (tmp_path / "hf/train/metadata.jsonl").stat().st_size > 12_000_000
    rows = load(tmp_path / "hf")
    assert sorted(rows["image_id"]) == list(range(count))
    assert rows.features["width"].dtype == "int64"
    assert [row["version_id"] for one in rows["resources"] for row in one] in ([5, None], [None, 5])


def test_hf_adds_to_what_is_there(crawled, tmp_path, load):
    other = make(
        tmp_path / "other",
        Image(id=1, path="a.png", nsfw_level=1, name="\ud800"),
        Image(id=2, path="b.png", nsfw_level=16),
        GenerationData(id=1, prompt_state="present", prompt="half \ud800", seed=2**70),
        files={"a.png": png(), "b.png": png()},
    )
    export("hf", tmp_path / "hf", crawled)
    first = snapshot(tmp_path / "hf")
    assert "73 were there before" in export("hf", tmp_path / "hf", crawled).log
    assert snapshot(tmp_path / "hf").keys() == first.keys()
    assert export("hf", tmp_path / "hf", other, "--level", "1").code == 0
    assert export("hf", tmp_path / "hf", other, "--level", "16").code == 0
    rows = {row["image_id"]: row for row in load(tmp_path / "hf")}
    assert len(rows) == 73 + 2
    assert (rows[1]["prompt"], rows[1]["seed"]) == ("half ?", str(2**70))
    with (tmp_path / "hf/train/metadata.jsonl").open("a") as metadata:
        for own in ({"tags": ["day", None]}, {"image_id": [1]}, {"tags": [["nested"]]}):
            metadata.write(json.dumps({"file_name": "02/2.png", **own}) + "\n")
        metadata.write("[" * 100_000 + "\n")
    export("hf", tmp_path / "hf", crawled)
    lines = (tmp_path / "hf/train/metadata.jsonl").read_text().splitlines()
    assert sum("02/2.png" in line for line in lines) == 4
    whole = [line for line in lines if '"tags"' not in line and "[1]" not in line]
    (tmp_path / "hf/train/metadata.jsonl").write_text("\n".join(whole) + "\n")
    (tmp_path / "hf/train/01/1.png").unlink()
    export("hf", tmp_path / "hf", crawled)
    assert len(load(tmp_path / "hf")) == 73 + 1


# --- kohya ----------------------------------------------------------------------------------------


def sd_scripts(folder: Path) -> dict[str, tuple[int, str]]:
    """Read *folder* as sd-scripts reads --train_data_dir with --caption_extension=.txt.

    Repeats and caption by name of image. Only what is so named counts; an empty caption ends it.
    """
    found = {}
    for place in folder.iterdir():
        repeats, _, concept = place.name.partition("_")
        if not place.is_dir() or not repeats.isdecimal() or int(repeats) < 1:
            continue
        for file in place.iterdir():
            if file.suffix.lower() not in {".png", ".jpg", ".jpeg", ".webp", ".bmp"}:
                continue
            caption = concept
            if file.with_suffix(".txt").is_file():
                lines = file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
                assert lines, "caption file is empty"
                caption = lines[0].strip()
            found[file.name] = int(repeats), caption
    return found


def test_kohya_is_read_as_sd_scripts_reads(crawled, tmp_path):
    ended = export("kohya", tmp_path / "k", crawled, "--repeats", "10", "--concept", "lumen fox")
    images = stills(crawled, "png jpg jpeg webp")
    assert ended.log.startswith(f"Exported {len(images)} images")
    found = sd_scripts(tmp_path / "k")
    assert {int(Path(name).stem) for name in found} == images.keys()
    assert {repeats for repeats, _ in found.values()} == {10}
    told = prompts(crawled)
    without = {number for number in images if not told.get(number)}
    assert without
    for name, (_, caption) in found.items():
        assert caption
        assert (caption == "lumen fox") == (int(Path(name).stem) in without)
    assert not any(re.search(r"<lora:|:\d\.\d\)", caption) for _, caption in found.values())
    assert {file.parent.name for file in (tmp_path / "k").rglob("*.png")} == {"10_lumen fox"}
    assert all(len(text.read_text().splitlines()) == 1 for text in (tmp_path / "k").rglob("*.txt"))


@pytest.fixture
def fox(tmp_path):
    return make(
        tmp_path / "fox",
        Image(id=1, path="posts/1.png"),
        GenerationData(
            id=1, prompt_state="present", prompt="(a fox:1.2),\n<lora:x:0.8> [day:night:5]"
        ),
        Image(id=2, path="posts/2.png"),
        files={"posts/1.png": png(), "posts/2.png": png()},
    )


@pytest.mark.parametrize(
    ("style", "captions"),
    [
        ("plain", {"1.png": (1, "a fox, night"), "2.png": (1, "fox")}),
        ("raw", {"1.png": (1, "(a fox:1.2), <lora:x:0.8> [day:night:5]"), "2.png": (1, "fox")}),
        ("none", {"1.png": (1, "fox"), "2.png": (1, "fox")}),
    ],
)
def test_kohya_captions_by_option(fox, tmp_path, style, captions):
    assert export("kohya", tmp_path / "k", fox, "--caption", style).code == 0
    assert sd_scripts(tmp_path / "k") == captions


def test_kohya_keeps_captions_that_were_edited_and_adds_those_that_come_later(fox, tmp_path):
    export("kohya", tmp_path / "k", fox)
    (tmp_path / "k/1_fox/1.txt").write_text("by hand\n")
    make(fox, GenerationData(id=2, prompt_state="present", prompt="later"))
    assert "2 were there before" in export("kohya", tmp_path / "k", fox).log
    assert sd_scripts(tmp_path / "k") == {"1.png": (1, "by hand"), "2.png": (1, "later")}


def test_kohya_with_other_repeats_shows_no_image_twice(fox, tmp_path):
    export("kohya", tmp_path / "k", fox)
    assert "2 were there before" in export("kohya", tmp_path / "k", fox, "--repeats", "5").log
    assert sd_scripts(tmp_path / "k") == {"1.png": (5, "a fox, night"), "2.png": (5, "fox")}


# --- parquet --------------------------------------------------------------------------------------


def test_parquet_holds_every_record(crawled, tmp_path):
    ended = export("parquet", tmp_path / "p", crawled)
    assert (ended.code, tree(tmp_path / "p")) == (0, {f"{stem}.parquet" for stem in FEEDS})
    for stem, kind in FEEDS.items():
        rows = pq.read_table(tmp_path / f"p/{stem}.parquet").to_pylist()
        items: list[Any] = list(records(crawled, kind))
        assert [row["id"] for row in rows] == [item.id for item in items]
        for row, item in zip(rows, items, strict=True):
            assert json.loads(row["extra"]) == item.extra
            assert row["fetched_at"] == datetime.fromisoformat(item.fetched_at)
    files = pq.read_table(tmp_path / "p/model_files.parquet").to_pylist()
    hashes = [one.hashes for one in records(crawled, ModelFile)]
    assert [dict(row["hashes"]) for row in files] == hashes
    assert any(hashes)


def test_parquet_answers_duckdb(crawled, tmp_path):
    export("parquet", tmp_path / "p", crawled)

    def ask(query: str) -> list[Any]:
        with duckdb.connect() as db:
            return db.sql(query.replace("$", f"{tmp_path}/p")).fetchall()

    data = list(records(crawled, GenerationData))
    assert ask("SELECT count(*) FROM '$/images.parquet' JOIN '$/generation_data.parquet' g USING (id)") == [(len(data),)]  # fmt: skip  # noqa: E501  # a query reads best on one line
    used = ask("SELECT r.type, count(*) FROM (SELECT unnest(resources) r FROM '$/generation_data.parquet') GROUP BY 1")  # fmt: skip  # noqa: E501  # as above
    types = [one.type for item in data for one in item.resources]
    assert dict(used) == {kind: types.count(kind) for kind in types}
    ((sha256,),) = ask("SELECT hashes['SHA256'] FROM '$/model_files.parquet' WHERE len(map_keys(hashes)) > 0 LIMIT 1")  # fmt: skip  # noqa: E501  # as above
    assert re.fullmatch(r"[0-9A-Fa-f]{64}", sha256)
    assert ask("SELECT count(*) FROM '$/posts.parquet' WHERE published_at < TIMESTAMPTZ '2000-01-01'") == [(0,)]  # fmt: skip  # noqa: E501  # as above


def test_parquet_keeps_what_does_not_fit_its_columns_as_text_or_tells(tmp_path):
    seeds = [-1, 2**63 - 1, 2**63, 2**200, None]
    archive = make(
        tmp_path / "fox",
        *(GenerationData(id=n, prompt_state="absent", seed=seed) for n, seed in enumerate(seeds)),
        Image(id=1, name="half \ud800", width=2**70, published_at="soon", stats={"a": 2**70}),
        ModelVersion(
            id=2, model_id=3, name="", trained_words=["\ud800"],
            published_at="2024-05-01T10:00:00.789",
            early_access_deadline="2024-05-01T10:00:00+02:00",
        ),
    )  # fmt: skip
    ended = export("parquet", tmp_path / "p", archive)
    assert ended.code == 3
    assert ended.log.splitlines()[:-1] == [
        f"unfit      width of Image 1 ({2**70} has no place in its column)",
        "unfit      published_at of Image 1 ('soon' has no place in its column)",
    ]
    data = pq.read_table(tmp_path / "p/generation_data.parquet").to_pydict()
    assert data["seed"] == [-1, 2**63 - 1, None, None, None]
    assert data["seed_text"] == [None if seed is None else str(seed) for seed in seeds]
    (image,) = pq.read_table(tmp_path / "p/images.parquet").to_pylist()
    assert (image["name"], image["width"], image["published_at"]) == ("half ?", None, None)
    assert json.loads(image["stats"]) == {"a": 2**70}
    (version,) = pq.read_table(tmp_path / "p/model_versions.parquet").to_pylist()
    assert (version["name"], version["trained_words"]) == ("", ["?"])
    assert version["published_at"] == datetime(2024, 5, 1, 10, 0, 0, 789_000, tzinfo=UTC)
    assert version["early_access_deadline"] == datetime(2024, 5, 1, 8, tzinfo=UTC)


def test_parquet_tells_a_broken_record_once(tmp_path):
    archive = make(tmp_path / "fox", Model(id=1, creator="fox", name="Fox", type="LORA"))
    for feed in ("models", "images"):
        with (archive / f"{feed}.jsonl").open("a") as stream:
            stream.write("{torn\n")
    ended = export("parquet", tmp_path / "p", archive)
    assert ended.code == 3
    assert len(ended.log.splitlines()) == 3
    assert "Left out: 2 broken." in ended.log


def test_parquet_is_written_in_row_groups(tmp_path, monkeypatch):
    archive = make(tmp_path / "fox", *(Image(id=n, name="x" * 100) for n in range(25)))
    monkeypatch.setattr(parquet, "_ROWS", 10)
    export("parquet", tmp_path / "p", archive)
    assert pq.ParquetFile(tmp_path / "p/images.parquet").num_row_groups == 3
    monkeypatch.setattr(parquet, "_ROWS", 1000)
    monkeypatch.setattr(parquet, "_CHARACTERS", 500)
    export("parquet", tmp_path / "p", archive)
    file = pq.ParquetFile(tmp_path / "p/images.parquet")
    assert file.num_row_groups > 4
    assert file.read().num_rows == 25
    assert isinstance(file.schema_arrow.field("published_at").type, pa.TimestampType)
