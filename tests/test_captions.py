"""Captions from prompts: the text is kept, the grammar of the programs is not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_crawler.api.captions import one_line, plain


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("", ""),
        ("calm pond, ink wash", "calm pond, ink wash"),
        ("(masterpiece:1.2), [flat], {paper}", "masterpiece, flat, paper"),
        ("((a lantern)), (b (c:0.5) d:1.10)", "a lantern, b c d"),
        ("a fox <lora:lantern v2:0.8>, <hypernet:x:1><lyco:y:.5:.5>", "a fox"),
        ("I <3 foxes, a < b > c", "I <3 foxes, a < b > c"),
        (r"fox \(series\), [x\]y]", "fox (series), x]y"),
        ("a BREAK b\nBREAK\nc, , ,d,", "a, b, c, d"),
        ("BREAKFAST at dawn", "BREAKFAST at dawn"),
        ("[fox:wolf:0.5], [night:0.3], [rain::0.6]", "wolf, night, rain"),
        ("[cow|horse] in a field", "cow in a field"),
        ("[a:(b:1.2):10] [(x|y)|z]", "b x|y"),
        ("(style: oil)", "style: oil"),
        ("smile :) (wink ;)", "smile :) wink ;"),
        ("open (never closed, [too", "open never closed, too"),
        ("a [b) c], ratio 3:2", "a b) c, ratio 3:2"),
        ("score:1.5) back\\slash\\", "score:1.5) back\\slash\\"),
        ("two\r\n lines\t here", "two lines here"),
        ("狐 (灯り:1.3)", "狐 灯り"),
    ],
)
def test_captions(prompt, caption):
    assert plain(prompt) == caption


def test_as_written_on_one_line():
    assert one_line(" (a:1.2),\n<lora:x:1>\u2028b ") == "(a:1.2), <lora:x:1> b"


@given(st.text(alphabet="ab ,:()[]{}|\\<>.1\nBREAK\u2028"))
def test_every_prompt_becomes_one_line(prompt):
    caption = plain(prompt)
    assert len(caption.splitlines()) <= 1
    assert caption == one_line(caption)


@pytest.mark.parametrize("part", ["(", "[a:", "[", ":1", "\\", "<a:", "a|", "[a|(b:1)"])
def test_no_prompt_takes_long(part):
    """A quadratic reader takes minutes for these."""
    before = time.process_time()
    plain(part * 20_000 + ":1]" * 1000)
    assert time.process_time() - before < 20
