"""A whole creator: models, versions, files, posts, images, generation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler import options
from civitai_crawler.api import links, parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, UsageError
from civitai_crawler.ledger import holdings
from civitai_crawler.spiders import arguments
from civitai_crawler.spiders.base import GONE, POSTS, SIZES
from civitai_crawler.spiders.gaps import GapsSpider
from civitai_crawler.spiders.listings import ListingsSpider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request
    from scrapy.exceptions import CloseSpider
    from scrapy.http import TextResponse
    from scrapy.settings import BaseSettings, Settings
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.items import Post
    from civitai_crawler.spiders.pictures import Flags


class UserModelsSpider(ListingsSpider, GapsSpider):
    """Archive a creator completely.

    username: name or link of the creator; with ``scrapy crawl`` also a comma list or @file
    include: models, posts, images, generation (default: all)
    download: images, files or none (default: images,files)
    thumbs: true also makes thumbnails of the stills
    types, base_models: only models of these types, only versions for these base models
    since: only what was published on or after this date (2026-05-01)
    gallery: true adds other people's images of the creator's versions
    api: rest, or trpc to read the site's own list of models even where REST's lack none
    generation: full asks for it of each image; auto where the lists leave models open; none never
    level: browsing level, a sum of 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX (default 31)
    file_types, formats, fp: only files of these types, formats, precisions
    max_size: only files of at most so many bytes
    primary_only: true fetches only the primary file of each version
    dry_run: true walks the lists and prints the plan; nothing is downloaded or written
    """

    name = "user_models"

    def __init__(  # noqa: PLR0913  # one keyword per spider argument
        self, *, username: str, include: str = ",".join(arguments.INCLUDES),
        download: str = "images,files", thumbs: str = "", types: str = "", base_models: str = "",
        since: str = "", gallery: str = "false", api: str = "rest", level: str = "31",
        file_types: str = "", formats: str = "", fp: str = "", max_size: str = "",
        primary_only: str = "", generation: str = "full", dry_run: str = "",
    ) -> None:  # fmt: skip
        super().__init__(download=download, thumbs=thumbs, level=level, generation=generation)
        names = arguments.listed("username", username, links.username)
        if len(names) > 1:
            raise UsageError("A crawl archives one creator; scrapy crawl starts one per name.")
        self.username = names[0]
        self.include = set(arguments.subset("include", include, arguments.INCLUDES))
        self.types = arguments.types(types)
        self.base_models = arguments.base_models(base_models)
        self.since = arguments.since(since)
        self.gallery = arguments.flag("gallery", gallery)
        self.api = arguments.one_of("api", api, ("rest", "trpc"))
        self.wants_images = "images" in self.include
        self.wants_generation = "generation" in self.include
        self.chosen = {
            "CIVITAI_FILE_TYPES": file_types, "CIVITAI_FORMATS": formats, "CIVITAI_FP": fp,
            "CIVITAI_MAX_SIZE": max_size, "CIVITAI_PRIMARY_ONLY": primary_only,
            "CIVITAI_DRY_RUN": dry_run,
        }  # fmt: skip
        options.check({name: value for name, value in self.chosen.items() if value})

    @classmethod
    def preflight(cls, settings: BaseSettings, given: dict[str, str]) -> list[dict[str, str]]:
        crawls = [given]
        if name := given.get("username"):
            names = arguments.listed("username", name, links.username)
            crawls = [{**given, "username": one} for one in names]
        for crawl in crawls:
            super().preflight(settings, crawl)
        return crawls

    def settle_in(self, settings: Settings) -> None:
        for name, value in self.chosen.items():
            if value:
                settings.set(name, value, priority="spider")
        super().settle_in(settings)

    @property
    def archive(self) -> str:
        return self.username.lower()

    def owns(self, username: str | None) -> bool:
        mine = (username or "").lower() == self.username.lower()
        if not mine:
            self.crawler.stats.inc_value("civitai/strangers")
        return mine

    def plan(self) -> Iterator[Request]:
        creator = procedures.user_get_creator(self.username, authed=self.signed_in)
        counts = procedures.user_profile_overview(self.username, authed=self.signed_in)
        ask = self.trpc(creator, counts, callback=self.parse_creator, errback=self.on_no_creator)
        yield self.again(ask)

    def parse_creator(
        self, response: TextResponse, calls: int = 2, counts: dict[str, Any] | None = None
    ) -> Iterator[Any]:
        data, *told = trpc.results(self.json(response), calls)
        counts = next((one for one in told if isinstance(one, dict)), counts)
        if isinstance(data, ApiError) and data.status != GONE and calls > 1:
            # What failed inside a batch is tried as often as any request when it is asked alone.
            call = procedures.user_get_creator(self.username, authed=self.signed_in)
            yield self.again(self.trpc(
                call, callback=self.parse_creator, errback=self.on_no_creator, calls=1,
                counts=counts,
            ))  # fmt: skip
            return
        if isinstance(data, ApiError) and data.status != GONE:
            raise self.stop("server_error", f"The site cannot be asked: {data.message}")
        if isinstance(data, ApiError) or data is None:
            raise self.unknown_user()
        creator = parsers.creator(data, counts)
        yield creator
        self.count_on(creator, data)
        if self.download and not self.dry_run:
            yield self.again(self.local("sizes", self.parse_sizes, stage=SIZES))
        if "models" in self.include:
            yield from self.model_lists()
        if self.include - {"models"}:
            yield self.posts()
        yield self.gaps()

    @property
    def is_restricted(self) -> bool:
        every = self.level == holdings.ALL_LEVELS
        return bool(self.since or self.types or self.base_models or not every)

    def second_list(self) -> Request:
        return self.posts(flags=self.unfiltered)

    def unknown_user(self) -> CloseSpider:
        return self.stop("unknown_user", f"There is no creator named {self.username!r}.")

    def on_no_creator(self, failure: TwistedFailure) -> None:
        if getattr(failure.value, "reason", "") == "not_found":
            self.unknown_user()
        else:
            self.on_no_start(failure)

    def posts(self, cursor: str | int | None = None, flags: Flags | None = None) -> Request:
        flags = flags or self.flags
        call = procedures.post_get_infinite(
            username=self.username, cursor=cursor, level=self.level, **flags
        )
        return self.trpc(call, callback=self.parse_posts, stage=POSTS, flags=flags)

    def parse_posts(self, response: TextResponse, flags: Flags) -> Iterator[Any]:
        page = parsers.posts_page(trpc.result(self.json(response)))
        yield from self.broken(page.broken)
        kept = [post for post in page.items if self.keeps(post)]
        wanting = [post for post in kept if not self.is_whole(post)]
        for post in kept:
            self.know(post)
            self.ledger.mark("listed_post", post.id)
            yield from self.posted(post)
        if self.wants_images or self.wants_generation:
            for pack in self.packs(wanting):
                yield self.images_of(pack)
        # An unknown name is answered with everybody's posts; a page may be empty with a cursor.
        # The list is newest first, so one too old post ends it.
        strangers = bool(page.items) and not any(self.owns(post.creator) for post in page.items)
        recent = all(self.is_recent(post.published_at) for post in page.items)
        if page.next_cursor is not None and recent and not strangers:
            yield self.posts(page.next_cursor, flags)

    def keeps(self, post: Post) -> bool:
        if not (self.owns(post.creator) and self.is_recent(post.published_at)):
            return False
        if self.ledger.marked("excluded_version", post.version_id or 0) is not None:
            self.ledger.mark("excluded_post", post.id)
            return False
        self.ledger.unmark("excluded_post", post.id)
        return True

    def posted(self, post: Post) -> Iterator[Post]:
        if "posts" in self.include:
            yield post
