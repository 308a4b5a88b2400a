"""Sidecars beside the files of an archive: what is written, merged, kept and left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from civitai_crawler import options, sidecars
from civitai_crawler.sidecars.formats import MODELS
from civitai_crawler.sidecars.placing import BACKUP
from civitai_crawler.sidecars.wording import plain, sd_version
from tests.cli import scrapy
from tests.media_support import png, webp
from tests.sidecar_keys import TABLES, faults
from tests.sidecar_support import (
    FILE,
    FOLDER,
    MODEL,
    STEM,
    VERSION,
    archive,
    image,
    making,
    put,
    read,
    records,
    run,
    tree,
)


def theirs(folder, name, content):
    return put(folder, STEM + MODELS[name].ending, json.dumps(content).encode())


def backup(folder, name):
    file = folder / (STEM + MODELS[name].ending + BACKUP)
    return json.loads(file.read_bytes()) if file.exists() else None


def previews(folder):
    return sorted(file.name for file in (folder / FOLDER).glob("*.preview.*"))


# --- what is written ----------------------------------------------------------------------------


def test_the_settings_know_the_formats():
    assert options.SIDECARS == sidecars.FORMATS
    assert options.OPTIONS["CIVITAI_SIDECARS"].default == ",".join(sidecars.DEFAULT)


def test_every_format_has_its_keys(tmp_path):
    run(archive(tmp_path))
    for name in MODELS:
        assert faults(read(tmp_path, name), TABLES[name], name) == []
    assert previews(tmp_path) == ["reed.preview.png"]


def test_the_values_of_each_format(tmp_path):
    run(archive(tmp_path))
    root = tmp_path.resolve().as_posix()
    info = read(tmp_path, "civitai_info")
    assert (info["id"], info["modelId"], info["creator"]["image"]) == (11, 1, MODEL.creator_image)
    assert [one["id"] for one in info["images"]] == [1001, 1002]
    assert info["images"][0]["local_file"] == f"{root}/posts/5/1001.png"
    assert info["images"][0]["meta"] == {"prompt": "a reed, wind", "steps": 20}
    assert info["extensions"]["civitai_crawler"]["last_update"] == "2026-05-03T00:00:00Z"
    manager = read(tmp_path, "lora_manager")
    assert manager["file_path"] == f"{root}/{STEM}.safetensors"
    assert manager["preview_url"] == f"{root}/{STEM}.preview.png"
    assert (manager["file_name"], manager["size"], manager["autov3"]) == ("reed", 7, "0123456789ab")
    assert manager["sha256"] == FILE.sha256
    assert manager["usage_tips"] == "{}"
    web = read(tmp_path, "a1111")
    assert web["description"] == "Draws reeds.\nUse reed & wind."
    assert (web["sd version"], web["activation text"]) == ("SDXL", "reed, wind")
    assert web["sha256"] == (FILE.sha256 or "").upper()
    assert read(tmp_path, "cm_info")["ThumbnailImageUrl"].endswith("/1001.png")
    swarm = read(tmp_path, "swarm")
    assert swarm["modelspec.title"] == "Reed - v1"
    assert swarm["modelspec.resolution"] == "1024x1024"


def test_phrases_with_commas_are_alternatives(tmp_path):
    words = ["reed, wind", " calm"]
    run(archive(tmp_path, *records(replace(VERSION, trained_words=words))))
    assert read(tmp_path, "a1111")["activation text"] == "reed, wind || calm"


@pytest.mark.parametrize(
    ("model", "file", "expected"),
    [
        ("LORA", {}, set(MODELS)),
        ("Checkpoint", {}, set(MODELS)),
        ("Checkpoint", {"type": "VAE"}, {"civitai_info", "cm_info", "swarm"}),
        ("Controlnet", {}, {"civitai_info", "cm_info", "swarm"}),
        ("Hypernetwork", {}, {"civitai_info", "cm_info", "swarm", "a1111"}),
        ("LORA", {"type": "Training Data"}, set()),
        ("Other", {"path": f"{STEM}.zip"}, set()),
    ],
)
def test_each_kind_of_file_has_what_reads_it(tmp_path, model, file, expected):
    run(archive(tmp_path, *records(replace(MODEL, type=model), replace(FILE, **file))))
    found = {name for name, one in MODELS.items() if (tmp_path / (STEM + one.ending)).exists()}
    assert found == expected
    assert bool(previews(tmp_path)) == bool(expected)


def test_kinds_differ_in_their_keys(tmp_path):
    run(archive(tmp_path, *records(replace(MODEL, type="Checkpoint"))))
    assert read(tmp_path, "lora_manager")["sub_type"] == "checkpoint"
    assert set(read(tmp_path, "a1111")) >= {"description", "notes", "vae"}
    assert "activation text" not in read(tmp_path, "a1111")


def test_files_of_one_stem_have_one_set_of_the_primary(tmp_path):
    other = replace(FILE, id=110, path=f"{STEM}.ckpt", name="reed.ckpt", primary=False)
    run(archive(tmp_path, *records(), other))
    assert read(tmp_path, "cm_info")["RemoteFileId"] == 111
    assert [one["id"] for one in read(tmp_path, "civitai_info")["files"]] == [111, 110]


def test_a_file_of_the_creators_is_never_written_over(tmp_path):
    config = replace(FILE, id=112, type="Config", name="Reed.json", path=f"{FOLDER}/Reed.JSON")
    run(archive(tmp_path, *records(), config))
    assert (tmp_path / FOLDER / "Reed.JSON").read_bytes() == b"weights"
    assert not (tmp_path / f"{STEM}.json").exists()
    assert (tmp_path / f"{STEM}.civitai.info").exists()


def test_images_have_theirs_where_asked_for(tmp_path):
    graph = making(1002, "one <lora:reed:0.8>, , two\nthree", comfy={"prompt": {}})
    hidden = making(1003, "secret", prompt_state="hidden")
    folder = archive(tmp_path, *records(graph, image(1003), hidden))
    run(folder, "caption", "image_json")
    assert (folder / "posts/5/1001.txt").read_text() == "a reed, wind\n"
    assert (folder / "posts/5/1002.txt").read_text() == "one, two three\n"
    assert not (folder / "posts/5/1003.txt").exists()
    full = json.loads((folder / "posts/5/1002.json").read_text())
    assert (full["id"], full["generation"]["comfy"]) == (1002, {"prompt": {}})
    assert not (folder / f"{STEM}.json").exists()


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (None, ""),
        ("<p>one<br/>two</p><ul><li>three</li></ul>", "one\ntwo\nthree"),
        ("a &lt;b&gt; (&gt;_&lt;) c", "a <b> (>_<) c"),
        ("weight <0.8 and >_< stay", "weight <0.8 and >_< stay"),
        ('<img alt="a > b <c>" src="x"/>text<!-- no -->', "text"),
        ("<a " * 100_000, None),
        ("<a \"'" * 50_000, None),
    ],
)
def test_a_description_as_plain_text(description, expected):
    found = plain(description)  # of any text in linear time: the test would not end
    assert expected is None or found == expected


@pytest.mark.parametrize(
    ("base", "family"),
    [("SD 1.5", "SD1"), ("SD 2.1 768", "SD2"), ("SDXL 1.0", "SDXL"), ("Pony", "SDXL"),
     ("Pony V7", "Unknown"), ("NoobAI", "SDXL"), ("Flux.1 D", "Unknown"), (None, "Unknown")],
)  # fmt: skip
def test_base_models_in_the_words_of_a1111(base, family):
    assert sd_version(base) == family


# --- what is already there ----------------------------------------------------------------------


def test_nothing_is_written_twice(tmp_path):
    folder = archive(tmp_path)
    assert run(folder).written == len(MODELS) + 1
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.*")}
    again = run(folder)
    assert (again.written, again.same) == (0, len(MODELS) + 1)
    note = folder / ".sidecars.json"
    assert {f: t for f, t in before.items() if f != note} == {
        f: f.stat().st_mtime_ns for f in folder.rglob("*.*") if f != note
    }
    wish = sidecars.Wish()
    assert sidecars.write(folder, wish, print) is None
    archive(folder, image(1003))
    assert sidecars.write(folder, wish, print) is not None


def test_what_is_our_own_follows_the_records_without_a_backup(tmp_path):
    folder = archive(tmp_path)
    run(folder)
    archive(folder, replace(VERSION, trained_words=["new"]), replace(MODEL, name="Sedge"))
    run(folder)
    assert read(folder, "a1111")["activation text"] == "new"
    assert read(folder, "lora_manager")["model_name"] == "Sedge"
    assert not [name for name in tree(folder) if name.endswith(BACKUP)]


def test_what_the_user_wrote_for_a1111_stays(tmp_path):
    folder = archive(tmp_path)
    mine = {"activation text": "my words", "preferred weight": 0.7, "notes": "", "x": [1]}
    theirs(folder, "a1111", mine)
    run(folder)
    found = read(folder, "a1111")
    assert {key: found[key] for key in mine} == mine
    assert found["sd version"] == "SDXL"
    assert backup(folder, "a1111") == mine
    # An edit of what was ours is the user's from then on.
    found["activation text"] = "edited"
    theirs(folder, "a1111", found)
    archive(folder, replace(VERSION, trained_words=["new"]))
    run(folder)
    assert read(folder, "a1111")["activation text"] == "edited"
    assert backup(folder, "a1111") == mine


def test_civitai_info_of_the_helper_is_brought_up_to_date(tmp_path):
    folder = archive(tmp_path)
    url = read_url(folder)
    held = {
        "id": 11, "name": "old name", "mine": 1, "model": {"name": "old", "x": 2},
        "extensions": {"sd_civitai_helper": {"version": "1.8"}},
        "images": [{"url": url, "local_file": "C:/saved.png"}, "odd", {"url": [], "local_file": 1}],
    }  # fmt: skip
    theirs(folder, "civitai_info", held)
    (folder / "posts/5/1002.png").unlink()
    archive(folder, image(1002, path=None, url=url))
    run(folder, "civitai_info")
    found = read(folder, "civitai_info")
    assert (found["name"], found["mine"]) == ("v1", 1)
    assert (found["model"]["name"], found["model"]["x"]) == ("Reed", 2)
    assert set(found["extensions"]) == {"sd_civitai_helper", "civitai_crawler"}
    assert backup(folder, "civitai_info") == held


def read_url(folder):
    lines = (folder / "images.jsonl").read_text().splitlines()
    return next(one["url"] for one in map(json.loads, lines) if one["id"] == 1002)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("civitai_info", {"id": 12, "name": "another"}),
        ("civitai_info", {"id": 11, "description": "<p>was there</p>"}),
        ("lora_manager", {"civitai": {"id": 12}, "notes": "x"}),
        ("cm_info", {"VersionId": 12}),
    ],
)
def test_what_is_about_something_else_or_says_more_stays(tmp_path, name, content):
    folder = archive(tmp_path)
    file = theirs(folder, name, content)
    assert run(folder, name).kept == 1
    assert json.loads(file.read_bytes()) == content
    assert backup(folder, name) is None


def test_a_stub_of_the_helper_is_no_word_of_the_site(tmp_path):
    folder = archive(tmp_path)
    stub = {"id": 0, "extensions": {"sd_civitai_helper": {"skeleton_file": True}}}
    theirs(folder, "civitai_info", stub)
    run(folder, "civitai_info")
    assert read(folder, "civitai_info")["id"] == 11


def test_lora_manager_keeps_what_its_user_set(tmp_path):
    folder = archive(tmp_path)
    mine = {
        "notes": "mine", "favorite": True, "usage_tips": '{"strength": 0.7}', "tags": ["own"],
        "sha256": "wrong", "preview_url": "", "unknown": 1, "modified": 5.5,
        "civitai": {"id": 11, "name": "old", "customImages": [{"id": "x"}]},
    }  # fmt: skip
    theirs(folder, "lora_manager", mine)
    run(folder)
    found = read(folder, "lora_manager")
    kept = ("notes", "favorite", "usage_tips", "tags", "unknown", "modified")
    assert {key: found[key] for key in kept} == {key: mine[key] for key in kept}
    assert found["sha256"] == FILE.sha256
    assert found["preview_url"].endswith("reed.preview.png")
    assert (found["civitai"]["name"], found["civitai"]["customImages"]) == ("v1", [{"id": "x"}])
    assert backup(folder, "lora_manager") == mine


def test_lora_manager_may_forbid_to_refresh(tmp_path):
    folder = archive(tmp_path)
    theirs(folder, "lora_manager", {"civitai": {"name": "own"}, "skip_metadata_refresh": True})
    run(folder)
    assert read(folder, "lora_manager")["civitai"] == {"name": "own"}


def test_stability_matrix_and_swarm_keep_what_is_theirs(tmp_path):
    folder = archive(tmp_path)
    theirs(folder, "cm_info", {"VersionId": 11, "UserTitle": "mine", "VersionName": "old"})
    theirs(folder, "swarm", {"modelspec.title": "mine"})
    run(folder)
    found = read(folder, "cm_info")
    assert (found["UserTitle"], found["VersionName"]) == ("mine", "v1")
    assert read(folder, "swarm")["modelspec.title"] == "mine"
    assert read(folder, "swarm")["modelspec.author"] == "lumen_fox"


def test_a_caption_of_the_users_stays(tmp_path):
    folder = archive(tmp_path)
    put(folder, "posts/5/1001.txt", b"my own words")
    assert run(folder, "caption").kept == 1
    assert (folder / "posts/5/1001.txt").read_bytes() == b"my own words"


@pytest.mark.parametrize("content", [b"{broken", b"[1]", b"\xff\xfe"])
def test_what_cannot_be_read_stays_and_is_told_once(tmp_path, content):
    second = replace(FILE, id=113, path=f"{FOLDER}/two.safetensors", name="two.safetensors")
    folder = archive(tmp_path, *records(), second)
    put(folder, f"{STEM}.json", content)
    put(folder, f"{FOLDER}/two.json", content)
    said: list[str] = []
    outcome = run(folder, said=said)
    assert outcome.problems == 2
    assert len(said) == 1
    assert "reed.json" in said[0]
    assert (folder / f"{STEM}.json").read_bytes() == content
    assert read(folder, "civitai_info")["id"] == 11


@pytest.mark.parametrize("more", [(), ("--embed",)])
def test_a_broken_record_is_told_by_the_exit_code_too(tmp_path, more):
    folder = archive(tmp_path / "fox", *records())
    for name in ("models", "model_versions"):
        with (folder / f"{name}.jsonl").open("a") as feed:
            feed.write("{torn\n")
    ended = scrapy("sidecars", str(folder), *more, *(str(tmp_path / "copies") for _ in more))
    assert ended.code == 3
    for name in ("models", "model_versions"):
        assert f"{folder / name}.jsonl: line 2 is no record" in ended.log
    assert ended.log.splitlines()[-1].endswith((", 2 not written.", ", 2 with trouble."))


def test_the_loss_of_the_note_loses_nothing(tmp_path):
    folder = archive(tmp_path)
    run(folder)
    before = tree(folder)
    (folder / ".sidecars.json").write_text("[]")
    assert run(folder).written == 0
    assert tree(folder) == before


# --- where nothing may be written ----------------------------------------------------------------


def test_a_full_disk_is_told_and_keeps_no_half_files(tmp_path, full_disk):
    folder = archive(tmp_path)
    before = tree(folder)
    said: list[str] = []
    with full_disk():
        outcome = run(folder, "civitai_info", "caption", said=said)
    assert outcome.problems == len(said) == 1
    assert tree(folder).keys() - before.keys() == {"posts/5/1001.txt"}
    assert run(folder, "civitai_info", "caption").written == 1


def test_no_path_leads_out_of_the_archive(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "reed.safetensors").write_bytes(b"weights")
    (outside / "own.json").write_text("{}")
    folder = archive(tmp_path / "archive")
    (folder / f"{STEM}.json").symlink_to(outside / "own.json")
    (folder / "models" / "Link (2)").symlink_to(outside)
    linked = replace(FILE, id=114, path="models/Link (2)/reed.safetensors")
    above = replace(FILE, id=115, path="../outside/reed.safetensors")
    archive(folder, linked, image(1001, path="../outside/own.json"))
    with (folder / "model_files.jsonl").open("a") as feed:
        record = json.loads((folder / "model_files.jsonl").read_text().splitlines()[0])
        feed.write(json.dumps({**record, "id": 115, "path": above.path}) + "\n")
    # The record that leads outside was written by the helper; its content is put back.
    (outside / "own.json").write_text("{}")
    said: list[str] = []
    assert run(folder, said=said).problems == 4
    assert sorted(file.name for file in outside.iterdir()) == ["own.json", "reed.safetensors"]
    assert (outside / "own.json").read_text() == "{}"
    assert (folder / f"{STEM}.json").is_symlink()
    assert read(folder, "civitai_info")["id"] == 11


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_without_a_name_is_that_of_no_file(tmp_path, path):
    folder = archive(tmp_path)
    for feed, one in (("model_files", replace(FILE, id=115)), ("images", image(1003))):
        with (folder / f"{feed}.jsonl").open("a") as stream:
            stream.write(json.dumps({**asdict(one), "path": path}) + "\n")
    run(folder, "civitai_info", "caption", "image_json")
    assert read(folder, "civitai_info")["id"] == 11


@pytest.mark.parametrize("name", ["re\0ed", "re\ud83ded", ""])
def test_what_is_no_name_costs_itself(tmp_path, name):
    odd = json.dumps({"id": 115, "version_id": 11, "model_id": 1, "name": "x", "type": "Model",
                      "path": f"{FOLDER}/{name}/x.safetensors"})  # fmt: skip
    folder = archive(tmp_path)
    with (folder / "model_files.jsonl").open("a") as feed:
        feed.write(odd + "\n")
    said: list[str] = []
    run(folder, said=said)
    assert len(said) == bool(name)
    assert read(folder, "civitai_info")["id"] == 11


def test_a_removed_model_file_has_no_sidecars(tmp_path):
    folder = archive(tmp_path)
    (folder / f"{STEM}.safetensors").unlink()
    assert run(folder).written == 0


# --- previews -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "highest", "expected"),
    [
        ({"ext": "mp4"}, {}, 16, 1002),
        ({"level": 8}, {"level": 2}, 16, 1002),
        ({"level": 8}, {"level": 4}, 16, 1002),
        ({"level": 2}, {"level": 1}, 16, 1001),
        ({"level": None}, {"level": 8}, 16, 1002),
        ({"level": 8}, {"level": 16}, 4, None),
        ({"level": 32}, {"level": None}, 16, 1002),
        ({"ext": "gif"}, {}, 16, 1002),
        ({"path": None}, {"level": 4}, 16, 1002),
    ],
)
def test_the_preview_is_the_first_fitting_still(tmp_path, first, second, highest, expected):
    folder = archive(tmp_path, *records(image(1001, **first), image(1002, **second)))
    run(folder, "preview", highest=highest)
    found = previews(folder)
    if expected is None:
        assert found == []
    else:
        preview, original = folder / FOLDER / found[0], folder / f"posts/5/{expected}.png"
        assert preview.samefile(original)


def test_a_preview_has_its_true_extension_and_follows_the_choice(tmp_path):
    kept = {"posts/5/1002.webp": webp()}
    folder = archive(tmp_path, *records(image(1001, level=4), image(1002, ext="webp", level=8)),
                     files=kept)  # fmt: skip
    run(folder)
    assert previews(folder) == ["reed.preview.png"]
    archive(folder, image(1001, level=16), files={"posts/5/1001.png": png("1001")})
    run(folder)
    assert previews(folder) == ["reed.preview.webp"]
    assert read(folder, "lora_manager")["preview_nsfw_level"] == 8
    run(folder, highest=1)
    assert previews(folder) == []
    assert (folder / "posts/5/1002.webp").read_bytes() == webp()


@pytest.mark.parametrize("name", ["reed.png", "reed.preview.jpg", "reed.preview.png"])
def test_a_preview_of_the_users_stays(tmp_path, name):
    folder = archive(tmp_path)
    put(folder, f"{FOLDER}/{name}", b"mine")
    run(folder)
    assert (folder / FOLDER / name).read_bytes() == b"mine"
    assert len(list((folder / FOLDER).glob("reed*.*g"))) == 1
    assert read(folder, "lora_manager")["preview_url"].endswith(name)


def test_where_the_disk_cannot_link_the_preview_is_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    folder = archive(tmp_path)
    monkeypatch.setattr(os, "link", refuse)
    run(folder)
    preview, original = folder / f"{STEM}.preview.png", folder / "posts/5/1001.png"
    assert preview.read_bytes() == original.read_bytes()
    assert not preview.samefile(original)


# --- the command, and a kill --------------------------------------------------------------------


def test_the_command_writes_and_verify_knows_what_is_ours(tmp_path):
    folder = archive(tmp_path / "lumen")
    theirs(folder, "a1111", {"notes": "mine"})
    ended = scrapy("sidecars", str(folder))
    assert ended.code == 0, ended.log
    assert "6 written" in ended.log
    assert backup(folder, "a1111") == {"notes": "mine"}
    ended = scrapy("sidecars", str(folder), "--formats", "caption,image_json")
    assert "3 written" in ended.log
    verified = scrapy("verify", str(folder))
    assert "extra" not in verified.log
    put(folder, f"{FOLDER}/stranger.bin", b"x")
    assert "1 extra" in scrapy("verify", str(folder)).log


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "Name an archive"),
        (["nowhere"], "There is no folder nowhere"),
        (["{archive}", "--formats", "nope"], "'nope' is none of"),
        (["{archive}", "--embed", "{archive}/.."], "the originals are there"),
    ],
)
def test_wrong_input_ends_in_one_sentence(tmp_path, args, sentence):
    folder = archive(tmp_path / "lumen")
    ended = scrapy("sidecars", *(arg.format(archive=folder) for arg in args))
    assert ended.code == 2
    assert sentence in ended.log
    assert "Traceback" not in ended.log


KILLED = """
import os, pathlib, signal, sys
real, left = os.fsync, int(sys.argv[2])
def fsync(number):
    global left
    left -= 1
    if left == 0:
        os.ftruncate(number, os.fstat(number).st_size // 2)  # the rest had not been written yet
        os.kill(os.getpid(), signal.SIGKILL)
    real(number)
os.fsync = fsync
from civitai_crawler import sidecars
sidecars.write(pathlib.Path(sys.argv[1]), sidecars.Wish(), print)
"""


@pytest.mark.parametrize("after", [1, 2, 4, 6])
def test_a_kill_while_writing_is_healed_by_the_next_run(tmp_path, after):
    folder = archive(tmp_path / "killed")
    mine = {"notes": "mine"}
    theirs(folder, "a1111", mine)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(after)], check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    for name in MODELS:  # whole or not there
        if (folder / (STEM + MODELS[name].ending)).exists():
            assert read(folder, name)
    run(folder)
    assert backup(folder, "a1111") == mine
    assert read(folder, "a1111")["notes"] == "mine"
    assert not list(folder.rglob(".*.part"))
    assert run(folder).written == 0
