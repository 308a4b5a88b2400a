"""Single images: the page, the image, its generation data; on demand the whole post."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.api import endpoints, links, pages, parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError, UnexpectedShapeError
from civitai_crawler.spiders import arguments
from civitai_crawler.spiders.post_pages import PostsSpider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request
    from scrapy.http import TextResponse
    from twisted.python.failure import Failure as TwistedFailure


class ImagePagesSpider(PostsSpider):
    """Archive single images with their generation data.

    image_id: ids or links of images: one, a comma list, or @file
    posts: true goes on to the whole post of each image
    download: images or none (default: images)
    thumbs: true also makes thumbnails of the stills
    generation: full asks for it of each image; auto where the lists leave models open; none never
    level: browsing level, a sum of 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX (default 31)
    """

    name = "image_pages"
    folder = "image-pages"

    def __init__(
        self, *, image_id: str, posts: str = "false", download: str = "images", thumbs: str = "",
        level: str = "31", generation: str = "full",
    ) -> None:  # fmt: skip
        super().__init__(download=download, thumbs=thumbs, level=level, generation=generation)
        self.image_ids = arguments.listed("image_id", str(image_id), links.image_id)
        self.with_posts = arguments.flag("posts", posts)

    def plan(self) -> Iterator[Request]:
        for image_id in self.image_ids:
            yield self.request(
                endpoints.image_page(image_id),
                self.parse_image_page,
                route="page",
                errback=self.on_no_image_page,
                image_id=image_id,
            )

    def parse_image_page(self, response: TextResponse, image_id: int) -> Iterator[Any]:
        try:
            post_ids = pages.image_page(response.text).post_ids
        except UnexpectedShapeError as error:
            self.logger.warning("The page of image %d cannot be read: %s", image_id, error)
            post_ids = []
        yield self.image(image_id, post_ids)

    def on_no_image_page(self, failure: TwistedFailure) -> Any:
        """Go on without the page: the API has most of it."""
        image_id: int = failure.request.cb_kwargs["image_id"]  # type: ignore[attr-defined]  # as set by Scrapy
        return self.instead(self.image(image_id, []))

    def image(self, image_id: int, post_ids: list[int]) -> Request:
        call = procedures.image_get(image_id, authed=self.signed_in)
        return self.trpc(
            call,
            callback=self.parse_image,
            errback=self.on_no_image,
            image_id=image_id,
            post_ids=post_ids,
        )

    def parse_image(
        self, response: TextResponse, image_id: int, post_ids: list[int]
    ) -> Iterator[Any]:
        try:
            data = trpc.result(self.json(response))
            image = parsers.image_detail(data, media_base=self.media_base)
        except (BadRecordError, ApiError) as error:
            yield from self.broken([BadRecordError("image", image_id, str(error))])
            return
        if image.post_id is None and len(post_ids) == 1:
            image.post_id = post_ids[0]
        yield from self.pictures([parsers.ImageRecord(image, None)], response, inline=False)
        if self.with_posts:
            for post_id in dict.fromkeys([*post_ids, image.post_id]):
                if post_id is not None:
                    yield self.page(post_id)

    def on_no_image(self, failure: TwistedFailure) -> None:
        self.on_failure(failure, "image", failure.request.cb_kwargs["image_id"])  # type: ignore[attr-defined]  # as set by Scrapy
