"""The steps from posts to images to generation data, shared by the spiders."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any, TypedDict

from civitai_crawler.api import endpoints, parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError, UnexpectedShapeError
from civitai_crawler.items import Image
from civitai_crawler.spiders.base import POSTS, REPAIR, SEARCH, CivitaiSpider, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy import Request
    from scrapy.http import TextResponse
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.api.parsers import ImageRecord
    from civitai_crawler.items import Post

#: Images that one request answers at most.
PAGE = 200
#: Posts named in one request at most (the address stays below 2,000 characters).
POSTS_PER_REQUEST = 100

#: What is known of an image whose generation data is wanted: id, post id, has_meta, user name.
Wanted = list[Any]


class Flags(TypedDict, total=False):
    """What a call is told about content that is left out, and whether it is signed."""

    disable_poi: bool
    disable_minor: bool
    authed: bool


class PicturesSpider(CivitaiSpider):
    """Base of the spiders that read posts and images."""

    wants_images = True
    wants_generation = True

    @property
    def flags(self) -> Flags:
        """The filters that a call takes for excluded content, and whether it is signed."""
        return Flags(
            disable_poi="poi" in self.exclude,
            disable_minor="minor" in self.exclude,
            authed=self.signed_in,
        )

    def owns(self, username: str | None) -> bool:
        """Tell whether a record of this owner belongs here; strangers' are counted."""
        return True

    # --- posts ---------------------------------------------------------------------------------

    def know(self, post: Post) -> None:
        """Remember of a post what its images need: title, version, count."""
        known = [post.title, post.version_id, post.image_count]
        self.ledger.mark("post", post.id, json.dumps(known))

    def known(self, post_id: int | None) -> list[Any] | None:
        mark = self.ledger.marked("post", post_id or 0)
        return None if mark is None else json.loads(mark)

    def is_whole(self, post: Post) -> bool:
        """Tell whether a post of an earlier pass has kept its number of images, all held."""
        known = self.known(post.id)
        if not self.ledger.passes or known is None or known[2] != post.image_count:
            return False
        kinds = {"Image": self.wants_images, "GenerationData": self.wants_generation}
        counts = [self.ledger.count_items(kind, post.id) for kind, on in kinds.items() if on]
        return min(counts, default=0) >= (post.image_count or 0)

    def packs(self, posts: Iterable[Post]) -> Iterator[list[int]]:
        """Group posts so that the images of a group fit one answer."""
        pack: list[int] = []
        images = 0
        for post in posts:
            count = post.image_count or 1
            if pack and (images + count > PAGE or len(pack) == POSTS_PER_REQUEST):
                yield pack
                pack, images = [], 0
            pack.append(post.id)
            images += count
        if pack:
            yield pack

    # --- images --------------------------------------------------------------------------------

    def images_of(
        self, posts: list[int], cursor: str | int | None = None, flags: Flags | None = None
    ) -> Request:
        """Ask for the images of posts, their parameters along with them."""
        flags = flags or self.flags
        call = procedures.image_get_infinite(
            post_ids=posts, level=self.level, cursor=cursor, **flags
        )
        stage = POSTS if flags == self.flags else REPAIR
        return self.trpc(call, callback=self.parse_images, stage=stage, posts=posts, flags=flags)

    def parse_images(self, response: TextResponse, posts: list[int], flags: Flags) -> Iterator[Any]:
        page = parsers.trpc_images_page(
            trpc.result(self.json(response)), media_base=self.media_base
        )
        yield from self.pictures(page.items)
        yield from self.broken(page.broken)
        if page.next_cursor is not None:
            yield self.images_of(posts, page.next_cursor, flags)

    def pictures(self, records: Iterable[ImageRecord], *, anyone: bool = False) -> Iterator[Any]:
        """Yield the images that belong here, and the requests for their generation data."""
        wanted: list[Wanted] = []
        for record in records:
            image = record.image
            if self.is_excluded(image):
                self.ledger.mark("excluded_image", image.id, str(image.post_id or ""))
            elif anyone or self.owns(image.creator):
                known = self.known(image.post_id)
                image.post_title = image.post_title or (known[0] if known else None)
                if self.wants_images:
                    yield image
                if record.generation is not None:
                    image.has_meta = True
                if not self.ledger.has_item("GenerationData", image.id):
                    wanted.append([image.id, image.post_id, image.has_meta, image.creator])
        if self.wants_generation:
            yield from self.generation(wanted)

    # --- the second source: the search index, which no viewer's level caps -----------------

    def search(self, cursor: str | int | None = None, **query: Any) -> Request:
        """Ask the REST search for images: by user, post or version."""
        address = endpoints.images(browsing_level=self.level, cursor=cursor, sort="Newest", **query)
        stage = REPAIR if "post_id" in query else SEARCH
        return self.request(address, self.parse_search, stage=stage, query=query)

    def parse_search(self, response: TextResponse, query: dict[str, Any]) -> Iterator[Any]:
        page = parsers.images_page(self.json(response), media_base=self.media_base)
        yield from self.broken(page.broken)
        gallery = "model_version_id" in query
        met: dict[int, list[ImageRecord]] = {}
        at_home: list[ImageRecord] = []
        for record in page.items:
            post_id = record.image.post_id
            if gallery or post_id is None or self.known(post_id):
                at_home.append(record)
            elif self.owns(record.image.creator):
                met.setdefault(post_id, []).append(record)
        yield from self.pictures(at_home, anyone=gallery)
        for posts in self.batches(list(met)):
            yield self.found_posts({post: met[post] for post in posts})
        # Newest first: in a later pass, a page of nothing new ends the walk.
        caught_up = self.ledger.passes and not met and all(map(self.is_held, page.items))
        if page.next_cursor is not None and page.items and not caught_up:
            yield self.search(page.next_cursor, **query)

    def is_held(self, record: ImageRecord) -> bool:
        """Tell whether everything of an image that is wanted stands in the feeds."""
        wanted = {"Image": self.wants_images, "GenerationData": self.wants_generation}
        return all(self.ledger.has_item(kind, record.image.id) for kind, on in wanted.items() if on)

    def found_posts(self, met: dict[int, list[ImageRecord]]) -> Request:
        """Ask for posts that only their images told of; the images wait for the titles."""
        calls = [procedures.post_get(post_id, authed=self.signed_in) for post_id in met]
        images = []
        for record in chain.from_iterable(met.values()):
            if record.generation is not None:
                record.image.has_meta = True
            images.append(plain(record.image))
        return self.trpc(
            *calls, callback=self.parse_found_posts, stage=SEARCH, posts=list(met), images=images
        )

    def parse_found_posts(
        self, response: TextResponse, posts: list[int], images: list[dict[str, Any]]
    ) -> Iterator[Any]:
        results = trpc.results(self.json(response), len(posts))
        left_out = set()
        for post_id, data in zip(posts, results, strict=True):
            if isinstance(data, ApiError):
                yield self.failed("post", post_id, "not_found", data.message, status=data.status)
                continue
            try:
                post = parsers.post(data)
            except BadRecordError as error:
                yield from self.broken([error])
                continue
            if self.keeps(post):
                self.know(post)
                yield from self.posted(post)
            else:
                left_out.add(post_id)
        kept = [Image(**fields) for fields in images if fields["post_id"] not in left_out]
        yield from self.pictures(parsers.ImageRecord(image, None) for image in kept)

    def keeps(self, post: Post) -> bool:
        """Tell whether a post belongs into the archive."""
        return self.owns(post.creator)

    def posted(self, post: Post) -> Iterator[Post]:
        """Yield the post if posts are wanted."""
        yield post

    # --- generation data -----------------------------------------------------------------------

    def generation(self, wanted: list[Wanted]) -> Iterator[Request]:
        """Ask for the generation data of images, many in one request."""
        unsure = [row for row in wanted if row[2] is None]
        sure = [row for row in wanted if row[2] is not None]
        for batch in (*self.batches(sure), *self.batches(unsure, calls=2)):
            yield self.generation_batch(batch)

    def generation_batch(self, batch: list[Wanted]) -> Request:
        # Whether a missing prompt is hidden or absent is told by image.get, where the list did not.
        unsure = [row[0] for row in batch if row[2] is None]
        calls = [
            procedures.image_get_generation_data(row[0], authed=self.signed_in) for row in batch
        ]
        calls += [procedures.image_get(image_id, authed=self.signed_in) for image_id in unsure]
        return self.trpc(
            *calls,
            callback=self.parse_generation,
            errback=self.on_no_generation,
            stage=POSTS,
            batch=batch,
            unsure=unsure,
        )

    def parse_generation(
        self, response: TextResponse, batch: list[Wanted], unsure: list[int]
    ) -> Iterator[Any]:
        results = trpc.results(self.json(response), len(batch) + len(unsure))
        flags = dict(zip(unsure, results[len(batch) :], strict=True))
        for (image_id, post_id, has_meta, creator), data in zip(batch, results, strict=False):
            if isinstance(data, ApiError):
                yield from self.no_generation(data, [image_id, post_id, has_meta, creator], batch)
                continue
            told = flags.get(image_id)
            if isinstance(told, dict):
                has_meta = bool(told.get("hasMeta") or told.get("hideMeta"))  # noqa: PLW2901 - the better knowledge
            try:
                item = parsers.generation_data(data, image_id=image_id, has_meta=has_meta)
            except (BadRecordError, UnexpectedShapeError) as error:
                yield from self.broken([BadRecordError("generation_data", image_id, str(error))])
                continue
            item.post_id, item.creator = post_id, creator
            yield item

    def no_generation(self, error: ApiError, row: Wanted, batch: list[Wanted]) -> Iterator[Any]:
        """Ask once more, singly, what failed inside a batch; name what failed alone."""
        if len(batch) > 1 and error.status != 404:  # noqa: PLR2004 - gone is gone
            yield self.generation_batch([row])
        else:
            reason = "not_found" if error.status == 404 else "server_error"  # noqa: PLR2004 - as above
            yield self.failed(
                "generation_data", row[0], reason, error.message, status=error.status,
                post_id=row[1],
            )  # fmt: skip

    def on_no_generation(self, failure: TwistedFailure) -> None:
        """Take a batch apart that was refused as a whole."""
        request: Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy for errbacks
        batch = request.cb_kwargs["batch"]
        if len(batch) == 1:
            self.on_failure(failure)
            return
        for row in batch:
            self.crawler.engine.crawl(self.generation_batch([row]))
