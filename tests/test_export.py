"""``scrapy export``: what all formats have in common."""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from scrapy.exceptions import UsageError
from scrapy.settings import Settings

from civitai_crawler.archive import records
from civitai_crawler.commands.export import Command
from civitai_crawler.export.folder import Folder
from civitai_crawler.export.formats import FORMATS
from civitai_crawler.export.lock import alone
from civitai_crawler.items import (
    GenerationData,
    Image,
    Model,
    ModelFile,
    ModelVersion,
    Post,
    Resource,
)
from tests.cli import ROOT, environment, scrapy
from tests.export_support import export, make, run, snapshot, tree

#: Formats that make a folder of files.
TREES = ("hf", "kohya", "webui", "comfyui")


@pytest.fixture
def fox(tmp_path):
    """Make an archive of one image and one LoRA."""
    return make(
        tmp_path / "fox",
        Image(id=11, path="posts/11.png", nsfw_level=1),
        Model(id=5, creator="fox", name="Fox", type="LORA"),
        ModelVersion(id=7, model_id=5, name="v1", base_model="SDXL 1.0"),
        ModelFile(id=9, version_id=7, model_id=5, name="fox", path="models/fox.safetensors"),
        files={"posts/11.png": b"picture", "models/fox.safetensors": b"weights"},
    )  # fmt: skip


@pytest.mark.parametrize("to", TREES)
def test_run_again_it_adds_nothing_and_changes_nothing(crawled, tmp_path, to):
    first = export(to, tmp_path / "out", crawled)
    assert first.code == 3  # some were never fetched
    count = int(first.log.split("Exported ")[1].split()[0])
    before = snapshot(tmp_path / "out")
    again = export(to, tmp_path / "out", crawled)
    assert f"Exported 0 {FORMATS[to].unit}" in again.log
    assert f"{count} were there before" in again.log
    assert snapshot(tmp_path / "out").keys() == before.keys()


@pytest.mark.parametrize("to", TREES)
def test_files_are_links_unless_copies_are_asked_for(fox, tmp_path, to):
    source = fox / ("posts/11.png" if to in ("hf", "kohya") else "models/fox.safetensors")
    for copied, *more in ((False,), (True, "--copy")):
        out = tmp_path / f"out {copied}"
        assert export(to, out, fox, *more).code == 0
        (file,) = (one for one in out.rglob(f"*{source.suffix}"))
        assert file.read_bytes() == source.read_bytes()
        assert file.samefile(source) != copied
        assert "1 were there before" in export(to, out, fox, *more).log


def test_copies_are_made_where_links_are_not_possible(fox, tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    assert export("kohya", tmp_path / "out", fox).code == 0
    assert (tmp_path / "out/1_fox/11.png").read_bytes() == b"picture"


def test_what_a_user_has_made_of_an_export_stays(fox, tmp_path):
    export("kohya", tmp_path / "out", fox, "--copy")
    (tmp_path / "out/1_fox/11.png").write_bytes(b"cropped")
    export("kohya", tmp_path / "out", fox)
    assert (tmp_path / "out/1_fox/11.png").read_bytes() == b"cropped"
    assert (fox / "posts/11.png").read_bytes() == b"picture"


@pytest.mark.parametrize("to", TREES)
def test_a_foreign_folder_is_refused(fox, tmp_path, to):
    foreign = tmp_path / "foreign"
    make(foreign, files={"thesis.odt": b"x"})
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="holds something else"):
        export(to, foreign, fox)
    assert snapshot(tmp_path) == before
    (foreign / "thesis.odt").unlink()
    assert export(to, foreign, fox).code == 0
    other = "hf" if to != "hf" else "kohya"
    with pytest.raises(UsageError, match=f"is an export to {to}"):
        export(other, foreign, fox)
    (foreign / ".civitai-export/export.json").write_text("{torn")
    with pytest.raises(UsageError, match="is damaged"):
        export(to, foreign, fox)


def test_a_database_replaces_nothing_but_a_database(fox, tmp_path):
    (tmp_path / "thesis.odt").write_bytes(b"x")
    with pytest.raises(UsageError, match="is no database"):
        export("sqlite", tmp_path / "thesis.odt", fox)
    with pytest.raises(UsageError, match="takes no filter"):
        export("sqlite", tmp_path / "new.sqlite", fox, "--level", "1")


def test_sqlite(crawled, tmp_path):
    pytest.importorskip("civitai_crawler.export.database")
    ended = export("sqlite", tmp_path / "new/civitai.sqlite", crawled)
    assert ended.code == 0
    assert re.match(r"Exported \d+ rows to ", ended.log)
    with closing(sqlite3.connect(tmp_path / "new/civitai.sqlite")) as db:
        (images,) = db.execute("SELECT count(*) FROM images").fetchone()
    assert images == len(list(records(crawled, Image)))


@pytest.mark.parametrize("out", ["fox/new.sqlite", "fox/.job/ledger.sqlite"])
def test_a_database_does_not_go_into_an_archive(fox, tmp_path, out):
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        db.execute("CREATE TABLE requests (id)")
    make(fox, files={".job/ledger.sqlite": (tmp_path / "other").read_bytes()})
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="overlaps the archive"):
        export("sqlite", tmp_path / out, fox)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("to", FORMATS)
def test_two_exports_into_one_place_are_kept_apart(fox, tmp_path, to):
    out = tmp_path / "out" / ("civitai.sqlite" if to == "sqlite" else "")
    assert export(to, out, fox).code == 0
    before = snapshot(tmp_path)
    with alone(tmp_path / "out" / ("" if to == "sqlite" else ".civitai-export")):
        ended = scrapy("export", "--to", to, "--out", str(out), str(fox))
    assert ended.code == 2
    assert len(ended.sentences) == 1
    assert ended.sentences[0].endswith("; let it end first.")
    assert snapshot(tmp_path) == before
    assert export(to, out, fox).code == 0


def test_a_disk_without_locks_keeps_nobody_out(fox, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert export("kohya", tmp_path / "out", fox).code == 0


def test_a_flag_that_is_none_is_named_and_not_taken_for_no_flag(fox, tmp_path):
    with pytest.raises(UsageError, match="CIVITAI_EXCLUDE cannot be 'pio'"):
        export("kohya", tmp_path / "out", fox, exclude="pio")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["fox", "fox/export", "."])
def test_an_export_does_not_go_into_an_archive_nor_around_it(fox, tmp_path, out):
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="overlaps the archive"):
        export("hf", tmp_path / out, fox)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("archive/x", "Name archives and a format"),
        ("--to hf", "Name archives and a format"),
        ("--to hf nowhere", "There is no folder nowhere."),
        ("--to hf tests", "is no archive"),
    ],
)
def test_wrong_input(words, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(*words.split())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--to zip tests", "invalid choice: 'zip'"),
        ("--to hf --level 32 x", "32 is no sum of levels from 1 to 31"),
        ("--to hf --level R x", "R is no sum of levels from 1 to 31"),
        ("--to hf --since May x", "May is no date like 2026-05-01"),
        ("--to kohya --repeats 0 x", "0 is no number from 1 on"),
    ],
)
def test_options_that_do_not_parse(words, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        run(*words.split())
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--to hf nowhere", "--to zip tests"])
def test_wrong_input_ends_in_one_sentence(words):
    ended = scrapy("export", *words.split())
    assert ended.code == 2
    assert len(ended.sentences) == 1
    assert "Traceback" not in ended.log


@pytest.mark.parametrize("concept", ["a/b", "a.", "x\n", "what?", "x\udcff"])
def test_a_concept_has_to_be_a_portable_name(fox, tmp_path, concept):
    with pytest.raises(UsageError, match="is no name for a folder on every system"):
        export("kohya", tmp_path / "out", fox, "--concept", concept)
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_named_with_the_command_that_installs_it(fox, tmp_path):
    (tmp_path / "without/pyarrow").mkdir(parents=True)
    (tmp_path / "without/pyarrow/__init__.py").write_text(
        "raise ModuleNotFoundError('No module named pyarrow', name='pyarrow')"
    )
    ended = scrapy(
        "export", "--to", "parquet", "--out", str(tmp_path / "out"), str(fox),
        env={"PYTHONPATH": str(tmp_path / "without")},
    )  # fmt: skip
    assert ended.code == 2
    (sentence,) = ended.sentences
    assert sentence.endswith("The parquet format needs pyarrow: pip install 'pyarrow>=21'")


def test_what_is_missing_is_named_and_counted(fox, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    (fox / "posts/24.png").symlink_to(tmp_path / "secret.png")
    (fox / "posts/25.png").symlink_to("25.png")
    (fox / "posts/26.png").mkdir()
    paths = {
        20: None, 21: "posts/21.png", 22: "../secret.png", 23: str(tmp_path / "secret.png"),
        24: "posts/24.png", 25: "posts/25.png", 26: "posts/26.png", 27: "a\0b.png",
    }  # fmt: skip
    make(fox, *(Image(id=number, path=path) for number, path in paths.items()))
    with (fox / "images.jsonl").open("a") as feed:
        feed.write('{"id": 9, "pa\n')
    for to in ("hf", "kohya"):
        ended = export(to, tmp_path / to, fox)
        assert ended.code == 3
        assert [line.split()[0] for line in ended.log.splitlines()[:-1]] == [
            "broken", "missing", "broken", "broken", "broken", "unreadable", "unreadable", "broken",
        ]  # fmt: skip
        assert ended.log.splitlines()[-1].endswith(
            "Left out: 5 broken, 1 missing, 1 never fetched, 2 unreadable."
        )
        assert [name for name in tree(tmp_path / to) if name.endswith(".png")] == [
            "train/11/11.png" if to == "hf" else "1_fox/11.png"
        ]


def test_flagged_content_stays_out(tmp_path):
    archive = make(
        tmp_path / "fox",
        Model(id=1, creator="fox", name="", type="LORA", poi=True),
        Model(id=2, creator="fox", name="", type="LORA"),
        ModelVersion(id=11, model_id=1, name=""),
        ModelVersion(id=12, model_id=2, name=""),
        Post(id=21, creator="fox", version_id=11),
        ModelFile(id=31, version_id=11, model_id=1, name="a.pt", path="a.pt"),
        ModelFile(id=32, version_id=12, model_id=2, name="b.pt", path="b.pt"),
        Image(id=41, path="1.png", version_id=11),
        Image(id=42, path="2.png", minor=True),
        Image(id=43, path="3.png", version_id=12),
        files=dict.fromkeys(["a.pt", "b.pt", "1.png", "2.png", "3.png"], b"x"),
    )
    ended = export("kohya", tmp_path / "k", archive)
    assert (ended.code, tree(tmp_path / "k")) == (0, {"1_fox/43.png"})
    assert "Not chosen: 2 excluded by their flags." in ended.log
    export("webui", tmp_path / "w", archive)
    assert tree(tmp_path / "w") == {"models/Lora/b.pt"}
    ended = export("parquet", tmp_path / "p", archive)
    assert "Exported 4 rows" in ended.log
    assert "Not chosen: 6 excluded by their flags." in ended.log
    export("kohya", tmp_path / "k", archive, exclude="minor")
    assert tree(tmp_path / "k") == {"1_fox/41.png", "1_fox/43.png"}


@pytest.fixture
def mixed(tmp_path):
    """Make images and files that differ in what filters look at; each has its id as its name."""
    early, late = "2024-01-01T00:00:00Z", "2026-05-01T00:00:00Z"
    items = [
        Model(id=1, creator="fox", name="", type="LORA", nsfw_level=1),
        Model(id=2, creator="fox", name="", type="Checkpoint", nsfw_level=5),
        ModelVersion(id=11, model_id=1, name="", base_model="SDXL 1.0", published_at=early),
        ModelVersion(id=12, model_id=2, name="", base_model="Pony", published_at=late),
        *(
            ModelFile(id=number, version_id=version, model_id=model, name="", path=f"{number}.pt")
            for number, version, model in ((21, 11, 1), (22, 12, 2), (23, 99, None))
        ),
        Image(id=31, path="31.png", nsfw_level=1, published_at=early, version_id=11),
        Image(id=32, path="32.png", nsfw_level=4, published_at=late, version_id=12),
        Image(id=33, path="33.png", nsfw_level=1, created_at=late, base_model="Illustrious"),
        Image(id=34, path="34.png"),
        GenerationData(id=32, prompt_state="absent", resources=[Resource(version_id=1)]),
    ]
    files = {f"{number}.pt": b"%d" % number for number in (21, 22, 23)}
    return make(
        tmp_path / "fox", *items, files=files | {f"{n}.png": b"%d" % n for n in range(31, 35)}
    )


@pytest.mark.parametrize(
    ("filters", "images", "files"),
    [
        ([], {31, 32, 33, 34}, {21, 22}),
        (["--level", "31"], {31, 32, 33, 34}, {21, 22}),
        (["--level", "3"], {31, 33}, {21, 22}),
        (["--level", "4"], {32}, {22}),
        (["--since", "2026-05-01"], {32, 33}, {22}),
        (["--type", "lora"], {31}, {21}),
        (["--type", "LORA,Checkpoint"], {31, 32}, {21, 22}),
        (["--base-model", "sdxl 1.0,Illustrious"], {31, 33}, {21}),
        (["--base-model", "Pony", "--level", "1"], set(), {22}),
    ],
)
def test_filters(mixed, tmp_path, filters, images, files):
    def ids(to: str) -> set[int]:
        assert export(to, tmp_path / to, mixed, *filters).code == 0
        return {
            int(file.stem) for file in (tmp_path / to).rglob("*") if file.suffix in (".png", ".pt")
        }

    assert ids("kohya") == images
    assert ids("hf") == images
    assert ids("webui") == files
    import pyarrow.parquet as pq  # noqa: PLC0415  # the other formats do without

    export("parquet", tmp_path / "p", mixed, *filters)
    feeds = {
        stem: set(pq.read_table(tmp_path / f"p/{stem}.parquet")["id"].to_pylist())
        for stem in ("images", "model_files", "generation_data")
    }
    assert feeds["images"] == images
    assert feeds["model_files"] - {23} == files
    assert feeds["generation_data"] == {32} & images


def test_the_docs_name_every_format_and_option():
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser(conflict_handler="resolve")
    command = Command()
    command.settings = Settings()
    command.add_options(parser)
    own = next(i for i, group in enumerate(parser._action_groups) if group.title == "Export")
    options = {
        word
        for group in parser._action_groups[own:]
        for action in group._group_actions
        for word in action.option_strings
    }
    assert len(options) > 8
    assert {word for word in options if f"`{word}" not in text} == set()
    assert {name for name in FORMATS if f"## {name}" not in text} == set()


def test_several_archives_hold_an_image_once(fox, tmp_path):
    other = make(tmp_path / "hare", Image(id=11, path="a.png"), Image(id=12, path="a.png"),
                 files={"a.png": b"other"})  # fmt: skip
    ended = export("kohya", tmp_path / "out", fox, other)
    assert ended.log.startswith("Exported 2 images")
    assert tree(tmp_path / "out") == {"1_fox/11.png", "1_hare/12.png"}


@pytest.mark.parametrize("to", TREES)
def test_what_one_of_several_archives_has_is_not_missing(fox, tmp_path, to):
    bare = [
        make(
            tmp_path / name,
            *records(fox, Model), *records(fox, ModelVersion), Image(id=11),
            ModelFile(id=9, version_id=7, model_id=5, name="fox"),
        )
        for name in ("a", "b")
    ]  # fmt: skip
    ended = export(to, tmp_path / "out", *bare)
    assert (ended.code, "Left out: 1 never fetched." in ended.log) == (3, True)
    ended = export(to, tmp_path / "out", *bare, fox)
    assert (ended.code, "Left out" in ended.log) == (0, False)


def test_a_full_disk_ends_it_with_one_sentence_and_it_can_go_on(fox, tmp_path, monkeypatch):
    make(fox, Image(id=12, path="posts/11.png"))
    original = Path.replace
    full = True

    def replace(self, target):
        if full and str(target).endswith("12.png"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    ended = export("hf", tmp_path / "out", fox, "--copy")
    assert ended.code == 4
    assert "12.png cannot be written: No space left on device. Exported 1 images" in ended.log
    assert tree(tmp_path / "out") == {"train/11/11.png"}
    assert [one.name for one in (tmp_path / "out/.civitai-export").iterdir()] == ["export.json"]
    full = False
    assert export("hf", tmp_path / "out", fox, "--copy").code == 0
    assert tree(tmp_path / "out") == {"train/11/11.png", "train/12/12.png", "train/metadata.jsonl"}
    assert [one.name for one in (tmp_path / "out/.civitai-export").iterdir()] == ["export.json"]


@pytest.mark.parametrize("to", ["hf", "kohya", "parquet", "webui"])
def test_a_disk_that_has_become_read_only_ends_it_with_one_sentence(fox, tmp_path, monkeypatch, to):
    make(fox, GenerationData(id=11, prompt_state="present", prompt="a fox"))
    export(to, tmp_path / "out", fox)
    for file in (tmp_path / "out").rglob("*.txt"):
        file.unlink()
    make(fox, ModelFile(id=10, version_id=7, model_id=5, name="x", path="models/x.safetensors"),
         files={"models/x.safetensors": b"more"})  # fmt: skip

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    def opened(self, mode="r", *more, original=Path.open, **named):
        return original(self, mode, *more, **named) if "r" in mode else refuse()

    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "link")):
        monkeypatch.setattr(owner, name, refuse)
    monkeypatch.setattr(Path, "open", opened)
    ended = export(to, tmp_path / "out", fox)
    assert ended.code == 4
    assert " cannot be written: Read-only file system. Exported 0 " in ended.log


def test_a_source_that_is_gone_meanwhile_costs_itself_only(fox, tmp_path, monkeypatch):
    make(fox, Image(id=10, path="posts/10.png"), files={"posts/10.png": b"x"})

    def link(source, _):
        if Path(source).name == "10.png":
            Path(source).unlink()
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    for to in ("hf", "kohya"):
        make(fox, files={"posts/10.png": b"x"})
        ended = export(to, tmp_path / to, fox)
        assert (ended.code, ended.log.splitlines()[0].split()[0]) == (3, "missing")
        assert {Path(name).name for name in tree(tmp_path / to)} - {"metadata.jsonl"} == {"11.png"}


def test_what_a_killed_run_left_behind_is_no_part_of_the_next(fox, tmp_path):
    with Folder.opened(tmp_path / "out", "hf", [fox]):
        pass
    (tmp_path / "out/.civitai-export/part-0").write_bytes(b"half")
    assert export("hf", tmp_path / "out", fox).code == 0
    assert [one.name for one in (tmp_path / "out/.civitai-export").iterdir()] == ["export.json"]


def test_progress_is_for_a_terminal_and_an_interrupt_is_no_loss(fox, tmp_path):
    make(fox, *(Image(id=number, path="posts/11.png") for number in range(100, 20_000)))
    own, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scrapy", "export", "--to", "kohya", "--copy",
         "--out", str(tmp_path / "out"), str(fox)],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while not re.search(rb"[1-9][0-9,]* images", shown):
        assert select.select([own], [], [], 30)[0], shown
        shown += os.read(own, 4096)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    os.close(own)
    assert process.returncode == 4
    assert output.decode().startswith("Interrupted. Exported ")
    there = list((tmp_path / "out/1_fox").iterdir())
    assert 0 < len(there) < 19_901
    assert {file.read_bytes() for file in there} == {b"picture"}


@pytest.mark.parametrize("to", ["hf", "parquet"])
def test_memory_does_not_grow_with_the_archive(tmp_path, to):
    """36 MB of prompts more need less than 25 MB of memory more."""
    # Not ru_maxrss, in which a process begins with what its parent had.
    script = (
        "import re, pathlib; from scrapy.cmdline import execute\n"
        "try: execute()\n"
        "finally: print(re.search(r'VmHWM:\\s+(\\d+)', "
        "pathlib.Path('/proc/self/status').read_text())[1])"
    )

    def peak(count: int) -> int:
        archive = make(tmp_path / f"a{count}", files={"a.png": b"x"})
        with (archive / "images.jsonl").open("w") as feed:
            feed.writelines(json.dumps({"id": n, "path": "a.png"}) + "\n" for n in range(count))
        with (archive / "generation_data.jsonl").open("w") as feed:
            feed.writelines(
                json.dumps({"id": n, "prompt_state": "present", "prompt": "night " * 2000}) + "\n"
                for n in range(count)
            )
        out = tmp_path / f"out{count}"
        args = ["export", "--to", to, "--caption", "none", "--out", str(out), str(archive)]
        ended = subprocess.run(
            [sys.executable, "-c", script, *args],
            cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert f"Exported {count if to == 'hf' else 2 * count:,} " in ended.stdout
        return int(ended.stdout.split()[-1]) * 1024

    small, large = peak(1_000), peak(4_000)
    assert large - small < 25_000_000
