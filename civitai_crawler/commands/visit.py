"""The doctor's requests: by Scrapy and everything that a crawl's requests pass, pace included."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider

from civitai_crawler.api import endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from scrapy.http import Response
    from twisted.python.failure import Failure

#: Settings of a visit: nothing is written, nothing is tried twice.
SETTINGS: dict[str, Any] = {
    "CIVITAI_DOWNLOAD": "none",
    "DOWNLOAD_TIMEOUT": 20,
    "LOGSTATS_INTERVAL": 0,
    "JOBDIR": None,
    "FEEDS": {},
}


@dataclass(slots=True)
class Answer:
    """What came back."""

    url: str
    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes = field(repr=False)
    at: float
    """When it came, ``time.time()``."""
    took: float
    """Seconds from the start of the request to its headers."""


@dataclass(slots=True)
class Visited:
    """All that was asked; ``None``: not asked, or no answer."""

    api: Answer | None = None
    me: Answer | None = None
    error: str = ""
    """Classes and texts of what stopped the first request; not to be shown."""


class Visit(Spider):
    """Asks for one model and, with a credential, for the account.

    The requests have no route, so no middleware turns an answer into a verdict of its own.
    """

    name = "visit"

    def __init__(self, *, visited: Visited, with_me: bool) -> None:
        super().__init__()
        self._visited = visited
        self._with_me = with_me

    def _ask(self, address: str, **hooks: Any) -> Request:
        base = str(self.settings["CIVITAI_BASE_URL"]).rstrip("/")
        return Request(
            base + address, dont_filter=True, meta={"handle_httpstatus_all": True}, **hooks
        )

    async def start(self) -> AsyncIterator[Any]:
        yield self._ask(endpoints.models(limit=1), callback=self.see_api, errback=self.see_error)

    def see_api(self, response: Response) -> Iterator[Request]:
        self._visited.api = _answer(response)
        if self._with_me:
            yield self._ask(endpoints.me(), callback=self.see_me, errback=self.see_nothing)

    def see_me(self, response: Response) -> None:
        self._visited.me = _answer(response)

    def see_error(self, failure: Failure) -> None:
        error: BaseException | None = failure.value
        while error is not None:
            self._visited.error += f"{type(error).__name__} {error} "
            error = error.__cause__ or error.__context__

    def see_nothing(self, failure: Failure) -> None:
        """Leave it at that: the site was reached a moment ago."""


def _answer(response: Response) -> Answer:
    return Answer(
        url=response.url,
        status=response.status,
        headers={
            name.decode("latin-1").lower(): (response.headers[name] or b"").decode("latin-1")
            for name in response.headers
        },
        body=response.body,
        at=time.time(),
        took=float(response.meta.get("download_latency", 0)),
    )
