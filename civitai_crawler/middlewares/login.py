"""Signs requests to the site, follows the cookies it rolls, and keeps both from everybody else.

Belongs nearest to the downloader (order 950): what is further out, an HTTP cache included, then
never sees a secret. Scrapy's CookiesMiddleware binds cookies to hosts, not to schemes and ports,
and drops a cookie header set by hand, so it is to be off (``COOKIES_ENABLED = False``).
"""

from __future__ import annotations

import logging
from email.message import Message
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import Request as UrllibRequest

from civitai_crawler.handlers.site import Site
from civitai_crawler.middlewares.credentials import Credentials, credentials, given

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

__all__ = ["Credentials", "LoginMiddleware", "SiteCookies", "credentials"]

logger = logging.getLogger(__name__)

_OURS = ("Cookie", "Authorization", "Referer", "Origin")


class SiteCookies:
    """A cookie jar for one host.

    The standard library's, for its rules of paths and expiry. A ``Domain`` that covers the host is
    taken off before it reads a header: so a rolled cookie replaces the pasted one of the same name,
    an expiry finds it, and none can ever match another host.
    """

    def __init__(self, site: Site, initial: Credentials) -> None:
        self._site = site
        self._jar = CookieJar(
            DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainLiberal)
        )
        for each in initial.cookies:
            self._jar.set_cookie(each)

    def header(self, url: str) -> str | None:
        """Give the ``Cookie`` header for a URL of the site; ``None`` when there is none."""
        asking = UrllibRequest(url)  # noqa: S310  # never opened, it only tells the jar host and path
        self._jar.add_cookie_header(asking)
        return asking.get_header("Cookie")

    def take(self, url: str, set_cookies: list[str]) -> None:
        """Follow the ``Set-Cookie`` headers of an answer by the site to *url*."""
        answer = Message()
        for text in set_cookies:
            if (kept := self._host_only(text)) is not None:
                answer.add_header("Set-Cookie", kept)
        self._jar.extract_cookies(_Answer(answer), UrllibRequest(url))  # type: ignore[arg-type] # noqa: S310  # the jar uses info() only; never opened

    def _host_only(self, text: str) -> str | None:
        """Give the header without its domain; ``None`` when it is not for this host."""
        pair, *attributes = text.split(";")
        if not text.isascii() or not text.isprintable() or "=" not in pair:
            return None
        kept = [pair]
        for attribute in attributes:
            name, _, value = attribute.partition("=")
            if name.strip().lower() != "domain":
                kept.append(attribute)
            elif pair.strip().startswith("__Host-") or not self._covers(value):
                return None
        return ";".join(kept)

    def _covers(self, value: str) -> bool:
        domain = value.strip().removeprefix(".").lower()
        return not domain or self._site.host == domain or self._site.host.endswith(f".{domain}")


class _Answer:
    """What the standard library's jar wants of a response."""

    def __init__(self, headers: Message) -> None:
        self._headers = headers

    def info(self) -> Message:
        return self._headers


class LoginMiddleware:
    """Puts the credentials on requests to exactly the site, over https, on every pass."""

    def __init__(self, site: Site, found: Credentials) -> None:
        self._site = site
        self._sends = site.scheme == "https"
        self._key = found.key
        self._cookies = SiteCookies(site, found)
        if found.kind != "none" and not self._sends:
            logger.warning(
                "Credentials are set but not sent: CIVITAI_BASE_URL does not begin with https."
            )

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(Site.of(crawler.settings), given(crawler.settings))

    def process_request(self, request: Request) -> None:
        if not request.url.startswith(("http:", "https:")):
            return
        _strip(request, *_OURS)
        if not self._site.holds(request.url):
            return
        if urlsplit(request.url).path.startswith("/api/trpc/"):
            request.headers["Referer"] = f"{self._site.base}/"
            request.headers["Origin"] = self._site.base
        if not self._sends:
            return
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        if (cookies := self._cookies.header(request.url)) is not None:
            request.headers["Cookie"] = cookies

    def process_response(self, request: Request, response: Response) -> Response:
        _strip(request, "Cookie", "Authorization")
        if "Set-Cookie" in response.headers:
            rolled = [value.decode("latin-1") for value in response.headers.getlist("Set-Cookie")]
            del response.headers["Set-Cookie"]
            if self._sends and self._site.holds(request.url):
                self._cookies.take(request.url, rolled)
        return response

    def process_exception(self, request: Request, exception: Exception) -> None:
        _strip(request, "Cookie", "Authorization")


def _strip(request: Request, *names: str) -> None:
    for name in names:
        request.headers.pop(name, None)
