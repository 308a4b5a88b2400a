"""What a ledger of many images is asked costs as much as the answer, not as all there is."""

from __future__ import annotations

import json

import pytest

from civitai_crawler.ledger import Ledger, changes, holdings
from civitai_crawler.ledger.refusals import Refusal
from civitai_crawler.ledger.tally import summarize

POSTS, EACH = 200, 10
NUMBER = POSTS * EACH


@pytest.fixture
def ledger():
    """Give a ledger that holds posts of ten images each, in its second pass."""
    ledger = Ledger()
    scope = {"include": ["images"], "restricted": False, "levels": holdings.ALL_LEVELS}
    ledger.set_fact("scope", json.dumps(scope))
    ledger.set_fact("kinds", "Image,GenerationData")
    for image in range(NUMBER):
        ledger.add_item("Image", image, image // EACH)
    for post in range(POSTS):
        ledger.mark("post", post, json.dumps(["", None, EACH, 1]))
    ledger.passes = 1
    return ledger


def steps(ledger, ask):
    """Count the thousands of steps of SQLite that *ask* takes."""
    counted = []
    ledger.db.set_progress_handler(lambda: counted.append(1), 1000)
    answer = ask()
    ledger.db.set_progress_handler(None, 0)
    return len(counted), answer


def whole(ledger, post, expected):
    return holdings.is_whole(
        ledger, post, expected, kinds=["Image"], files=False, signed_in=False
    )  # fmt: skip


def test_one_post_is_looked_at_without_all_images(ledger):
    ledger.mark("excluded_image", NUMBER + 1, "0")
    ledger.mark("excluded_image", 0, "0")  # flagged since it is held
    for expected, answer in ((EACH, True), (EACH + 1, True), (EACH + 2, False)):
        number, found = steps(ledger, lambda expected=expected: whole(ledger, 0, expected))
        assert found is answer
        assert number < 2


def test_what_is_under_way_is_not_read_again_for_each_image(ledger):
    rows = [("Image", str(number), None) for number in range(NUMBER // 2)]
    ledger.db.executemany("INSERT INTO under_way VALUES (?, ?, ?)", rows)
    number, unseen = steps(ledger, lambda: changes.unseen(ledger, "Image"))
    assert unseen == list(range(NUMBER // 2, NUMBER))
    assert number < 200


def test_what_is_missing_is_not_compared_one_by_one(ledger, monkeypatch):
    compared = []

    def counted(one, other):
        compared.append(one)
        return one is other

    monkeypatch.setattr(Refusal, "__eq__", counted)
    summary = summarize(ledger.db)
    assert summary.kinds["generation_data"].failed == {"not_fetched": NUMBER}
    assert len(compared) < NUMBER
