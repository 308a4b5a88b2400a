"""Credentials: read from three places, sent to one, seen by nobody else."""

from __future__ import annotations

import json
import logging

import pytest
from aiohttp import web
from scrapy import Request
from scrapy.http import Response
from scrapy.settings import Settings

from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers.site import Site
from civitai_crawler.middlewares.credentials import given
from civitai_crawler.middlewares.login import LoginMiddleware, SiteCookies, credentials
from civitai_crawler.standin import certificates
from tests.crawl import crawl
from tests.servers import serve
from tests.test_pacing import PACED

SECRET = "s3cr3t"
TOKEN = f"__Secure-civ-token={SECRET}=="
HEADER = "# Netscape HTTP Cookie File\n"
BASE = "https://civitai.com"


def settings(**values) -> Settings:
    return Settings({f"CIVITAI_{name}": value for name, value in values.items()})


def middleware(**values) -> LoginMiddleware:
    chosen = settings(**values)
    return LoginMiddleware(Site.of(chosen), given(chosen))


def sent(mw: LoginMiddleware, url: str, **headers: str) -> dict[str, str]:
    request = Request(url, headers=headers)
    mw.process_request(request)
    return {str(name): str(value) for name, value in request.headers.to_unicode_dict().items()}


def rolled(mw: LoginMiddleware, *set_cookies: str, url: str = f"{BASE}/x") -> Response:
    response = Response(url, headers={"Set-Cookie": list(set_cookies)})
    return mw.process_response(Request(url), response)


def netscape(*rows: tuple[str, ...]) -> str:
    return HEADER + "".join("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "none"),
        ({"COOKIES": "  ", "API_KEY": ""}, "none"),
        ({"COOKIES": TOKEN}, "cookies"),
        ({"API_KEY": SECRET}, "api key"),
        ({"API_KEY": SECRET, "COOKIES": TOKEN}, "api key"),
        ({"API_KEY": SECRET, "BASE_URL": "http://civitai.com"}, "none"),
    ],
)
def test_kind(values, kind):
    found = credentials(settings(**values))
    assert found.kind == kind
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (TOKEN, TOKEN),
        (f"Cookie: {TOKEN}; b=2", f"{TOKEN}; b=2"),
        (f"  cookie:{TOKEN} ;b=2;  \n", f"{TOKEN}; b=2"),
        ("odd[name]x=1; b=2", None),
        (
            'a="quoted, with comma"; b=%7B%22x%22%3A1%7D',
            'a="quoted, with comma"; b=%7B%22x%22%3A1%7D',
        ),
        ("a=; b=x=y=", "a=; b=x=y="),
        ("a=1; a=2", "a=2"),
    ],
)
def test_cookie_text(text, header):
    if header is None:
        with pytest.raises(UsageError):
            middleware(COOKIES=text)
        return
    assert sent(middleware(COOKIES=text), f"{BASE}/api/v1/me")["Cookie"] == header


@pytest.mark.parametrize(
    "values",
    [
        {"COOKIES": SECRET},
        {"COOKIES": f"{SECRET}; {SECRET}"},
        {"COOKIES": f"a=1; {SECRET}"},
        {"COOKIES": f"a={SECRET}\r\nX-Evil: 1"},
        {"COOKIES": f"a={SECRET}\x00"},
        {"COOKIES": f"a={SECRET}ä"},
        {"COOKIES": f"={SECRET}"},
        {"API_KEY": f"{SECRET} {SECRET}"},
        {"API_KEY": f"{SECRET}\nX-Evil: 1"},
        {"API_KEY": f"{SECRET}é"},
        {"COOKIES_FILE": "/nowhere/s3cr3t.txt"},
    ],
)
def test_what_cannot_be_used_is_said_without_the_value(values):
    with pytest.raises(UsageError) as caught:
        given(settings(**values))
    assert SECRET not in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert caught.value.__context__ is None


def test_cookies_file(tmp_path):
    path = tmp_path / "cookies.txt"
    path.write_text(
        netscape(
            ("#HttpOnly_.civitai.com", "TRUE", "/", "TRUE", "4102444800", "token", "one"),
            ("civitai.com", "FALSE", "/api", "TRUE", "0", "session", "two"),
            (".civitai.com", "TRUE", "/", "TRUE", "1000000000", "expired", "no"),
            ("www.civitai.com", "FALSE", "/", "TRUE", "4102444800", "www", "no"),
            (".example.com", "TRUE", "/", "TRUE", "4102444800", "other", "no"),
            (".evilcivitai.com", "TRUE", "/", "TRUE", "4102444800", "evil", "no"),
        )
    )
    mw = middleware(COOKIES_FILE=str(path))
    assert sent(mw, f"{BASE}/posts/1")["Cookie"] == "token=one"
    assert sent(mw, f"{BASE}/api/v1/me")["Cookie"] == "session=two; token=one"
    both = middleware(COOKIES_FILE=str(path), COOKIES="token=text")
    assert sent(both, f"{BASE}/posts/1")["Cookie"] == "token=text"


ROW = (".civitai.com", "TRUE", "/", "TRUE", "4102444800", "token", "one")


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{netscape(ROW)}",
        netscape(ROW).replace("\n", "\r\n"),
        netscape(ROW).removeprefix(HEADER),
        netscape(("civitai.com", *ROW[1:])),  # dot and flag do not agree
        netscape((".example.com", "FALSE", *ROW[2:]), ROW),
        HEADER + ".example.com\tTRUE\t/\tTRUE\t0\tempty\n" + "\t".join(ROW),
        netscape((*ROW[:4], "-1", *ROW[5:])),
        netscape((*ROW[:4], "4102444800.5", *ROW[5:])),
    ],
)
def test_cookies_files_of_all_kinds_of_programs(tmp_path, content):
    path = tmp_path / "cookies.txt"
    path.write_bytes(content.encode())
    mw = middleware(COOKIES_FILE=str(path))
    assert sent(mw, f"{BASE}/posts/1")["Cookie"] == "token=one"


@pytest.mark.parametrize(
    "content",
    [
        f"civitai.com FALSE / TRUE 0 a {SECRET}",
        HEADER + f"civitai.com\tFALSE\t{SECRET}\n",
        HEADER,
        netscape((".example.com", "TRUE", "/", "TRUE", "4102444800", "other", SECRET)),
        netscape((".civitai.com", "TRUE", "/", "TRUE", "1000000000", "expired", SECRET)),
        netscape((".civitai.com", "TRUE", "/", "TRUE", "4102444800", "na me", SECRET)),
        netscape((".civitai.com", "TRUE", "/", "TRUE", "4102444800", "a", f"{SECRET}\x01")),
        netscape((".civitai.com", "TRUE", "/", "TRUE", SECRET, "a", SECRET)),
        b"\xff\xfe" + SECRET.encode(),
        HEADER.encode() + b".civitai.com\tTRUE\t/\tTRUE\t0\ta\t\xff" + SECRET.encode(),
    ],
)
def test_cookies_files_that_cannot_be_used(tmp_path, content):
    path = tmp_path / "cookies.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match="CIVITAI_COOKIES_FILE") as caught:
        given(settings(COOKIES_FILE=str(path)))
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        "https://image.civitai.com/x",
        "https://www.civitai.com/x",
        "http://civitai.com/x",
        "https://civitai.com:8443/x",
        "https://evil.example/civitai.com",
        "https://civitai.com@evil.example/",
        "https://civitai.com.evil.example/",
    ],
)
def test_nothing_goes_elsewhere(url):
    mw = middleware(COOKIES=TOKEN, API_KEY=SECRET)
    rolled(mw, f"new={SECRET}; Domain=.civitai.com; Path=/; Secure")
    headers = {"Cookie": "a", "Authorization": "b", "Referer": "c", "Origin": "d", "Accept": "e"}
    assert sent(mw, url, **headers) == {"Accept": "e"}


def test_data_requests_are_untouched():
    headers = {"Cookie": "mine"}
    assert sent(middleware(COOKIES=TOKEN), "data:,x", **headers) == headers


@pytest.mark.parametrize("base", [BASE, f"{BASE}/", "https://civitai.com:443"])
def test_origin_gate(base):
    mw = middleware(BASE_URL=base)
    got = sent(mw, f"{BASE}/api/trpc/image.get?input=x", Referer="https://a/", Cookie="stale")
    assert got == {"Referer": f"{BASE}/", "Origin": BASE}
    for path in ("/api/v1/me", "/posts/1", "/api/download/models/1?x=/api/trpc/"):
        assert sent(mw, BASE + path, Referer="https://a/", Origin="https://a") == {}


def test_key_and_cookies():
    got = sent(middleware(COOKIES=TOKEN, API_KEY=f" {SECRET}\n"), f"{BASE}/api/v1/me")
    assert got == {"Authorization": f"Bearer {SECRET}", "Cookie": TOKEN}


def test_rolled_cookies_are_followed():
    mw = middleware(COOKIES=f"{TOKEN}; legacy=1; kept=1")
    response = rolled(
        mw,
        "__Secure-civ-token=new; Domain=civitai.com; Path=/; Secure; HttpOnly; SameSite=Lax",
        "legacy=; Domain=.civitai.com; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "kept=2; Path=/; Max-Age=3600",
        "api=1; Path=/api",
        "foreign=1; Domain=example.com; Path=/",
        "part=1; Domain=vitai.com; Path=/",
        "__Host-x=1; Domain=civitai.com; Path=/; Secure",
        "__Host-y=1; Path=/; Secure",
        "bad=\x01; Path=/",
        "nonsense",
    )
    assert "Set-Cookie" not in response.headers
    got = sent(mw, f"{BASE}/x")["Cookie"]
    assert set(got.split("; ")) == {"__Secure-civ-token=new", "kept=2", "__Host-y=1"}
    assert "api=1" in sent(mw, f"{BASE}/api/v1/me")["Cookie"]


def test_cookies_of_others_are_neither_followed_nor_kept():
    mw = middleware(COOKIES=TOKEN)
    for url in ("https://image.civitai.com/x", "http://civitai.com/x"):
        response = rolled(mw, "__Secure-civ-token=stolen; Domain=.civitai.com; Path=/", url=url)
        assert "Set-Cookie" not in response.headers
    assert sent(mw, f"{BASE}/x")["Cookie"] == TOKEN


def test_nothing_is_left_on_a_request_after_its_answer():
    mw = middleware(COOKIES=TOKEN, API_KEY=SECRET)
    for end in ("process_response", "process_exception"):
        request = Request(f"{BASE}/x", headers={"Accept": "e"})
        mw.process_request(request)
        assert SECRET in str(request.headers)
        getattr(mw, end)(request, Response(f"{BASE}/x") if end == "process_response" else OSError())
        assert request.headers.to_unicode_dict() == {"Accept": "e"}


def test_without_https_one_warning_and_nothing_sent(caplog):
    with caplog.at_level(logging.WARNING):
        mw = middleware(COOKIES=TOKEN, API_KEY=SECRET, BASE_URL="http://civitai.com")
        rolled(mw, "a=1", url="http://civitai.com/x")
        assert sent(mw, "http://civitai.com/x") == {}
    assert [record.getMessage() for record in caplog.records] == [
        "Credentials are set but not sent: CIVITAI_BASE_URL does not begin with https."
    ]
    caplog.clear()
    middleware(BASE_URL="http://civitai.com")
    middleware(COOKIES=TOKEN)
    assert not caplog.records


def test_hosts_without_a_dot_have_cookies_too():
    values = settings(BASE_URL="https://localhost:8443", COOKIES="a=1")
    jar = SiteCookies(Site.of(values), given(values))
    jar.take("https://localhost:8443/x", ["a=2; Path=/", "b=1; Path=/"])
    assert jar.header("https://localhost:8443/x") == "a=2; b=1"


async def test_over_tls_secrets_reach_the_site_only(tmp_path):
    """A whole crawl: pages, tRPC, a redirect to another host, a download, an image."""
    tls = certificates.make(tmp_path, ["127.0.0.1", "127.0.0.2"])
    new = "R0LL3D"

    async def site(request):
        if request.path == "/away":
            raise web.HTTPFound(f"{other.url}/landed")
        if request.path == "/api/download/models/1":
            raise web.HTTPTemporaryRedirect(f"{other.url}/file?sig=SIGNED")
        response = web.json_response({"path": request.path})
        cookie = f"__Secure-civ-token={new}; Domain=127.0.0.1; Path=/; Secure; HttpOnly"
        response.headers["Set-Cookie"] = cookie
        return response

    async def elsewhere(_):
        headers = {"Set-Cookie": "__Secure-civ-token=stolen; Domain=127.0.0.1; Path=/"}
        return web.Response(body=b"bytes", headers=headers)

    async with serve(site, tls=tls) as server, serve(elsewhere, "127.0.0.2", tls=tls) as other:
        urls = ["/api/v1/me", "/away", "/api/trpc/x"]
        requests = [{"url": server.url + path, "meta": {"civitai_lane": "none"}} for path in urls]
        for path, base in (("/api/download/models/1", server.url), ("/image", other.url)):
            part = str(tmp_path / f"{len(requests)}.part")
            meta = {"civitai_route": "download", "civitai_stream": part}
            requests.append({"url": base + path, "meta": meta})
        requests.append({"url": f"{server.url}/api/trpc/last"})
        chosen = {
            **PACED,
            "CIVITAI_BASE_URL": server.url,
            "CIVITAI_REQUEST_INTERVAL": 0.05,
            "CIVITAI_COOKIES": TOKEN,
            "CIVITAI_API_KEY": SECRET,
            "DOWNLOAD_VERIFY_CERTIFICATES": True,
            "DOWNLOAD_SLOTS": {"site": {"concurrency": 1, "delay": 0.001}},
            "LOG_LEVEL": "DEBUG",
        }
        env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        result = await crawl(settings=chosen, requests=requests, env=env, in_turn=True)
        unverified = await crawl(settings=chosen, requests=requests[:1] + requests[3:4])
    assert [item.get("status", item.get("error")) for item in result.items] == [200] * 6
    at_site = server.seen[:6]
    assert all(seen.headers["authorization"] == f"Bearer {SECRET}" for seen in at_site)
    cookies = [seen.headers["cookie"] for seen in at_site]
    assert cookies == [TOKEN] + [f"__Secure-civ-token={new}"] * (len(cookies) - 1)
    for seen in at_site:
        is_trpc = seen.path.startswith("/api/trpc")
        assert (seen.headers.get("referer") == f"{server.url}/") is is_trpc
    assert {seen.path for seen in other.seen} == {"/landed", "/file?sig=SIGNED", "/image"}
    for seen in other.seen:
        assert not {"cookie", "authorization", "referer", "origin"} & set(seen.headers)
    left = result.log + json.dumps(result.items) + json.dumps(result.stats)
    assert not [secret for secret in (SECRET, new, "stolen", "SIGNED") if secret in left]
    assert all("set-cookie" not in item["headers"] for item in result.items)
    assert {item.get("error") for item in unverified.items} == {
        "DownloadFailedError",
        "GaveUpError",
    }
