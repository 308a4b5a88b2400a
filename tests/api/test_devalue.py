from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_crawler.api import devalue
from civitai_crawler.exceptions import UnexpectedShapeError


def encode(value: Any) -> str:
    """Write plain JSON types as devalue does: equal scalars share one position, None is a value."""
    table: list[Any] = []
    places: dict[tuple[type, str] | None, int] = {}

    def put(value: Any) -> int:
        key = (type(value), repr(value)) if not isinstance(value, dict | list) else None
        if key in places:
            return places[key]
        place = len(table)
        table.append(value)
        if key is not None:
            places[key] = place
        elif isinstance(value, dict):
            table[place] = {name: put(member) for name, member in value.items()}
        else:
            table[place] = [put(member) for member in value]
        return place

    put(value)
    return json.dumps(table)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)  # fmt: skip


@settings(deadline=None)  # the machine may be busy
@given(JSON)
def test_every_value_comes_back(value):
    decoded = devalue.unflatten(encode(value))

    assert json.dumps(decoded) == json.dumps(value)


TABLE = [
    ('["text"]', "text"),
    ("[17739416935733250000]", 17739416935733250000),
    ("[0.1]", 0.1),
    ("[null]", None),
    ("[true]", True),
    ("[[]]", []),
    ("[{}]", {}),
    # constants: undefined, hole, NaN, two infinities, minus zero
    ("-1", None),
    ("-6", 0),
    ("[[-1,-2,-3,-4,-5,-6]]", [None, None, None, None, None, 0]),
    ('[{"a":-1}]', {"a": None}),
    # typed values
    ('[["Date","2026-05-02T10:12:00.000Z"]]', "2026-05-02T10:12:00.000Z"),
    ('[["Date",""]]', None),
    ('[["BigInt","17739416935733250001"]]', 17739416935733250001),
    ('[["Set",1,2],"a","b"]', ["a", "b"]),
    ('[["Set"]]', []),
    ('[["Map",1,2],"a",5]', {"a": 5}),
    ('[["Map"]]', {}),
    ('[["Map",1,2,2,1],"a",5]', [["a", 5], [5, "a"]]),
    ('[["Map",1,2],[],5]', [[[], 5]]),
    ('[["RegExp","a+","gi"]]', "/a+/gi"),
    ('[["RegExp","a+"]]', "/a+/"),
    ('[["Object",1],5]', 5),
    ('[["null","a",1,"b",-1],5]', {"a": 5, "b": None}),
    ('[["URL","https://example.org/"]]', "https://example.org/"),
    ('[["Custom",1],{"a":2},3]', {"a": 3}),
    # lists with holes
    ("[[-7,3,1,1],5]", [None, 5, None]),
    ("[[-7,0]]", []),
    # a text in front of a list is a type only where it is written, not where it is pointed at
    ('[[1,2],"Date","x"]', ["Date", "x"]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_known_texts(text, expected):
    decoded = devalue.unflatten(text)

    assert decoded == expected
    assert type(decoded) is type(expected)


def test_what_is_used_twice_is_there_twice_and_independent():
    decoded = devalue.unflatten('[[1,1],{"a":2},5]')

    assert decoded == [{"a": 5}, {"a": 5}]
    decoded[0].clear()
    assert decoded[1] == {"a": 5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[0]]", [None]),
        ('[{"self":0,"name":1},"x"]', {"self": None, "name": "x"}),
        ('[{"child":1},{"parent":0}]', {"child": {"parent": None}}),
        ('[["Set",0]]', [None]),
        ('[["Map",1,0],"me"]', {"me": None}),
        ('[["Object",0]]', None),
        ("[[1,2],[2],[1]]", [[[None]], [[None]]]),
    ],
)
def test_cycles_are_cut(text, expected):
    assert devalue.unflatten(text) == expected


def chain(levels: int) -> str:
    return json.dumps([[place + 1] for place in range(levels - 1)] + [[]])


def test_deep_values_have_a_floor():
    decoded = devalue.unflatten(chain(devalue.MAX_DEPTH))
    for _ in range(devalue.MAX_DEPTH - 1):
        (decoded,) = decoded
    assert decoded == []
    for levels in (devalue.MAX_DEPTH + 1, 100_000):
        with pytest.raises(UnexpectedShapeError, match="deep"):
            devalue.unflatten(chain(levels))


def test_the_deepest_types_fit_on_the_stack():
    sets = [["Set", place + 1] for place in range(devalue.MAX_DEPTH - 1)]

    assert devalue.unflatten(json.dumps([*sets, 5])) is not None


def test_a_short_text_cannot_unfold_without_end(monkeypatch):
    doubling = [[place + 1, place + 1] for place in range(60)]
    monkeypatch.setattr(devalue, "MAX_VALUES", 10_000)
    with pytest.raises(UnexpectedShapeError, match="more than"):
        devalue.unflatten(json.dumps([*doubling, 1]))
    everyone = [list(range(30))] * 30
    with pytest.raises(UnexpectedShapeError, match="more than"):
        devalue.unflatten(json.dumps(everyone))
    with pytest.raises(UnexpectedShapeError, match="more than"):
        devalue.unflatten("[[-7,1000000000]]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "[1",
        "[" * 100_000,
        "[" + "9" * 5000 + "]",
        "{}",
        "[]",
        "true",
        "5",
        "-7",
        '"text"',
        "[[1]]",  # outside of the table
        "[[-8]]",
        '[["Set",-7]]',
        "[[true]]",  # positions that are none
        "[[null]]",
        "[[[0]]]",
        "[[1.0],2]",
        '[{"a":"b"}]',
        '[["BigInt","x"]]',
        '[["BigInt",null]]',
        '[["BigInt"]]',
        '[["Date"]]',
        '[["RegExp"]]',
        '[["RegExp","a",5]]',
        '[["Map",1],5]',
        '[["Object"]]',
        '[["Object",true]]',
        '[["Uint8Array",1,2,3],5]',
        "[[-7]]",
        "[[-7,-1]]",
        "[[-7,true]]",
        "[[-7,2,0],5]",
        "[[-7,1,1,1],5]",
        "[[-7,1,true,1],5]",
        '[[-7,1,"0",1],5]',
    ],
)
def test_broken_texts_are_refused(text):
    with pytest.raises(UnexpectedShapeError):
        devalue.unflatten(text)


@settings(deadline=None)  # the machine may be busy
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-8, 6) | st.sampled_from(["Set", "Map", "Date"]),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner),
    )
)
def test_any_json_is_decoded_or_refused(table):
    try:
        decoded = devalue.unflatten(json.dumps(table))
    except UnexpectedShapeError:
        return
    json.dumps(decoded, allow_nan=False)
