"""The ledger on disk: what is committed stays, what is not is as if it had never been."""

from __future__ import annotations

import errno
import io
import sqlite3
import stat
import sys

import pytest

from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import Failure, Image
from civitai_crawler.ledger import Ledger, LedgerError, Media
from civitai_crawler.ledger.feeds import FlatCsvExporter, LedgerFeedStorage
from civitai_crawler.ledger.queue import _LATER, _SAME, WINDOW
from civitai_crawler.ledger.refusals import Refusals
from civitai_crawler.ledger.summary import verdict
from civitai_crawler.ledger.underway import RepeatedItem


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "job"


def dropped(ledger: Ledger) -> None:
    """End like a killed process: the open transaction is lost, nothing is closed in order."""
    ledger.db.execute("ROLLBACK")
    ledger.db.close()
    ledger.feeds.release()


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


def test_files_wait_for_earlier_stages_of_the_site(folder):
    ledger = Ledger(folder)
    add(ledger, "list", stage=0)
    add(ledger, "file", lane="file", stage=1)
    assert take(ledger, "file") is None
    row, _ = take(ledger)
    assert take(ledger, "file") is None
    add(ledger, "post", stage=1)
    finish(ledger, row)
    assert take(ledger, "file")[1] == "file"


def test_a_stage_starts_when_the_one_before_is_read_though_its_items_are_under_way(folder):
    ledger = Ledger(folder)
    add(ledger, "page")
    add(ledger, "later", stage=1)
    row, _ = take(ledger)
    row.exhausted, row.children, row.items = True, 1, 1
    assert not ledger.queue.settle(row)
    assert take(ledger) is None
    row.children = 0
    assert not ledger.queue.settle(row)
    assert take(ledger)[1] == "later"
    assert ledger.queue.in_flight("site") == (1, 2)
    row.items = 0
    assert ledger.queue.settle(row)
    assert ledger.queue.in_flight("site") == (1, 1)


@pytest.mark.parametrize("what", ["children", "items"])
def test_a_row_with_children_or_items_outstanding_is_not_done(folder, what):
    ledger = Ledger(folder)
    add(ledger, "page")
    row, _ = take(ledger)
    row.exhausted = True
    setattr(row, what, 1)
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
    ledger.mark("own", 1, "x")
    ledger.mark("excluded_image", 2)
    ledger.close(finished=True)
    again = Ledger(folder)
    assert not again.resumed
    assert add(again, "page")
    assert again.has_item("Model", 1)
    assert again.marks("own") == {"1": "x"}
    assert again.marks("excluded_image") == {"2": ""}
    assert again.passes == 1


def write(ledger: Ledger, path, data: bytes):
    """Write to a feed as an exporter does, and put the bytes on disk without a commit."""
    file = ledger.feeds.take_charge(path)
    ledger.commit()
    file.write(data)
    return file


def test_a_feed_is_cut_to_its_committed_bytes(folder, tmp_path):
    path = tmp_path / "models.jsonl"
    path.write_bytes(b"kept before\n")
    ledger = Ledger(folder)
    file = write(ledger, path, b"one\n")
    ledger.commit()
    assert path.read_bytes() == b"kept before\none\n"
    file.write(b"two\ntorn li")
    file.write_out()
    dropped(ledger)
    again = Ledger(folder)
    write(again, path, b"two\n")
    again.close(finished=False)
    assert path.read_bytes() == b"kept before\none\ntwo\n"
    assert [cut.read_bytes() for cut in (folder / "cut").iterdir()] == [b"two\ntorn li"]


def test_lines_that_others_added_after_an_orderly_end_stay(folder, tmp_path):
    path = tmp_path / "all.jsonl"
    ledger = Ledger(folder)
    write(ledger, path, b"one\n")
    ledger.close(finished=True)
    with path.open("ab") as stream:
        stream.write(b"another archive\n")
    again = Ledger(folder)
    write(again, path, b"two\n")
    again.close(finished=True)
    assert path.read_bytes() == b"one\nanother archive\ntwo\n"


def test_a_feed_that_was_shortened_is_said_and_continued(folder, tmp_path, caplog):
    path = tmp_path / "models.jsonl"
    ledger = Ledger(folder)
    write(ledger, path, b"one\ntwo\n")
    ledger.close(finished=False)
    path.write_bytes(b"one\n")
    again = Ledger(folder)
    write(again, path, b"three\n")
    again.close(finished=False)
    assert "4 bytes shorter" in caplog.text
    assert path.read_bytes() == b"one\nthree\n"


def test_a_kill_does_not_forget_that_a_feed_was_shortened(folder, tmp_path):
    """Its length is committed with the taking charge, what it lacks is forgotten later."""
    feed = tmp_path / "a.jsonl"
    ledger = Ledger(folder)
    write(ledger, feed, b"one\ntwo\n")
    ledger.commit()
    dropped(ledger)
    feed.write_bytes(b"one\n")
    ledger = Ledger(folder)
    ledger.feeds.take_charge(feed)
    ledger.commit()
    dropped(ledger)
    ledger = Ledger(folder)
    ledger.feeds.take_charge(feed)
    assert ledger.feeds.shortened() == {feed}
    assert ledger.feeds.shortened() == set()
    dropped(ledger)


def test_two_crawls_do_not_write_to_one_feed(tmp_path):
    path = tmp_path / "all.jsonl"
    first, second = Ledger(tmp_path / "a"), Ledger(tmp_path / "b")
    write(first, path, b"one\n")
    waiting = write(second, path, b"two\n")  # there is no file yet that could be refused
    first.commit()
    with pytest.raises(LedgerError, match="Another crawl is writing"):
        second.commit()
    assert waiting.length == 0
    third = Ledger(tmp_path / "c")
    with pytest.raises(LedgerError, match="Another crawl is writing"):
        third.feeds.take_charge(path)
    for ledger in (first, second, third):
        ledger.close(finished=False)
    assert path.read_bytes() == b"one\n"


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_a_share_without_locks_can_be_written_to(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    ledger = Ledger(tmp_path / "a")
    write(ledger, tmp_path / "all.jsonl", b"one\n")
    ledger.commit()
    ledger.close(finished=False)
    assert (tmp_path / "all.jsonl").read_bytes() == b"one\n"


def test_nothing_is_committed_after_a_commit_that_failed(folder, tmp_path):
    path = tmp_path / "full.jsonl"
    path.symlink_to("/dev/full")
    ledger = Ledger(folder)
    add(ledger, "page")
    file = write(ledger, path, b"one\n")
    finish(ledger, take(ledger)[0])
    ledger.add_item("Model", 1)
    with pytest.raises(OSError, match="No space left"):
        ledger.commit()
    ledger.add_item("Model", 2)
    ledger.commit()
    ledger.close(finished=True)
    assert file.length == 0
    again = Ledger(folder)
    assert again.resumed
    assert take(again)[1] == "page"
    assert not again.has_item("Model", 1)
    assert not again.has_item("Model", 2)
    again.close(finished=False)


def storage(ledger: Ledger, path, **options):
    return LedgerFeedStorage(str(path), ledger=ledger, feed_options={"format": "csv", **options})


def test_a_job_whose_last_commit_failed_is_not_summed_up(folder, tmp_path):
    ledger = Ledger(folder)
    feed = ledger.feeds.take_charge(tmp_path / "images.jsonl")
    ledger.commit()
    feed.write(b"1\n")
    ledger.add_item("Image", 1)
    (tmp_path / "images.jsonl").mkdir()
    with pytest.raises(IsADirectoryError):
        ledger.close(finished=True)
    assert ledger.summary is None
    assert verdict(ledger.summary, "finished").code == 1
    (tmp_path / "images.jsonl").rmdir()
    again = Ledger(folder)
    assert not again.has_item("Image", 1)
    again.close(finished=False)


def test_overwriting_is_refused_while_a_job_is_unfinished(folder, tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(b"old\n")
    ledger = Ledger(folder)
    add(ledger, "page")
    ledger.close(finished=False)
    for form in ("csv", "json"):
        ledger = Ledger(folder)
        with pytest.raises(UsageError, match=r"-O would overwrite own\.csv"):
            storage(ledger, path, overwrite=True, format=form)
        ledger.close(finished=False)
    assert path.read_bytes() == b"old\n"


def test_overwriting_begins_at_zero(folder, tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes(b"old\n")
    ledger = Ledger(folder)
    file = storage(ledger, path, overwrite=True).open(None)
    file.write(b"new\n")
    ledger.commit()
    dropped(ledger)
    again = Ledger(folder)
    write(again, path, b"more\n")
    again.close(finished=True)
    assert path.read_bytes() == b"new\nmore\n"


def test_feeds_that_cannot_be_continued_are_left_to_scrapy(folder, tmp_path):
    ledger = Ledger(folder)
    for options in ({"format": "json"}, {"postprocessing": ["x"]}, {"batch_item_count": 2}):
        with storage(ledger, tmp_path / "own", **options).open(None) as stream:
            assert isinstance(stream, io.BufferedWriter)
    storage(ledger, tmp_path / "%(time)s.csv")  # Scrapy asks for the template first
    assert ledger.db.execute("SELECT count(*) FROM feeds").fetchone() == (0,)
    ledger.close(finished=True)


def test_feeds_are_known_by_their_whole_path(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(folder)
    assert storage(ledger, "own.csv").open(None) is storage(ledger, tmp_path / "own.csv").open(None)
    assert ledger.db.execute("SELECT path FROM feeds").fetchall() == [(str(tmp_path / "own.csv"),)]
    ledger.close(finished=True)


def test_feeds_that_were_moved_with_their_job_are_cut_to_their_committed_bytes(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    before.mkdir()
    ledger = Ledger(before / ".job")
    write(ledger, before / "own.jsonl", b"one\n")
    write(ledger, tmp_path / "far.jsonl", b"far\n")
    ledger.commit()
    dropped(ledger)
    for path in (before / "own.jsonl", tmp_path / "far.jsonl"):
        path.write_bytes(path.read_bytes() + b"torn")
    before.rename(now)
    again = Ledger(now / ".job")
    write(again, now / "own.jsonl", b"two\n")
    write(again, tmp_path / "far.jsonl", b"two\n")
    again.close(finished=True)
    assert (now / "own.jsonl").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "far.jsonl").read_bytes() == b"far\ntwo\n"
    assert not before.exists()


def test_a_job_that_was_moved_alone_knows_its_feeds(tmp_path):
    feed = tmp_path / "one" / "own.jsonl"
    ledger = Ledger(tmp_path / "one" / "job")
    write(ledger, feed, b"one\n")
    ledger.commit()
    dropped(ledger)
    feed.write_bytes(b"one\ntorn")
    (tmp_path / "one" / "job").rename(tmp_path / "job")
    again = Ledger(tmp_path / "job")
    write(again, feed, b"two\n")
    again.close(finished=True)
    assert feed.read_bytes() == b"one\ntwo\n"


def test_csv_goes_on_with_the_columns_of_its_header(folder, tmp_path):
    """The first item of a later run may be of another class, with other fields."""
    for item in ({"id": 1, "name": "é,x"}, {"size": 9, "id": 2}):
        ledger = Ledger(folder)
        file = storage(ledger, tmp_path / "own.csv").open(None)
        exporter = FlatCsvExporter(file, encoding="utf-8")
        exporter.export_item(item)
        exporter.finish_exporting()
        ledger.close(finished=False)
    assert (tmp_path / "own.csv").read_text() == 'id,name\n1,"é,x"\n2,\n'


def test_starting_anew_sets_feeds_aside_and_keeps_files_known(folder, tmp_path):
    feed, media = tmp_path / "models.jsonl", Media("a", 1, "")
    ledger = Ledger(folder)
    write(ledger, feed, b"one\n")
    add(ledger, "page")
    ledger.add_item("Model", 1)
    ledger.mark("own", 1, "x")
    ledger.record_media("image", 2, media)
    ledger.claim_path("image", 2, "posts/1/2.png")
    ledger.close(finished=False)
    again = Ledger(folder)
    again.start_anew([feed, tmp_path / "models.csv"])
    write(again, feed, b"two\n")
    assert add(again, "page")
    assert not again.resumed
    assert not again.has_item("Model", 1)
    assert again.marks("own") == {}
    assert again.media("image", 2) == media
    assert again.claim_path("image", 3, "posts/1/2.png") == "posts/1/2 (3).png"
    again.close(finished=False)
    assert feed.read_bytes() == b"two\n"
    [aside] = tmp_path.glob("models.*Z.jsonl")
    assert aside.read_bytes() == b"one\n"


def test_renames_that_a_kill_left_undone_are_done_by_the_next_run(folder, tmp_path, monkeypatch):
    feed = tmp_path / "models.jsonl"
    feed.write_bytes(b"one\n")
    ledger = Ledger(folder)
    monkeypatch.setattr(ledger, "_rename", ledger.db.close)
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.start_anew([feed])
    assert feed.exists()
    Ledger(folder).close(finished=False)
    assert not feed.exists()
    assert [path.read_bytes() for path in tmp_path.glob("models.*Z.jsonl")] == [b"one\n"]


def test_many_pending_rows_come_in_order_though_few_are_in_memory(folder):
    """Also rows that are added before those in memory, and none of them twice."""
    ledger = Ledger(folder)
    for number in range(3 * WINDOW):
        add(ledger, f"late {number}", stage=1)
    late, _ = take(ledger)
    for number in range(3 * WINDOW):
        add(ledger, f"early {number}", stage=0, priority=number % 3)
    finish(ledger, late)
    ledger.close(finished=False)
    again = Ledger(folder)
    for number in range(100):
        add(again, f"more {number}", stage=0, priority=1)
    seen, early = [], []
    while len(again.queue):
        row, data = take(again)
        seen.append(data)
        if row.stage == 0:
            early.append(row)
        if len(early) == 50:
            for each in early:
                finish(again, each)
            early = []
        if len(again.queue) == 3 * WINDOW - 1:  # the next is of the later stage
            for each in early:
                finish(again, each)
            early = []
    again.close(finished=False)
    kinds = [data.split()[0] for data in seen]
    assert len(seen) == len(set(seen)) == 6 * WINDOW + 99
    assert kinds == sorted(kinds, key=lambda kind: kind == "late")
    high = [data for data in seen if data.startswith("early") and int(data.split()[1]) % 3 == 2]
    assert seen[:WINDOW] == high


def test_a_row_in_flight_is_not_handed_out_again(folder):
    """Not even when the rows before it were so many that the disk is asked for what follows."""
    ledger = Ledger(folder)
    add(ledger, "late", stage=1)
    late, _ = take(ledger)
    for number in range(2 * WINDOW + 10):
        add(ledger, f"early {number}", stage=0)
    add(ledger, "last", stage=1)
    seen = []
    while taken := take(ledger):
        seen.append(taken[1])
        finish(ledger, taken[0])
    assert len(seen) == 2 * WINDOW + 11
    assert seen[-1] == "last"
    assert "late" not in seen
    finish(ledger, late)
    ledger.close(finished=False)


def test_start_requests_come_again_in_each_run_but_once(folder):
    for _ in range(3):
        ledger = Ledger(folder)
        for _ in range(2):
            assert ledger.queue.add(b"me", "me", lane="site", stage=0, priority=0, renew=True)
        assert len(ledger.queue) == 1
        finish(ledger, take(ledger)[0])
        assert ledger.queue.add(b"me", "me", lane="site", stage=0, priority=0, renew=True)
        assert len(ledger.queue) == 1
        ledger.close(finished=False)


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (_SAME, ("site", 0, 0, 0, 9), "requests_next (lane=? AND stage=? AND rank=? AND id>?)"),
        (_LATER, ("site", 0, 0, 9), "requests_next (lane=? AND (stage,rank)>(?,?))"),
        ("SELECT id FROM requests WHERE state = 2", (), "requests_failed"),
    ],
)
def test_the_next_rows_are_found_by_an_index(folder, statement, values, index):
    ledger = Ledger(folder)
    plan = " ".join(row[3] for row in ledger.db.execute(f"EXPLAIN QUERY PLAN {statement}", values))
    assert index in plan
    assert "TEMP B-TREE" not in plan
    ledger.close(finished=False)


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
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600}
    ledger.close(finished=False)


def test_a_ledger_that_was_readable_to_others_becomes_private(folder):
    Ledger(folder).close(finished=False)
    folder.chmod(0o755)
    (folder / "ledger.sqlite").chmod(0o644)
    ledger = Ledger(folder)
    add(ledger, "page")
    ledger.commit()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    ledger.close(finished=False)


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


@pytest.mark.parametrize("at", [0, 5000])
def test_a_damaged_ledger_is_refused_with_a_sentence(folder, at):
    ledger = Ledger(folder)
    for number in range(500):
        add(ledger, f"page {number}")
    ledger.close(finished=False)
    file = folder / "ledger.sqlite"
    data = bytearray(file.read_bytes())
    data[at : at + 20000] = b"x" * 20000
    file.write_bytes(data)
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(folder)


def test_a_summary_counts_over_all_runs(folder):
    ledger = Ledger(folder)
    ledger.add_item("Model", 1)
    failure = Failure(
        id="model_file:3:early_access", kind="model_file", item_id=3, reason="early_access"
    )
    ledger.add_item("Failure", failure.id)
    Refusals(ledger).note(failure, signed_in=False)
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


def test_of_one_key_the_first_that_was_read_counts_whoever_comes_first(folder):
    under_way = Ledger(folder).under_way
    rich, poor = Image(id=1, post_id=5, name="full"), Image(id=1, post_id=5)
    under_way.enter(rich)
    under_way.enter(poor)
    with pytest.raises(RepeatedItem):
        under_way.claim(poor)
    under_way.leave(poor, repeated=True)
    assert under_way.holds("Image", 1)
    under_way.claim(rich)
    under_way.leave(rich)
    assert not under_way.holds("Image", 1)
    later = Image(id=1)
    under_way.enter(later)
    under_way.claim(later)


def test_what_is_under_way_counts_with_what_is_held(folder):
    ledger = Ledger(folder)
    ledger.add_item("Image", 1, 5)
    for number in (1, 2, 2):
        ledger.under_way.enter(Image(id=number, post_id=5))
    ledger.under_way.show()
    rows = ledger.db.execute("SELECT id, parent FROM known WHERE kind = 'Image' ORDER BY id")
    assert rows.fetchall() == [("1", "5"), ("2", "5")]
    assert ledger.is_known("Image", 2)
    assert not ledger.has_item("Image", 2)


def test_what_the_end_of_a_crawl_kept_from_its_place_is_no_gap(folder):
    ledger = Ledger(folder)
    image = Image(id=3, post_id=5)
    ledger.under_way.enter(image)
    ledger.under_way.leave(image, unfinished=True)
    assert not ledger.is_known("Image", 3)
    ledger.under_way.show()
    rows = ledger.db.execute("SELECT id, parent FROM known WHERE kind = 'Image'").fetchall()
    assert rows == [("3", "5")]


def test_a_claim_is_given_up_unless_a_file_lies_there(folder):
    ledger = Ledger(folder)
    for item_id, path in ((1, "posts/1/A.png"), (2, "posts/1/B.png")):
        assert ledger.claim_path("image", item_id, path) == path
    ledger.record_media("image", 2, Media("posts/1/B.png", 1, ""))
    ledger.release_path("image", 3, "posts/1/A.png")  # another's
    assert ledger.claim_path("image", 4, "posts/1/a.png") == "posts/1/a (4).png"
    ledger.release_path("image", 1, "posts/1/A.png")
    ledger.release_path("image", 2, "posts/1/B.png")
    assert ledger.claim_path("image", 5, "posts/1/a.png") == "posts/1/a.png"
    assert ledger.claim_path("image", 6, "posts/1/b.png") == "posts/1/b (6).png"
