"""The user's credentials as the settings give them: read, checked, and never shown.

No text of an error holds a value: a mistyped key is a key all the same.
"""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import dataclass, field
from http.cookiejar import Cookie, LoadError, MozillaCookieJar
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
    jar = MozillaCookieJar(path)
    problem = ""
    try:
        # The standard library warns with a traceback, whose text quotes values of the file.
        with warnings.catch_warnings(action="ignore"):
            jar.load(ignore_discard=True, ignore_expires=True)
    except (LoadError, ValueError):
        problem = "CIVITAI_COOKIES_FILE is no cookies.txt in the Netscape format."
    except OSError:
        problem = "CIVITAI_COOKIES_FILE cannot be read."
    if problem:  # outside of the except block: the original's text quotes a line of the file
        raise UsageError(problem)
    found = [each for each in jar if _usable(each, host)]
    if not found:
        raise UsageError(f"CIVITAI_COOKIES_FILE holds no valid cookie of {host}.")
    for each in found:
        if not _NAME.fullmatch(each.name) or not _VALUE.fullmatch(each.value or ""):
            raise UsageError("CIVITAI_COOKIES_FILE holds a cookie with characters it may not have.")
        yield cookie(each.name, each.value or "", host, path=each.path, expires=each.expires)


def _usable(found: Cookie, host: str) -> bool:
    if found.expires and found.expires < time.time():
        return False
    domain = found.domain.removeprefix(".")
    return host == domain or (found.domain_specified and host.endswith(f".{domain}"))


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
