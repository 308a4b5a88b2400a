"""Refuses redirects that lead away from the answer: to the login page, to another host.

Order 610, before Scrapy's RedirectMiddleware would follow and hand on a page of HTML as if it were
the answer. What is wrong with a body is seen by the BackoffMiddleware, after it is unpacked; both
ask the same table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.middlewares.judging import Judge, route

if TYPE_CHECKING:
    from typing import Self

    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.http import Response

_REDIRECTS = range(300, 400)


class AnswersMiddleware:
    """Lets redirects pass that stay on the site."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(Judge.of(crawler))

    def process_response(self, request: Request, response: Response) -> Response:
        where = route(request)
        if where is None or response.status not in _REDIRECTS:
            return response
        if response.status in request.meta.get("handle_httpstatus_list", ()):
            return response
        verdict = self._judge.verdict(request, response, where)
        self._judge.note(request, response, verdict)
        if verdict.action == "accept":
            return response
        raise self._judge.gave_up(verdict, response.status)
