"""Whatever a spider does, its row is settled: no crawl hangs, no row is done that is not."""

from __future__ import annotations

import sqlite3

import pytest

from civitai_crawler.ledger import Ledger
from tests.crawl import crawl

LEDGER = {
    "SCHEDULER": "civitai_crawler.ledger.scheduler.LedgerScheduler",
    "SPIDER_MIDDLEWARES": {"civitai_crawler.ledger.tracking.LedgerMiddleware": 10},
    "RETRY_ENABLED": False,
    "LOG_LEVEL": "INFO",
}


def states(folder) -> dict[str, int]:
    """Return the states of the rows by the URL or, once it is gone, by ``done``."""
    with sqlite3.connect(folder / "ledger.sqlite") as db:
        rows = db.execute(
            "SELECT coalesce(json_extract(data, '$.url'), 'done'), state FROM requests"
        )
        found = dict(rows.fetchall())
    db.close()
    return found


async def odd(tmp_path, what, **more):
    settings = {**LEDGER, "JOBDIR": str(tmp_path / "job"), **more}
    return await crawl("tests.odd_spiders:OddSpider", settings, timeout=40, what=what)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("yields_none", {"first", "later"}),
        ("yields_what_cannot_be_stored", {"first", "later"}),
        ("yields_its_own_request", {"first", "copy", "later"}),
        ("raises", {"first", "later"}),
        ("errback_yields", {"first", "child", "later"}),
        ("errback_awaits", {"first", "later"}),
        ("errback_raises", {"later"}),
        ("errback_says_nothing", {"later"}),
        ("errback_passes_on", {"later"}),
    ],
)
async def test_the_next_stage_starts_whatever_a_callback_does(tmp_path, what, expected):
    ended = await odd(tmp_path, what)
    assert {item["id"] for item in ended.items} == expected
    assert ended.reason == "finished"
    failed = [url for url, state in states(tmp_path / "job").items() if state == 2]
    is_wrong = what in {"yields_what_cannot_be_stored", "raises"} or what.startswith("errback")
    assert len(failed) == is_wrong, failed


async def test_what_is_no_item_does_not_hold_up_its_row(tmp_path):
    ended = await odd(tmp_path, "yields_what_is_no_item")
    assert ended.reason == "finished"
    assert {"id": "later"} in ended.items


async def test_a_callback_that_closes_the_spider_is_called_again_in_the_next_run(tmp_path):
    ended = await odd(tmp_path, "closes")
    assert ended.reason == "enough"
    assert states(tmp_path / "job")["data:,first"] == 0
    again = await odd(tmp_path, "closes")
    assert {"id": "first"} in again.items


async def test_a_stored_request_that_cannot_be_read_is_kept_and_said(tmp_path):
    ledger = Ledger(tmp_path / "job")
    data = '{"url": "data:,old", "callback": "a_method_of_another_version"}'
    ledger.queue.add(b"old", data, lane="site", stage=0, priority=0)
    ledger.close(finished=False)
    ended = await odd(tmp_path, "yields_none")
    assert {item["id"] for item in ended.items} == {"first", "later"}
    assert "A stored request cannot be read" in ended.log
    assert "Traceback" not in ended.log
    assert states(tmp_path / "job")["data:,old"] == 2


async def test_a_ledger_that_fails_on_the_way_ends_the_crawl_with_one_sentence(tmp_path):
    ended = await odd(tmp_path, "breaks_the_ledger")
    assert ended.reason == "ledger_unusable"
    assert ended.log.count("ERROR:") == 1, ended.log
    assert "cannot be used any more" in ended.log
    again = await odd(tmp_path, "yields_none")
    assert {item["id"] for item in again.items} == {"first", "later"}


async def test_a_feed_that_is_lost_is_no_full_disk_whatever_its_folder_is_called(tmp_path):
    feeds = {
        "FEEDS": {str(tmp_path / "full" / "items.jsonl"): {"format": "jsonl"}},
        "FEED_STORAGES": {"": "civitai_crawler.ledger.feeds.LedgerFeedStorage"},
    }
    ended = await odd(tmp_path, "loses_its_feed", **feeds)
    assert ended.reason == "ledger_unusable", ended.log
    assert "cannot be used any more: [Errno 21] Is a directory" in ended.log
