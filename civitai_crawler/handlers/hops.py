"""The hops of a download: what goes along to which host, where a redirect may lead, by which way.

Signed links live in here for the time of one request and are never put into a text.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import yarl
from scrapy.utils.python import to_unicode

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from scrapy import Request

    from civitai_crawler.handlers.site import Site

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Hops of one download at most.
MAX_HOPS = 6
#: All that another host than the site gets to see of the request's headers.
_ANYWHERE = ("User-Agent",)


def headers(request: Request, url: str, site: Site) -> dict[str, str]:
    """Give the headers for a hop; credentials, Referer and Origin go to the site only."""
    if site.holds(url) and site.holds(request.url):
        names = [to_unicode(name) for name in request.headers]
    else:
        names = [name for name in _ANYWHERE if name in request.headers]
    sent = {name: to_unicode(request.headers[name] or b"", "latin-1") for name in names}
    sent.pop("Proxy-Authorization", None)
    # Nothing to choose from: a CDN must not convert, and a body that is compressed on the way has
    # another length and another hash than the file.
    return {**sent, "Accept": "*/*", "Accept-Encoding": "identity"}


def target(url: str, response: ClientResponse, site: Site) -> str | None:
    """Give where a redirect leads; ``None`` for answers, and for places we do not follow to.

    The site's redirects to itself end on a login or a model's page, and no other host has a reason
    to send us to the site. TLS is not given up on the way.
    """
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or not location:
        return None
    try:
        there = urljoin(url, location)
        parts = urlsplit(there)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    if site.holds(there) or (urlsplit(url).scheme == "https" and parts.scheme == "http"):
        return None
    return there


def address(url: str) -> yarl.URL:
    """Give *url* for aiohttp, byte for byte where possible: quoting anew would break signatures."""
    clean = url.isascii() and url.isprintable() and " " not in url
    return yarl.URL(url.partition("#")[0], encoded=clean)


def proxy(request: Request, url: str, *, environment: bool) -> str | None:
    """Give the proxy for a hop, with its user and password; ``None`` for a direct connection.

    The first hop's was chosen by Scrapy's proxy middleware. Other hosts get it too, unless
    ``NO_PROXY`` names them; where ``NO_PROXY`` named the first, the environment's is looked up.
    """
    chosen: str | None = request.meta.get("proxy")
    host = urlsplit(url).hostname or ""
    if host == urlsplit(request.url).hostname or not environment:
        return _with_user(chosen, request)
    if proxy_bypass(host):
        return None
    return _with_user(chosen, request) or getproxies().get(urlsplit(url).scheme)


def _with_user(proxy_url: str | None, request: Request) -> str | None:
    """Put the user and password of ``Proxy-Authorization`` into the URL, as aiohttp wants them."""
    authorization = request.headers.get("Proxy-Authorization")
    if not proxy_url:
        return None
    if "://" not in proxy_url:
        proxy_url = f"http://{proxy_url}"
    if authorization is None or not authorization.startswith(b"Basic "):
        return proxy_url
    user, _, password = base64.b64decode(authorization[6:]).decode("latin-1").partition(":")
    parts = urlsplit(proxy_url)
    netloc = f"{quote(unquote(user))}:{quote(unquote(password))}@{parts.netloc}"
    return parts._replace(netloc=netloc).geturl()
