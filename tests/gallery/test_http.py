"""What the gallery answers, byte by byte: pages, lists, files, and what it keeps to itself."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from PIL import Image as Pillow
from starlette.datastructures import QueryParams

from civitai_crawler.archive import records
from civitai_crawler.gallery import report, texts
from civitai_crawler.gallery.filters import Filter, match
from civitai_crawler.gallery.store import prepare
from civitai_crawler.items import (
    Failure,
    GenerationData,
    Image,
    Model,
    ModelFile,
    ModelVersion,
    Post,
)
from civitai_crawler.pipelines import thumbnails
from tests.gallery import hostile
from tests.gallery.conftest import gallery

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ["/", "/models", "/posts", "/images", "/failures", "/report"]


def walk(site, most=2000):
    """Visit every address that pages link to, filters of lists aside."""
    seen, left = set(PAGES), deque(PAGES)
    while left and len(seen) < most:
        path = left.popleft()
        answer = site.get(path)
        yield path, answer
        if answer.headers.get_content_type() == "text/html":
            links = {link.split("?")[0] for link in answer.addresses if link.startswith("/")}
            left += sorted(links - seen)
            seen |= links


def test_every_link_leads_to_something(site, archive):
    visited = dict(walk(site))
    broken = {path: one.status for path, one in visited.items() if one.status != 200}
    undecodable = {f"/thumbs/{one.id}" for one in records(archive, Image) if one.type != "image"}
    assert set(broken) <= undecodable
    assert {f"/images/{one.id}" for one in records(archive, Image)} <= set(visited)
    assert {f"/models/{one.id}" for one in records(archive, Model)} <= set(visited)
    assert {f"/versions/{one.id}" for one in records(archive, ModelVersion)} <= set(visited)


@pytest.mark.parametrize("path", [*PAGES, "/static/gallery.js", "/media/1", "/nothing", "/media/9"])
def test_every_answer_carries_what_keeps_a_browser_safe(enemy, path):
    headers = enemy.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/media/1", "/static/gallery.css"])
def test_names_of_other_hosts_get_nothing(enemy, path):
    port = enemy.port
    hosts = {f"127.0.0.1:{port}": 200, f"localhost:{port}": 200, "localhost": 200}
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1]"):
        hosts[name] = 400
    assert {host: enemy.get(path, Host=host).status for host in hosts} == hosts


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/media/../../etc/passwd",
        "/media/%2e%2e%2fimages.jsonl",
        "/media/1/../../images.jsonl",
        "/media/..%5c..%5csecret.png",
        "/images.jsonl",
        "/files/1%00",
        "/media/-1",
        "/media/1e3",
        "/media/٣",
        "/media/" + "9" * 40,
        "/images/" + "9" * 5000,
        "/models/0x1",
    ],
)
def test_no_address_leads_elsewhere(enemy, path):
    answer = enemy.get(path.encode().decode("latin1") if path.isascii() else "/media/%D9%A3")
    assert answer.status == 404
    assert b"root:" not in answer.body


@pytest.mark.parametrize("kind", ["media", "thumbs"])
@pytest.mark.parametrize("at", range(len(hostile.PATHS)), ids=lambda at: hostile.PATHS[at][:20])
def test_no_record_leads_elsewhere(enemy, kind, at):
    answer = enemy.get(f"/{kind}/{100 + at}")
    assert answer.status == 404
    assert "not in the archive" in answer.text


def test_links_inside_an_archive_are_followed(enemy):
    assert enemy.get("/media/2").body == enemy.get("/media/1").body
    assert enemy.get("/media/1").headers["Content-Type"] == "image/png"


@pytest.mark.parametrize("at", range(len(hostile.PAGES)), ids=lambda at: list(hostile.PAGES)[at])
def test_what_a_browser_could_run_is_handed_out_for_saving(enemy, at):
    answer = enemy.get(f"/media/{200 + at}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert enemy.get(f"/thumbs/{200 + at}").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(enemy, method):
    assert enemy.get("/images/1", method).status == 405


def test_originals_come_byte_for_byte_and_in_parts(site, archive):
    one = next(one for one in records(archive, Image) if one.type == "video" and one.path)
    whole = (archive / str(one.path)).read_bytes()
    answer = site.get(f"/media/{one.id}")
    assert answer.body == whole
    assert answer.headers["Content-Type"] == one.content_type
    assert answer.headers["Accept-Ranges"] == "bytes"
    part = site.get(f"/media/{one.id}", Range="bytes=10-19")
    assert (part.status, part.body) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert site.get(f"/media/{one.id}", Range="bytes=-7").body == whole[-7:]
    assert site.get(f"/media/{one.id}", Range=f"bytes={len(whole)}-").status == 416
    saved = site.get(f"/media/{one.id}?save").headers
    assert saved["Content-Disposition"].startswith("attachment")


def test_thumbnails_are_small_and_made_once(site, archive):
    one = next(one for one in records(archive, Image) if one.type == "image" and one.path)
    kept = archive / ".job" / "gallery" / "thumbs" / str(one.id % 256) / f"{one.id}.webp"
    kept.unlink(missing_ok=True)
    answer = site.get(f"/thumbs/{one.id}")
    assert max(Pillow.open(io.BytesIO(answer.body)).size) <= 400
    assert answer.headers["Content-Type"] == "image/webp"
    made = kept.stat().st_mtime_ns
    assert site.get(f"/thumbs/{one.id}").body == answer.body == kept.read_bytes()
    assert kept.stat().st_mtime_ns == made


def test_a_picture_of_16_bits_has_a_thumbnail(tmp_path):
    Pillow.new("I;16", (2000, 1000), 1 << 15).save(tmp_path / "1.png")
    line = json.dumps(asdict(Image(id=1, path="1.png", content_type="image/png")))
    (tmp_path / "images.jsonl").write_text(line)
    with gallery(tmp_path) as visitor:
        answer = visitor.get("/thumbs/1")
    assert answer.status == 200
    made = Pillow.open(io.BytesIO(answer.body)).convert("L")
    assert made.size == (400, 200)
    assert made.tobytes()[0] == pytest.approx(128, abs=9)


def test_a_folder_whose_name_is_no_text_has_a_gallery(tmp_path):
    folder = tmp_path / "f\udcfcchse"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"picture")
    line = json.dumps(asdict(Image(id=1, path="1.png", content_type="image/png")))
    (folder / "images.jsonl").write_text(line)
    with gallery(folder) as visitor:
        assert [visitor.get(path).status for path in ("/", "/images/1", "/report")] == [200] * 3
        assert visitor.get("/media/1").body == b"picture"


def test_the_archives_own_thumbnails_come_first(site, archive):
    one = next(one for one in records(archive, Image) if one.type == "image" and one.path)
    own = archive / thumbnails.FOLDER / min(thumbnails.DEFAULT) / f"{one.id}.jpg"
    own.parent.mkdir(parents=True)
    try:
        Pillow.new("RGB", (9, 9), "red").save(own, "jpeg")
        answer = site.get(f"/thumbs/{one.id}")
        assert (answer.body, answer.headers["Content-Type"]) == (own.read_bytes(), "image/jpeg")
    finally:
        shutil.rmtree(own.parent.parent)


def test_model_files_are_saved_under_their_names(site, archive):
    record = next(one for one in records(archive, ModelFile) if one.path)
    answer = site.get(f"/files/{record.id}")
    assert hashlib.sha256(answer.body).hexdigest() == record.sha256
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert f'href="/files/{record.id}"' in site.get(f"/models/{record.model_id}").text


def test_the_pages_of_a_list_hold_everything_once(site, archive):
    ids = [one.id for one in records(archive, Image)]
    listed = [number for page in (1, 2) for number in site.get(f"/images?page={page}").cards]
    assert listed == sorted(ids, reverse=True)
    assert site.get("/images?page=99").cards == site.get("/images?page=2").cards
    for junk in ("0", "-1", "x", "9" * 30):
        assert site.get(f"/images?page={junk}").cards == listed[:60]


def test_a_post_shows_its_images_in_its_own_order(site, archive):
    images = list(records(archive, Image))
    post = max(
        {one.post_id for one in images}, key=lambda post: sum(one.post_id == post for one in images)
    )
    own = [one for one in images if one.post_id == post]
    expected = [one.id for one in sorted(own, key=lambda one: (one.index or 0, one.id))]
    assert len(expected) > 2
    assert site.get(f"/posts/{post}").cards == expected[:60]
    middle = site.get(f"/images/{expected[1]}?post={post}").text
    assert f'rel="prev" href="/images/{expected[0]}?post={post}"' in middle
    assert f'rel="next" href="/images/{expected[2]}?post={post}"' in middle


def test_filters_find_what_the_records_say(site, archive):
    images = list(records(archive, Image))
    data = {one.id: one for one in records(archive, GenerationData)}
    model = {one.id: one.model_id for one in records(archive, ModelVersion)}
    used = next(one.model_id for each in data.values() for one in each.resources if one.model_id)
    post = {one.id: one.version_id for one in records(archive, Post)}
    shown = next(model[one.version_id] for one in images if one.version_id in model)
    day = sorted(one.published_at or one.created_at or "" for one in images)[40][:10]

    def made_with(one):
        return any(each.model_id == used for each in data[one.id].resources)

    queries = {
        "level=1&level=2": lambda one: one.nsfw_level in (1, 2),
        "type=video": lambda one: one.type == "video",
        f"resource={used}": made_with,
        f"model={shown}": lambda one: (
            shown in (model.get(one.version_id), model.get(post[one.post_id] or 0))
        ),
        f"since={day}": lambda one: (one.published_at or one.created_at) >= day,
        f"until={day}": lambda one: (one.published_at or one.created_at)[:10] <= day,
        f"since={day}&level=1": lambda one: (
            one.nsfw_level == 1 and (one.published_at or one.created_at) >= day
        ),
        "base_model=nothing": lambda one: False,
        "level=x&model=y&since=soon&field=z&type=": lambda one: True,
    }
    for query, matches in queries.items():
        expected = sorted((one.id for one in images if matches(one)), reverse=True)
        assert site.total(f"/images?{query}") == len(expected), query
        assert site.get(f"/images?{query}").cards == expected[:60], query
        assert len(expected) < len(images) or "level=x" in query


def test_search_finds_the_words_of_prompts(site, archive):
    prompts = {
        one.id: re.findall(r"[^\W_]+", (one.prompt or "").lower())
        for one in records(archive, GenerationData)
    }
    for word in ("lanterns", "harbor", "fog"):
        expected = [number for number in sorted(prompts, reverse=True) if word in prompts[number]]
        assert expected
        assert site.total(f"/images?q={word}") == len(expected)
        assert site.get(f"/images?q={word.upper()}").cards == expected[:60]
    assert site.total("/images?q=surelynothing") == 0


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("fox night", '"fox" AND "night"'),
        ('"golden hour" -rain -"big moon"', '("golden hour") NOT ("rain" OR "big moon")'),
        ("paint*", '"paint*"*'),
        ('a"b OR ( NEAR', '"a b" AND "OR" AND "NEAR"'),
        ("-only", ""),
        ('"" * - () "unclosed', '"unclosed"'),
        ("prompt:x ^y {z}", '"prompt:x" AND "^y" AND "{z}"'),
        ("\0", ""),
    ],
)
def test_what_a_person_types_is_never_an_operator(typed, query):
    assert match(typed) == query


@pytest.mark.parametrize("typed", ["%22", "*", "NOT", "AND", "a%00b", "%F0%9F%A6%8A", "%ff", "'--"])
def test_no_search_breaks_the_page(site, typed):
    for field in ("prompt", "negative_prompt", "both"):
        assert site.get(f"/images?q={typed}&field={field}").status == 200


def test_what_is_copied_ends_with_the_prompt_where_too_little_is_known_of_the_settings():
    names = ("negative_prompt", "steps", "sampler", "cfg_scale", "seed", "clip_skip", "meta")
    data = {**dict.fromkeys((*names, "embedded")), "prompt": "a reed"}
    assert texts.a1111(data, 8, 9) == "a reed"
    assert texts.a1111({**data, "steps": 5}, 8, 9) == "a reed\nSteps: 5, Size: 8x9"


def test_a_filter_survives_its_own_address():
    asked = Filter.of(
        QueryParams("q=a+b&field=both&level=4&level=1&model=3&since=2026-01&creator=x%26y")
    )
    assert asked.query() == "q=a+b&field=both&creator=x%26y&model=3&level=1&level=4&since=2026-01"
    assert Filter.of(QueryParams(asked.query())) == asked


def test_failures_are_listed_and_chosen_by_reason(site, archive):
    failures = list(records(archive, Failure))
    page = site.get("/failures").text
    assert all(one.message in page or "'" in one.message for one in failures)
    reason = failures[0].reason
    chosen = site.get(f"/failures?reason={reason}").text
    assert chosen.count("badge warn") == sum(one.reason == reason for one in failures)


def test_the_report_tells_the_verdict(site, archive):
    told = json.loads((archive / "report.json").read_text())
    page = site.get("/report").text
    assert told["verdict"]["sentence"] in page
    assert all(reason["reason"] in page for reason in told["not_obtained"])


@pytest.mark.parametrize("body", [b"{torn", b"[]", b'{"kinds": 5}', b"\xff", None])
def test_a_report_that_cannot_be_read_is_none(tmp_path, body):
    if body is not None:
        (tmp_path / "report.json").write_bytes(body)
    assert report.read(tmp_path) is None


def test_the_database_is_made_anew_only_when_a_feed_has_changed(tmp_path, archive):
    shutil.copy(archive / "posts.jsonl", tmp_path)
    cache = tmp_path / ".job" / "gallery"

    def prepared() -> tuple[Path, int]:
        file = prepare([tmp_path], cache, lambda problem: None)
        assert list(cache.iterdir()) == [file]
        return file, file.stat().st_mtime_ns

    first = prepared()
    assert prepared() == first
    with (tmp_path / "posts.jsonl").open("a") as stream:
        stream.write(json.dumps({"id": 1, "creator": "fox"}) + "\n")
    second = prepared()
    assert second[0] != first[0]
    (tmp_path / "images.jsonl").write_text(json.dumps({"id": 1}) + "\n")
    assert prepared()[0] != second[0]


def test_databases_of_others_in_the_folder_of_the_cache_stay(tmp_path, archive):
    cache = tmp_path / "cache"
    cache.mkdir()
    others = [cache / "civitai.sqlite", cache / "0123456789abcdef0.sqlite", cache / "diary.txt"]
    for other in others:
        other.write_bytes(b"of somebody else")
    ours = cache / "0123456789abcdef.sqlite"
    ours.write_bytes(b"of an older state")
    file = prepare([archive], cache, lambda problem: None)
    assert sorted(cache.iterdir()) == sorted([file, *others])
