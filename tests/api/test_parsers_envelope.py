"""Bodies, error bodies, pages and cursors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from civitai_crawler.api import parsers
from civitai_crawler.api.parsers import envelope
from civitai_crawler.exceptions import ApiError, NotJsonError, UnexpectedShapeError


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", {}),
        (b"\xef\xbb\xbf [1]\n", [1]),
        (b'"text"', "text"),
        (b"null", None),
        (b"[NaN, -Infinity]", [None, None]),
        (b'{"seed": 17739416935733250000}', {"seed": 17739416935733250000}),
    ],
)
def test_decode(body, value):
    assert parsers.decode(body, "application/json") == value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<!DOCTYPE html><html>", "HTML page"),
        (b'{"items": [', "no valid JSON"),
        (b"Bad Gateway", "no valid JSON"),
        (b"\xff\xfe{", "no UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5_000, "no valid JSON"),
    ],
)
def test_decode_refuses(body, said):
    with pytest.raises(NotJsonError, match=said):
        parsers.decode(body)


def test_decode_names_the_content_type_and_not_the_content():
    with pytest.raises(NotJsonError) as caught:
        parsers.decode(b"token=abc", "text/plain")
    assert "text/plain" in str(caught.value)
    assert "abc" not in str(caught.value)


ISSUES = json.dumps([{"code": "too_big", "message": "Too big: expected number to be <=100"}])


@pytest.mark.parametrize(
    ("payload", "message", "code"),
    [
        ({"error": "No model with id 0"}, "No model with id 0", ""),
        ({"message": "User not found"}, "User not found", ""),
        ({"error": "Unauthorized", "message": "Log in first"}, "Unauthorized: Log in first", ""),
        ({"error": "same", "message": "same"}, "same", ""),
        ({"error": "Not here", "code": "REGION_BLOCKED"}, "Not here", "REGION_BLOCKED"),
        ({"error": "x", "code": 11401}, "x", "11401"),
        ({"error": "x", "code": ["odd"]}, "x", ""),
        ({"error": {"message": "nested"}}, "nested", ""),
        (
            {"error": {"name": "ZodError", "message": ISSUES}},
            "Too big: expected number to be <=100",
            "",
        ),
        ([{"message": "one"}, {"message": "two"}], "one; two", ""),
        (
            "\nInvalid `prisma.$queryRaw()`\n invocation",
            "Invalid `prisma.$queryRaw()` invocation",
            "",
        ),
        ("[not json", "[not json", ""),
        ("[" * 100_000, "[" * 500, ""),
        ("[1]", "[1]", ""),
        ({"error": {"error": {"error": {"error": {"error": {"error": "deep"}}}}}}, None, ""),
        ({"error": "y" * 900}, "y" * 500, ""),
        ({}, None, ""),
        ([], None, ""),
        (None, None, ""),
        (3, None, ""),
    ],
)
def test_rest_error(payload, message, code):
    error = parsers.rest_error(418, payload)
    assert error.message == (message or "HTTP 418 without an explanation")
    assert (error.status, error.code) == (418, code)


def test_raise_for_rest():
    parsers.raise_for_rest(200, {"error": "not looked at"})
    with pytest.raises(ApiError, match="gone"):
        parsers.raise_for_rest(400, {"error": "gone"})


PAGES = [
    parsers.models_page,
    parsers.trpc_models_page,
    parsers.images_page,
    parsers.trpc_images_page,
    parsers.posts_page,
]


@pytest.mark.parametrize("parse", PAGES)
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"error": "No model with id 0"}, "got error"),
        ({"items": None, "metadata": {}}, "got items, metadata"),
        ({"items": {}}, "got items"),
        ({}, "got no keys"),
        ([], "got list"),
        (None, "got NoneType"),
        ("text", "got str"),
        ({"items": [], "nextCursor": True}, "a cursor, got bool"),
        ({"items": [], "nextCursor": [1]}, "a cursor, got list"),
        ({"items": [], "metadata": {"nextCursor": 0.5}}, "a cursor, got float"),
    ],
)
def test_a_page_that_is_none(parse, payload, said):
    with pytest.raises(UnexpectedShapeError, match=said):
        parse(payload)


def next_page(query: Any) -> Any:
    return {"metadata": {"nextPage": f"https://civitai.com/api/v1/models?{query}"}}


@pytest.mark.parametrize(
    ("payload", "cursor"),
    [
        ({}, None),
        ({"metadata": None}, None),
        ({"metadata": {}}, None),
        ({"metadata": {"nextCursor": None}}, None),
        ({"metadata": {"nextCursor": ""}}, None),
        ({"metadata": {"nextCursor": 101}}, 101),
        ({"metadata": {"nextCursor": 101.0}}, 101),
        ({"metadata": {"nextCursor": "101"}}, "101"),
        ({"metadata": {"nextCursor": "76:341:146864"}}, "76:341:146864"),
        (
            {"metadata": {"nextCursor": "22138|364671|25494", "currentPage": 1}},
            "22138|364671|25494",
        ),
        ({"nextCursor": "2024-08-14T19:10:27.421Z|5427833"}, "2024-08-14T19:10:27.421Z|5427833"),
        ({"nextCursor": 0}, 0),
        ({"nextCursor": None}, None),
        (next_page("cursor=76%3A341%3A146864&token=abc"), "76:341:146864"),
        (next_page("page=2"), None),
        ({"metadata": {"nextPage": 7}}, None),
        ({"metadata": {"nextPage": "http://[broken"}}, None),
    ],
)
def test_next_cursor(payload, cursor):
    found = parsers.posts_page({"items": [], **payload}).next_cursor
    assert found == cursor
    assert type(found) is type(cursor)


def test_a_broken_record_costs_itself_only():
    page = parsers.posts_page({"items": [{"id": 1}, {"id": "x"}, 5, {"id": 4}], "nextCursor": 9})
    assert [post.id for post in page.items] == [1, 4]
    assert page.next_cursor == 9
    assert [str(error) for error in page.broken] == [
        "post without id: items[1].id: expected an integer, got 'x'",
        "post without id: items[2]: expected an object, got 5",
    ]


def test_attempt_lets_other_errors_through():
    def convert(record, path):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        envelope.attempt(convert, {}, "", [])
