"""The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for an address.

Scrapy and aiohttp read the same variables; here it is only found out in time whether they can use
what stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

_SCHEMES = ("http", "https")


def of_hosts(settings: BaseSettings) -> dict[str, str]:
    """Give the proxies for ``site`` and ``media``, each as :func:`proxy_for` does.

    Raises UsageError for one that no crawl can use.
    """
    hosts = {"site": "CIVITAI_BASE_URL", "media": "CIVITAI_MEDIA_URL"}
    if not settings.getbool("HTTPPROXY_ENABLED"):
        return dict.fromkeys(hosts, "")
    return {host: proxy_for(str(settings[name])) for host, name in hosts.items()}


def proxy_for(url: str) -> str:
    """Give the proxy for *url* as scheme, host and port, without its password; empty for none.

    Raises UsageError for one that no crawl can use.
    """
    parts = urlsplit(url)
    chosen = getproxies().get(parts.scheme)
    if not chosen or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    name = f"{parts.scheme.upper()}_PROXY"
    try:
        given = urlsplit(chosen if "://" in chosen else f"http://{chosen}")
        usable = bool(given.hostname) and given.port != 0
    except ValueError:
        usable = False
    if usable and given.scheme.startswith("socks"):
        raise UsageError(f"{name} names a SOCKS proxy, which a crawl cannot use.")
    if not usable or given.scheme not in _SCHEMES:
        raise UsageError(f"{name} must be the address of a proxy such as http://localhost:3128.")
    return f"{given.scheme}://{given.netloc.rpartition('@')[2]}"
