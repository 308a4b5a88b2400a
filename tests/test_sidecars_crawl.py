"""Sidecars at the end of whole crawls of the stand-in, held against its own answers."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from urllib.request import urlopen

import pytest

from civitai_crawler.items import ModelFile
from civitai_crawler.sidecars.formats import MODELS
from civitai_crawler.sidecars.subject import kind
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl, feed, scrapy
from tests.sidecar_keys import TABLES, faults
from tests.sidecar_support import tree

#: What the first bytes of a picture are, by the extension that this allows.
SIGNS = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8", "webp": b"RIFF"}


@pytest.fixture(scope="module")
def standin():
    with Standin.in_thread(World.small()) as standin:
        yield standin


@pytest.fixture(scope="module")
def home(standin, tmp_path_factory):
    root = tmp_path_factory.mktemp("crawled")
    ended = crawl(standin, root, username="lumen_fox")
    assert ended.code in DONE, ended.log
    assert "sidecars and previews" in ended.log
    return root / "lumen_fox"


def stored(home):
    """Return the stored files that programs load, with the record of each one's model."""
    models = {one["id"]: one for one in feed(home, "models")}
    found = [one for one in feed(home, "model_files") if one["path"]]
    files = [(models[one["model_id"]], one) for one in found]
    return [(model, file) for model, file in files if kind(model["type"], ModelFile(**file))]


def sidecars(home, file):
    stem = str(PurePosixPath(file["path"]).with_suffix(""))
    places = {name: home / (stem + form.ending) for name, form in MODELS.items()}
    return {name: json.loads(one.read_bytes()) for name, one in places.items() if one.exists()}


def answer(standin, path):
    with urlopen(f"{standin.site_url}/api/v1/{path}") as response:
        return json.load(response)


def test_every_loadable_file_has_sidecars_with_the_keys_of_their_formats(home):
    files = stored(home)
    assert len(files) > 5
    seen = set()
    for model, file in files:
        found = sidecars(home, file)
        assert set(found) >= {"civitai_info", "cm_info", "swarm"}
        assert ("lora_manager" in found) == (
            kind(model["type"], ModelFile(**file)) in ("lora", "checkpoint", "embedding")
        )
        for name, content in found.items():
            assert faults(content, TABLES[name], name) == []
        seen |= set(found)
    assert seen == set(MODELS)


def test_civitai_info_is_what_the_site_answers_about_the_version(standin, home):
    # The list that a crawl reads does not tell these, or tells them otherwise.
    only_detail = ("createdAt", "updatedAt", "air", "usageControl", "status", "baseModelType",
                   "publishedAt", "uploadType", "trainingStatus", "trainingDetails",
                   "licensingFee", "paidAccess", "stats", "downloadUrl")  # fmt: skip
    images = {one["id"]: one for one in feed(home, "images")}
    compared = 0
    for _, file in stored(home):
        ours = sidecars(home, file)["civitai_info"]
        if not ours["nsfwLevel"]:  # of an unrated version the site says that there is none
            continue
        theirs = answer(standin, f"model-versions/{file['version_id']}")
        for key in theirs.keys() - {*only_detail, "model", "files", "images"}:
            assert ours[key] == theirs[key], key
        assert {key: ours["model"][key] for key in theirs["model"]} == theirs["model"]
        assert [(one["id"], one["hashes"]) for one in ours["files"]] == [
            (one["id"], one["hashes"]) for one in theirs["files"]
        ]
        for one in ours["images"]:
            assert images[one["id"]]["path"] is None or (
                one["local_file"] == f"{home.resolve().as_posix()}/{images[one['id']]['path']}"
            )
            compared += 1
    assert compared > 5


def test_previews_have_true_extensions_and_are_no_second_copy(home):
    previews = list(home.rglob("*.preview.*"))
    assert previews
    originals = {file.stat().st_ino for file in (home / "posts").rglob("*") if file.is_file()}
    for file in previews:
        assert file.read_bytes().startswith(SIGNS[file.suffix.removeprefix(".")])
        assert file.stat().st_ino in originals


def test_verify_takes_them_for_no_strangers(home):
    ended = scrapy("verify", str(home))
    assert ended.code == 0, ended.log


def times(home):
    found = (file for file in (home / "models").rglob("*") if file.is_file())
    return {file: file.stat().st_mtime_ns for file in found}


def test_a_run_with_nothing_new_writes_nothing(standin, home):
    before = times(home)
    lost = next(home.rglob("*.civitai.info"))
    content = lost.read_bytes()
    lost.unlink()
    ended = crawl(standin, home.parent, username="lumen_fox")
    assert ended.code in DONE, ended.log
    assert "sidecars and previews" not in ended.log
    assert not lost.exists()  # the feeds are as they were, so nothing was looked at
    assert "1 written" in scrapy("sidecars", str(home)).log
    assert lost.read_bytes() == content
    assert {**times(home), lost: 0} == {**before, lost: 0}


def test_none_turns_them_off(standin, tmp_path):
    crawl(standin, tmp_path, username="lumen_fox", env={"CIVITAI_SIDECARS": "none"})
    names = tree(tmp_path / "lumen_fox")
    assert any(name.endswith(".safetensors") for name in names)
    assert not any(name.endswith((".civitai.info", ".metadata.json")) for name in names)


def test_a_crawl_that_ends_early_has_them_too_and_the_next_completes_them(standin, home, tmp_path):
    ended = crawl(standin, tmp_path, "user_models", "-s", "CLOSESPIDER_ITEMCOUNT=60",
                  username="lumen_fox")  # fmt: skip
    assert ended.code == 1, ended.log
    archive = tmp_path / "lumen_fox"
    assert (archive / ".sidecars.json").exists()
    for _, file in stored(archive):
        assert "civitai_info" in sidecars(archive, file)
    crawl(standin, tmp_path, username="lumen_fox")
    # Which of several stills is stored first depends on the run, the rest does not.
    assert {name for name in tree(archive) if ".preview." not in name and "/" in name} == {
        name for name in tree(home) if ".preview." not in name and "/" in name
    }


def test_a_place_that_cannot_be_written_costs_itself_and_is_told(standin, tmp_path):
    crawl(standin, tmp_path, username="lumen_fox", env={"CIVITAI_SIDECARS": "none"})
    archive = tmp_path / "lumen_fox"
    (_, first), *rest = stored(archive)
    stem = archive / PurePosixPath(first["path"]).with_suffix("")
    (stem.parent / f"{stem.name}.civitai.info").mkdir()
    ended = crawl(standin, tmp_path, username="lumen_fox")
    assert ended.code in DONE
    assert ended.log.count("No sidecar") == 1
    assert "Is a directory" in ended.log
    assert all("civitai_info" in sidecars(archive, file) for _, file in rest)
