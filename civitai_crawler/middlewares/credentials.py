"""The user's credentials as the settings give them: read, checked, and never shown.

No text of an error holds a value: a mistyped key is a key all the same.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from http.cookiejar import Cookie
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.settings import BaseSettings

Kind = Literal["none", "cookies", "api key"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_KEY = re.compile(r"[\x21-\x7e]+")
#: Between the fields of a line of cookies.txt.
_TABS = 6
_LABEL = re.compile(r"cookie\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes along with requests to the site."""

    kind: Kind
    """``api key`` where both are given: the site then looks at nothing else."""
    cookies: tuple[Cookie, ...] = field(default=(), repr=False)
    """Host-only cookies of the site."""
    key: str | None = field(default=None, repr=False)
    """The API key."""


NONE = Credentials("none")


def credentials(settings: BaseSettings) -> Credentials:
    """Give what will be sent; ``none`` also when the site is not asked over https.

    Raises UsageError for credentials that cannot be used.
    """
    found = given(settings)
    return found if Site.of(settings).scheme == "https" else NONE


def given(settings: BaseSettings) -> Credentials:
    """Read ``CIVITAI_COOKIES``, ``CIVITAI_COOKIES_FILE`` and ``CIVITAI_API_KEY``."""
    host = Site.of(settings).host
    jar: dict[tuple[str, str], Cookie] = {}
    if path := str(settings.get("CIVITAI_COOKIES_FILE") or "").strip():
        jar.update({(each.name, each.path): each for each in _of_file(path, host)})
    if text := str(settings.get("CIVITAI_COOKIES") or "").strip():
        jar.update({(each.name, each.path): each for each in _of_text(text, host)})
    key = _key(str(settings.get("CIVITAI_API_KEY") or "").strip())
    kind: Kind = "api key" if key else "cookies" if jar else "none"
    return Credentials(kind, tuple(jar.values()), key)


def _key(text: str) -> str | None:
    if text and _KEY.fullmatch(text) is None:
        raise UsageError(
            "CIVITAI_API_KEY holds blanks, control or non-ASCII characters, which no key has."
        )
    return text or None


def _of_text(text: str, host: str) -> Iterator[Cookie]:
    """Read a browser's ``Cookie`` header; split by hand, since values hold ``=`` and quotes."""
    text = text[label.end() :] if (label := _LABEL.match(text)) else text
    pairs = [piece.partition("=") for piece in text.split(";") if piece.strip()]
    if not any(equals for _, equals, _ in pairs):
        raise UsageError("CIVITAI_COOKIES is no cookie text: give name=value pairs split by ';'.")
    for name, equals, value in pairs:
        name, value = name.strip(), value.strip()  # noqa: PLW2901  # the same, without blanks
        if not equals or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError(
                "CIVITAI_COOKIES is no cookie text: a name or value has characters that no cookie "
                "may have."
            )
        yield cookie(name, value, host)


def _of_file(path: str, host: str) -> Iterator[Cookie]:
    """Read the site's cookies of a Netscape cookies.txt."""
    problem = ""
    try:
        rows = list(_rows(Path(path).read_text(encoding="utf-8-sig"), host))
    except (ValueError, OverflowError):
        problem = "CIVITAI_COOKIES_FILE is no cookies.txt in the Netscape format."
    except OSError:
        problem = "CIVITAI_COOKIES_FILE cannot be read."
    if problem:  # outside of the except block: the original's text quotes a line of the file
        raise UsageError(problem)
    found = [row for row in rows if row[-1] <= 0 or row[-1] >= time.time()]
    if not found:
        raise UsageError(f"CIVITAI_COOKIES_FILE holds no valid cookie of {host}.")
    for path_, name, value, expires in found:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UsageError("CIVITAI_COOKIES_FILE holds a cookie with characters it may not have.")
        yield cookie(name, value, host, path=path_, expires=max(expires, 0))


def _rows(text: str, host: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield path, name, value and expiry (0: none) of the cookies of *host*.

    The standard library refuses a whole file that has a byte order mark or no first line, or for
    one cookie of any site whose dot and flag do not agree, as some programs write them. Raises
    ValueError for what has lines, but none of the format, and for an expiry that is no number.
    """
    lines = [line.removeprefix("#HttpOnly_").rstrip("\r") for line in text.split("\n")]
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    rows = [line.split("\t") for line in lines if line.count("\t") == _TABS]
    if lines and not rows:
        raise ValueError("no line has seven fields")
    for domain, wide, path, _, expires, name, value in rows:
        place = domain.removeprefix(".").lower()
        wider = wide.upper() == "TRUE" and host.endswith(f".{place}")
        if name and (host == place or wider):
            yield path, name, value, int(float(expires or 0))


def cookie(
    name: str, value: str, host: str, *, path: str = "/", expires: int | None = None
) -> Cookie:
    """Make a cookie that belongs to *host* alone and goes over https only."""
    # Like the standard library's jar, which looks for names without a dot under .local.
    domain = host if "." in host else f"{host}.local"
    return Cookie(
        version=0, name=name, value=value, port=None, port_specified=False, domain=domain,
        domain_specified=False, domain_initial_dot=False, path=path, path_specified=True,
        secure=True, expires=expires or None, discard=not expires, comment=None, comment_url=None,
        rest={},
    )  # fmt: skip
