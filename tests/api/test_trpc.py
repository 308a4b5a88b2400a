from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_crawler.api import procedures, trpc
from civitai_crawler.exceptions import ApiError, UnexpectedShapeError
from tests.api import recordings

SAMPLES = Path(
    os.environ.get("CIVITAI_SAMPLES", Path(__file__).parents[2].parent / "shared" / "samples")
)

#: The payload of the site's own models page, as far as one call never changes it.
BROWSER = {
    "periodMode": "published",
    "sort": "Newest",
    "username": "lumen_fox",
    "period": "AllTime",
    "pending": False,
    "hidden": False,
    "followed": False,
    "earlyAccess": False,
    "fromPlatform": False,
    "supportsGeneration": False,
    "isFeatured": False,
    "browsingLevel": 31,
    "excludedTagIds": [415792, 426772, 5188],
    "disablePoi": True,
    "disableMinor": True,
}


def sent(address: str) -> tuple[str, Any]:
    """Read an address as a server does: procedures and input."""
    parts = urlsplit(address)
    assert parts.path.startswith("/api/trpc/")
    return parts.path.removeprefix("/api/trpc/"), json.loads(parse_qs(parts.query)["input"][0])


def told(error: ApiError) -> dict[str, Any]:
    return {"message": str(error), "status": error.status, "code": error.code}


# --- procedures ---------------------------------------------------------------------------------


def test_models_are_asked_for_with_the_payload_of_the_browser():
    call = procedures.model_get_all(
        username="lumen_fox",
        cursor="2026-02-03 04:05:06.789|501004",
        limit=None,
        sort="Newest",
        archived=False,
        authed=True,
        excluded_tag_ids=[415792, 426772, 5188],
    )

    payload = BROWSER | {"authed": True, "cursor": "2026-02-03 04:05:06.789|501004"}
    assert sent(trpc.url(call)) == ("model.getAll", {"json": payload})


def test_models_with_every_filter():
    call = procedures.model_get_all(
        username="lumen_fox",
        level=3,
        types=("LORA",),
        base_models=["Pony"],
        disable_poi=False,
        disable_minor=False,
    )

    assert sent(trpc.url(call))[1]["json"] == BROWSER | {
        "sort": "Oldest",
        "browsingLevel": 3,
        "excludedTagIds": [],
        "disablePoi": False,
        "disableMinor": False,
        "limit": 100,
        "archived": True,
        "types": ["LORA"],
        "baseModels": ["Pony"],
    }


@pytest.mark.parametrize(
    ("markers", "case"),
    [(False, "image.getInfinite (omit keys)"), (True, "image.getInfinite (undefined markers)")],
)
def test_images_of_a_post_are_asked_for_in_both_forms(markers, case):
    call = procedures.image_get_infinite(
        post_id=801001, limit=None, level=None, sort=None, include=(), authed=True
    )
    wanted = recordings.body("requests", "inputs.json")[case]
    # The browser sends these three on top of the recorded request.
    wanted["json"] |= {"excludedTagIds": [], "disablePoi": True, "disableMinor": True}

    assert sent(trpc.url(call, markers=markers)) == ("image.getInfinite", wanted)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"post_id": 801001}, {"postId": 801001}),
        ({"post_ids": (801001, 801002)}, {"postIds": [801001, 801002]}),
        ({"model_version_id": 701001}, {"modelVersionId": 701001}),
        ({"username": "lumen_fox"}, {"username": "lumen_fox"}),
        ({"cursor": 3}, {"cursor": 3}),
        ({"cursor": 0}, {"cursor": 0}),
        ({"cursor": "3"}, {"cursor": "3"}),
        ({"cursor": "2|1777717805120"}, {"cursor": "2|1777717805120"}),
        ({"excluded_tag_ids": (5188,)}, {"excludedTagIds": [5188]}),
        ({"pending": False}, {"pending": False}),
        ({"authed": True}, {"authed": True}),
    ],
)
def test_images_by_filter_and_cursor(asked, expected):
    always = {
        "pending": True,
        "browsingLevel": 31,
        "withMeta": False,
        "include": ["metaSelect", "tagIds"],
        "excludedTagIds": [],
        "disablePoi": True,
        "disableMinor": True,
        "sort": "Oldest",
        "limit": 200,
    }

    body = sent(trpc.url(procedures.image_get_infinite(**asked)))[1]["json"]

    assert body == always | expected
    assert all(type(body[key]) is type(value) for key, value in expected.items())


def test_posts_of_a_user():
    call = procedures.post_get_infinite(
        username="lumen_fox", limit=100, cursor="2026-04-01T09:00:00.000Z|800990", authed=True
    )
    wanted = recordings.body("requests", "inputs.json")["post.getInfinite page 2"]["json"]

    assert sent(trpc.url(call)) == (
        "post.getInfinite",
        {"json": wanted | {"disablePoi": True, "disableMinor": True}},
    )


@pytest.mark.parametrize(
    ("call", "procedure", "values"),
    [
        (procedures.model_get_by_id(501001), "model.getById", {"id": 501001}),
        (procedures.post_get(801001), "post.get", {"id": 801001}),
        (procedures.image_get(910001, authed=True), "image.get", {"id": 910001, "authed": True}),
        (
            procedures.image_get_generation_data(910001, authed=True),
            "image.getGenerationData",
            {"id": 910001, "authed": True},
        ),
        (procedures.user_get_creator("lumen_fox"), "user.getCreator", {"username": "lumen_fox"}),
        (
            procedures.user_profile_overview("lumen_fox"),
            "userProfile.overview",
            {"username": "lumen_fox"},
        ),
    ],
)
def test_calls_by_id_and_name(call, procedure, values):
    assert sent(trpc.url(call)) == (procedure, {"json": values})


# --- addresses ----------------------------------------------------------------------------------


def test_one_call_reads_like_this():
    assert trpc.url(trpc.Call("image.get", {"id": 910001})) == (
        "/api/trpc/image.get?input=%7B%22json%22%3A%7B%22id%22%3A910001%7D%7D"
    )


def test_a_batch_is_numbered():
    address = trpc.url(procedures.image_get(910001), procedures.image_get(999999999))

    assert address.startswith("/api/trpc/image.get,image.get?batch=1&input=")
    assert sent(address)[1] == recordings.body("requests", "inputs.json")["batch"]


def test_each_call_of_a_batch_has_its_own_markers():
    calls = trpc.Call("a.b", {"cursor": None}), trpc.Call("c.d", {"id": 1})

    assert sent(trpc.url(*calls, markers=True)) == (
        "a.b,c.d",
        {
            "0": {"json": {"cursor": None}, "meta": {"values": {"cursor": ["undefined"]}}},
            "1": {"json": {"id": 1}},
        },
    )


def test_the_order_of_the_input_does_not_matter():
    one = trpc.Call("a.b", {"x": 1, "y": 2})
    other = trpc.Call("a.b", {"y": 2, "x": 1})

    assert trpc.url(one) == trpc.url(other)


def test_no_call_is_a_mistake():
    with pytest.raises(ValueError, match="at least one"):
        trpc.url()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_any_input_survives_the_address(values):
    address = trpc.url(trpc.Call("a.b", values))
    marked = sent(trpc.url(trpc.Call("a.b", values), markers=True))[1]
    present = {key: value for key, value in values.items() if value is not None}
    undefined = {key: ["undefined"] for key in values.keys() - present.keys()}

    assert address.isascii()
    assert not set(address) & set(' "<>#{}|')
    assert sent(address) == ("a.b", {"json": present})
    assert marked["json"] == values
    assert marked.get("meta", {"values": {}}) == {"values": undefined}


# --- envelopes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", recordings.recorded("envelopes/*"))
def test_recorded_envelopes(case):
    expected = recordings.expected(case)
    payload = recordings.body(case)
    if "results" in expected:
        found = [
            {"error": told(one)} if isinstance(one, ApiError) else {"data": one}
            for one in trpc.results(payload, len(expected["results"]))
        ]
        assert found == expected["results"]
    elif "error" in expected:
        with pytest.raises(ApiError) as caught:
            trpc.result(payload)
        assert told(caught.value) == expected["error"]
    else:
        assert trpc.result(payload) == expected["data"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"json": {"id": 1}}, {"id": 1}),
        ({"json": [1, 2]}, [1, 2]),
        ({"json": 0}, 0),
        ({"json": None}, None),
        ({"json": None, "meta": {"values": ["undefined"]}}, None),
        ({"meta": {"values": ["undefined"]}}, None),
        ({"json": {"id": 1}, "meta": {}, "later": 1}, {"id": 1}),
        ('[{"id":1},7]', {"id": 7}),
        ("-1", None),
        ({"items": [], "nextCursor": 35}, {"items": [], "nextCursor": 35}),
        ({}, {}),
        ([1], [1]),
        (None, None),
    ],
)
def test_data_comes_in_many_dresses(data, expected):
    assert trpc.result({"result": {"data": data}}) == expected


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "text",
        [],
        {},
        {"result": None},
        {"result": []},
        {"result": {}},
        {"message": "Not found"},
        {"error": None},
        {"error": []},
        {"error": 5},
        {"error": '["a text"]'},
        {"result": {"data": "no devalue"}},
    ],
)
def test_other_shapes_are_refused(payload):
    with pytest.raises(UnexpectedShapeError):
        trpc.result(payload)


def error(message: str | None = "Gone", data: Any = None) -> dict[str, Any]:
    return {"error": {"json": {"message": message, "code": -32004, "data": data}}}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (error(data={"code": "NOT_FOUND", "httpStatus": 404}), ("Gone", 404, "NOT_FOUND")),
        (error(data={"code": "NOT_FOUND"}), ("Gone", 404, "NOT_FOUND")),
        (error(data={"code": "NEW_CODE"}), ("Gone", 0, "NEW_CODE")),
        (error(data={"code": 5, "httpStatus": "404"}), ("Gone", 0, "")),
        (error(data="text"), ("Gone", 0, "")),
        (error(None, {"code": "TIMEOUT"}), ("TIMEOUT", 408, "TIMEOUT")),
        (error(" ", None), ("the server gave no reason", 0, "")),
        (error("\nInvalid `x`\n\n  failed"), ("Invalid `x` failed", 0, "")),
        (error("[]"), ("[]", 0, "")),
        (error("[" * 100_000), ("[" * 100_000, 0, "")),
        (error('{"a": 1}'), ('{"a": 1}', 0, "")),
        (error('[{"message": "bad"}, {"path": []}, 1]'), ("bad", 0, "")),
        (
            error('[{"message": "bad", "path": ["ids", 0]}, {"message": "worse"}]'),
            ("ids.0: bad; worse", 0, ""),
        ),
        ({"error": {"message": "Old", "data": {"httpStatus": 400}}}, ("Old", 400, "")),
        (
            {"error": "Not here (invented)", "code": "REGION_BLOCKED"},
            ("Not here (invented)", 451, "REGION_BLOCKED"),
        ),
        ({"error": "Unauthorized"}, ("Unauthorized", 0, "")),
        ({"error": {"message": "Both"}, "result": {"data": 1}}, ("Both", 0, "")),
    ],
)
def test_errors_speak(payload, expected):
    with pytest.raises(ApiError) as caught:
        trpc.result(payload)

    assert (caught.value.message, caught.value.status, caught.value.code) == expected


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_may_mix_encodings():
    payload = [
        {"result": {"data": "[[1],2]"}},
        {"error": '[{"message":1,"data":2},"No",{"code":3},"FORBIDDEN"]'},
        {"result": {"data": {"json": 3}}},
    ]

    first, second, third = trpc.results(payload, 3)

    assert (first, third) == ([2], 3)
    assert told(second) == {"message": "No", "status": 403, "code": "FORBIDDEN"}


def test_data_that_cannot_be_decoded_costs_its_call_only():
    first, second = trpc.results([{"result": {"data": "[[9]]"}}, {"result": {"data": "[5]"}}], 2)
    assert told(first) == {
        "message": "devalue position 9 is outside of the text", "status": 0, "code": "",
    }  # fmt: skip
    assert second == 5


def test_a_lone_error_refuses_the_whole_batch():
    with pytest.raises(ApiError, match="Gone"):
        trpc.results(error(), 2)


def test_a_lone_answer_serves_a_single_call():
    assert trpc.results({"result": {"data": {"json": 3}}}, 1) == [3]
    (failure,) = trpc.results(error(), 1)
    assert isinstance(failure, ApiError)


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        ([{"result": {"data": 1}}], 2),
        ([{"result": {"data": 1}}] * 3, 2),
        ({"result": {"data": 1}}, 2),
        ([{"result": {"data": 1}}, {}], 2),
        ([{"result": {"data": 1}}, 5], 2),
        ([{"result": {"data": 1}}, {"result": 5}], 2),
        (None, 1),
    ],
)
def test_a_batch_with_a_gap_is_refused(payload, count):
    with pytest.raises(UnexpectedShapeError):
        trpc.results(payload, count)


# --- recordings that are not part of this repository --------------------------------------------


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the folder of samples (CIVITAI_SAMPLES)")
def test_every_recorded_envelope_is_read():
    read = 0
    for file in sorted(SAMPLES.glob("trpc_*/*.json")):
        payload = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(payload, dict) and "result" in payload:
            assert trpc.result(payload) == payload["result"]["data"]["json"], file.name
            read += 1
    for file in sorted((SAMPLES / "errors").glob("trpc_*.json")):
        with pytest.raises(ApiError) as caught:
            trpc.result(json.loads(file.read_text(encoding="utf-8")))
        assert str(caught.value.status) in file.name
        read += 1
    assert read > 10
