"""Single posts: the page, the post, its images, their generation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.api import endpoints, links, pages, parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError, UnexpectedShapeError
from civitai_crawler.spiders import arguments
from civitai_crawler.spiders.pictures import PicturesSpider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request
    from scrapy.http import TextResponse
    from twisted.python.failure import Failure as TwistedFailure


class PostsSpider(PicturesSpider):
    """Base of the spiders that read single posts."""

    def page(self, post_id: int) -> Request:
        """Ask for the page of a post: it tells title and version even where the API does not."""
        return self.request(
            endpoints.post_page(post_id),
            self.parse_page,
            route="page",
            errback=self.on_no_page,
            post_id=post_id,
        )

    def parse_page(self, response: TextResponse, post_id: int) -> Iterator[Any]:
        try:
            page = pages.post_page(response.text)
        except UnexpectedShapeError as error:
            self.logger.warning("The page of post %d cannot be read: %s", post_id, error)
            yield self.post(post_id, None, None)
        else:
            yield self.post(post_id, page.title, page.version_id)

    def on_no_page(self, failure: TwistedFailure) -> Any:
        """Go on without the page: the API has most of it."""
        post_id: int = failure.request.cb_kwargs["post_id"]  # type: ignore[attr-defined]  # as set by Scrapy
        return self.instead(self.post(post_id, None, None))

    def post(self, post_id: int, title: str | None, version_id: int | None) -> Request:
        call = procedures.post_get(post_id, authed=self.signed_in)
        return self.trpc(
            call,
            callback=self.parse_post,
            errback=self.on_no_post,
            post_id=post_id,
            title=title,
            version_id=version_id,
        )

    def parse_post(
        self, response: TextResponse, post_id: int, title: str | None, version_id: int | None
    ) -> Iterator[Any]:
        try:
            post = parsers.post(trpc.result(self.json(response)))
        except (BadRecordError, ApiError) as error:
            yield from self.broken([BadRecordError("post", post_id, str(error))])
            return
        post.title = post.title or title
        post.version_id = post.version_id or version_id
        self.know(post)
        yield post
        yield self.images_of([post_id])
        # The list above is capped at the viewer's level, the search is not.
        yield self.search(post_id=post_id)

    def on_no_post(self, failure: TwistedFailure) -> None:
        self.on_failure(failure, "post", failure.request.cb_kwargs["post_id"])  # type: ignore[attr-defined]  # as set by Scrapy


class PostPagesSpider(PostsSpider):
    """Archive single posts with their images and generation data.

    post_id: ids or links of posts: one, a comma list, or @file
    download: images or none (default: images)
    thumbs: true also makes thumbnails of the stills
    generation: full asks for it of each image; auto where the lists leave models open; none never
    level: browsing level, a sum of 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX (default 31)
    """

    name = "post_pages"
    folder = "post-pages"

    def __init__(
        self, *, post_id: str, download: str = "images", thumbs: str = "", level: str = "31",
        generation: str = "full",
    ) -> None:  # fmt: skip
        super().__init__(download=download, thumbs=thumbs, level=level, generation=generation)
        self.post_ids = arguments.listed("post_id", str(post_id), links.post_id)

    def plan(self) -> Iterator[Request]:
        for post_id in self.post_ids:
            yield self.page(post_id)
