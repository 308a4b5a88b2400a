"""The stand-in's downloads, storage and media hosts, and the bytes they serve."""

from __future__ import annotations

import hashlib
import io
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image

from civitai_crawler.standin import Standin, World
from civitai_crawler.standin.payload import pieces
from tests.standin_support import KEY, Client, small_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from civitai_crawler.standin.records import File, Picture
    from tests.standin_support import Answer

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Standin(small_world()) as standin, Client(standin) as opened:
        yield opened


def version_with(access: str) -> Any:
    versions = small_world().versions.values()
    return next(v for v in versions if v.access == access and v.model.mode is None)


def odd_file(oddity: str) -> Any:
    return next(f for f in small_world().files.values() if f.oddity == oddity)


def picture(**values: object) -> Any:
    found = small_world().pictures.values()
    return next(p for p in found if all(getattr(p, k) == v for k, v in values.items()))


async def download(client: Client, version_id: int, headers=None, **query) -> Answer:
    return await client.get(f"/api/download/models/{version_id}", headers, **query)


async def fetch(client: Client, file: File, headers=None) -> Answer:
    link = (await download(client, file.version.id, KEY, fileId=file.id)).headers["Location"]
    return await client.get(link, headers)


# --- downloads


async def test_a_download_leads_to_another_host(client):
    file: Any = small_world().files[660001]
    answer = await download(client, file.version.id)
    assert answer.status == 307
    assert answer.text == answer.headers["Location"]
    assert answer.headers["Cache-Control"] == "no-store, max-age=0"
    assert urlsplit(answer.text).hostname == "127.0.0.3"
    body = await client.get(answer.text)
    assert hashlib.sha256(body.body).hexdigest().upper() == file.fingerprint.sha256
    assert len(body.body) == file.size
    length = int.from_bytes(body.body[:8], "little")
    tensor = json.loads(body.body[8 : 8 + length])["weight"]
    assert tensor["data_offsets"][1] == file.size - 8 - length


async def test_the_served_name_is_not_the_files_name(client):
    file = next(f for f in small_world().files.values() if f.version.model.type == "Checkpoint")
    answer = await fetch(client, file)
    assert file.name not in answer.headers["Content-Disposition"]
    assert "PaperBoatMix" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("access", "headers", "status", "error"),
    [
        ("disabled", {}, 401, "Unauthorized"),
        ("disabled", KEY, 401, "Unauthorized"),
        ("login", {}, 401, "Unauthorized"),
        ("login", KEY, 307, None),
        ("early", {}, 403, "Early Access"),
        ("early", KEY, 403, "Early Access"),
        ("no_grant", {}, 401, "Unauthorized"),
        ("no_grant", KEY, 403, "You do not have access to this file"),
    ],
)
async def test_refusals_in_the_sites_order(client, access, headers, status, error):
    answer = await download(client, version_with(access).id, headers)
    assert answer.status == status
    if error is not None:
        assert answer.json["error"] == error
        assert "Retry-After" not in answer.headers
    if access == "early":
        assert answer.json["deadline"].startswith("2099-")


async def test_two_kinds_of_401_differ_by_message(client):
    disabled = (await download(client, version_with("disabled").id)).json["message"]
    login = (await download(client, version_with("login").id)).json["message"]
    assert disabled != login


async def test_archived_missing_poi_and_unpublished(client):
    world = small_world()
    status = {}
    for name in ("Old Lamp Embedding", "Portrait of a Neighbour", "Not published yet"):
        model = next(m for m in world.models.values() if m.name == name)
        status[name] = (await download(client, model.versions[0].id, KEY)).status
    assert list(status.values()) == [410, 404, 404]
    assert (await download(client, 999)).status == 404
    assert (await download(client, 701001, format="Nothing")).status == 400


async def test_browsers_are_sent_to_pages(client):
    answer = await download(client, version_with("login").id, BROWSER)
    assert answer.status == 307
    assert answer.headers["Location"].startswith("/login?returnUrl=%2Fmodel-versions%2F")
    login = await client.get(answer.headers["Location"])
    assert (login.status, login.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    early = version_with("early")
    answer = await download(client, early.id, BROWSER)
    assert answer.headers["Location"] == f"/model-versions/{early.id}"
    page = await client.get(answer.headers["Location"])
    assert (page.status, page.headers["Location"][:8]) == (308, "/models/")
    assert (await download(client, 999, BROWSER)).text == "File not found"


async def test_the_login_switches(client):
    client.standin.faults.login_for_downloads = True
    assert (await download(client, 701001)).status == 401
    assert (await download(client, 701001, KEY)).status == 307
    client.standin.faults.login_redirect = True
    answer = await download(client, 701001, KEY)
    assert answer.headers["Location"].startswith("/login?")


async def test_the_quota_has_no_retry_after(client):
    client.standin.faults.quota_after = 2
    answers = [await download(client, 701001) for _ in range(3)]
    assert [a.status for a in answers] == [307, 307, 429]
    assert "Retry-After" not in answers[-1].headers


async def test_files_of_one_name_are_told_apart(client):
    version = next(v for v in small_world().versions.values() if v.name == "v2 pruned")
    record = await client.rest(f"model-versions/{version.id}")
    links = {file["id"]: file["downloadUrl"] for file in record["files"]}
    assert len({file["name"] for file in record["files"]}) < len(links)
    for number, link in links.items():
        target = (await client.get(link)).headers["Location"]
        assert urlsplit(target).path.endswith(f"/{number}")
        by_id = await download(client, version.id, fileId=number)
        assert urlsplit(by_id.headers["Location"]).path.endswith(f"/{number}")
    wrong = await download(client, version.id, type="Model", fp="nf4")
    assert wrong.status == 404


async def test_a_linked_vae_is_reached_by_its_printed_link_only(client):
    hosts: list[Any] = [v for v in small_world().versions.values() if v.vae is not None]
    assert {host.vae.model.user is small_world().main for host in hosts} == {True, False}
    for host in hosts:
        record = await client.rest(f"model-versions/{host.id}")
        file = next(f for f in record["files"] if f["id"] == host.vae.files[0].id)
        target = (await client.get(file["downloadUrl"])).headers["Location"]
        assert urlsplit(target).path.endswith(f"/{file['id']}")
        assert (await download(client, host.id, fileId=file["id"])).status == 404
        assert (await download(client, host.vae.id)).status == 307


async def test_odd_404s(client):
    transient, gone, dead = (odd_file(name) for name in ("transient", "gone", "printed_dead"))
    tries = [await download(client, transient.version.id, KEY, fileId=transient.id) for _ in "ab"]
    assert [a.status for a in tries] == [404, 307]
    tries = [await download(client, gone.version.id, KEY) for _ in "ab"]
    assert [a.status for a in tries] == [404, 404]
    record = await client.rest(f"model-versions/{dead.version.id}")
    link = next(f["downloadUrl"] for f in record["files"] if f["id"] == dead.id)
    assert (await client.get(link)).status == 404
    assert (await download(client, dead.version.id, fileId=dead.id)).status == 307


# --- storage


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Referer"])
async def test_storage_refuses_and_logs_what_is_not_meant_for_it(client, name):
    answer = await fetch(client, odd_file("wrong_hash"), {name: "secret"})
    assert answer.status == 400
    entry = client.standin.log.entries("storage")[-1]
    assert (entry.header(name), entry.status) == ("secret", 400)


async def test_links_expire_and_cannot_be_forged(client):
    file = small_world().files[660001]
    client.standin.faults.expired_links = 1
    assert (await fetch(client, file)).status == 403
    assert (await fetch(client, file)).status == 200
    link = (await download(client, file.version.id)).text
    assert (await client.get(link.replace("/660001?", "/660002?"))).status == 403
    client.standin.faults.link_ttl = -1
    assert (await fetch(client, file)).status == 403
    async with client.session.head(link) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=5-9", 206, slice(5, 10)),
        ("bytes=1000-", 206, slice(1000, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-99999999", 206, slice(5, None)),
        ("bytes=99999999-", 416, None),
        ("lines=1-2", 200, slice(None)),
    ],
)
async def test_ranges(client, header, status, part):
    file = small_world().files[660001]
    whole = b"".join(pieces(file))
    answer = await fetch(client, file, {"Range": header})
    assert answer.status == status
    if part is None:
        assert answer.headers["Content-Range"] == f"bytes */{file.size}"
    else:
        assert answer.body == whole[part]
        assert int(answer.headers["Content-Length"]) == len(whole[part])


async def test_if_range_and_its_switches(client):
    file = small_world().files[660001]
    etag = (await fetch(client, file)).headers["ETag"]
    same = {"Range": "bytes=5-", "If-Range": etag}
    assert (await fetch(client, file, same)).status == 206
    assert (await fetch(client, file, {**same, "If-Range": '"other"'})).status == 200
    client.standin.faults.change_etag = True
    assert (await fetch(client, file, same)).status == 200
    client.standin.faults.change_etag = False
    client.standin.faults.ignore_range = True
    assert (await fetch(client, file, same)).status == 200


@pytest.mark.alone
def test_a_range_of_a_huge_file_costs_nothing():
    world = World.small(big_file=300 << 20, username="big")
    file = world.files[660001]
    started = time.perf_counter()
    tail = b"".join(pieces(file, file.size - 100))
    assert len(tail) == 100
    assert time.perf_counter() - started < 0.5
    assert tail == b"".join(pieces(file, file.size - 200_000))[-100:]


# --- media


def original_url(client: Client, found: Picture) -> str:
    suffix = "mp4" if found.type == "video" else "jpeg"
    return f"{client.standin.media_url}/{found.uuid}/original=true/{found.uuid}.{suffix}"


async def test_originals_are_real_whatever_the_link_says(client):
    for form in ("png", "jpeg", "webp", "gif"):
        found = picture(format=form, cdn="direct")
        answer = await client.get(original_url(client, found))
        assert answer.headers["Content-Type"] == f"image/{form}"
        with Image.open(io.BytesIO(answer.body)) as image:
            image.load()
            assert image.format == form.upper()
            assert image.size == (found.width, found.height)


async def test_moved_and_missing_originals(client):
    moved = picture(cdn="moved")
    answer = await client.get(original_url(client, moved))
    assert answer.status == 301
    assert urlsplit(answer.headers["Location"]).hostname == "127.0.0.4"
    body = await client.get(answer.headers["Location"])
    assert hashlib.sha256(body.body).hexdigest() == small_world().media_sha256(moved)
    assert (await client.get(original_url(client, picture(cdn="missing")))).status == 404


async def test_a_video_whose_first_form_is_a_still(client):
    video = picture(still_first=True)
    url = original_url(client, video)
    first = await client.get(url.replace("original=true", "transcode=true,original=true"))
    assert first.headers["Content-Type"] == "image/webp"
    video_url = url
    if video.cdn == "moved":
        video_url = (await client.get(url)).headers["Location"]
    second = await client.get(video_url)
    assert (second.headers["Content-Type"], second.body[4:8]) == ("video/mp4", b"ftyp")
    detail = await client.trpc("image.get", id=video.id)
    assert detail["metadata"]["size"] == len(second.body)


async def test_media_want_no_credentials_and_make_thumbnails(client):
    found = picture(cdn="direct", format="png")
    assert (await client.get(original_url(client, found), KEY)).status == 400
    small = await client.get(original_url(client, found).replace("original=true", "width=96"))
    assert small.headers["Content-Type"] == "image/jpeg"


def embedded_text(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if image.format == "PNG":
            return str(image.info.get("parameters", ""))
        comment = image.getexif().get_ifd(0x8769).get(0x9286, b"")
        return str(comment[8:], "utf-16-be")


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_parameters_are_embedded(form):
    found = picture(format=form, maker="a1111", embedded=True)
    text = embedded_text(small_world().media(found))
    assert text.startswith(found.meta["prompt"])
    assert f"Seed: {found.meta['seed']}" in text


def test_comfy_graphs_are_embedded():
    png = picture(format="png", maker="comfy")
    with Image.open(io.BytesIO(small_world().media(png))) as image:
        assert json.loads(image.info["workflow"]) == png.meta["comfy"]["workflow"]
    webp = picture(format="webp", maker="comfy")
    with Image.open(io.BytesIO(small_world().media(webp))) as image:
        assert image.getexif()[0x0110].startswith("prompt:{")


def test_some_hidden_prompts_are_still_in_the_file():
    found = picture(hidden=True, embedded=True, format="png", maker="a1111")
    assert found.meta["prompt"] in embedded_text(small_world().media(found))


# --- the server


def test_a_thread_with_tls():
    with Standin.in_thread(small_world(), tls=True) as standin:
        context = ssl.create_default_context(cafile=str(standin.ca_file))
        urls = (standin.site_url, standin.media_url, standin.storage_url, standin.second_media_url)
        assert all(url.startswith("https://") for url in urls)
        url = standin.site_url + "/api/v1/enums"
        with urllib.request.urlopen(url, context=context) as answer:
            assert answer.status == 200
        secure = {"Cookie": "__Secure-civitai-token=standin-legacy"}
        asked = urllib.request.Request(standin.site_url + "/api/v1/me", headers=secure)
        with urllib.request.urlopen(asked, context=context) as answer:
            assert "Secure" in answer.headers["Set-Cookie"]
    assert standin.ca_file is not None
    assert not standin.ca_file.exists()


def test_a_thread_reports_that_it_could_not_start():
    with Standin.in_thread(small_world()) as standin:
        port = urlsplit(standin.site_url).port
        with (
            pytest.raises(OSError, match="address already in use"),
            Standin.in_thread(small_world(), ports={"site": port}),
        ):
            pytest.fail("two stand-ins on one port")


async def test_the_log_has_every_request(client, tmp_path):
    path = tmp_path / "log.jsonl"
    async with Standin(small_world(), log_path=path) as standin:
        before = time.monotonic()
        async with aiohttp.ClientSession() as session:
            headers = {"User-Agent": "archiver/1"}
            async with session.get(standin.site_url + "/api/v1/me?a=b", headers=headers):
                pass
        entry = standin.log.entries()[0]
        assert (entry.role, entry.method, entry.path) == ("site", "GET", "/api/v1/me?a=b")
        assert (entry.status, entry.header("User-Agent")) == (401, "archiver/1")
        assert before <= entry.time <= time.monotonic()
        assert standin.log.counts() == {"site": 1}
    line = json.loads(path.read_text())
    assert (line["path"], line["status"]) == ("/api/v1/me?a=b", 401)


def test_the_command_prints_its_urls():
    command = [sys.executable, "-m", "civitai_crawler.standin", "--small", "--fault", "devalue=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    assert line.startswith("site_url=http://127.0.0.1:")
    wrong = subprocess.run(
        [*command[:-1], "nonsense=1"], capture_output=True, text=True, check=False
    )
    assert (wrong.returncode, "no fault called" in wrong.stderr) == (2, True)


@pytest.mark.alone
def test_starting_is_quick():
    started = time.perf_counter()
    with Standin.in_thread(World.generate()):
        assert time.perf_counter() - started < 1.5
