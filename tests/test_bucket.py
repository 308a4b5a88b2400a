"""Files in a bucket: whole crawls against a real S3 server, killed, refused and measured."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from aiohttp import web
from PIL import Image as Pillow

from civitai_crawler.items import Image
from civitai_crawler.ledger import Media
from civitai_crawler.standin import Standin, World
from civitai_crawler.stores import StoreError
from civitai_crawler.stores.client import Address
from civitai_crawler.stores.s3 import S3Store
from civitai_crawler.stores.window import Window
from tests.cli import DONE, Ended, crawl, feed, pointed_at, scrapy, start
from tests.crawl import crawl as crawl_in_child
from tests.export_support import make
from tests.media_support import (
    LEDGER,
    PIPELINES,
    PNG,
    image,
    link,
    model_file,
    original,
    run,
    settings,
    sha256,
    weights,
)
from tests.s3_server import BUCKET, KEY, MARKER, SECRET, S3Server
from tests.servers import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER = "lumen_fox"
STORES = [
    {"FILES_STORE": "/data"},
    {"IMAGES_STORE": "gs://x/y"},
    {"FILES_STORE": "s3://"},
    {"FILES_STORE": "s3://[bucket/x"},
    {"IMAGES_STORE": "s3://bucket/pre#fix"},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with S3Server.start(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(request) -> Iterator[None]:
    """Leave nothing of one test to the next."""
    yield
    if "server" in request.fixturenames:
        server: S3Server = request.getfixturevalue("server")
        server.fail()
        client = server.client()
        for key in server.objects():
            client.delete_object(Bucket=BUCKET, Key=key)
        server.forget()


def archived(server: S3Server, archive: Path, prefix: str) -> dict[str, dict[str, Any]]:
    """Return the records with a file by the key of their object."""
    records = [*feed(archive, "model_files"), *feed(archive, "images")]
    return {f"{prefix}{archive.name}/{one['path']}": one for one in records if one["path"]}


def only_local(archive: Path) -> list[str]:
    """Return the local files of an archive that are no records and no ledger."""
    files = [path.relative_to(archive) for path in archive.rglob("*") if path.is_file()]
    return [
        str(path)
        for path in files
        if path.suffix not in (".jsonl", ".json", ".md") and ".sqlite" not in path.name
    ]


def test_a_creator_is_archived_into_a_bucket(server, tmp_path):
    world = World.small()
    env = server.settings(prefix="civitai/all")
    with Standin.in_thread(world) as standin:
        args = ("user_models", "-s", "LOG_LEVEL=DEBUG", "-s", f"AWS_SECRET_ACCESS_KEY={SECRET}")
        ended = crawl(standin, tmp_path, *args, username=USER, env=env)
        assert ended.code in DONE, ended.log
        archive = tmp_path / USER
        first = archived(server, archive, "civitai/all/")
        objects = server.objects()
        assert set(objects) == set(first)
        truth = world.truth(signed_in=False)
        wanted = {
            (name, one["id"]): one["sha256"]
            for name in ("files", "images")
            for one in truth[name]
            if one["obtainable"]
        }
        assert len(first) == len(wanted)
        for key, record in first.items():
            name = "files" if "/models/" in key else "images"
            assert sha256(objects[key]) == record["sha256"] == wanted[name, record["id"]]
        key = min(first)
        head = server.client().head_object(Bucket=BUCKET, Key=key)
        assert head["Metadata"] == {"sha256": first[key]["sha256"]}
        assert only_local(archive) == []
        # What an original tells is read from the bucket.
        assert any(one["embedded"] for one in feed(archive, "generation_data"))
        assert_no_secret(tmp_path, ended)

        # Another run fetches what was taken away meanwhile, and nothing else.
        server.forget()
        asked = files_asked(standin)
        server.client().delete_object(Bucket=BUCKET, Key=key)
        server.forget()
        again = crawl(standin, tmp_path, username=USER, env=env)
        assert again.code in DONE, again.log
        assert "1 stored files are not in their place any more" in again.log
        assert [unquote(line) for line in server.writes()] == [f"PUT /{BUCKET}/{key}?"]
        assert files_asked(standin) == asked + 1
        assert set(server.objects()) == set(first)
    assert_verify_finds_damage(server, archive, env, first)


def files_asked(standin: Standin) -> int:
    return len(standin.log.entries("storage")) + len(standin.log.entries("cdn"))


def assert_no_secret(root: Path, ended: Ended) -> None:
    assert "botocore" not in ended.log
    assert MARKER not in ended.log
    assert "AWS_SECRET_ACCESS_KEY" in ended.log  # Scrapy lists it among the settings
    for path in root.rglob("*"):
        assert not path.is_file() or MARKER.encode() not in path.read_bytes(), path


def assert_verify_finds_damage(
    server: S3Server, archive: Path, env: dict[str, str], known: dict[str, Any]
) -> None:
    clean = scrapy("verify", str(archive), env=env)
    assert clean.code == 0, clean.log
    assert f"Checked {len(known)} of {len(known)} recorded files" in clean.log
    changed, short, gone = sorted(known)[:3]
    client, prefix = server.client(), changed.partition(archive.name)[0] + archive.name
    body = server.objects()[changed]
    client.put_object(Bucket=BUCKET, Key=changed, Body=body[:-1] + bytes([body[-1] ^ 1]))
    client.put_object(Bucket=BUCKET, Key=short, Body=b"x")
    client.delete_object(Bucket=BUCKET, Key=gone)
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/models/notes.txt", Body=b"x")
    ended = scrapy("verify", str(archive), env=env)
    assert ended.code == 3, ended.log
    expected = [
        ("changed", changed),
        ("changed", short),
        ("extra", f"{prefix}/models/notes.txt"),
        ("missing", gone),
    ]
    lines = sorted(line.split(None, 1) for line in ended.log.splitlines()[:-1])
    assert len(lines) == len(expected), ended.log
    for (what, name), (wanted, key) in zip(lines, expected, strict=True):
        assert what == wanted
        assert f"{name} (".startswith(f"s3://{BUCKET}/{key} (")


def job(root: Path) -> dict[str, Any]:
    return {"JOBDIR": str(root / "ada" / ".job"), **LEDGER}


async def test_equal_bytes_are_sent_once(server, tmp_path):
    body = weights(1)
    goods: dict[str, bytes | list[bytes]] = {
        link(1): body, link(2): body, original(3): PNG, original(4): PNG
    }  # fmt: skip
    records = [model_file(1, body), model_file(2, body), image(3), image(4)]
    done = await run(tmp_path, goods, records, **server.settings(), **job(tmp_path))

    assert done.shop.asked[link(1)] + done.shop.asked[link(2)] == 1
    objects = server.objects()
    for number, good in ((1, body), (2, body), (3, PNG), (4, PNG)):
        item = done.item(number)
        assert objects[f"ada/{item['path']}"] == good
    writes = server.writes()
    assert len(writes) == 4
    assert sum(line.endswith(" copy") for line in writes) == 2
    assert done.stats["civitai/files/copied"] == done.stats["civitai/images/copied"] == 1


async def test_a_replay_finds_the_objects(server, tmp_path):
    """As after a kill before the ledger's commit: it knows nothing of what was sent."""
    body = weights(1)
    goods: dict[str, bytes | list[bytes]] = {link(1): body, original(3): PNG}
    records = [model_file(1, body), image(3)]
    first = await run(tmp_path, goods, records, **server.settings())
    assert len(server.writes()) == 2
    server.forget()
    again = await run(tmp_path, goods, records, **server.settings())

    assert first.shop.asked[link(1)] == 1
    assert again.shop.asked[link(1)] == 0
    assert server.writes() == []
    assert [again.item(number)["path"] for number in (1, 3)] == [
        first.item(number)["path"] for number in (1, 3)
    ]


async def test_an_archive_that_was_copied_there_is_taken(server, tmp_path):
    """Another program notes no hash; the ledger knows the size."""
    body = weights(1)
    first = await run(tmp_path, {link(1): body}, [model_file(1, body)], **job(tmp_path))
    server.client().put_object(Bucket=BUCKET, Key=f"ada/{first.item(1)['path']}", Body=body)
    server.forget()
    again = await run(tmp_path, {}, [model_file(1, body)], **server.settings(), **job(tmp_path))

    assert again.item(1)["path"] == first.item(1)["path"]
    assert again.stats["civitai/files/present"] == 1
    assert server.writes() == []


def test_a_folder_that_was_copied_there_is_as_recorded(server, tmp_path):
    beside = [
        *("posts/1.json", "report.md", "quarantine/2.png", "thumbnails/small/1.jpg"),
        *(".job/ledger.sqlite", ".sidecars.json"),
    ]
    record = Image(id=1, path="posts/1.png", size_bytes=len(PNG), sha256=sha256(PNG))
    archive = make(
        tmp_path / "ada", record, files={"posts/1.png": PNG, **dict.fromkeys(beside, b"x")}
    )
    for file in (file for file in archive.rglob("*") if file.is_file()):
        key = f"ada/{file.relative_to(archive)}"
        server.client().put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    for folder in ("ada/", "ada/posts/"):
        server.client().put_object(Bucket=BUCKET, Key=folder, Body=b"")

    ended = scrapy("verify", str(archive), env=server.settings())
    assert (ended.code, ended.log.splitlines()) == (
        0, ["Checked 1 of 1 recorded files (0.00 GiB): all as recorded."],
    )  # fmt: skip
    for name in ("", ".json", ".civitai.info"):
        server.client().put_object(Bucket=BUCKET, Key=f"ada/posts/2{name}", Body=b"")
    ended = scrapy("verify", str(archive), env=server.settings())
    assert (ended.code, ended.log.count("extra  ")) == (3, 3)


async def test_one_kind_may_stay_at_home(server, tmp_path):
    goods: dict[str, bytes | list[bytes]] = {link(1): weights(1), original(3): PNG}
    done = await run(
        tmp_path, goods, [model_file(1, weights(1)), image(3)], **server.settings("files")
    )
    assert done.bytes_of(3) == PNG
    assert list(server.objects()) == [f"ada/{done.item(1)['path']}"]
    assert only_local(done.folder) == [done.item(3)["path"]]


async def test_thumbnails_of_originals_in_a_bucket(server, tmp_path):
    pipelines = {**PIPELINES, "civitai_crawler.pipelines.thumbnails.ThumbnailsPipeline": 320}
    done = await run(tmp_path, {original(3): PNG}, [image(3)], **server.settings(),
                     ITEM_PIPELINES=pipelines, CIVITAI_THUMBS="true")  # fmt: skip
    with Pillow.open(done.folder / "thumbnails/small/3.jpg") as thumbnail:
        assert thumbnail.size == (64, 64)
    assert only_local(done.folder) == ["thumbnails/small/3.jpg"]


async def test_a_weaker_hash_is_not_computed_again_from_a_bucket(server, tmp_path):
    body = weights(1)
    crc = {"CRC32": f"{zlib.crc32(body):08X}"}
    given = [model_file(1, hashes=crc, size_kb=len(body) / 1024)]
    first = await run(tmp_path, {link(1): body}, given, **server.settings(), **job(tmp_path))
    server.forget()
    again = await run(tmp_path, {}, given, **server.settings(), **job(tmp_path))

    assert first.item(1)["verified"] == again.item(1)["verified"] == "CRC32"
    assert not [line for line in server.requests() if line.startswith("GET /shelf/")]


async def test_spoiled_bytes_stay_on_the_local_disk(server, tmp_path):
    done = await run(tmp_path, {link(1): weights(99)}, [model_file(1, weights(1))],
                     **server.settings())  # fmt: skip
    assert done.failure(1)["reason"] == "hash_mismatch"
    assert server.objects() == {}
    assert (done.folder / "quarantine/1 castle-1.safetensors").read_bytes() == weights(99)


# --- killed and stopped --------------------------------------------------------------------------

BIG = 40 << 20


@pytest.fixture(scope="module")
def big_world():
    return World.small(big_file=BIG)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_upload_that_is_broken_off_is_taken_up(server, big_world, tmp_path, how):
    server.fail(slow=0.5)
    env = {**server.settings(), "CIVITAI_DOWNLOAD": "files"}
    log = tmp_path / "log"
    only = {"username": USER, "download": "files", "include": "models", "types": "LORA"}
    args = ["crawl", "user_models"]
    for name, value in only.items():
        args += ["-a", f"{name}={value}"]
    with Standin.in_thread(big_world) as standin:
        given = {**pointed_at(standin, tmp_path), **env}
        running = start(*args, env=given, log=log)
        server.wait_for("partNumber=2", lambda: running.poll() is None)
        began = time.monotonic()
        running.send_signal(how)
        running.wait(60)
        assert time.monotonic() - began < 40
        objects = server.objects()
        assert all(len(body) < BIG for body in objects.values())
        assert len(server.uploads()) == (1 if how == signal.SIGKILL else 0)
        (part,) = [
            path for path in (tmp_path / USER / ".job/parts").glob("*.part")
            if path.stat().st_size == BIG
        ]  # fmt: skip
        server.fail()
        asked = len(standin.log.entries("storage"))
        again = scrapy(*args, env=given)
        assert again.code in DONE, again.log
        whole = [
            entry.status for entry in standin.log.entries("storage")[asked:]
            if entry.header("Range") == f"bytes={BIG}-"
        ]  # fmt: skip
        assert whole == [416]  # there is nothing left to send
    assert server.uploads() == []
    assert not part.exists()
    objects = server.objects()
    first = archived(server, tmp_path / USER, "")
    assert set(objects) == set(first)
    assert all(sha256(objects[key]) == one["sha256"] for key, one in first.items())
    assert BIG in {len(body) for body in objects.values()}


async def test_memory_does_not_grow_with_an_upload(server, tmp_path):
    size, piece = 320 << 20, bytes(range(256)) * 4096
    whole = hashlib.sha256()
    for _ in range(size // len(piece)):
        whole.update(piece)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        for _ in range(size // len(piece)):
            await response.write(piece)
        return response

    kind, fields = model_file(1, size_kb=size / 1024, hashes={"SHA256": whole.hexdigest()})
    async with serve(answer) as shop:
        result = await crawl_in_child(
            "tests.media_support:MediaSpider",
            {**settings(tmp_path, shop), **server.settings("files")},
            records=[[kind, {"archive": "ada", **fields}]],
            timeout=120,
        )
    assert result.items[0]["path"], result.log
    (head,) = server.client().list_objects_v2(Bucket=BUCKET)["Contents"]
    assert head["Size"] == size
    assert sum("partNumber" in line for line in server.requests()) == 20
    assert result.max_rss < 200 << 20, result.max_rss


# --- refused -------------------------------------------------------------------------------------


def assert_one_sentence(ended: Ended, code: int, words: str) -> None:
    assert ended.code == code, ended.log
    assert len(ended.sentences) == 1, ended.log
    assert words in ended.sentences[0]
    assert "Traceback" not in ended.log
    assert MARKER not in ended.log


def attempt(root: Path, env: dict[str, str], command: str = "crawl") -> Ended:
    """Crawl without a site: nothing gets as far as asking one."""
    if command == "verify":
        (root / "ada").mkdir(exist_ok=True)
        (root / "ada/images.jsonl").touch()
        return scrapy("verify", str(root / "ada"), env=env)
    site = {"CIVITAI_BASE_URL": "http://127.0.0.1:9", "CIVITAI_ARCHIVE": str(root)}
    return scrapy("crawl", "user_models", "-a", "username=ada", env={**site, **env})


@pytest.mark.parametrize("store", STORES, ids=str)
def test_a_place_that_is_none(tmp_path, store):
    assert_one_sentence(attempt(tmp_path, store), 2, "an address like s3://bucket/prefix")


@pytest.mark.parametrize("command", ["crawl", "verify"])
def test_a_bucket_that_is_not_there(server, tmp_path, command):
    env = {**server.settings(), "FILES_STORE": "s3://nowhere/"}
    assert_one_sentence(attempt(tmp_path, env, command), 2, "has no bucket nowhere")


def test_a_server_that_is_not_there(tmp_path):
    env = S3Server("http://127.0.0.1:9", tmp_path).settings()
    assert_one_sentence(attempt(tmp_path, env), 2, "cannot be reached (EndpointConnectionError)")


async def test_a_server_that_is_no_s3_server(tmp_path):
    """Like a web site, which redirects what it does not know."""

    async def answer(request):
        raise web.HTTPFound("/login")

    async with serve(answer) as site:
        env = S3Server(site.url, tmp_path).settings()
        ended = await asyncio.to_thread(attempt, tmp_path, env, "verify")
    assert_one_sentence(ended, 2, "is no S3 server")


async def test_what_takes_everything_is_no_s3_server(tmp_path):
    """Whatever it is asked, it is content; nothing may be called stored there."""

    async def answer(request):
        await request.read()
        return web.Response()

    async with serve(answer) as site:
        env = S3Server(site.url, tmp_path).settings()
        ended = await asyncio.to_thread(attempt, tmp_path, env, "verify")
    assert_one_sentence(ended, 2, "is no S3 server")


def test_an_object_is_stored_when_the_server_says_so(server, tmp_path):
    """A proxy in front of it may answer on its own."""
    store = S3Store(server.client(), Address(BUCKET, "", "private"), "ada")
    part = tmp_path / "one.part"
    part.write_bytes(b"one")
    stored = Media("a.png", 3, sha256(b"one"))
    server.fail(swallow="PUT")
    with pytest.raises(StoreError, match="is no S3 server"):
        store.put(part, stored, lambda: None)
    assert part.exists()
    server.fail(swallow="GET")
    with pytest.raises(StoreError, match="is no S3 server"), store.stream(stored.path) as reading:
        list(reading.blocks)


def test_without_any_key(server, tmp_path):
    env = {**server.settings(), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
           "AWS_SESSION_TOKEN": "", "AWS_EC2_METADATA_DISABLED": "true",
           "HOME": str(tmp_path)}  # fmt: skip
    assert_one_sentence(attempt(tmp_path, env), 2, "none is set")


def test_a_wrong_key(server, tmp_path):
    iam = server.client("iam")
    iam.create_user(UserName="ada")
    iam.put_user_policy(UserName="ada", PolicyName="all", PolicyDocument=json.dumps(
        {"Version": "2012-10-17",
         "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    ))  # fmt: skip
    key = iam.create_access_key(UserName="ada")["AccessKey"]
    right = {
        **server.settings(),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_SESSION_TOKEN": "",
    }
    server.ask("/moto-api/reset-auth", b"0")
    try:
        unknown = attempt(tmp_path, {**right, "AWS_ACCESS_KEY_ID": KEY})
        assert_one_sentence(unknown, 2, "(InvalidAccessKeyId)")
        mistyped = attempt(tmp_path, {**right, "AWS_SECRET_ACCESS_KEY": SECRET})
        assert_one_sentence(mistyped, 2, "(SignatureDoesNotMatch)")
        assert attempt(tmp_path, right, "verify").code == 0
    finally:
        server.ask("/moto-api/reset-auth", b"100000")


def test_without_boto3_it_is_named(tmp_path):
    (tmp_path / "boto3.py").write_text("raise ImportError")
    env = {"FILES_STORE": "s3://x/", "PYTHONPATH": str(tmp_path)}
    assert_one_sentence(attempt(tmp_path, env), 2, "pip install 'civitai_crawler[s3]'")
    without = subprocess.run(
        [sys.executable, "-c", "import sys, civitai_crawler.stores; print('boto3' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert without.stdout == "False\n"


def test_a_bucket_that_takes_no_more_ends_the_crawl(server, tmp_path):
    env = server.settings()
    with Standin.in_thread(World.small()) as standin:
        server.fail(deny="PUT")
        ended = crawl(standin, tmp_path, username="one_boat", env=env)
        assert_one_sentence(ended, 1, "may not use the bucket shelf (AccessDenied)")
        assert "What was fetched is kept" in ended.log
        kept = {path.name for path in (tmp_path / "one_boat/.job/parts").glob("*.part")}
        assert kept
        assert server.objects() == {}
        server.fail()
        again = crawl(standin, tmp_path, username="one_boat", env=env)
        assert again.code in DONE, again.log
    first = archived(server, tmp_path / "one_boat", "")
    assert len(first) == 4
    assert {key: sha256(body) for key, body in server.objects().items()} == {
        key: one["sha256"] for key, one in first.items()
    }


# --- reading here and there ----------------------------------------------------------------------


def test_a_window_reads_what_is_there_with_few_requests():
    body = os.urandom(3_000_000)
    asked: list[tuple[int, int]] = []

    def fetch(at: int, length: int) -> bytes:
        asked.append((at, length))
        return body[at : at + length]

    window = Window(fetch, len(body))
    at = 0
    while at < len(body):
        assert window.read(at, 8) == body[at : at + 8]
        at += 8_192
    assert len(asked) < 10
    for at, length in ((0, 12), (2_999_990, 100), (5, 2_000_000), (4_000_000, 8), (0, 12)):
        assert window.read(at, length) == body[at : at + length]
    assert all(at + length <= len(body) for at, length in asked)
