"""``HTTPS_PROXY`` and ``NO_PROXY`` hold for the site and for its media alike."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from civitai_crawler.commands.proof import prove
from civitai_crawler.standin import Standin, World
from tests.cli import DONE, crawl
from tests.proxies import proxy

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
