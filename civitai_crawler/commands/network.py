"""What the doctor finds on the way to the site: proxy, certificates, the site, clock, login."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from civitai_crawler.amounts import duration
from civitai_crawler.api import backoff, parsers
from civitai_crawler.commands.finding import OK, PROBLEM, WARNING, Finding
from civitai_crawler.exceptions import CivitaiError, UsageError
from civitai_crawler.handlers import proxies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy.settings import BaseSettings

    from civitai_crawler.commands.visit import Answer, Visited

#: Seconds that clocks may differ; answers come in whole seconds and some time late.
_CLOCK = 120.0
_CREDENTIALS = ("CIVITAI_COOKIES", "CIVITAI_COOKIES_FILE", "CIVITAI_API_KEY")
_UNAUTHORIZED = 401


def has_credentials(settings: BaseSettings) -> bool:
    """Tell whether a credential is set at all."""
    return any(str(settings.get(name) or "").strip() for name in _CREDENTIALS)


def proxy(settings: BaseSettings) -> Finding:
    """Say through which proxy the site and the media are asked; never with its password."""
    try:
        ways = proxies.of_hosts(settings)
    except UsageError as error:
        hint = "Name an http:// proxy there; NO_PROXY names the hosts that need none."
        return Finding(PROBLEM, "Proxy", str(error), hint)
    if set(ways.values()) == {""}:
        return Finding(OK, "Proxy", "none: the site and its media are asked directly")
    told = "; ".join(f"{what} {f'by {way}' if way else 'directly'}" for what, way in ways.items())
    return Finding(OK, "Proxy", told)


def certificates(settings: BaseSettings) -> Finding:
    """Say how the server's certificate is checked."""
    own = os.environ.get("SSL_CERT_FILE", "")
    if own and not Path(own).is_file():
        return Finding(
            PROBLEM, "Certificates", f"SSL_CERT_FILE names {own}, which is no file.",
            "Correct or remove SSL_CERT_FILE; without it the system's certificates are used.",
        )  # fmt: skip
    if urlsplit(str(settings["CIVITAI_BASE_URL"])).scheme != "https":
        return Finding(
            WARNING, "Certificates", "CIVITAI_BASE_URL begins with http: nothing is encrypted.",
            "Use https; over http no credential is sent.",
        )  # fmt: skip
    if not settings.getbool("DOWNLOAD_VERIFY_CERTIFICATES"):
        return Finding(
            WARNING, "Certificates", "not checked: DOWNLOAD_VERIFY_CERTIFICATES is off.",
            "Turn it on; a certificate authority of your own is named by SSL_CERT_FILE.",
        )  # fmt: skip
    return Finding(OK, "Certificates", f"checked against {own or 'those of the system'}")


def site(settings: BaseSettings, visited: Visited) -> Iterator[Finding]:
    """Judge the first answer: whether it is of Civitai's API, and what time it is there."""
    base = str(settings["CIVITAI_BASE_URL"])
    if visited.api is None:
        text, advice = _unreached(visited.error)
        yield Finding(PROBLEM, "Site", f"{base} cannot be asked: {text}", advice)
        return
    if why := _no_api(visited.api):
        yield Finding(
            PROBLEM, "Site", f"{base} does not answer as Civitai's API does: {why}",
            "Check CIVITAI_BASE_URL (https://civitai.com or https://civitai.red); behind a proxy "
            "or a firewall, look what a browser shows there.",
        )  # fmt: skip
    else:
        yield Finding(OK, "Site", f"{base} answers as Civitai's API, in {visited.api.took:.1f} s")
    yield _clock(visited.api)


def _unreached(error: str) -> tuple[str, str]:
    """Put the kind of failure into words: the text of an error may hold more than it should."""
    low = error.lower()
    if "certificate" in low or "ssl" in low or "tls" in low:
        return (
            "its certificate is not trusted, or the connection is not TLS.",
            "Behind a company's proxy name its authority by SSL_CERT_FILE; check the clock.",
        )
    if "resolve" in low or "dns" in low:
        return "its name was not found.", "Check the address, and the network's name server."
    if "refused" in low:
        return "the connection was refused.", "Check address and port, proxy and firewall."
    if "timeout" in low:
        return "no answer came in time.", "Check the network; a firewall may drop the connection."
    return (
        "the connection failed.",
        "Check the network, HTTPS_PROXY and NO_PROXY; see whether a browser reaches the site.",
    )


def _no_api(answer: Answer) -> str:
    """Say why an answer is none of the API's; empty when it is one."""
    found = backoff.verdict(
        backoff.Answer(
            status=answer.status, headers=answer.headers, body=answer.body, route="api",
            url=answer.url,
        ),
        attempt=1, now=time.time(), max_attempts=1, signed_in=False,
    )  # fmt: skip
    if found.action != "accept":
        return f"{found.message} (status {answer.status})"
    try:
        payload = parsers.decode(answer.body)
    except CivitaiError:
        return "it sends no JSON."
    if not isinstance(payload, dict) or not isinstance(payload.get("items"), list):
        return "its JSON is no list of models."
    return ""


def _clock(answer: Answer) -> Finding:
    """Compare this machine's clock with the server's."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return Finding(OK, "Clock", "not compared: the answer has no date")
    off = answer.at - there
    if abs(off) <= _CLOCK:
        return Finding(OK, "Clock", "agrees with the server's")
    way = "ahead of" if off > 0 else "behind"
    return Finding(
        WARNING, "Clock", f"this machine is {duration(abs(off))} {way} the server.",
        "Set the clock (NTP): early access, cookies and certificates are judged by it.",
    )  # fmt: skip


def login(settings: BaseSettings, visited: Visited) -> Finding:
    """Say who the credentials belong to, or why that is not known."""
    if not has_credentials(settings):
        text = "no credential is set; public things need none."
        hint = "With an account there are files and levels more: see docs/sign-in.md."
        if settings.getbool("CIVITAI_REQUIRE_LOGIN"):
            return Finding(PROBLEM, "Login", f"{text} CIVITAI_REQUIRE_LOGIN is on.", hint)
        return Finding(OK, "Login", text, hint)
    if urlsplit(str(settings["CIVITAI_BASE_URL"])).scheme != "https":
        return Finding(
            WARNING, "Login", "a credential is set but not sent: CIVITAI_BASE_URL is not https.",
            "Use an https address.",
        )  # fmt: skip
    if visited.me is None:
        return Finding(WARNING, "Login", "not tried: the site could not be asked.")
    return _account(visited.me)


def _account(answer: Answer) -> Finding:
    """Read who is signed in."""
    if answer.status == _UNAUTHORIZED:
        return Finding(
            PROBLEM, "Login", "the site does not accept the credential: expired or mistyped.",
            "Copy it anew: docs/sign-in.md says how. An API key wins over cookies when both are "
            "set.",
        )  # fmt: skip
    try:
        me = parsers.me(parsers.decode(answer.body))
    except CivitaiError:
        return Finding(
            WARNING, "Login", f"the site does not tell (status {answer.status}).",
            "Try again later.",
        )  # fmt: skip
    text = f"signed in as {me.username} ({me.tier or 'no tier'})"
    if me.status not in (None, "active"):
        return Finding(WARNING, "Login", f"{text}; the account is {me.status}.")
    return Finding(OK, "Login", text)
