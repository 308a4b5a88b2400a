"""Credentials reach the site and nothing else: no other host, no file, no log line."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Accounts, Faults, Standin, World
from civitai_crawler.standin.certificates import SERVER_FILE
from civitai_crawler.standin.server import ADDRESSES
from tests.cli import DONE, crawl, pointed_at, start
from tests.servers import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

ROLES = tuple(ADDRESSES)

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


@contextmanager
def in_thread(serving) -> Iterator[Any]:
    """Run an async context manager in a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        yield run(serving.__aenter__())
    finally:
        run(serving.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def trusted(standin) -> ssl.SSLContext:
    """Return what a further host of the same authority serves with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(standin.ca_file.with_name(SERVER_FILE))
    return context


#: All that a host other than the site gets to know.
HARMLESS = {"host", "user-agent", "accept", "accept-encoding", "range", "if-range"}


@pytest.mark.parametrize(
    "credential", [{"CIVITAI_COOKIES": COOKIE}, {"CIVITAI_API_KEY": KEY}], ids=["cookies", "key"]
)
def test_no_host_behind_the_site_learns_more_than_the_link(world, tmp_path, credential):
    """Site → one storage → another, site → CDN → image-b2: each over TLS, each a host."""
    accounts = Accounts(api_key=KEY, session=SESSION)
    more = {"first": "127.0.0.6"}
    with Standin.in_thread(world, tls=True, accounts=accounts, addresses=more) as standin:
        last = standin.state.urls.storage

        async def first(request):
            headers = {"Location": last + request.raw_path, "Set-Cookie": "storage=1"}
            return web.Response(status=302, headers=headers)

        with in_thread(serve(first, more["first"], tls=trusted(standin))) as server:
            standin.state.urls = replace(standin.state.urls, storage=server.url)
            ended = crawl(
                standin, tmp_path, "user_models", "-s", "LOG_LEVEL=DEBUG", username="lumen_fox",
                env={**credential, "SSL_CERT_FILE": str(standin.ca_file)},
            )  # fmt: skip
            seen = list(server.seen)
        entries = standin.log.entries()
    assert ended.code in DONE, ended.log[-3000:]
    assert prove(tmp_path / "lumen_fox", world.truth(signed_in=True)).complete
    by_role = {role: [one for one in entries if one.role == role] for role in ROLES}
    assert all(by_role.values())
    assert len(seen) == len(by_role["storage"])
    elsewhere = [one.headers for one in seen]
    elsewhere += [one.headers for role in ROLES[1:] for one in by_role[role]]
    for headers in elsewhere:
        assert set(headers) <= HARMLESS
        assert MARKER not in repr(headers)
    # The site gets the credential by header, in no address, and the Referer where it is due.
    for one in by_role["site"]:
        assert "token=" not in one.path
        assert not (one.header("Referer") and "/trpc/" not in one.path)
        assert (one.header("Referer") or f"{standin.site_url}/") == f"{standin.site_url}/"
    assert traces(tmp_path) == []
    assert not [secret for secret in (MARKER, "Signature=", "storage=1") if secret in ended.log]


class Tunnels:
    """A proxy that connects through, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        """Host, and ``Proxy-Authorization``."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.7", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        self._pipes: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader, writer):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        host, _, port = lines[0].split()[1].rpartition(":")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        self.asked.append((host, headers.get("proxy-authorization", "")))
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pipe(source, target))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _pipe(self, source, target):
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()


def test_a_proxy_tunnels_and_its_password_goes_no_further(world, tmp_path):
    with (
        Standin.in_thread(world, tls=True, accounts=Accounts(api_key=KEY)) as standin,
        in_thread(Tunnels()) as proxy,
    ):
        env = {
            "CIVITAI_API_KEY": KEY,
            "SSL_CERT_FILE": str(standin.ca_file),
            "HTTPS_PROXY": f"http://ada:{MARKER}-proxy@{proxy.address}",
            "NO_PROXY": "127.0.0.4",
        }
        ended = crawl(standin, tmp_path, "user_models", "-s", "LOG_LEVEL=DEBUG",
                      username="lumen_fox", env=env)  # fmt: skip
        assert ended.code in DONE, ended.log[-3000:]
        entries = standin.log.entries()
        asked = set(proxy.asked)
    password = base64.b64encode(f"ada:{MARKER}-proxy".encode()).decode().lower()
    assert asked == {(f"127.0.0.{number}", f"basic {password}") for number in (1, 2, 3)}
    assert [one for one in entries if one.role == "second"]
    assert not [one for one in entries if one.header("Proxy-Authorization")]
    assert prove(tmp_path / "lumen_fox", world.truth(signed_in=True)).complete
    assert traces(tmp_path) == []
    assert MARKER not in ended.log


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
