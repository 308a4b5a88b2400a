"""Further passes over an archived creator: what they ask, what they add, what they report."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Standin, World
from civitai_crawler.standin.blueprints import ADDON_TAG
from tests.cli import crawl, feed, ids

ONLY_REFUSALS = 3


@pytest.fixture
def standin():
    with Standin.in_thread(World.small()) as standin:
        yield standin


def run(standin, folder, **arguments):
    """Crawl; return what ended, the requests by host, the new feed lines and the report."""
    archive = folder / "lumen_fox"
    before = {path.name: path.read_bytes() for path in archive.glob("*.jsonl")}
    standin.log.clear()
    ended = crawl(standin, folder, username="lumen_fox", **arguments)
    assert "Traceback" not in ended.log, ended.log
    lines = {}
    for path in archive.glob("*.jsonl"):
        old, new = before.get(path.name, b""), path.read_bytes()
        assert new.startswith(old)
        if new != old:
            lines[path.stem] = [json.loads(line) for line in new[len(old) :].splitlines()]
    roles = Counter(entry.role for entry in standin.log.entries())
    report = json.loads((archive / "report.json").read_text(encoding="utf-8"))
    return ended, roles, lines, report


def add_model(world):
    """Publish a model with one version and one file, like an open one of the world."""
    pattern = next(
        model
        for model in world.models_of(world.main)
        if model.public and not model.excluded and model.mode is None
        and model.versions and model.versions[0].access == "open"
    )  # fmt: skip
    model = replace(pattern, id=max(world.models) + 1, name="Fresh ink", versions=[])
    version = replace(
        pattern.versions[0], id=max(world.versions) + 1, model=model, files=[], posts=[], vae=None
    )
    file = replace(
        pattern.versions[0].files[0], id=max(world.files) + 1, version=version, size=20_000,
        name="fresh.safetensors", oddity="", scanned=True, fingerprint=None,
    )  # fmt: skip
    version.files.append(file)
    model.versions.append(version)
    world.models[model.id], world.versions[version.id] = model, version
    world.files[file.id] = file
    return model, version, file


def add_post(world, number):
    """Publish a free post of *number* harmless pictures, newer than all others."""
    posts = world.posts_of(world.main)
    pattern = next(p for p in posts if p.version is None and p.pictures[0].format == "png")
    newest = max(post.published for post in posts)
    post = replace(pattern, id=max(world.posts) + 1, published=newest + 1000, pictures=[])
    world.posts[post.id] = post
    for index in range(1, number + 1):
        picture = replace(
            pattern.pictures[0], id=max(world.pictures) + 1, post=post,
            uuid=f"77777777-1111-4c2d-0e3f-{index:012x}",
            index=index, level=1, cdn="direct", indexed=True,
        )  # fmt: skip
        post.pictures.append(picture)
        world.pictures[picture.id] = world.by_uuid[picture.uuid] = picture
    return post


def remove_post(world, post):
    del world.posts[post.id]
    if post.version is not None:
        post.version.posts.remove(post)
    for picture in post.pictures:
        del world.pictures[picture.id]


def plain_files(world):
    """Return files that anybody gets, each of its own version."""
    versions = [
        version
        for model in world.models_of(world.main)
        if model.public and not model.excluded and model.mode is None
        for version in model.public_versions
        if version.access == "open" and len(version.files) == 1
    ]
    return [v.files[0] for v in versions if v.files[0].scanned and not v.files[0].oddity]


def test_an_unchanged_creator_costs_a_handful_of_requests(standin, tmp_path):
    first, _, lines, report = run(standin, tmp_path)
    assert report["verdict"]["code"] == ONLY_REFUSALS, first.log
    assert report["pass"] == 1
    assert not report["changes"]
    assert {one["reason"] for one in report["not_obtained"]} == {
        "not_found", "early_access", "login_required", "downloads_disabled", "archived",
    }  # fmt: skip
    # The one file that was not found is asked for once more, with the second try that it gets.
    _, roles, lines, _ = run(standin, tmp_path)
    assert (roles, lines) == ({"site": 5 + 2}, {})
    _, roles, lines, report = run(standin, tmp_path)
    assert roles == {"site": 5}
    assert lines == {}
    assert report["verdict"]["code"] == ONLY_REFUSALS
    assert not report["gone"]
    assert not report["changes"]
    assert len(report["not_obtained"]) == 8


def test_what_changed_is_fetched_and_reported_and_nothing_else(standin, tmp_path):
    world = standin.world
    run(standin, tmp_path)
    archive = tmp_path / "lumen_fox"
    model, version, file = add_model(world)
    post = add_post(world, 3)
    same_id, other_id = plain_files(world)[:2]
    old = {one["id"]: one for one in feed(archive, "model_files")}
    kept = archive / old[same_id.id]["path"]
    before = kept.read_bytes()
    same_id.size, same_id.fingerprint = same_id.size + 512, None
    newer = replace(other_id, id=max(world.files) + 1, size=other_id.size + 300, fingerprint=None)
    other_id.version.files[:] = [newer]
    world.files[newer.id] = newer
    truth = world.truth(signed_in=False)
    deleted = next(p for p in world.posts_of(world.main) if p.id in truth["posts"] and p.level > 1)
    remove_post(world, deleted)

    ended, roles, lines, report = run(standin, tmp_path)
    assert report["verdict"]["code"] == ONLY_REFUSALS, ended.log
    assert roles["storage"] == 3
    assert roles["media"] + roles["second"] == 3
    assert roles["site"] <= 14
    new = {stem: {one["id"] for one in records} for stem, records in lines.items()}
    assert new == {
        "models": {model.id},
        # The version of the new file names its file ids, so it has changed too.
        "model_versions": {version.id, other_id.version.id},
        "model_files": {file.id, same_id.id, newer.id},
        "posts": {post.id},
        "images": {picture.id for picture in post.pictures},
        "generation_data": {picture.id for picture in post.pictures},
    }
    told = {(one["kind"], int(one["id"])): one["what"] for one in report["changes"]}
    assert told == {
        (stem, number): "updated" if number in (same_id.id, other_id.version.id) else "added"
        for stem, numbers in new.items()
        for number in numbers
    }
    assert {(one["kind"], one["id"]) for one in report["gone"]} == {
        ("posts", deleted.id), ("model_files", other_id.id),
    }  # fmt: skip
    # The replaced bytes stay where they were, the new ones lie beside them.
    latest = {one["id"]: one for one in feed(archive, "model_files")}
    assert kept.read_bytes() == before
    assert report["replaced"] == [old[same_id.id]["path"]]
    assert latest[same_id.id]["path"] != old[same_id.id]["path"]
    assert (archive / old[other_id.id]["path"]).is_file()
    assert (archive / latest[newer.id]["path"]).is_file()
    assert latest[newer.id]["path"] != old[other_id.id]["path"]
    assert "Gone from the site" in (archive / "report.md").read_text(encoding="utf-8")
    assert all((archive / path).is_file() for one in report["gone"] for path in one["kept"])

    proof = prove(archive, world.truth(signed_in=False))
    assert not [row for row in proof.rows if row.missing], proof.lines()
    # Of what is gone the records are kept, and no truth of today speaks of them.
    gone = {f"image {picture.id} " for picture in deleted.pictures}
    assert [one for one in proof.wrong if not any(words in one for words in gone)] == []

    _, roles, lines, report = run(standin, tmp_path)
    assert roles == {"site": 5}
    assert lines == {}
    assert not report["changes"]
    assert len(report["gone"]) == 2


def test_a_model_and_an_image_that_are_gone_are_reported_and_kept(standin, tmp_path):
    world = standin.world
    run(standin, tmp_path, download="none")
    model = next(
        m for m in world.models_of(world.main) if m.public and not m.excluded and m.level == 16
    )
    model.status = "Unpublished"
    post = next(p for p in world.posts_of(world.main) if p.version is None and len(p.pictures) > 3)
    picture = post.pictures.pop()
    del world.pictures[picture.id]
    _, _, lines, report = run(standin, tmp_path, download="none")
    gone = {(one["kind"], one["id"]) for one in report["gone"]}
    showcase = {p.id for v in model.versions for p in v.posts}
    assert gone == {("models", model.id), ("images", picture.id)} | {
        ("posts", number) for number in showcase
    }
    assert set(lines) <= {"posts"}  # its new count of images
    _, roles, lines, report = run(standin, tmp_path, download="none")
    assert roles == {"site": 5}
    assert len(report["gone"]) == len(gone)
    model.status = "Published"
    *_, report = run(standin, tmp_path, download="none")
    assert {(one["kind"], one["id"]) for one in report["gone"]} == {("images", picture.id)}


def test_what_was_to_be_tried_again_is_missing_no_more_once_it_is_gone(standin, tmp_path):
    world = standin.world
    standin.faults.quota_after = 0
    *_, report = run(standin, tmp_path, download="files", include="models")
    wanting = {one["model_id"] for one in report["not_obtained"] if one["reason"] == "quota"}
    assert report["verdict"]["code"] == 4
    for number in wanting:
        world.models[number].status = "Unpublished"
    ended, *_, report = run(standin, tmp_path, download="files", include="models")
    assert wanting <= {one["id"] for one in report["gone"] if one["kind"] == "models"}
    assert report["verdict"]["code"] == ONLY_REFUSALS, ended.log
    assert not wanting & {one["model_id"] for one in report["not_obtained"]}


def test_a_model_that_only_the_list_by_trpc_names_is_kept_up_to_date(tmp_path):
    world = World.small()
    model = next(model for model in world.models_of(world.main) if model.level == 16)
    model.tags = [*model.tags, ADDON_TAG]
    with Standin.in_thread(world, colour="red", tls=True) as standin:
        given = {
            "download": "none", "include": "models",
            "env": {"CIVITAI_API_KEY": "standin-key", "SSL_CERT_FILE": str(standin.ca_file)},
        }  # fmt: skip
        run(standin, tmp_path, **given)
        newer = replace(
            model.versions[0], id=max(world.versions) + 1, name="v9", files=[], posts=[]
        )
        model.versions.insert(0, newer)
        world.versions[newer.id] = newer
        _, roles, lines, _ = run(standin, tmp_path, **given)
    assert roles == {"site": 6}  # who is asking, the creator, three lists, the model
    assert {stem: [one["id"] for one in found] for stem, found in lines.items()} == {
        "models": [model.id], "model_versions": [newer.id],
    }  # fmt: skip


def test_what_may_pass_is_tried_again_and_what_was_lost_is_fetched_anew(standin, tmp_path):
    standin.faults.quota_after = 0
    ended, *_, report = run(standin, tmp_path, download="files", include="models")
    assert report["verdict"]["code"] == 4, ended.log
    assert report["verdict"]["word"] == "incomplete"
    reasons = {one["reason"] for one in report["not_obtained"]}
    assert "quota" in reasons
    standin.faults.quota_after = None
    ended, roles, lines, report = run(standin, tmp_path, download="files", include="models")
    assert report["verdict"]["code"] == ONLY_REFUSALS, ended.log
    assert set(lines) == {"model_files", "failures"}
    assert "quota" not in {one["reason"] for one in lines["failures"]}
    assert {one["what"] for one in report["changes"]} == {"stored"}
    assert "quota" not in {one["reason"] for one in report["not_obtained"]}
    held = [one for one in feed(tmp_path / "lumen_fox", "model_files") if one["path"]]
    (tmp_path / "lumen_fox" / held[0]["path"]).unlink()
    _, roles, lines, _ = run(standin, tmp_path, download="files", include="models")
    assert roles["storage"] == 1
    assert [one["id"] for one in lines["model_files"]] == [held[0]["id"]]


def test_a_login_opens_what_was_refused_without_one(tmp_path):
    with Standin.in_thread(World.small(), tls=True) as standin:
        trust = {"SSL_CERT_FILE": str(standin.ca_file)}
        run(standin, tmp_path, download="files", include="models", env=trust)
        ended, _, lines, report = run(
            standin, tmp_path, download="files", include="models",
            env={"CIVITAI_API_KEY": standin.accounts.api_key, **trust},
        )  # fmt: skip
    assert report["verdict"]["code"] == ONLY_REFUSALS, ended.log
    assert report["signed_in"]
    assert "login_required" not in {one["reason"] for one in report["not_obtained"]}
    assert any(one["path"] for one in lines["model_files"])


def test_the_report_of_a_complete_creator(standin, tmp_path):
    ended = crawl(standin, tmp_path, username="one_boat")
    report = json.loads((tmp_path / "one_boat" / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"]["code"] == 0, ended.log
    assert report["format"] == 1
    assert report["verdict"]["word"] == "complete"
    models = report["kinds"]["models"]
    assert models["records"] == models["listed"] == len(ids(tmp_path / "one_boat", "models"))
    assert all(count["missing"] == 0 for count in models["expected"])
    assert report["kinds"]["model_files"]["files"]["verified"]["SHA256"] >= 1
    text = (tmp_path / "one_boat" / "report.md").read_text(encoding="utf-8")
    assert "Not obtained" not in text
    assert not list((tmp_path / "one_boat").glob(".report*"))


def test_a_line_now_and_then_says_where_the_crawl_stands(standin, tmp_path):
    standin.faults.body_delay = 0.3
    ended = crawl(
        standin, tmp_path, "user_models", "-s", "LOGSTATS_INTERVAL=0.1",
        username="one_boat", download="files", include="models",
    )  # fmt: skip
    said = [line for line in ended.log.splitlines() if "requests are known to be left" in line]
    assert said, ended.log
    assert any("downloading model file" in line for line in said)
    assert "pages/min" not in ended.log


def test_what_was_flagged_after_it_was_archived_is_counted_once(standin, tmp_path):
    run(standin, tmp_path, download="none")
    model = next(m for m in standin.world.models_of(standin.world.main) if m.public)
    before = json.loads((tmp_path / "lumen_fox" / "report.json").read_text())["kinds"]["models"]
    model.poi = True
    *_, report = run(standin, tmp_path, download="none")
    told = report["kinds"]["models"]
    assert (told["listed"], told["excluded"]) == (before["listed"], before["excluded"])


@pytest.mark.parametrize(
    ("include", "named"), [("models", "post.get,"), ("posts,images", "model.getById")]
)
def test_what_a_pass_does_not_list_is_not_asked_for_by_id(standin, tmp_path, include, named):
    run(standin, tmp_path, download="none")
    run(standin, tmp_path, download="none", include=include)
    assert not [one.path for one in standin.log.entries("site") if named in one.path]
