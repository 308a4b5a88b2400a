"""When a refusal is asked again, how a crawl is judged, and how the report reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from civitai_crawler.extensions import account_text
from civitai_crawler.extensions.account import account
from civitai_crawler.extensions.report import place
from civitai_crawler.items import Failure
from civitai_crawler.ledger import Ledger, Media, changes
from civitai_crawler.ledger.refusals import Refusal, Refusals
from civitai_crawler.ledger.summary import verdict

NOW = datetime(2026, 8, 1, tzinfo=UTC)


def refusal(reason, **fields):
    given = {
        "tried": (NOW - timedelta(days=1)).isoformat(), "run": 1, "kind": "image", **fields
    }  # fmt: skip
    return Refusal(key="image:1", item_id=1, reason=reason, **given)


@pytest.mark.parametrize(
    ("one", "due"),
    [
        (refusal("network"), True),
        (refusal("network", run=2), False),
        (refusal("not_found"), False),
        (refusal("not_found", tried=(NOW - timedelta(days=8)).isoformat()), True),
        (refusal("not_found", kind="model_file"), True),
        (refusal("not_found", kind="model_file", run=2), False),
        (refusal("not_found", kind="model_file", passes=2), False),
        (refusal("early_access", retry_at="2026-09-01T00:00:00.000Z"), False),
        (refusal("early_access", retry_at="2026-07-31T00:00:00.000Z"), True),
        (refusal("early_access", retry_at="soon"), False),
        (refusal("quota", retry_at="2026-08-02T00:00:00"), False),
        (refusal("login_required"), False),
        (refusal("images_missing"), True),
        (refusal("images_missing", passes=2), False),
        (refusal("a_word_of_next_year"), True),
    ],
)
def test_when_a_refusal_is_asked_again(one, due):
    assert one.is_due(NOW, run=2, signed_in=False) is due


def test_a_new_login_questions_what_an_account_may_change():
    assert refusal("login_required").is_due(NOW, run=2, signed_in=True)
    assert not refusal("login_required", signed_in=True).is_due(NOW, run=2, signed_in=True)
    assert not refusal("not_found").is_due(NOW, run=2, signed_in=True)


def failure(reason, kind="image", number=1, message=""):
    return Failure(
        id=f"{kind}:{number}:{reason}", kind=kind, item_id=number, reason=reason, message=message
    )


def test_a_later_reason_takes_the_place_of_an_earlier_one():
    ledger = Ledger()
    refusals = Refusals(ledger)
    refusals.begin_run()
    refusals.note(failure("network"), signed_in=False)
    refusals.note(failure("not_found"), signed_in=False)
    held = refusals.of("image", 1)
    assert held is not None
    assert held.reason == "not_found"
    assert not refusals.is_due("image", 1, signed_in=False)
    refusals.resolve("image", 1)
    assert refusals.of("image", 1) is None


def test_a_page_that_may_be_had_now_is_missing_no_more_until_it_fails_again():
    ledger = Ledger()
    refusals = Refusals(ledger)
    refusals.note(failure("server_error", "page"), signed_in=False)
    refusals.note(failure("bad_request", "page", 2), signed_in=False)
    refusals.begin_run()
    assert refusals.of("page", 1) is None
    assert refusals.of("page", 2) is not None


def summary_of(ledger, *, finished=True):
    ledger.close(finished=finished)
    return ledger.summary


def test_the_verdicts():
    assert verdict(None, None).code == 1
    assert verdict(summary_of(Ledger()), "finished").code == 0
    assert verdict(summary_of(Ledger()), "disk_full").code == 1
    assert verdict(summary_of(Ledger()), "shutdown").code == 4
    refused, failed, left, short = Ledger(), Ledger(), Ledger(), Ledger()
    Refusals(refused).note(failure("early_access"), signed_in=False)
    assert verdict(summary_of(refused), "finished").code == 3
    Refusals(failed).note(failure("network"), signed_in=False)
    assert verdict(summary_of(failed), "finished").code == 4
    left.queue.add(b"1", "{}", lane="site", stage=0, priority=0)
    assert verdict(summary_of(left), "finished").code == 4
    short.set_fact("scope", '{"include": ["models"], "restricted": false, "levels": 31}')
    short.mark("expected", "models user.getCreator", "[2, 31]")
    short.mark("model", 1, "1")
    short.add_item("Model", 1)
    assert verdict(summary_of(short), "finished").code == 3


def test_a_file_that_is_neither_held_nor_refused_is_missing():
    ledger = Ledger()
    ledger.set_fact("download", "images")
    ledger.add_item("Image", 5, 9)
    ledger.add_item("Image", 6, 9)
    ledger.record_media("image", 6, Media("a.png", 1, ""))
    summary = summary_of(ledger)
    assert [(one.item_id, one.reason) for one in summary.missing] == [(5, "not_fetched")]
    assert verdict(summary, "finished").code == 4


def test_parts_of_what_is_gone_are_missing_no_more():
    ledger = Ledger()
    ledger.set_fact("download", "files")
    for kind, number, whole in (
        ("ModelVersion", 11, 1), ("ModelVersion", 12, 2), ("ModelFile", 111, 11),
        ("ModelFile", 121, 12), ("ModelFile", 122, 12), ("ModelFile", 131, 13), ("Image", 5, 9),
    ):  # fmt: skip
        ledger.add_item(kind, number, whole)
    for kind, number in (("Model", 1), ("ModelVersion", 13), ("Image", 5)):
        changes.lose(ledger, kind, number)
    for kind, number, fields in (
        ("generation_data", 5, {}), ("model_version", 11, {"model_id": 1}),
        ("model_file", 131, {"model_id": 2, "version_id": 13}), ("page", 1, {"model_id": 1}),
        ("model_file", 121, {"model_id": 2, "version_id": 12}),
    ):  # fmt: skip
        one = replace(failure("network", kind, number), **fields)
        Refusals(ledger).note(one, signed_in=False)
    assert [(one.kind, one.item_id) for one in summary_of(ledger).missing] == [
        ("model_file", 121), ("page", 1), ("model_file", 122)
    ]  # fmt: skip


def test_a_creators_text_does_not_break_the_report():
    ledger = Ledger()
    Refusals(ledger).note(failure("not_found", message="a | b\n<script>"), signed_in=False)
    changes.lose(ledger, "Model", 7)
    summary = summary_of(ledger)
    told = account(
        summary, verdict(summary, "finished"), archive="x|y", spider="user_models",
        signed_in=False, ended="finished", at="2026-08-01T00:00:00+00:00",
    )  # fmt: skip
    text = account_text.markdown(told)
    assert "| image 1 | not found | a \\| b &lt;script> |" in text
    assert "## Gone from the site (1)" in text
    assert "| model 7 |" in text
    assert account_text.lines(told)[-1].startswith("Complete but for refusals: ")


def test_a_report_is_replaced_whole(tmp_path):
    file = tmp_path / "report.json"
    place(file, "one")
    place(file, "two \ud800")
    assert file.read_text(encoding="utf-8") == "two \\ud800"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
