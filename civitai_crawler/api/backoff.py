"""What to do about an answer: take it, ask again, give up, or stop the crawl.

:data:`RULES` is the whole policy, read from the top; the first row that fits decides. Pure: the
caller counts the attempts, reads the clock and does the waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from civitai_crawler.api import symptoms
from civitai_crawler.api.symptoms import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "LIMITED",
    "LONGEST_WAIT",
    "MAX_HOLD",
    "RULES",
    "Answer",
    "Verdict",
    "network",
    "verdict",
]

Action = Literal["accept", "retry", "fail", "stop"]

#: Seconds that we wait at most where the server names no time.
LONGEST_WAIT = 60.0
#: Seconds that we wait at most where it does; beyond them the work is left for another run.
MAX_HOLD = 900.0
#: Challenges in a row, with no good answer between, after which the crawl is stopped.
MAX_CHALLENGES = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about an answer."""

    action: Action
    """``accept``, ``retry``, ``fail`` (this request only) or ``stop`` (the whole crawl)."""
    reason: str
    """One word, as in ``items.Failure.reason``; empty for ``accept``."""
    message: str
    """One sentence for a person; never with a URL or a credential."""
    hold: float | None = None
    """Seconds during which nothing may be sent to the site; ``None``: it need not wait."""
    final: bool = False
    """A later run would get the same answer."""
    retry_at: str | None = None
    """Earliest useful next try, ISO 8601, where the server told it."""
    wait: float = 0.0
    """Seconds that only this request waits before its next try."""


class Rule(NamedTuple):
    """A row of the table: where it applies, and what follows."""

    statuses: range
    routes: str
    """Routes separated by blanks; ``*`` for all."""
    fits: Callable[[Answer], bool]
    action: Action
    reason: str
    message: str
    final: bool = False
    tries: int | None = None
    """Tries in all for ``retry``; ``None``: as many as the setting allows."""
    busy: bool = False
    """The server asks for a pause: the whole site is held (other hosts: this request waits)."""


SITE = "api trpc page download"
DATA = "api trpc"
ANY, OK, MOVED, CLIENT = range(600), range(200, 300), range(300, 400), range(400, 500)
SERVER = range(500, 600)


def _one(status: int) -> range:
    return range(status, status + 1)


def _always(_: Answer) -> bool:
    return True


# fmt: off
RULES: tuple[Rule, ...] = (
    # The edge and the region speak before the site does.
    Rule(ANY, "*", symptoms.is_challenge, "retry", "challenge",
         "Cloudflare asks for a browser instead of answering.", tries=3, busy=True),
    Rule(_one(451), "*", _always, "stop", "region_blocked",
         "The site is blocked in the region of this address.", final=True),
    # Redirects: a site that leads elsewhere does not give what was asked for.
    Rule(MOVED, SITE, symptoms.to_region_page, "stop", "region_blocked",
         "The site is blocked in the region of this address.", final=True),
    Rule(MOVED, SITE, symptoms.to_login, "fail", "login_required",
         "The site wants a login for this."),
    Rule(MOVED, "download", symptoms.to_model_page, "fail", "early_access",
         "The file is in early access, or not for this account."),
    Rule(MOVED, "api trpc page", symptoms.stays, "accept", "", ""),
    Rule(MOVED, SITE, _always, "fail", "unexpected_redirect",
         "The site leads to another place instead of answering; does CIVITAI_BASE_URL fit?"),
    Rule(MOVED, "*", _always, "fail", "unexpected_redirect",
         "The file host leads to no usable place."),
    # Successes that are none.
    Rule(OK, DATA, symptoms.no_json, "retry", "server_error",
         "The site sends a page or nothing where data was due.", busy=True),
    Rule(OK, "page", symptoms.no_page, "retry", "server_error",
         "The site sends its maintenance page or nothing.", busy=True),
    Rule(OK, "download", symptoms.is_html, "fail", "not_the_file",
         "The site sends a web page instead of the file."),
    Rule(OK, "*", _always, "accept", "", ""),
    # A batch whose calls all failed alike; its errors belong to the calls, not to the request.
    Rule(CLIENT, "trpc", symptoms.is_batch_of_errors, "accept", "", ""),
    # The handler has asked the site for fresh links by then.
    Rule(_one(400), "storage", _always, "fail", "storage_refused",
         "The file host refuses the signed link."),
    Rule(_one(400), "*", _always, "fail", "bad_request",
         "The server does not understand the request.", final=True),
    Rule(_one(401), "download", symptoms.downloads_disabled, "fail", "downloads_disabled",
         "The creator has disabled downloads of this file.", final=True),
    Rule(_one(401), "trpc", symptoms.foreign_origin, "fail", "origin_rejected",
         "The site takes the call for a foreign page's; does CIVITAI_BASE_URL fit?"),
    Rule(_one(401), SITE, symptoms.signed_in, "fail", "login_required",
         "The site does not accept the credentials for this: they may have expired."),
    Rule(_one(401), SITE, _always, "fail", "login_required",
         "The site wants a login for this; set CIVITAI_API_KEY or CIVITAI_COOKIES."),
    Rule(_one(403), "download", symptoms.early_access, "fail", "early_access",
         "The file is in early access."),
    Rule(_one(403), "download", symptoms.blacklisted, "fail", "forbidden",
         "The site refuses all downloads to this address or account."),
    Rule(_one(403), SITE, _always, "fail", "no_access",
         "The site refuses this to the account, or to visitors without one."),
    Rule(range(401, 404), "storage", _always, "fail", "storage_refused",
         "The file host refuses the signed link."),
    Rule(range(401, 404), "*", _always, "fail", "no_access",
         "The server refuses access."),
    # The download call also says 404 when it cannot reach its storage: never deleted for good.
    Rule(_one(404), "download storage", _always, "retry", "not_found",
         "The site does not find the file.", tries=2),
    Rule(_one(404), "*", _always, "fail", "not_found",
         "The site has no such thing.", final=True),
    Rule(_one(405), "*", _always, "fail", "bad_request",
         "The server does not allow this kind of request.", final=True),
    Rule(_one(408), "*", _always, "retry", "server_error", "The server ran out of time."),
    Rule(_one(410), "download", _always, "fail", "archived",
         "The model is archived, its files are not served.", final=True),
    Rule(_one(410), "storage", _always, "fail", "storage_refused",
         "The file host says that the signed link has expired."),
    Rule(_one(410), "*", _always, "fail", "not_found", "It is gone for good.", final=True),
    # Three different "too many".
    Rule(_one(429), DATA, symptoms.page_cap, "fail", "bad_request",
         "The site refuses page numbers this deep and wants cursors.", final=True),
    Rule(_one(429), "download", symptoms.quota, "fail", "quota",
         "The account's downloads of the last 24 hours are used up."),
    Rule(_one(429), "*", _always, "retry", "rate_limited",
         "The server asks for fewer requests.", busy=True),
    Rule(_one(499), "*", _always, "retry", "server_error", "The server dropped the request."),
    Rule(CLIENT, "*", _always, "fail", "refused", "The server refuses the request.", final=True),
    Rule(_one(503), "*", _always, "retry", "server_error", "The server is overloaded.", busy=True),
    Rule(SERVER, "*", _always, "retry", "server_error", "The server has an error of its own."),
    Rule(range(1000), "*", _always, "fail", "refused", "The server answers in no known way."),
)
# fmt: on

#: Reasons that are tried less often than others.
LIMITED = frozenset(rule.reason for rule in RULES if rule.tries is not None)


def verdict(
    answer: Answer,
    *,
    attempt: int,
    now: float,
    max_attempts: int,
    signed_in: bool,
    earlier: Mapping[str, int] | None = None,
    streak: int | None = None,
    pace: float = 1.0,
) -> Verdict:
    """Judge *answer*.

    :param attempt: how often the request has been sent, this time included (from 1).
    :param now: the time in Unix seconds, for dates in ``Retry-After``.
    :param max_attempts: tries in all that the settings allow.
    :param signed_in: credentials went along.
    :param earlier: how often the request has failed before for each of :data:`LIMITED`; what other
        errors came between does not count against a row's own number of tries. Without it,
        *attempt* counts.
    :param streak: how often in a row the site has asked for a pause, this time included; without
        it, *attempt*.
    :param pace: seconds of the first wait for errors that are the server's own.
    """
    answer = replace(answer, signed_in=signed_in)
    rule = next(row for row in RULES if _applies(row, answer))
    found = Verdict(rule.action, rule.reason, _message(rule, answer), final=rule.final)
    if rule.reason == "early_access":
        return replace(found, retry_at=symptoms.deadline(answer))
    if rule.action != "retry":
        return found
    asked = symptoms.retry_after(answer, now)
    if asked is not None and asked > MAX_HOLD:
        return _too_long(found, answer, asked, now)
    alike = attempt if earlier is None else earlier.get(rule.reason, 0) + 1
    if attempt >= max_attempts or (rule.tries is not None and alike >= rule.tries):
        found = replace(found, action="fail")
    if rule.busy and answer.route in SITE.split():
        return _held(found, attempt if streak is None else streak, asked)
    wait = _doubled(pace, attempt) if asked is None else asked
    return replace(found, wait=wait if found.action == "retry" else 0.0)


def network(*, attempt: int, max_attempts: int, pace: float = 1.0) -> Verdict:
    """Judge a request that got no answer: connection refused, cut, timed out, name unknown."""
    message = "There was no complete answer from the network."
    if attempt >= max_attempts:
        return Verdict("fail", "network", message)
    return Verdict("retry", "network", message, wait=_doubled(pace, attempt))


def _applies(rule: Rule, answer: Answer) -> bool:
    return (
        answer.status in rule.statuses
        and (rule.routes == "*" or answer.route in rule.routes.split())
        and rule.fits(answer)
    )


def _held(found: Verdict, times: int, asked: float | None) -> Verdict:
    """Hold the whole site, also when this request gives up; challenged for good, stop."""
    if found.reason == "challenge" and times >= MAX_CHALLENGES:
        return replace(found, action="stop")
    return replace(found, hold=_doubled(2.0, times) if asked is None else asked)


def _doubled(first: float, times: int) -> float:
    """*first* seconds the first time, twice as many each further time, up to a minute."""
    return float(min(first * 2 ** min(times - 1, 30), LONGEST_WAIT))


def _too_long(found: Verdict, answer: Answer, asked: float, now: float) -> Verdict:
    """Nobody waits that long: leave the request, and the site with it, for a later run."""
    ends = datetime.fromtimestamp(now, UTC) + timedelta(seconds=min(asked, 10**9))
    retry_at = ends.isoformat(timespec="seconds")
    action: Action = "stop" if answer.route in SITE.split() else "fail"
    return replace(found, action=action, retry_at=retry_at)


def _message(rule: Rule, answer: Answer) -> str:
    """Give the row's sentence; for a refused call with the site's words: they name the mistake."""
    words = symptoms.words(answer) if rule.reason in ("bad_request", "refused") else ""
    if not words or answer.route not in DATA.split():
        return rule.message
    return f"{rule.message.rstrip('.')}: {words}"
