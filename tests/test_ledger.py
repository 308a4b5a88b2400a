"""The ledger on disk: what is committed stays, what is not is as if it had never been."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from civitai_crawler.ledger import Ledger, LedgerError, Media


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "job"


def dropped(ledger: Ledger) -> None:
    """End like a killed process: the open transaction is lost, nothing is closed in order."""
    ledger.db.execute("ROLLBACK")
    ledger.db.close()


def add(ledger: Ledger, name: str, lane: str = "site", stage: int = 0, priority: int = 0) -> bool:
    return ledger.queue.add(name.encode(), name, lane=lane, stage=stage, priority=priority)


def take(ledger: Ledger, lane: str = "site"):
    taken = ledger.queue.take(lane)
    return taken and (taken[0], taken[1])


def finish(ledger: Ledger, row) -> None:
    row.exhausted = True
    assert ledger.queue.settle(row)


def test_rows_come_by_stage_then_priority_then_age(folder):
    ledger = Ledger(folder)
    for name, stage, priority in (("c", 1, 9), ("b", 0, 0), ("a", 0, 5), ("d", 0, 0)):
        assert add(ledger, name, stage=stage, priority=priority)
    order = []
    while len(ledger.queue):
        row, data = take(ledger)
        order.append(data)
        finish(ledger, row)
    assert order == ["a", "b", "d", "c"]


def test_a_stage_waits_for_the_one_before_it(folder):
    ledger = Ledger(folder)
    add(ledger, "first", stage=0)
    add(ledger, "later", stage=1)
    row, _ = take(ledger)
    assert take(ledger) is None
    add(ledger, "child", stage=0)
    finish(ledger, row)
    row, data = take(ledger)
    assert data == "child"
    finish(ledger, row)
    assert take(ledger)[1] == "later"


def test_files_do_not_hold_up_the_stages_of_the_site(folder):
    ledger = Ledger(folder)
    add(ledger, "file", lane="file", stage=0)
    add(ledger, "site", stage=1)
    assert take(ledger, "file")[1] == "file"
    assert take(ledger)[1] == "site"


def test_a_row_with_children_or_items_outstanding_is_not_done(folder):
    ledger = Ledger(folder)
    add(ledger, "page")
    row, _ = take(ledger)
    row.exhausted, row.outstanding = True, 1
    assert not ledger.queue.settle(row)
    ledger.commit()
    dropped(ledger)
    assert take(Ledger(folder))[1] == "page"


def test_what_was_not_committed_is_asked_again_and_what_was_is_not(folder):
    ledger = Ledger(folder)
    add(ledger, "one")
    add(ledger, "two")
    row, _ = take(ledger)
    finish(ledger, row)
    ledger.add_item("Model", 1)
    ledger.commit()
    row, _ = take(ledger)
    finish(ledger, row)
    ledger.add_item("Model", 2)
    dropped(ledger)
    again = Ledger(folder)
    assert again.resumed
    assert (again.has_item("Model", 1), again.has_item("Model", 2)) == (True, False)
    assert take(again)[1] == "two"
    assert not add(again, "one")


def test_a_failed_row_comes_again_in_the_next_run_only(folder):
    ledger = Ledger(folder)
    add(ledger, "page")
    row, _ = take(ledger)
    row.error = "TimeoutError"
    finish(ledger, row)
    assert take(ledger) is None
    ledger.close(finished=False)
    assert take(Ledger(folder))[1] == "page"


def test_after_a_finished_run_the_next_is_a_new_pass(folder):
    ledger = Ledger(folder)
    add(ledger, "page")
    finish(ledger, take(ledger)[0])
    ledger.add_item("Model", 1)
    ledger.mark("post", 1, "x")
    ledger.close(finished=True)
    again = Ledger(folder)
    assert not again.resumed
    assert add(again, "page")
    assert again.has_item("Model", 1)
    assert again.marks("post") == {}


def test_a_feed_is_cut_to_its_committed_bytes(folder, tmp_path):
    path = tmp_path / "models.jsonl"
    path.write_bytes(b"kept before\n")
    ledger = Ledger(folder)
    ledger.register_feed(str(path))
    stream = ledger.open_feed(str(path))
    stream.write(b"one\n")
    ledger.commit()
    stream.write(b"two\ntorn li")
    stream.close()
    dropped(ledger)
    Ledger(folder)
    assert path.read_bytes() == b"kept before\none\n"


def test_one_path_belongs_to_one_item_whatever_its_case(folder):
    ledger = Ledger(folder)
    assert ledger.claim_path("model_file", 1, "models/A/x.safetensors") == "models/A/x.safetensors"
    assert (
        ledger.claim_path("model_file", 2, "models/a/X.safetensors") == "models/a/X (2).safetensors"
    )
    assert ledger.claim_path("model_file", 1, "models/A/x.safetensors") == "models/A/x.safetensors"


def test_media_are_remembered(folder):
    ledger = Ledger(folder)
    media = Media("posts/1/2.png", 12, "ab" * 32, None, "image/png")
    ledger.record_media("image", 2, media)
    assert ledger.media("image", 2) == media
    assert ledger.media("image", 3) is None


def test_items_are_counted_by_parent(folder):
    ledger = Ledger(folder)
    for image, post in ((1, 7), (2, 7), (3, 8), (4, None)):
        ledger.add_item("Image", image, post)
    assert ledger.count_items("Image") == 4
    assert ledger.count_items("Image", 7) == 2


def test_the_ledger_is_private(folder):
    ledger = Ledger(folder)
    ledger.commit()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "ledger.sqlite").stat().st_mode) & 0o077 == 0


def test_a_second_crawl_on_the_same_job_is_refused(folder):
    first = Ledger(folder)
    with pytest.raises(LedgerError, match="Another crawl"):
        Ledger(folder)
    first.close(finished=False)
    Ledger(folder).close(finished=False)


def test_a_ledger_of_another_format_is_refused_with_a_sentence(folder):
    ledger = Ledger(folder)
    ledger.close(finished=False)
    with sqlite3.connect(folder / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LedgerError, match="format 99"):
        Ledger(folder)


def test_an_unusable_folder_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(tmp_path / "file" / "job")


def test_a_summary_counts_over_all_runs(folder):
    ledger = Ledger(folder)
    ledger.add_item("Model", 1)
    ledger.add_item("Failure", "model_file:3:early_access")
    ledger.mark("excluded_model", 4)
    ledger.record_media("image", 2, Media("a", 10, ""))
    add(ledger, "left")
    ledger.close(finished=False)
    assert ledger.summary is not None
    assert ledger.summary.items == {"Model": 1, "Failure": 1}
    assert ledger.summary.failures == {"early_access": 1}
    assert ledger.summary.excluded == {"model": 1}
    assert ledger.summary.media == {"image": (1, 10)}
    assert ledger.summary.pending == 1
