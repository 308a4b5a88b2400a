"""Parameters as programs write them in words: what is read, and that it is read in linear time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from civitai_crawler.api import parameters
from tests.api.metadata import A1111, EXPECTED


def test_all_parts():
    assert parameters.parse(A1111) == EXPECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"prompt": ""}),
        ("a fox", {"prompt": "a fox"}),
        ("a fox\nNegative prompt: cat", {"prompt": "a fox", "negativePrompt": "cat"}),
        ("Negative prompt:\nSteps: 1", {"prompt": "", "negativePrompt": "", "steps": 1}),
        ("Steps: 20", {"prompt": "", "steps": 20}),
        ("a\n \tSteps: 20, Seed: 5", {"prompt": "a", "steps": 20, "seed": 5}),
        ("a\r\nSteps: 20, Seed: -1\r\n", {"prompt": "a", "steps": 20, "seed": -1}),
        (
            "Steps: 3 stairs to the lake\nSteps: 20",
            {"prompt": "Steps: 3 stairs to the lake", "steps": 20},
        ),
        ("Steps: to heaven\nSteps: 20", {"prompt": "Steps: to heaven", "steps": 20}),
        ("x\nSteps: 2, Size: 8x8, Steps: 9", {"prompt": "x", "steps": 2, "Size": "8x8"}),
        ("x\nSteps: 2, prompt: y, Seed: soon", {"prompt": "x", "steps": 2, "seed": "soon"}),
        ("x\nSteps: 2, CFG scale: 7", {"prompt": "x", "steps": 2, "cfgScale": 7}),
        (
            "x\nSteps: 2, Template: a, b, Seed: 5\nWildcards: c, d",
            {"prompt": "x", "steps": 2, "Template": "a, b", "seed": 5, "Wildcards": "c, d"},
        ),
        (
            (
                'x\nSteps: 2, Civitai resources: [{"type":"lora","weight":0.8,"modelVersionId":7}],'
                ' Civitai metadata: {"remixOfId":3}, Hashes: {"model": "AA"}'
            ),
            {
                "prompt": "x",
                "steps": 2,
                "civitaiResources": [{"type": "lora", "weight": 0.8, "modelVersionId": 7}],
                "extra": {"remixOfId": 3},
                "hashes": {"model": "AA"},
            },
        ),
        (
            'x\nSteps: 2, VAE hash: 12ab, TI hashes: "bad: cd34", Hashes: none',
            {
                "prompt": "x",
                "steps": 2,
                "VAE hash": "12ab",
                "TI hashes": "bad: cd34",
                "hashes": {"vae": "12ab", "embed:bad": "cd34"},
            },
        ),
        (
            "x\nSteps: 2, ControlNet: {'Method': 1, 'b': 2}, Seed: 1",
            {"prompt": "x", "steps": 2, "ControlNet": "{'Method': 1, 'b': 2}", "seed": 1},
        ),
        ('x\nSteps: 2, A: "open, B: 2', {"prompt": "x", "steps": 2, "A": '"open', "B": "2"}),
        ('x\nSteps: 2, A: "\\x", B: 2', {"prompt": "x", "steps": 2, "A": "\\x", "B": "2"}),
        ('x\nSteps: 2, A: "b" c, B: ', {"prompt": "x", "steps": 2, "A": "b", "B": ""}),
        ("x\nSteps: 2,", {"prompt": "x", "steps": 2}),
        (f"x\nSteps: {'9' * 5000}", {"prompt": "x", "steps": "9" * 5000}),
    ],
)
def test_text(text, expected):
    assert parameters.parse(text) == expected


def test_a_text_with_countless_pairs_is_cut():
    text = "x\nSteps: 1, " + ", ".join(f"k{number}: 1" for number in range(5_000))
    assert len(parameters.parse(text)) <= parameters.MAX_PAIRS + 2


UGLY = ["\n", ", ", ',a:"', ",a:[", ",a:{", "a:b,", ":", "a ", '\\"', '"', "[", "Steps: 1\n", ", ,"]


@pytest.mark.parametrize("piece", UGLY)
def test_ugly_texts_take_linear_time(piece):
    started = time.process_time()
    parameters.parse("Steps: 1" + piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 3


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    st.integers(0, 2**80),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_a_program_writes_is_read_back(prompt, seed, note):
    text = f"{prompt}\nSteps: 20, Seed: {seed}, Note: {json.dumps(note)}, Version: v1"
    known = parameters.parse(text)
    assert (known["seed"], known["Note"], known["Version"]) == (seed, note, "v1")
    if "Negative prompt:" not in prompt:
        assert known["prompt"] == prompt.strip()
