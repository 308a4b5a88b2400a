"""JSON values into Python values, and the object reader."""

from __future__ import annotations

import json
import math

import pytest

from civitai_crawler.api import parsers
from civitai_crawler.api.parsers import clean, convert
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.exceptions import BadRecordError


@pytest.mark.parametrize(
    ("converter", "value", "result"),
    [
        (convert.integer, 5, 5),
        (convert.integer, -1, -1),
        (convert.integer, 17739416935733250000, 17739416935733250000),
        (convert.integer, "17739416935733250000", 17739416935733250000),
        (convert.integer, " 7 ", 7),
        (convert.integer, "\x1f7\x1c", 7),
        (convert.number, "\x1f7.5\x1c", 7.5),
        (convert.integer, 7.0, 7),
        (convert.integer, 7.5, None),
        (convert.integer, math.nan, None),
        (convert.integer, math.inf, None),
        (convert.integer, True, None),
        (convert.integer, "1_000", None),
        (convert.integer, "\uff17", None),
        (convert.integer, "9" * 5000, None),
        (convert.integer, [], None),
        (convert.number, 5, 5.0),
        (convert.number, "0.4", 0.4),
        (convert.number, " -1e3 ", -1000.0),
        (convert.number, ".5", 0.5),
        (convert.number, "1e999", None),
        (convert.number, "nan", None),
        (convert.number, math.inf, None),
        (convert.record_id, "7", 7),
        (convert.record_id, 2**63 - 1, 2**63 - 1),
        (convert.record_id, 2**63, None),
        (convert.record_id, "x", None),
        (convert.number, 10**400, None),
        (convert.number, 1e308, None),
        (convert.number, "-1e308", None),
        (convert.number, 1e299, 1e299),
        (convert.number, math.nan, None),
        (convert.number, False, None),
        (convert.number, {}, None),
        (convert.text, "", ""),
        (convert.text, 5, "5"),
        (convert.text, 0.5, "0.5"),
        (convert.text, True, None),
        (convert.text, [], None),
        (convert.flag, True, True),
        (convert.flag, 0, False),
        (convert.flag, "True", True),
        (convert.flag, "false", False),
        (convert.flag, "Soft", None),
        (convert.flag, 2, None),
        (convert.flag, [], None),
        (convert.mapping, {"a": 1}, {"a": 1}),
        (convert.mapping, [], None),
        (convert.objects, [{}], [{}]),
        (convert.objects, [1], None),
        (convert.objects, {}, None),
        (convert.texts, ["a", 1], ["a", "1"]),
        (convert.texts, "a", ["a"]),
        (convert.texts, ["a", None], None),
        (convert.texts, {}, None),
        (convert.integers, [1, "2"], [1, 2]),
        (convert.integers, [1, None], None),
        (convert.integers, "1", None),
        (convert.names, ["a"], ["a"]),
        (convert.names, [{"name": "a"}], ["a"]),
        (convert.names, [{"tag": {"id": 1, "name": "a"}}], ["a"]),
        (convert.names, [5101], ["5101"]),
        (convert.names, [{"id": 1}], None),
        (convert.names, "a", ["a"]),
        (convert.names, 5, None),
        (convert.ids, [1, {"id": 2, "name": "b"}], [1, 2]),
        (convert.ids, [{}], None),
        (convert.ids, {}, None),
        (convert.commercial_use, "{Image,RentCivit}", ["Image", "RentCivit"]),
        (convert.commercial_use, '{"Image", Sell}', ["Image", "Sell"]),
        (convert.commercial_use, "{}", []),
        (convert.commercial_use, "None", []),
        (convert.commercial_use, "RentCivit", ["RentCivit"]),
        (convert.commercial_use, ["Sell", "Image"], ["Sell", "Image"]),
        (convert.commercial_use, [], []),
        (convert.commercial_use, ["None"], []),
        (convert.commercial_use, 5, None),
        (convert.hashes, {"SHA256": "AB", "CRC32": None}, {"SHA256": "AB"}),
        (convert.hashes, [{"type": "SHA256", "hash": "AB"}], {"SHA256": "AB"}),
        (convert.hashes, {"SHA256": 5}, None),
        (convert.hashes, ["AB"], None),
        (convert.hashes, "AB", None),
    ],
)
def test_convert(converter, value, result):
    found = converter(value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ([math.nan, math.inf, 1.5, None, True], [None, None, 1.5, None, True]),
        ({"half \ud83e": "pair \ud83e\udd26 and half \ud83e"}, {"half �": "pair 🤦 and half �"}),
        ({1: 2}, {"1": 2}),
        ("https://civitai.com/a?type=Model&token=abc", "https://civitai.com/a?type=Model"),
        (
            "https://civitai.com/a?token=abc&type=Model#part",
            "https://civitai.com/a?type=Model#part",
        ),
        ("https://x/a?X-Amz-Signature=1&X-Amz-Date=2", "https://x/a"),
        ("https://x/a?mytoken=1", "https://x/a?mytoken=1"),
        ("a prompt with ?token=abc", "a prompt with ?token=abc"),
        ("clip.mp4?token=abc", "clip.mp4?token=abc"),
    ],
)
def test_json_safe(value, result):
    assert clean.json_safe(value) == result


def test_json_safe_flattens_what_is_nested_too_deeply():
    value: list[object] = []
    for _ in range(150):
        value = [value]
    safe = clean.json_safe(value)
    assert json.dumps(safe).count("[") == 151
    depth = 0
    while isinstance(safe, list):
        safe, depth = safe[0], depth + 1
    assert (depth, safe) == (100, "[" * 51 + "]" * 51)
    for _ in range(100_000):
        value = [value]
    assert "nested too deeply" in json.dumps(clean.json_safe(value))


RECORD = {"id": 1, "name": "n", "type": "LORA", "username": "fox", "odd": [math.nan, "\ud83e"]}


@pytest.mark.parametrize(
    "parse",
    [
        lambda: parsers.model_tree(RECORD).model,
        lambda: parsers.version_tree(RECORD).version,
        lambda: parsers.image_detail(RECORD),
        lambda: parsers.images_page({"items": [RECORD]}).items[0].image,
        lambda: parsers.post(RECORD),
        lambda: parsers.posts_page({"items": [RECORD]}).items[0],
        lambda: parsers.creator(RECORD),
        lambda: parsers.generation_data(RECORD, image_id=1),
    ],
)
def test_every_way_in_makes_its_record_safe(parse):
    assert parse().extra["odd"] == [None, "\ufffd"]


def test_without_storage():
    value = {
        "url": "kept",
        "files": [{"url": "dropped", "files": [{"url": "dropped"}], "name": "a"}, [{"url": 1}], 5],
        "parts": [{"files": {"url": "dropped", "id": 1}}],
    }
    assert clean.without_storage(value) == {
        "url": "kept",
        "files": [{"files": [{}], "name": "a"}, [{}], 5],
        "parts": [{"files": {"id": 1}}],
    }


def test_fields_take_the_first_that_converts_and_keep_the_others():
    fields = Fields({"a": "x", "b": 5, "c": 6, "d": None, "e": "more"}, "image")
    assert fields.integer("missing", "a", "b", "c") == 5
    assert fields.integer("d") is None
    assert fields.failed == {"a"}
    assert fields.rest() == {"a": "x", "c": 6, "e": "more"}


def test_fields_keep_of_a_child_what_was_asked():
    fields = Fields({"user": {"id": "x", "name": 1}, "meta": {"a": 1, "b": 2}}, "image", "items[0]")
    user, meta = fields.child("user"), fields.child("meta", keep=True)
    assert (user.integer("id"), meta.integer("a")) == (None, 1)
    assert fields.rest() == {"user": {"id": "x"}, "meta": {"b": 2}}
    assert meta.where("b") == "items[0].meta.b"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", "'x'"),
        ("y" * 99, "'" + "y" * 39 + "…"),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        ([1], "a list"),
        ({}, "an object"),
    ],
)
def test_fields_say_what_is_wrong_and_where(value, shown):
    with pytest.raises(BadRecordError) as caught:
        Fields({"id": 7, "other": value}, "post", "items[3]").identity("other")
    assert caught.value.why == f"items[3].other: expected an integer, got {shown}"
    assert (caught.value.kind, caught.value.record_id) == ("post", 7)


def test_fields_name_what_is_missing():
    fields = Fields({}, "post")
    with pytest.raises(
        BadRecordError, match=r"^post without id: id: expected an integer, got nothing"
    ):
        fields.identity()
    with pytest.raises(BadRecordError, match="title: expected a text, got nothing"):
        fields.needed_text("title")
    with pytest.raises(BadRecordError, match=r"^post without id: expected an object, got null"):
        Fields(None, "post")


def test_a_reference_may_be_missing_but_not_wrong():
    fields = Fields({"a": None, "b": True, "c": 5}, "image")
    assert fields.reference("missing", "a") is None
    assert fields.reference("b", "c") == 5
    with pytest.raises(BadRecordError, match="b: expected an integer, got true"):
        fields.reference("b")
