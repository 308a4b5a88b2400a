"""Credentials reach the site and nothing else: no other host, no file, no log line."""

from __future__ import annotations

import time

import pytest

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Accounts, Faults, Standin, World
from tests.cli import DONE, crawl, pointed_at, start

MARKER = "MARKERsecret"
KEY, SESSION = f"{MARKER}-key", f"{MARKER}-session"
COOKIE = f"__Secure-civ-token={SESSION}; __Secure-civ-device={MARKER}-device"


@pytest.fixture(scope="module")
def world():
    return World.small()


@pytest.fixture
def standin(world):
    accounts = Accounts(api_key=KEY, session=SESSION, legacy=f"{MARKER}-legacy")
    with Standin.in_thread(world, tls=True, colour="red", accounts=accounts) as standin:
        yield standin


def traces(folder) -> list[str]:
    """Name the files, and file names, that hold the marker or part of a signed link."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if MARKER in path.name or MARKER.encode() in content or b"Signature=" in content:
            found.append(str(path))
    return found


@pytest.mark.parametrize(
    "credential",
    [{"CIVITAI_COOKIES": COOKIE}, {"CIVITAI_API_KEY": KEY}, {"CIVITAI_COOKIES": "legacy"}],
    ids=["cookies", "key", "legacy cookie"],
)
def test_a_credential_is_seen_by_the_site_alone(world, standin, tmp_path, credential):
    if credential == {"CIVITAI_COOKIES": "legacy"}:
        credential = {"CIVITAI_COOKIES": f"__Secure-civitai-token={MARKER}-legacy"}
    ended = crawl(
        standin, tmp_path, "user_models", "-s", "LOG_LEVEL=DEBUG", username="lumen_fox",
        env={**credential, "SSL_CERT_FILE": str(standin.ca_file)},
    )  # fmt: skip
    assert "Signed in as" in ended.log, ended.log[-3000:]
    truth = world.truth(signed_in=True, colour="red")
    proof = prove(tmp_path / "lumen_fox", truth)
    assert proof.complete, "\n".join(proof.lines())
    assert traces(tmp_path) == []
    assert MARKER not in ended.log
    assert "Signature=" not in ended.log
    told = {"site": 0, "others": 0}
    for entry in standin.log.entries():
        has = MARKER in repr(entry.headers) + entry.path
        told["site" if entry.role == "site" else "others"] += has
        if entry.role != "site":
            assert not entry.header("Referer")
            assert not entry.header("Authorization")
            assert not entry.header("Cookie")
    assert told["site"] > 10
    assert told["others"] == 0


def test_over_plain_http_nothing_is_sent(world, tmp_path):
    accounts = Accounts(api_key=KEY, session=SESSION)
    with Standin.in_thread(world, accounts=accounts) as standin:
        ended = crawl(standin, tmp_path, username="one_boat", download="none",
                      env={"CIVITAI_API_KEY": KEY})  # fmt: skip
        assert "https" in ended.log
        assert not [one for one in standin.log.entries() if MARKER in repr(one.headers)]
    assert MARKER not in ended.log


def test_an_unknown_credential_is_one_warning(world, standin, tmp_path):
    env = {"SSL_CERT_FILE": str(standin.ca_file), "CIVITAI_COOKIES": "__Secure-civ-token=expired"}
    ended = crawl(standin, tmp_path, username="one_boat", download="none", env=env)
    warnings = [line for line in ended.log.splitlines() if "WARNING" in line]
    assert len(warnings) == 1, ended.log
    assert "does not accept the credential" in warnings[0]
    assert ended.code in (0, 3)


def test_a_required_login_is_required(world, standin, tmp_path):
    env = {"SSL_CERT_FILE": str(standin.ca_file), "CIVITAI_REQUIRE_LOGIN": "true"}
    for credential in ({}, {"CIVITAI_API_KEY": "expired"}):
        ended = crawl(standin, tmp_path, username="one_boat", env={**env, **credential})
        assert ended.code == 1, ended.log
        assert len(ended.sentences) == 1, ended.log
        assert "Traceback" not in ended.log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CIVITAI_COOKIES", f"{MARKER} without a pair"),
        ("CIVITAI_API_KEY", f"{MARKER}ü"),
        ("CIVITAI_COOKIES_FILE", f"/nowhere/{MARKER}.txt"),
    ],
)
def test_a_bad_credential_ends_in_one_sentence(standin, tmp_path, name, value):
    ended = crawl(standin, tmp_path, username="one_boat", env={name: value})
    assert ended.code == 2, ended.log
    assert name in ended.log
    assert "Traceback" not in ended.log
    if name != "CIVITAI_COOKIES_FILE":
        assert MARKER not in ended.log


def test_a_site_with_a_certificate_of_its_own_is_not_trusted(standin, tmp_path):
    ended = crawl(standin, tmp_path, username="one_boat", env={"CIVITAI_RETRY_TIMES": "0"})
    assert ended.code == 1, ended.log
    assert "The site cannot be asked" in ended.log
    assert "Traceback" not in ended.log


def test_a_login_that_expires_ends_the_crawl_with_one_sentence(world, tmp_path):
    accounts = Accounts(api_key=KEY)
    faults = Faults(latency=0.05)
    with Standin.in_thread(world, tls=True, accounts=accounts, faults=faults) as standin:
        env = {
            **pointed_at(standin, tmp_path),
            "CIVITAI_API_KEY": KEY,
            "SSL_CERT_FILE": str(standin.ca_file),
        }
        log = tmp_path / "log"
        running = start("crawl", "user_models", "-a", "username=lumen_fox", env=env, log=log)
        while not standin.log.entries("storage"):
            assert running.poll() is None, log.read_text()
            time.sleep(0.01)
        accounts.api_key = "another"
        assert running.wait(60) == 1, log.read_text()
        told = [line for line in log.read_text().splitlines() if "ERROR" in line]
        assert len(told) == 1, log.read_text()
        assert "The login has expired" in told[0]
        accounts.api_key = KEY
        ended = crawl(standin, tmp_path, username="lumen_fox", env=env)
        assert ended.code in DONE, ended.log
        truth = world.truth(signed_in=True)
    assert prove(tmp_path / "lumen_fox", truth).complete
