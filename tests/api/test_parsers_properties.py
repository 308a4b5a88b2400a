"""Whatever stands anywhere in an answer: our own errors or items that a JSON feed can hold."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from civitai_crawler.api import parsers
from civitai_crawler.exceptions import BadRecordError, UnexpectedShapeError
from tests.recorded import cases

NOTHING: list[Any] = [None, True, "", [], {}, [None], [[]], {"": None}, {"id": "x"}, {"meta": []}]
NUMBERS = ["7", -1, 0, 10**400, float("inf"), float("nan")]
TEXTS = ["x", "\ud83e", "https://[", "https://x/?token=1", "{", "{A}", "[1"]
ODD = st.sampled_from([*NOTHING, *NUMBERS, *TEXTS])
VALUES = ODD | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FOLDERS = [
    folder
    for folder in cases.folders()
    if cases.expected(folder)["parser"] not in {"rest_error", "me"}
]
ANSWERS = {folder.name: cases.answer(folder / "body.json") for folder in FOLDERS}
PARSERS = {folder.name: cases.expected(folder)["parser"] for folder in FOLDERS}


def places(value: Any, path: Any = ()) -> Any:
    """Paths of all values inside a decoded answer."""
    found = [path]
    if isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            found += places(entry, (*path, key))
    return found


PLACES = {name: places(answer) for name, answer in ANSWERS.items()}


def replaced(answer: Any, path: Any, value: Any) -> Any:
    if not path:
        return value
    answer = copy.deepcopy(answer)
    inner = answer
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return answer


@st.composite
def broken_answers(draw: Any) -> Any:
    name = draw(st.sampled_from(sorted(ANSWERS)))
    answer = replaced(ANSWERS[name], draw(st.sampled_from(PLACES[name])), draw(VALUES))
    return PARSERS[name], answer


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(broken_answers())
def test_nothing_but_our_own_errors(broken):
    parser, answer = broken
    arguments = {"image_id": 1} if parser == "generation_data" else {}
    try:
        result = getattr(parsers, parser)(answer, **arguments)
    except (BadRecordError, UnexpectedShapeError):
        return
    assert cases.plain(result) is not None


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(400, 599))
def test_any_error_body_gives_one_line(payload, status):
    error = parsers.rest_error(status, payload)
    assert error.message
    assert "\n" not in error.message
