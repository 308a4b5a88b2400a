"""Every recorded answer gives exactly the items written down beside it."""

from __future__ import annotations

import pytest

from tests.recorded import cases


@pytest.mark.parametrize("folder", cases.folders(), ids=lambda folder: folder.name)
def test_recorded(folder):
    assert cases.outcome(folder) == cases.expected(folder)["result"]


def test_there_are_cases():
    assert len(cases.folders()) > 50
