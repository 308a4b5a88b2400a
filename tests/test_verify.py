"""``scrapy verify``: every kind of damage is found, nothing else is."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tracemalloc
from argparse import Namespace
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from scrapy.exceptions import UsageError

from civitai_crawler.commands import inventory
from civitai_crawler.commands.checking import Check
from civitai_crawler.commands.verify import Command
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, ROOT, Ended, crawl, environment, feed, scrapy

MODEL = "models/Fox (5)/v1 (7)/fox.safetensors"
IMAGE = "posts/3 night/11.png"
BYTES = {MODEL: b"weights" * 1000, IMAGE: b"\x89PNG picture"}


def record(number: int, path: str | None, data: bytes = b"", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": number, "name": "x", "path": path}
    if path:
        fields |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**fields, **more}


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in records))


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "fox"
    for path, data in BYTES.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(data)
    write(folder / "model_files.jsonl", [record(1, None), record(1, MODEL, BYTES[MODEL])])
    write(folder / "images.jsonl", [record(11, IMAGE, BYTES[IMAGE]), record(12, None)])
    return folder


def verify(*paths: Path) -> Ended:
    """Run the command in this process, which is quicker."""
    command, output = Command(), io.StringIO()
    with redirect_stdout(output):
        command.run([str(path) for path in paths], Namespace(threads=2))
    return Ended(command.exitcode, output.getvalue())


def findings(ended: Ended) -> list[list[str]]:
    """Lines of the answer as ``[what, path and why]``, without the summary."""
    return [line.split(None, 1) for line in ended.log.splitlines()[:-1]]


def test_a_clean_archive(archive):
    ended = scrapy("verify", str(archive))
    assert ended.code == 0
    assert ended.log == "Checked 2 of 2 recorded files (0.00 GiB): all as recorded.\n"


def test_bytes_that_are_stored_once_or_twice(archive):
    """Equal files are two names of one, or copies where the file system makes no links."""
    place = (archive / MODEL).parent
    os.link(archive / MODEL, place / "linked.safetensors")
    (place / "copied.safetensors").write_bytes(BYTES[MODEL])
    paths = [MODEL, *(MODEL.replace("fox", name) for name in ("linked", "copied"))]
    write(archive / "model_files.jsonl", [record(n, p, BYTES[MODEL]) for n, p in enumerate(paths)])
    ended = verify(archive)
    assert (ended.code, findings(ended)) == (0, [])
    assert "Checked 4 of 4" in ended.log


def test_a_file_that_was_replaced(archive):
    """The old one lies beside the new one, is checked, and may be deleted."""
    new = MODEL.replace("fox", "fox [0123456789]")
    (archive / new).write_bytes(b"newer weights")
    with (archive / "model_files.jsonl").open("a") as file:
        file.write(json.dumps(record(1, new, b"newer weights")) + "\n")
    ended = verify(archive)
    assert (ended.code, findings(ended)) == (0, [])

    (archive / MODEL).write_bytes(b"X" * len(BYTES[MODEL]))
    assert [what for what, _ in findings(verify(archive))] == ["changed"]
    (archive / MODEL).unlink()
    ended = verify(archive)
    assert (ended.code, findings(ended)) == (0, [])


def test_each_kind_of_damage(archive):
    data = BYTES[IMAGE]
    more = {kind: f"posts/3 night/{kind}.png" for kind in ("gone", "longer", "folder", "loop")}
    write(
        archive / "images.jsonl",
        [record(11, IMAGE, data), *(record(20 + n, p, data) for n, p in enumerate(more.values()))],
    )
    (archive / IMAGE).write_bytes(data[:-1] + b"X")
    (archive / more["longer"]).write_bytes(data + b"X")
    (archive / more["folder"]).mkdir()
    (archive / more["loop"]).symlink_to(more["loop"].rpartition("/")[2])
    (archive / MODEL).with_name("other.safetensors").write_bytes(b"x")
    (archive / "posts/notes.txt").write_bytes(b"x")
    ended = scrapy("verify", str(archive))
    assert ended.code == 3
    assert "Traceback" not in ended.log
    named: dict[str, list[str]] = {}
    for what, path in sorted(findings(ended)):
        named.setdefault(what, []).append(path.removeprefix(f"{archive}/"))
    assert [line.partition(" (")[0] for line in named["changed"]] == [IMAGE, more["longer"]]
    assert named["missing"] == [more["gone"]]
    assert [line.partition(" (")[0] for line in named["unreadable"]] == [
        more["folder"],
        more["loop"],
    ]
    assert named["extra"] == [
        str(Path(MODEL).with_name("other.safetensors")),
        "posts/notes.txt",
    ]
    assert ended.log.splitlines()[-1].endswith(": 2 changed, 2 extra, 1 missing, 2 unreadable.")


@pytest.mark.parametrize(
    "name",
    [
        ".job/ledger.sqlite",
        "quarantine/7 fox.safetensors",
        "thumbnails/11.webp",
        "report.json",
        "report.md",
        "index.html",
        "posts.jsonl",
        "posts.csv",
        "posts.20260501T000000Z.jsonl",
        "models/Fox (5)/v1 (7)/fox.json",
        "models/Fox (5)/v1 (7)/fox.civitai.info",
        "models/Fox (5)/v1 (7)/fox.metadata.json",
        "models/Fox (5)/v1 (7)/fox.preview.png",
        "posts/3 night/11.txt",
        "posts/3 night/11.png.json",
        "posts/.DS_Store",
    ],
)
def test_what_records_do_not_speak_of_is_no_damage(archive, name):
    (archive / name).parent.mkdir(exist_ok=True)
    (archive / name).write_bytes(b"x")
    assert verify(archive).code == 0


@pytest.mark.parametrize(
    "name", ["posts/12.txt", "posts.old.jsonl", "model.safetensors", "posts/quarantine/x.png"]
)
def test_what_only_looks_like_it_is_extra(archive, name):
    (archive / name).parent.mkdir(exist_ok=True)
    (archive / name).write_bytes(b"x")
    ended = verify(archive)
    assert (ended.code, findings(ended)) == (3, [["extra", str(archive / name)]])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id": 9, "pa', "line 3 is no record"),
        ("[1]", "line 3 is no record"),
        (json.dumps(record(9, "../../etc/passwd")), "leads out of the archive"),
        (json.dumps(record(9, "/etc/passwd")), "leads out of the archive"),
        (json.dumps(record(9, "a\0b")), "leads out of the archive"),
        (json.dumps(record(9, ".")), "leads out of the archive"),
        (json.dumps(record(9, "\ud800")), "record 9"),
        (json.dumps(record(9, "x", size_bytes="many")), "record 9"),
    ],
)
def test_broken_records(archive, line, why):
    with (archive / "images.jsonl").open("a") as stream:
        stream.write(line)
    ended = verify(archive)
    assert ended.code == 3
    ((what, rest),) = findings(ended)
    assert what == "broken"
    assert rest.startswith(f"{archive / 'images.jsonl'} (")
    assert why in rest


def test_bytes_that_are_no_text(archive):
    (archive / "images.jsonl").write_bytes(b"\xff\xfe")
    ended = verify(archive)
    assert ended.code == 3
    assert "line 1 is no record" in ended.log


def test_csv_feeds(archive):
    (archive / "images.jsonl").unlink()
    with (archive / "images.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "path", "size_bytes", "sha256", "extra"])
        writer.writeheader()
        writer.writerow({"id": 12, "extra": "x" * 200_000})
        for data in (b"old", BYTES[IMAGE]):
            fields = record(11, IMAGE, data)
            del fields["name"]
            writer.writerow(fields)
    assert verify(archive).code == 0
    (archive / IMAGE).unlink()
    assert findings(verify(archive)) == [["missing", str(archive / IMAGE)]]


def test_names_written_apart_are_the_same_name(archive):
    """As a Mac stores them: letters and accents apart."""
    (archive / "posts/cafe\u0301.png").write_bytes(b"x")
    known = inventory.recorded(archive, print)
    assert [finding.what for finding in inventory.extras(archive, known)] == ["extra"]
    write(archive / "images.jsonl", [record(1, "posts/caf\u00e9.png", b"x")])
    known = inventory.recorded(archive, print)
    assert [Path(finding.path).name for finding in inventory.extras(archive, known)] == ["11.png"]


def test_what_a_terminal_would_obey_is_escaped(archive):
    (archive / "posts/a\x1b[2J\n.png").write_bytes(b"x")
    ended = verify(archive)
    assert findings(ended) == [["extra", f"{archive}/posts/a\\x1b[2J\\n.png"]]


def test_who_reads_no_further_gets_no_traceback(archive):
    write(archive / "images.jsonl", [record(n, f"posts/{n}.png") for n in range(5000)])
    shell = f"{sys.executable} -m scrapy verify '{archive}' | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", shell],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ended.stdout.splitlines()[1:] == ["3"]
    assert ended.stderr == ""


def test_a_folder_of_archives_and_several_paths(archive):
    other = archive.parent / "reed"
    other.mkdir()
    write(other / "images.jsonl", [record(1, "gone.png", b"")])
    (archive.parent / "no archive").mkdir()
    ended = verify(archive.parent, archive)
    assert (ended.code, findings(ended)) == (3, [["missing", str(other / "gone.png")]])
    assert "Checked 3 of 3" in ended.log


def test_wrong_input(tmp_path):
    for paths, sentence in (
        ([], "Name an archive"),
        ([tmp_path / "nowhere"], "There is no folder"),
        ([tmp_path], "is no archive"),
    ):
        with pytest.raises(UsageError, match=sentence):
            verify(*paths)


@pytest.mark.parametrize(
    "args", [["nowhere"], ["--threads", "0", "tests"], ["--threads", "x", "tests"]]
)
def test_wrong_input_ends_in_one_sentence(args):
    ended = scrapy("verify", *args)
    assert ended.code == 2
    assert len(ended.sentences) == 1
    assert "Traceback" not in ended.log


def test_memory_does_not_grow_with_files(archive):
    with (archive / MODEL).open("wb") as stream:
        stream.truncate(200_000_000)
    check = Check(lambda finding: None, threads=2)
    tracemalloc.start()
    check.run(archive, lambda: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not check.is_clean
    assert peak < 16_000_000


def test_progress_is_for_a_terminal(archive):
    size = 1_500_000_000
    with (archive / MODEL).open("wb") as stream:
        stream.truncate(size)
    write(archive / "model_files.jsonl", [record(1, MODEL, b"", size_bytes=size)])
    own, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "scrapy", "verify", str(archive)],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    # Interrupt it as soon as it has told how far it is.
    while b"files," not in shown:
        assert select.select([own], [], [], 20)[0], shown
        shown += os.read(own, 4096)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    os.close(own)
    assert process.returncode == 4
    assert output.decode().startswith("Interrupted. Checked ")


def test_an_archive_of_a_crawl(tmp_path):
    with Standin.in_thread(World.small()) as standin:
        assert crawl(standin, tmp_path, username="lumen_fox").code in DONE
    archive = tmp_path / "lumen_fox"
    ended = verify(archive)
    assert ended.code == 0, ended.log
    path = next(one["path"] for one in feed(archive, "images") if one["path"])
    (archive / path).unlink()
    assert findings(verify(tmp_path)) == [["missing", str(archive / path)]]
