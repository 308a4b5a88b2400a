"""Which URLs belong to the site: exactly the scheme, host and port of ``CIVITAI_BASE_URL``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

DEFAULT_BASE_URL = "https://civitai.com"
_PORTS = {"http": 80, "https": 443}


class Site:
    """The site as a place: secrets go nowhere else, and the pace holds nowhere else."""

    def __init__(self, base_url: str = DEFAULT_BASE_URL) -> None:
        origin = _origin(base_url)
        if origin is None:
            raise UsageError("CIVITAI_BASE_URL must be a link such as https://civitai.com.")
        self._origin = origin
        self.scheme, self.host, self.port = origin
        #: The base URL without a slash at its end, as the site's own pages would name it.
        self.base = _base(origin)

    @classmethod
    def of(cls, settings: BaseSettings) -> Site:
        """Read ``CIVITAI_BASE_URL``; raises UsageError for what is no http(s) link."""
        return cls(str(settings.get("CIVITAI_BASE_URL") or DEFAULT_BASE_URL))

    def holds(self, url: str) -> bool:
        """Tell whether *url* is of the site: same scheme, host and port."""
        # The host ends at the third slash at the latest, and many addresses begin alike.
        return _origin("/".join(url.split("/", 3)[:3])) == self._origin


@lru_cache(64)  # asked several times for each address
def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname.rstrip("."), port or _PORTS[parts.scheme]


def _base(origin: tuple[str, str, int]) -> str:
    scheme, host, port = origin
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if port == _PORTS[scheme] else f"{scheme}://{host}:{port}"
