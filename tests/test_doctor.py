"""``scrapy doctor`` finds what is wrong, says what to do, and keeps secrets to itself."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from email.utils import formatdate
from time import time

import pytest
from aiohttp import web
from scrapy.settings import Settings

from civitai_crawler.commands import machine
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.schema import is_in_use
from civitai_crawler.standin import Accounts, Faults, Standin, World
from tests.cli import pointed_at, scrapy, start
from tests.servers import serve

KEY = "MARKERsecret-key"


@pytest.fixture(scope="module")
def world():
    return World.small()


@pytest.fixture(scope="module")
def secure(world):
    with Standin.in_thread(world, tls=True, accounts=Accounts(api_key=KEY)) as standin:
        yield standin


@pytest.fixture(scope="module")
def plain(world):
    with Standin.in_thread(world) as standin:
        yield standin


def doctor(standin, folder, **more):
    """Run the doctor; returns what it printed, and its findings by subject."""
    env = {**pointed_at(standin, folder), **more}
    if standin.ca_file:
        env.setdefault("SSL_CERT_FILE", str(standin.ca_file))
    ended = scrapy("doctor", env=env)
    assert "Traceback" not in ended.log, ended.log
    assert "MARKER" not in ended.log
    return ended, findings(ended.log)


def findings(log):
    told: dict[str, tuple[str, ...]] = {}
    for line in log.splitlines():
        if line.startswith(("ok ", "warning ", "problem ")):
            subject = line[9:25].strip()
            told[subject] = (line.split()[0], line[25:])
        elif line.lstrip().startswith("-> "):
            told[subject] = (*told[subject], line.strip())
    return told


def test_all_is_fine_and_it_says_who_one_is(secure, tmp_path):
    secure.log.clear()
    ended, found = doctor(secure, tmp_path, CIVITAI_API_KEY=KEY)
    assert ended.code == 0, ended.log
    assert {one[0] for one in found.values()} == {"ok"}, ended.log
    assert found["Login"][1] == "signed in as archive_owner (free)"
    assert str(secure.ca_file) in found["Certificates"][1]
    assert found["Clock"][1] == "agrees with the server's"
    assert set(found) == {
        "Python", "Settings", "Optional parts", "Folder", "Disk", "Running crawls", "robots.txt",
        "Proxy", "Certificates", "Site", "Clock", "Login",
    }  # fmt: skip
    assert "playwright" in found["Optional parts"][1]
    assert len(secure.log.entries()) == 2
    assert list(tmp_path.iterdir()) == []


def test_without_a_credential_it_says_what_one_would_add(plain, tmp_path):
    ended, found = doctor(plain, tmp_path / "new" / "archive")
    assert ended.code == 0, ended.log
    assert found["Login"][0] == "ok"
    assert "docs/sign-in.md" in found["Login"][2]
    assert found["Certificates"][0] == "warning"
    assert "to be made in" in found["Folder"][1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "subject", "told"),
    [
        ({"CIVITAI_API_KEY": "MARKER-wrong"}, "Login", "does not accept the credential"),
        ({"CIVITAI_API_KEY": "MARKER wrong"}, "Login", "which no key has"),
        ({"CIVITAI_COOKIES_FILE": "/nowhere/cookies.txt"}, "Login", "cannot be read"),
        ({"CIVITAI_REQUIRE_LOGIN": "true"}, "Login", "CIVITAI_REQUIRE_LOGIN is on"),
        ({"SSL_CERT_FILE": ""}, "Site", "certificate is not trusted"),
        ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "Certificates", "which is no file"),
        ({"CIVITAI_BASE_URL": "https://nowhere.invalid"}, "Site", "its name was not found"),
        ({"CIVITAI_INTERVAL": "3"}, "Settings", "Did you mean CIVITAI_REQUEST_INTERVAL"),
        (
            {"https_proxy": "socks5://MARKER:MARKER@p.example:1080"}, "Proxy",
            "HTTPS_PROXY names a SOCKS proxy",
        ),
        ({"https_proxy": "http://MARKER:MARKER@[p"}, "Proxy", "must be the address of a proxy"),
        ({"https_proxy": "MARKER:MARKER@p.example:x"}, "Proxy", "must be the address of a proxy"),
    ],
)  # fmt: skip
def test_each_problem_is_named_with_what_to_do(secure, tmp_path, given, subject, told):
    ended, found = doctor(secure, tmp_path, **given)
    assert ended.code == 1, ended.log
    grade, text, *advice = found[subject]
    assert grade == "problem"
    assert told in text
    assert advice
    assert [one[0] for one in found.values()].count("problem") == 1, ended.log


def test_an_address_where_nobody_listens(plain, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        ended, found = doctor(plain, tmp_path, CIVITAI_BASE_URL=address)
    assert ended.code == 1, ended.log
    assert "the connection was refused" in found["Site"][1]


def test_an_address_that_is_another_site(plain, tmp_path):
    _, found = doctor(plain, tmp_path, CIVITAI_BASE_URL=plain.state.urls.storage)
    assert found["Site"][0] == "problem"
    assert "does not answer as Civitai's API does" in found["Site"][1]


def test_a_site_that_blocks_this_region(world, tmp_path):
    with Standin.in_thread(world, faults=Faults(region_blocked=True)) as standin:
        ended, found = doctor(standin, tmp_path)
    assert ended.code == 1
    assert "blocked in the region" in found["Site"][1]


@pytest.mark.parametrize(("off", "way"), [(7200, "behind"), (-90_000, "ahead of")])
async def test_a_clock_that_is_wrong(tmp_path, off, way):
    async def answer(request):
        headers = {"Date": formatdate(time() + off, usegmt=True)}
        return web.json_response({"items": [], "metadata": {}}, headers=headers)

    async with serve(answer) as server:
        env = {"CIVITAI_BASE_URL": server.url, "CIVITAI_ARCHIVE": str(tmp_path)}
        log = tmp_path / "log"
        process = start("doctor", env=env, log=log)
        code = await asyncio.to_thread(process.wait, 60)
    found = findings(log.read_text())
    assert code == 0, log.read_text()
    assert found["Clock"][0] == "warning"
    assert way in found["Clock"][1]


def test_a_web_page_instead_of_data(world, tmp_path):
    with Standin.in_thread(world, faults=Faults(html_instead_rate=1.0)) as standin:
        _, found = doctor(standin, tmp_path)
    assert "a page or nothing where data was due" in found["Site"][1]


def test_proxies_are_shown_without_their_password(plain, tmp_path):
    given = {"http_proxy": "http://MARKER:MARKER@127.0.0.1:9", "no_proxy": "127.0.0.1"}
    _, found = doctor(plain, tmp_path, **given)
    told = found["Proxy"][1]
    assert told == "site directly; media by http://127.0.0.1:9", told


def test_a_folder_that_cannot_be_written(plain, tmp_path):
    file = tmp_path / "file"
    file.touch()
    ended, found = doctor(plain, file)
    assert ended.code == 1, ended.log
    assert found["Folder"][0] == "problem"
    assert "CIVITAI_ARCHIVE" in found["Folder"][2]


def test_a_crawl_at_work_is_seen(plain, tmp_path):
    ledger = Ledger(tmp_path / "ada" / ".job")
    try:
        _, found = doctor(plain, tmp_path)
    finally:
        ledger.db.close()
    assert found["Running crawls"][0] == "warning"
    assert "ada" in found["Running crawls"][1]
    _, found = doctor(plain, tmp_path)
    assert found["Running crawls"] == ("ok", "none; 1 archives in the folder")


def test_what_a_file_system_cannot_do_is_a_warning(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    found = list(machine.folder(Settings({"CIVITAI_ARCHIVE": str(tmp_path)})))
    assert found[0].grade == "warning"
    assert "no hard links" in found[0].text


@pytest.mark.parametrize(
    ("free", "grade"), [(10**8, "problem"), (10**9, "warning"), (10**12, "ok")]
)
def test_little_room_is_told(free, grade):
    assert machine._room(free).grade == grade


def test_a_damaged_ledger_is_no_running_crawl(tmp_path):
    folder = tmp_path / "ada" / ".job"
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").write_bytes(b"no database at all" * 100)
    assert not is_in_use(folder)


def test_an_old_python_is_a_problem(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert machine.python().grade == "problem"


def test_what_a_terminal_would_obey_or_cannot_show_is_escaped(plain, tmp_path):
    ended, found = doctor(plain, tmp_path / "\x1b[2Jé", PYTHONIOENCODING="ascii")
    assert ended.code == 0, ended.log
    assert f"{tmp_path}/\\x1b[2J\\xe9 (to be made in {tmp_path})" in found["Folder"][1]


def test_a_surplus_word_is_wrong_input():
    ended = scrapy("doctor", "now")
    assert ended.code == 2
    assert "doctor takes no argument 'now'" in ended.log
