"""The steps from posts to images to generation data, shared by the spiders."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Any, TypedDict

from civitai_crawler.api import endpoints, parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError
from civitai_crawler.items import GenerationData, Image
from civitai_crawler.ledger import changes, holdings
from civitai_crawler.ledger.origin import stamp_of
from civitai_crawler.spiders.base import GONE, POSTS, REPAIR, SEARCH, plain
from civitai_crawler.spiders.generations import GenerationsSpider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy import Request
    from scrapy.http import Response, TextResponse

    from civitai_crawler.api.parsers import ImageRecord
    from civitai_crawler.items import Post

#: Images that one request answers at most.
PAGE = 200
#: Posts named in one request at most (the address stays below 2,000 characters).
POSTS_PER_REQUEST = 100


class Flags(TypedDict, total=False):
    """What a call is told about content that is left out, and whether it is signed."""

    disable_poi: bool
    disable_minor: bool
    authed: bool


class PicturesSpider(GenerationsSpider):
    """Base of the spiders that read posts and images."""

    wants_images = True

    @property
    def flags(self) -> Flags:
        """The filters that a call takes for excluded content, and whether it is signed."""
        return Flags(
            disable_poi="poi" in self.exclude,
            disable_minor="minor" in self.exclude,
            authed=self.signed_in,
        )

    @property
    def unfiltered(self) -> Flags:
        """The flags of a call that is to name the excluded too, so that it is at least counted."""
        return Flags(authed=self.signed_in, disable_poi=False, disable_minor=False)

    @property
    def kinds(self) -> list[str]:
        """The items that every image is to have; without asking, not each gets generation data."""
        wanted = {
            "Image": self.wants_images,
            "GenerationData": self.wants_generation and self.asking != "none",
        }
        return [kind for kind, on in wanted.items() if on]

    def owns(self, username: str | None) -> bool:
        """Tell whether a record of this owner belongs here; strangers' are counted."""
        return True

    # --- posts ---------------------------------------------------------------------------------

    def know(self, post: Post) -> None:
        """Remember of a post what its images need: title, version, count; and its level."""
        known = [post.title, post.version_id, post.image_count, post.nsfw_level]
        self.ledger.mark("post", post.id, json.dumps(known))

    def known(self, post_id: int | None) -> list[Any] | None:
        mark = self.ledger.marked("post", post_id or 0)
        return None if mark is None else json.loads(mark)

    def is_whole(self, post: Post) -> bool:
        """Tell whether a post of an earlier pass has kept its number of images, all held."""
        known = self.known(post.id)
        if not self.ledger.passes or known is None or known[2] != post.image_count:
            return False
        return holdings.is_whole(
            self.ledger,
            post.id,
            post.image_count or 0,
            kinds=self.kinds,
            files=self.wants_images and "images" in self.download,
            signed_in=self.signed_in,
        )

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
        self,
        posts: list[int],
        cursor: str | int | None = None,
        flags: Flags | None = None,
        limit: int = PAGE,
    ) -> Request:
        """Ask for the images of posts, their parameters along with them."""
        flags = flags or self.flags
        call = procedures.image_get_infinite(
            post_ids=posts, level=self.level, cursor=cursor, limit=limit, **flags
        )
        stage = POSTS if flags == self.flags else REPAIR
        return self.trpc(call, callback=self.parse_images, stage=stage, posts=posts, flags=flags)

    def parse_images(self, response: TextResponse, posts: list[int], flags: Flags) -> Iterator[Any]:
        page = parsers.trpc_images_page(
            trpc.result(self.json(response)), media_base=self.media_base
        )
        self.ledger.mark("shown", "images", str(self.shown(page.items)))
        yield from self.pictures(page.items, response)
        yield from self.broken(page.broken)
        if page.next_cursor is not None:
            yield self.images_of(posts, page.next_cursor, flags)

    def shown(self, records: Iterable[ImageRecord] = ()) -> int:
        """Return the maturity levels that the lists have shown so far, with those of *records*."""
        levels = int(self.ledger.marked("shown", "images") or 0)
        for record in records:
            levels |= record.image.nsfw_level or 0
        return levels

    def pictures(
        self,
        records: Iterable[ImageRecord],
        origin: Response,
        *,
        anyone: bool = False,
        inline: bool = True,
    ) -> Iterator[Any]:
        """Yield the images that belong here, and their generation data or the requests for it.

        *inline*: the answer carries the parameters of those that show any.
        """
        wanted: list[ImageRecord] = []
        for record in records:
            image = record.image
            if self.is_excluded(image):
                self.ledger.mark("excluded_image", image.id, str(image.post_id or ""))
            elif anyone or self.owns(image.creator):
                self.ledger.unmark("excluded_image", image.id)
                known = self.known(image.post_id)
                image.post_title = image.post_title or (known[0] if known else None)
                if self.wants_images:
                    yield image
                if record.generation is not None:
                    image.has_meta = True
                if not self.ledger.is_known("GenerationData", image.id):
                    wanted.append(record)
        if self.wants_generation and (inline or self.asking != "none"):
            yield from self.generation(wanted, origin)

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
                changes.see(self.ledger, "Post", post_id or 0)
            elif self.owns(record.image.creator):
                met.setdefault(post_id, []).append(record)
        yield from self.pictures(at_home, response, anyone=gallery)
        for posts in self.batches(list(met), self.post_calls):
            yield self.found_posts({post: met[post] for post in posts}, response)
        # Newest first: in a later pass, a page of nothing new ends the walk. An empty page with a
        # cursor is no end.
        caught_up = self.ledger.passes and page.items and all(map(self.is_held, page.items))
        if page.next_cursor is None:
            self.ledger.mark("walked", ",".join(query), str(self.ledger.passes))
        elif met or not caught_up:
            yield self.search(page.next_cursor, **query)

    def is_held(self, record: ImageRecord) -> bool:
        """Tell whether everything of an image that is wanted is there, or on its way."""
        return all(self.ledger.is_known(kind, record.image.id) for kind in self.kinds)

    def post_calls(self, post_ids: Iterable[int]) -> list[trpc.Call]:
        return [procedures.post_get(post_id, authed=self.signed_in) for post_id in post_ids]

    def found_posts(self, met: dict[int, list[ImageRecord]], origin: Response) -> Request:
        """Ask for posts that only their images told of; the images wait for the titles."""
        images, made = [], {}
        for record in chain.from_iterable(met.values()):
            if record.generation is not None:
                record.image.has_meta = True
                if self.asking != "full":
                    made[str(record.image.id)] = {**plain(record.generation), **stamp_of(origin)}
            images.append(plain(record.image))
        return self.posts_of(list(met), images, made)

    def posts_of(
        self, posts: list[int], images: list[dict[str, Any]], made: dict[str, dict[str, Any]]
    ) -> Request:
        waiting = [fields for fields in images if fields["post_id"] in posts]
        keys = [key for fields in waiting if (key := str(fields["id"])) in made]
        return self.trpc(
            *self.post_calls(posts), callback=self.parse_found_posts, stage=SEARCH,
            posts=posts, images=waiting, made={key: made[key] for key in keys},
        )  # fmt: skip

    def parse_found_posts(
        self,
        response: TextResponse,
        posts: list[int],
        images: list[dict[str, Any]],
        made: dict[str, dict[str, Any]],
    ) -> Iterator[Any]:
        results = trpc.results(self.json(response), len(posts))
        left_out = set()
        for post_id, data in zip(posts, results, strict=True):
            if isinstance(data, ApiError) and data.status != GONE and len(posts) > 1:
                left_out.add(post_id)  # what failed inside a batch is asked alone
                yield self.posts_of([post_id], images, made)
                continue
            if isinstance(data, ApiError):
                reason = "not_found" if data.status == GONE else "server_error"
                yield self.failed("post", post_id, reason, data.message, status=data.status)
                continue
            try:
                post = parsers.post(data)
            except BadRecordError as error:
                yield from self.broken([error])
                continue
            if not self.keeps(post):
                left_out.add(post_id)
                continue
            if self.known(post_id) is None:
                self.know(post)
            # A list may have told more of it meanwhile. Being known by a mark says nothing of that:
            # a killed run may have left the mark and not the record.
            if not self.ledger.is_known("Post", post_id):
                yield from self.posted(post)
        kept = [Image(**fields) for fields in images if fields["post_id"] not in left_out]
        inline = {int(key): GenerationData(**fields) for key, fields in made.items()}
        records = [parsers.ImageRecord(image, inline.get(image.id)) for image in kept]
        yield from self.pictures(records, response)

    def keeps(self, post: Post) -> bool:
        """Tell whether a post belongs into the archive."""
        return self.owns(post.creator)

    def posted(self, post: Post) -> Iterator[Post]:
        """Yield the post if posts are wanted."""
        yield post
