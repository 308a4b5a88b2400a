"""The table of verdicts, as a table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from civitai_crawler.api.backoff import (
    LONGEST_WAIT,
    MAX_CHALLENGES,
    MAX_HOLD,
    RULES,
    Answer,
    network,
    verdict,
)

NOW = 1_790_000_000.0  # Mon, 21 Sep 2026 14:13:20 GMT
JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
ERROR = {"error": "invented"}
LOGIN = {"error": "Unauthorized", "message": "invented: requires you to be logged in"}
DISABLED = {"error": "Unauthorized", "message": "invented: downloads are disabled"}
UNAUTHORIZED = {"error": "Unauthorized"}
EARLY = {"error": "Early Access", "deadline": "2026-09-30T00:00:00.000Z", "message": "invented"}
CAP = {"error": "invented: too many pages, please use cursors instead"}
GATE = {"error": {"json": {"message": "invented: use the public API", "code": -32001}}}
BATCH = [{"error": {"json": {"message": "invented", "code": -32004}}}]
ZOD = {"error": {"name": "ZodError", "message": "limit\n  too big"}}
PAGE = "<!DOCTYPE html><title>Lantern</title>"
CHALLENGE = "<!DOCTYPE html><title>Just a moment...</title>"
BREAK = "<html><head><title>We'll be right back | Civitai</title></head></html>"


def answer(status, route, body: object = "", headers: dict[str, str] | None = None, **more):
    if isinstance(body, (dict, list)):
        body, kind = json.dumps(body), JSON
    else:
        kind = HTML if str(body).startswith("<") else {}
    return Answer(status, {**kind, **(headers or {})}, str(body).encode(), route, **more)


def to(location):
    return {"location": location}


# status, route, body, headers, credentials sent → action, reason, pause (hold, wait or none), final
TABLE = [
    # good answers
    (200, "api", {"items": []}, {}, False, "accept", "", "", False),
    (200, "api", [], {}, False, "accept", "", "", False),
    (207, "trpc", BATCH, {}, False, "accept", "", "", False),
    (200, "page", PAGE, {}, False, "accept", "", "", False),
    (200, "page", CHALLENGE.replace("Just a moment...", "Just a moment of joy | Civitai"), {},
     False, "accept", "", "", False),
    (200, "media", "\x89PNG", {}, False, "accept", "", "", False),
    (206, "storage", "bytes", {}, False, "accept", "", "", False),
    # 200 that is no answer
    (200, "api", BREAK, {}, False, "retry", "server_error", "hold", False),
    (200, "trpc", "", {}, False, "retry", "server_error", "hold", False),
    (200, "api", "  \n", {}, False, "retry", "server_error", "hold", False),
    (200, "api", '{"items": [{"id": 1}, {"i', JSON, False, "retry", "server_error", "hold", False),
    (200, "api", "Bad gateway", HTML, False, "retry", "server_error", "hold", False),
    (200, "page", BREAK, {}, False, "retry", "server_error", "hold", False),
    (200, "page", "", {}, False, "retry", "server_error", "hold", False),
    (200, "download", PAGE, {}, False, "fail", "not_the_file", "", False),
    # redirects
    (307, "page", "", to("/login?returnUrl=x"), False, "fail", "login_required", "", False),
    (307, "download", "", to("/login?reason=download-auth"), False,
     "fail", "login_required", "", False),
    (307, "download", "", to("/model-versions/701010"), False, "fail", "early_access", "", False),
    (307, "page", "", to("/region-blocked"), False, "stop", "region_blocked", "", True),
    (308, "page", "", to("/user/lantern"), False, "accept", "", "", False),
    (308, "api", "", to("/api/v1/models/1"), False, "accept", "", "", False),
    (302, "api", "", to("https://auth.example/start"), False,
     "fail", "unexpected_redirect", "", False),
    (302, "trpc", "", to("//auth.example/start"), False, "fail", "unexpected_redirect", "", False),
    (304, "api", "", {}, False, "fail", "unexpected_redirect", "", False),
    (301, "media", "", to("/elsewhere"), False, "fail", "unexpected_redirect", "", False),
    # 4xx
    (400, "api", ZOD, {}, False, "fail", "bad_request", "", True),
    (400, "trpc", BATCH, {}, False, "accept", "", "", False),
    (401, "api", UNAUTHORIZED, {}, False, "fail", "login_required", "", False),
    (401, "api", UNAUTHORIZED, {}, True, "fail", "login_required", "", False),
    (401, "trpc", GATE, {}, False, "fail", "origin_rejected", "", False),
    (401, "trpc", BATCH, {}, False, "fail", "login_required", "", False),
    (401, "download", LOGIN, {}, False, "fail", "login_required", "", False),
    (401, "download", LOGIN, {}, True, "fail", "login_required", "", False),
    (401, "download", DISABLED, {}, False, "fail", "downloads_disabled", "", True),
    (401, "download", DISABLED, {}, True, "fail", "downloads_disabled", "", True),
    (401, "download", UNAUTHORIZED, {}, True, "fail", "downloads_disabled", "", True),
    (401, "media", "", {}, False, "fail", "no_access", "", False),
    (403, "download", EARLY, {}, False, "fail", "early_access", "", False),
    (403, "download", {"error": "Forbidden"}, {}, False, "fail", "forbidden", "", False),
    (403, "download", ERROR, {}, True, "fail", "no_access", "", False),
    (403, "trpc", ERROR, {}, True, "fail", "no_access", "", False),
    (403, "media", PAGE, {}, False, "fail", "no_access", "", False),
    (403, "api", CHALLENGE, {"cf-mitigated": "challenge"}, False,
     "retry", "challenge", "hold", False),
    (403, "download", PAGE, {}, False, "retry", "challenge", "hold", False),
    (503, "page", CHALLENGE, {}, False, "retry", "challenge", "hold", False),
    (403, "media", CHALLENGE, {"cf-mitigated": "challenge"}, False,
     "retry", "challenge", "wait", False),
    (404, "api", ERROR, {}, False, "fail", "not_found", "", True),
    (404, "page", PAGE, {}, False, "fail", "not_found", "", True),
    (404, "trpc", BATCH, {}, False, "accept", "", "", False),
    (404, "trpc", BATCH[0], {}, False, "fail", "not_found", "", True),
    (404, "media", "", {}, False, "fail", "not_found", "", True),
    (404, "download", ERROR, {}, False, "retry", "not_found", "wait", False),
    (405, "api", ERROR, {}, False, "fail", "bad_request", "", True),
    (408, "trpc", ERROR, {}, False, "retry", "server_error", "wait", False),
    (410, "download", ERROR, {}, False, "fail", "archived", "", True),
    (410, "api", ERROR, {}, False, "fail", "not_found", "", True),
    (418, "api", ERROR, {}, False, "fail", "refused", "", True),
    (429, "api", CAP, {}, False, "fail", "bad_request", "", True),
    (429, "api", ERROR, {}, False, "retry", "rate_limited", "hold", False),
    (429, "trpc", ERROR, {"retry-after": "7"}, False, "retry", "rate_limited", "hold", False),
    (429, "download", ERROR, {}, True, "fail", "quota", "", False),
    (429, "download", ERROR, {"retry-after": "7"}, True, "retry", "rate_limited", "hold", False),
    (429, "download", PAGE, {}, True, "retry", "rate_limited", "hold", False),
    (429, "media", "", {}, False, "retry", "rate_limited", "wait", False),
    (429, "storage", "", {"retry-after": "7"}, False, "retry", "rate_limited", "wait", False),
    (451, "api", {"error": "x", "code": "REGION_BLOCKED"}, {}, False,
     "stop", "region_blocked", "", True),
    (499, "api", "", {}, False, "retry", "server_error", "wait", False),
    # signed links that the handler could not renew
    (400, "storage", "<Error>", {}, True, "fail", "storage_refused", "", False),
    (401, "storage", "{}", {}, True, "fail", "storage_refused", "", False),
    (403, "storage", "<Error>", {}, True, "fail", "storage_refused", "", False),
    (410, "storage", "", {}, True, "fail", "storage_refused", "", False),
    (404, "storage", "", {}, True, "retry", "not_found", "wait", False),
    # 5xx
    (500, "api", ERROR, {}, False, "retry", "server_error", "wait", False),
    (502, "page", PAGE, {}, False, "retry", "server_error", "wait", False),
    (520, "trpc", PAGE, {}, False, "retry", "server_error", "wait", False),
    (503, "api", ERROR, {"retry-after": "7"}, False, "retry", "server_error", "hold", False),
    (503, "trpc", ERROR, {}, False, "retry", "server_error", "hold", False),
    (503, "page", PAGE, {}, False, "retry", "server_error", "hold", False),
    (503, "storage", "", {}, False, "retry", "server_error", "wait", False),
    (999, "api", "", {}, False, "fail", "refused", "", False),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}-{row[6]}")
def test_table(row):
    status, route, body, headers, signed_in, action, reason, pause, final = row
    given = answer(status, route, body, headers)
    found = verdict(given, attempt=1, now=NOW, max_attempts=6, signed_in=signed_in)
    assert (found.action, found.reason, found.final) == (action, reason, final)
    assert (found.hold is not None) == (pause == "hold")
    assert (found.wait > 0) == (pause == "wait")
    if "retry-after" in headers and pause:
        assert 7 in (found.hold, found.wait)


def test_every_rule_is_tested():
    """No row of the policy is behind another that takes all its answers."""
    rows = set()
    for status, route, body, headers, signed_in, *_ in TABLE:
        given = replace(answer(status, route, body, headers), signed_in=signed_in)
        rows.add(
            next(
                index
                for index, rule in enumerate(RULES)
                if status in rule.statuses
                and (rule.routes == "*" or route in rule.routes.split())
                and rule.fits(given)
            )
        )
    assert rows == set(range(len(RULES)))


def judge(given, attempt=1, **more):
    settings = {"now": NOW, "max_attempts": 6, "signed_in": False, **more}
    return verdict(given, attempt=attempt, **settings)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60.0),
        ("Mon, 21 Sep 2026 14:14:20 -0000", 60.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("-5", 2.0),
        ("soon", 2.0),
        ("inf", 2.0),
        ("", 2.0),
    ],
)
def test_retry_after(value, seconds):
    assert judge(answer(429, "api", ERROR, {"retry-after": value})).hold == seconds


def test_holds_double_up_to_a_minute():
    given = answer(429, "api", ERROR)
    assert [judge(given, n, max_attempts=99).hold for n in range(1, 9)] == [
        *(2, 4, 8, 16, 32),
        *(60, 60, 60),
    ]
    assert judge(given, 1, streak=4).hold == 16  # the site counts, not the request
    assert judge(given, 2000, max_attempts=9999).hold == LONGEST_WAIT


def test_waits_double_from_the_pace():
    given = answer(500, "api", ERROR)
    waits = [judge(given, n, pace=1.5, max_attempts=99).wait for n in range(1, 9)]
    assert waits == [1.5, 3, 6, 12, 24, 48, 60, 60]


def test_tries_end():
    for given in (answer(429, "api", ERROR), answer(500, "api"), answer(200, "trpc", BREAK)):
        assert [judge(given, n).action for n in range(1, 8)] == ["retry"] * 5 + ["fail"] * 2
        assert not judge(given, 6).final
    assert judge(answer(429, "api"), 6).hold == LONGEST_WAIT  # others wait all the same
    assert judge(answer(500, "api"), 6).wait == 0
    assert [judge(answer(404, "download"), n).action for n in (1, 2)] == ["retry", "fail"]
    assert not judge(answer(404, "download"), 2).final
    assert judge(answer(404, "download"), 1, max_attempts=1).action == "fail"


def test_challenges_stop_the_crawl_in_the_end():
    given = answer(403, "api", CHALLENGE)
    assert [judge(given, n).action for n in (1, 2, 3)] == ["retry", "retry", "fail"]
    assert judge(given, 1, streak=MAX_CHALLENGES - 1).action == "retry"
    assert judge(given, 1, streak=MAX_CHALLENGES).action == "stop"


def test_nobody_waits_for_hours():
    longest = answer(503, "api", ERROR, {"retry-after": str(int(MAX_HOLD))})
    assert judge(longest).hold == MAX_HOLD
    site = judge(answer(429, "api", ERROR, {"retry-after": "3600"}))
    assert (site.action, site.retry_at) == ("stop", "2026-09-21T15:13:20+00:00")
    other = judge(answer(429, "storage", "", {"retry-after": "999999999999"}))
    assert (other.action, other.reason) == ("fail", "rate_limited")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (EARLY, "2026-09-30T00:00:00.000Z"),
        ({"error": "Early Access"}, None),
        ({"error": "Early Access", "deadline": 5}, None),
        ({"error": "Early Access", "deadline": "soon"}, None),
    ],
)
def test_early_access_deadline(payload, expected):
    assert judge(answer(403, "download", payload)).retry_at == expected


@pytest.mark.parametrize(
    ("location", "url", "action"),
    [
        ("https://site.example/there", "https://site.example/here", "accept"),
        ("there", "https://site.example/here", "accept"),
        ("http://site.example/there", "https://site.example/here", "fail"),
        ("https://other.example/there", "https://site.example/here", "fail"),
        ("", "https://site.example/here", "fail"),
    ],
)
def test_redirects_must_stay(location, url, action):
    assert judge(answer(302, "api", "", to(location), url=url)).action == action


def test_words_of_the_site():
    assert judge(answer(400, "api", ZOD)).message.endswith("understand the request: limit too big")
    assert (
        "invented"
        in judge(answer(400, "trpc", {"error": {"json": {"message": "invented"}}})).message
    )
    assert len(judge(answer(400, "api", {"error": "x" * 9999})).message) < 300
    assert judge(answer(400, "api", "[" * 5000, JSON)).message  # nested beyond reading
    assert "secret" not in judge(answer(400, "storage", {"error": "secret"})).message


def test_words_of_a_list_of_issues_are_those_of_the_first():
    told = Answer(400, {}, b'[{"message":"Too big:  expected <=200"},{"message":"x"}]', "api")
    found = verdict(told, attempt=1, now=0.0, max_attempts=6, signed_in=False)
    assert "Too big: expected <=200" in found.message


def test_network():
    assert [network(attempt=n, max_attempts=3).action for n in (1, 2, 3)] == [
        "retry",
        "retry",
        "fail",
    ]
    assert network(attempt=3, max_attempts=9, pace=1.5).wait == 6


EXAMPLES = {
    "download_401_disabled": (401, "download", "downloads_disabled"),
    "download_401_no_session_nonbrowser": (401, "download", "login_required"),
    "download_403_early_access": (403, "download", "early_access"),
    "download_403_forbidden": (403, "download", "forbidden"),
    "download_403_no_access": (403, "download", "no_access"),
    "download_410_archived": (410, "download", "archived"),
    "download_429": (429, "download", "quota"),
    "rest_error_429_page_cap": (429, "api", "bad_request"),
    "rest_error_429_collections": (429, "api", "rate_limited"),
    "rest_error_451_region": (451, "api", "region_blocked"),
    "rest_error_503": (503, "api", "server_error"),
    "trpc_error_401_origin_rejected": (401, "trpc", "origin_rejected"),
    "trpc_error_401_not_logged_in": (401, "trpc", "login_required"),
    "trpc_error_403_scope": (403, "trpc", "no_access"),
    "trpc_error_429_busy": (429, "trpc", "rate_limited"),
    "trpc_error_404_devalue": (404, "trpc", "not_found"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_recorded_refusals(name):
    status, route, reason = EXAMPLES[name]
    body = Path(__file__).with_name("refusals").joinpath(f"{name}.json").read_bytes()
    found = judge(Answer(status, JSON, body, route))
    assert found.reason == reason


def test_other_errors_between_do_not_use_up_a_rows_own_tries():
    missing = Answer(404, {}, b'{"error":"File not found"}', "download")
    options: dict[str, Any] = {"now": 0.0, "max_attempts": 6, "signed_in": False}
    assert verdict(missing, attempt=3, earlier={}, **options).action == "retry"
    assert verdict(missing, attempt=3, earlier={"challenge": 2}, **options).action == "retry"
    assert verdict(missing, attempt=4, earlier={"not_found": 1}, **options).action == "fail"
    assert verdict(missing, attempt=6, earlier={}, **options).action == "fail"
