"""When the site is out of reach, and how long that is borne."""

from __future__ import annotations

import pytest
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)
from twisted.internet.error import NoRouteError

from civitai_crawler.middlewares.offline import Offline

GONE = CannotResolveHostError("no such name")


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def offline(clock):
    return Offline(600, lambda: clock[0])


@pytest.mark.parametrize(
    ("errors", "lost"),
    [
        ([("a", CannotResolveHostError())], True),
        ([("a", DownloadConnectionRefusedError())], True),
        ([("a", NoRouteError())], True),
        ([("a", DownloadTimeoutError())], False),
        ([("a", DownloadTimeoutError())] * 2, False),
        ([("a", DownloadTimeoutError()), ("b", DownloadTimeoutError())], True),
        ([("a", DownloadFailedError()), ("b", DownloadFailedError())], False),
        ([("a", ResponseDataLossError())], False),
    ],
)
def test_which_errors_mean_that_there_is_no_network(offline, errors, lost):
    offline.answered()
    for url, error in errors:
        offline.failed(url, error)
    assert offline.lost is lost


def test_a_site_that_never_answered_is_not_waited_for(offline):
    offline.failed("a", GONE)
    assert not offline.lost


def test_an_answer_ends_it(offline, clock, caplog):
    caplog.set_level("INFO")
    offline.failed("a", GONE)
    offline.wait()
    clock[0] += 500
    offline.answered()
    assert not offline.lost
    offline.failed("a", GONE)
    clock[0] += 200
    assert offline.wait() is not None
    assert [record.message for record in caplog.records] == [
        "The site is out of reach. Trying again for up to 600 s; stopping loses nothing.",
        "The site is within reach again.",
        "The site is out of reach. Trying again for up to 400 s; stopping loses nothing.",
    ]


def test_the_waits_get_longer_and_end_with_the_patience(offline, clock):
    offline.failed("a", GONE)
    waits = []
    while (wait := offline.wait()) is not None:
        waits.append(wait)
        clock[0] += wait
        offline.failed("a", GONE)
    assert waits[:4] == [1, 1, 1, 1.5]
    assert max(waits) == 60
    assert sum(waits) == 600
