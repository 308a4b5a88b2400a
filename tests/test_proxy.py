"""``HTTPS_PROXY`` and ``NO_PROXY`` hold for the site and for its media alike."""

from __future__ import annotations

import random
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from scrapy import Request

from civitai_crawler.commands.proof import prove
from civitai_crawler.handlers.intake import LONG, Takeover
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.handlers.streaming import StreamingDownloads
from civitai_crawler.standin import Standin, World, certificates
from tests.cli import DONE, crawl
from tests.proxies import proxy
from tests.servers import serve
from tests.test_pacing import crawler_with

USER = "one_boat"
PASSWORD = "MARKERsecret"  # of a proxy that lives for one test


@pytest.fixture(scope="module")
def world():
    return World.small()


def places(standin, *roles):
    return {urlsplit(getattr(standin.state.urls, role)).netloc for role in roles}


def run(standin, folder, **env):
    if standin.ca_file:
        env["SSL_CERT_FILE"] = str(standin.ca_file)
    env |= {"CIVITAI_RETRY_TIMES": "0", "CIVITAI_OFFLINE_PATIENCE": "0"}
    return crawl(standin, folder, username=USER, env=env)


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_everything_goes_through_the_proxy(world, tmp_path, tls):
    name = "HTTPS_PROXY" if tls else "http_proxy"
    with Standin.in_thread(world, tls=tls) as standin, proxy(f"ada:{PASSWORD}") as way:
        ended = run(standin, tmp_path, **{name: way.url})
        assert ended.code in DONE, ended.log
        assert set(way.targets) == places(standin, "site", "media", "storage")
        assert way.refused == 0
        if not tls:  # one request for each connection: none went another way
            assert len(way.targets) == len(standin.log.entries())
    assert PASSWORD not in ended.log
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_hosts_of_no_proxy_are_asked_directly(world, tmp_path):
    with Standin.in_thread(world, tls=True) as standin, proxy(f"ada:{PASSWORD}") as way:
        near = {urlsplit(f"//{place}").hostname for place in places(standin, "site", "media")}
        far = {urlsplit(f"//{place}").hostname for place in places(standin, "storage")}
        if near & far:
            pytest.skip("This machine has only one loopback address.")
        ended = run(standin, tmp_path, HTTPS_PROXY=way.url, NO_PROXY=",".join(map(str, near)))
        assert ended.code in DONE, ended.log
        assert set(way.targets) == places(standin, "storage")


def test_nothing_goes_around_a_proxy_that_is_down(world, tmp_path):
    with socket.socket() as taken, Standin.in_thread(world, tls=True) as standin:
        taken.bind(("127.0.0.1", 0))
        way = f"http://127.0.0.1:{taken.getsockname()[1]}"
        ended = run(standin, tmp_path, HTTPS_PROXY=way)
        assert ended.code == 1, ended.log
        assert "The site cannot be asked" in ended.log
        assert "Traceback" not in ended.log
        assert standin.log.entries() == []
        site = str(urlsplit(standin.site_url).hostname)
        media = str(urlsplit(standin.media_url).hostname)
        if site == media:
            return
        # The site is asked directly, so it is the media and files that cannot be had.
        ended = run(standin, tmp_path, HTTPS_PROXY=way, NO_PROXY=site)
        assert {entry.role for entry in standin.log.entries()} == {"site"}
        assert not prove(tmp_path / USER, world.truth(signed_in=False)).complete


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("socks5://MARKER:MARKER@127.0.0.1:1080", "HTTPS_PROXY names a SOCKS proxy"),
        ("http://MARKER:MARKER@[127.0.0.1:9", "HTTPS_PROXY must be the address of a proxy"),
        ("MARKER:MARKER@127.0.0.1:port", "HTTPS_PROXY must be the address of a proxy"),
        ("ftp://MARKER:MARKER@127.0.0.1:9", "HTTPS_PROXY must be the address of a proxy"),
        ("http://MARKER:MARKER@", "HTTPS_PROXY must be the address of a proxy"),
    ],
)
def test_a_proxy_that_no_crawl_can_use_is_told_at_once(world, tmp_path, named, told):
    with Standin.in_thread(world, tls=True) as standin:
        ended = run(standin, tmp_path, HTTPS_PROXY=named)
        assert standin.log.entries() == []
    assert ended.code == 2, ended.log
    assert len(ended.sentences) == 1
    assert told in ended.sentences[0]
    assert "MARKER" not in ended.log
    assert "Traceback" not in ended.log


async def test_a_long_body_is_taken_over_from_tls_and_from_a_tunnel(tmp_path, monkeypatch):
    body = random.Random(5).randbytes(2 * LONG + 12345)
    tls = certificates.make(tmp_path, ["127.0.0.1", "127.0.0.2"])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    taken = watched(monkeypatch)

    async def storage(_):
        return web.Response(body=body, headers={"ETag": '"one"'})

    async with serve(storage, "127.0.0.2", tls=tls) as server:
        with proxy(f"ada:{PASSWORD}") as way:
            for number, through in enumerate([None, way.url]):
                part = tmp_path / f"{number}.part"
                meta = {"civitai_stream": str(part), "proxy": through}
                crawler = crawler_with(DOWNLOAD_VERIFY_CERTIFICATES=True)
                downloads = StreamingDownloads(crawler, Pacer(0))
                await downloads.fetch(Request(f"{server.url}/long", meta=meta))
                await downloads.close()
                assert part.read_bytes() == body
        assert len(way.targets) == 1
    assert taken == [True, True]


def watched(monkeypatch):
    """Return a list that grows with each body: whether its connection was taken over."""
    found = []
    take = Takeover.of

    def of(hop, ring):
        takeover = take(hop, ring)
        found.append(takeover is not None)
        return takeover

    monkeypatch.setattr(Takeover, "of", of)
    return found
