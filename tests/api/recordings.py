"""Recorded cases: a folder each, with the body that came and, beside it, what has to become of it.

``envelopes/`` holds tRPC answers, ``pages/`` HTML pages, ``requests/`` the inputs of a browser.
``expected.json`` was written from the superjson form of the same content where there are two forms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent.parent / "recorded"


def recorded(pattern: str) -> list[str]:
    """Name the case folders that match; never none, or a test would pass by having no case."""
    names = sorted(str(path.relative_to(RECORDED)) for path in RECORDED.glob(pattern))
    assert names, f"no recorded case {pattern}"
    return names


def body(case: str, name: str = "body.json") -> Any:
    text = (RECORDED / case / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else text


def expected(case: str) -> Any:
    return body(case, "expected.json")
