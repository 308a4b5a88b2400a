"""What every spider shares: its archive, its requests and signing in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request

from civitai_crawler import buckets
from civitai_crawler.api import endpoints, parsers, trpc
from civitai_crawler.exceptions import UsageError
from civitai_crawler.items import FEEDS, Record
from civitai_crawler.ledger import HANDLED, Ledger, purpose
from civitai_crawler.ledger.origin import stamp_of
from civitai_crawler.ledger.queue import FIRST_LISTS
from civitai_crawler.middlewares.login import credentials
from civitai_crawler.options import words_of
from civitai_crawler.pipelines.names import component
from civitai_crawler.spiders import arguments, choices, preflight
from civitai_crawler.spiders.failing import FailuresSpider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from scrapy.crawler import Crawler
    from scrapy.http import Response, TextResponse
    from scrapy.settings import BaseSettings, Settings
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.api.trpc import Call

#: Stages of a plan: the requests of one start when all of the one before are done.
LISTS, POSTS, SEARCH, REPAIR, CHECK = range(0, 50, 10)
#: The steps between lists of models: REST's second one, and the site's own.
SECOND, THIRD = 1, 2
#: The step between lists of models and everything else: how much there is to download.
SIZES = FIRST_LISTS
#: Status of what is not there, or no more.
GONE = 404
#: Characters of an address at most, where several calls are packed into it.
LONGEST = 4_000


class CivitaiSpider(FailuresSpider):
    """Base of all spiders. A subclass says what to ask (:meth:`plan`) and reads the answers."""

    def __init__(
        self, *, download: str = "images,files", thumbs: str = "", level: str = "31"
    ) -> None:
        super().__init__()
        self.thumbs = arguments.flag("thumbs", thumbs) if thumbs else None
        self.download = arguments.subset("download", download, arguments.DOWNLOADS)
        self.level = arguments.level(level)
        self.signed_in = False
        #: Whether only a plan is made: nothing is downloaded or written.
        self.dry_run = False

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        spider = super().from_crawler(crawler, *args, **arguments.check(cls, kwargs))
        spider.settle_in(crawler.settings)
        spider.take_up(crawler.settings, fresh=arguments.is_fresh(kwargs))
        return spider

    def take_up(self, settings: Settings, *, fresh: bool) -> None:
        """Go on with the archive's job, or begin it anew where *fresh* or its folder is gone."""
        feeds = [] if self.dry_run else self.feed_files(settings)
        within = Path(settings["JOBDIR"]).parent == self.home(settings)
        purpose.belong(self.ledger, self.archive, within=within)
        written = (feed for feed in feeds if feed.is_file() and feed.stat().st_size)
        is_lost = self.ledger.is_new and any(written)
        if is_lost:
            self.logger.warning(
                "The job folder is gone that knows what stands in the feeds of this archive: they "
                "are set aside under the date, and everything is asked for anew"
            )
        if is_lost or fresh:
            self.ledger.start_anew(feeds)
            purpose.belong(self.ledger, self.archive, within=within)
        if purpose.look_for(self.ledger, choices.chosen(self, settings)):
            self.logger.info("The last run chose otherwise: its lists are read anew")

    @classmethod
    def preflight(cls, settings: BaseSettings, given: dict[str, str]) -> list[dict[str, str]]:
        """Check settings and arguments; return the arguments of each crawl that they ask for."""
        preflight.check(settings)
        cls(**arguments.check(cls, given))
        return [given]

    def home(self, settings: BaseSettings) -> Path:
        """Return the folder that this crawl fills."""
        return Path(settings["CIVITAI_ARCHIVE"]) / component(self.archive, "archive")

    def feed_files(self, settings: BaseSettings) -> list[Path]:
        """Return where the archive's own feeds are, of whatever format they were written in."""
        home = self.home(settings).absolute()
        return [home / f"{stem}.{suffix}" for stem in FEEDS for suffix in ("jsonl", "csv")]

    def settle_in(self, settings: Settings) -> None:
        """Put job, feeds and downloads of this crawl into the settings, below what ``-s`` says."""
        buckets.hide(settings)
        home = self.home(settings)
        if not settings.get("JOBDIR"):
            settings.set("JOBDIR", str(home / ".job"), priority="spider")
        settings.set("CIVITAI_DOWNLOAD", ",".join(self.download) or "none", priority="spider")
        if self.thumbs is not None:
            settings.set("CIVITAI_THUMBS", str(self.thumbs), priority="spider")
        form = settings["CIVITAI_FEED_FORMAT"]
        suffix = {"jsonlines": "jsonl"}.get(form, form)
        own = {
            str((home / f"{stem}.{suffix}").absolute()): {"format": form, "item_classes": [item]}
            for stem, item in FEEDS.items()
        }
        self.dry_run = settings.getbool("CIVITAI_DRY_RUN")
        if not self.dry_run:
            settings.set("FEEDS", {**own, **settings.getdict("FEEDS")}, priority="cmdline")
        elif settings.getdict("FEEDS"):
            raise UsageError("A dry run writes no feed: leave out -o, -O and FEEDS.")
        self.base_url = str(settings["CIVITAI_BASE_URL"]).rstrip("/")
        self.media_base = str(settings["CIVITAI_MEDIA_URL"]).rstrip("/")
        self.batch_size = settings.getint("CIVITAI_BATCH_SIZE")
        self.exclude = words_of(settings["CIVITAI_EXCLUDE"])

    @property
    def ledger(self) -> Ledger:
        return Ledger.of(self.crawler)

    # --- requests ------------------------------------------------------------------------------

    def request(
        self,
        address: str,
        callback: Callable[..., Any],
        *,
        route: str = "api",
        stage: int = LISTS,
        errback: Callable[..., Any] | None = None,
        **cb_kwargs: Any,
    ) -> Request:
        """Ask the site. Keyword arguments go to *callback* and must be plain data."""
        return Request(
            self.base_url + address,
            callback=callback,
            errback=errback or self.on_failure,
            cb_kwargs=cb_kwargs,
            meta={"civitai_route": route, "civitai_stage": stage},
        )

    def trpc(self, *calls: trpc.Call, callback: Callable[..., Any], **options: Any) -> Request:
        """Ask one or several tRPC procedures in one request."""
        return self.request(trpc.url(*calls), callback, route="trpc", **options)

    def local(
        self,
        key: str,
        callback: Callable[..., Any],
        *,
        lane: str = "site",
        stage: int = LISTS,
        origin: Response | None = None,
        **cb_kwargs: Any,
    ) -> Request:
        """Make a step of its own, durable like a request, that asks nobody."""
        meta: dict[str, Any] = {"civitai_lane": lane, "civitai_stage": stage}
        if origin is not None:
            meta["civitai_origin"] = stamp_of(origin)
        url = f"data:,{key}"
        return Request(
            url, callback=callback, errback=self.on_failure, cb_kwargs=cb_kwargs, meta=meta
        )

    # --- signing in ----------------------------------------------------------------------------

    async def start(self) -> AsyncIterator[Any]:
        if credentials(self.settings).kind == "none":
            if self.settings.getbool("CIVITAI_REQUIRE_LOGIN"):
                self.stop(
                    "login_required", "No credential is set: CIVITAI_COOKIES or CIVITAI_API_KEY."
                )
                return
            self.logger.info(
                "Not signed in, which is enough for most. With an account of yours there are "
                "mature posts, and files that want a login: docs/sign-in.md"
            )
            for request in self.plan():
                yield request
        else:
            yield self.again(self.request(endpoints.me(), self.parse_me, errback=self.on_no_me))

    def again(self, request: Request) -> Request:
        """Mark a start request: it is asked in every run; what it leads to is filtered if done."""
        meta = {**request.meta, "civitai_again": True}
        return request.replace(dont_filter=True, priority=100, meta=meta)

    def parse_me(self, response: TextResponse) -> Iterator[Any]:
        me = parsers.me(self.json(response))
        self.signed_in = True
        self.logger.info("Signed in as %s (%s)", me.username, me.tier or "no tier")
        yield from self.plan()

    def on_no_me(self, failure: TwistedFailure) -> Any:
        reason = getattr(failure.value, "reason", "network")
        if reason not in ("login_required", "no_access", "downloads_disabled"):
            self.on_no_start(failure)
        elif self.settings.getbool("CIVITAI_REQUIRE_LOGIN"):
            self.stop("login_required", "The site does not accept the credential; renew it.")
        else:
            self.logger.warning(
                "The site does not accept the credential (expired or mistyped): going on signed out"
            )
            return self.instead(*self.plan())
        return None

    def instead(self, *requests: Request) -> object:
        """Ask something else in place of what failed; an errback returns what this does."""
        for request in requests:
            self.crawler.engine.crawl(request)
        return HANDLED

    def plan(self) -> Iterator[Request]:
        """Yield the first requests of the crawl."""
        raise NotImplementedError

    # --- reading -------------------------------------------------------------------------------

    def json(self, response: TextResponse) -> Any:
        return parsers.decode(response.body)

    def is_excluded(self, record: Any) -> bool:
        """Tell whether the record's own flags keep it out of the archive."""
        return any(getattr(record, name, False) for name in self.exclude)

    def batches(
        self, rows: list[Any], calls: Callable[[list[Any]], list[Call]]
    ) -> Iterator[list[Any]]:
        """Cut *rows* into what one request takes; *calls* tells what some of them ask."""
        while rows:
            size = self.fitting(rows, calls)
            yield rows[:size]
            rows = rows[size:]

    def fitting(self, rows: list[Any], calls: Callable[[list[Any]], list[Call]]) -> int:
        """Count the first rows that fit one request, by number and length; at least one."""
        size = min(len(rows), self.batch_size)
        while size > 1 and (length := len(trpc.url(*calls(rows[:size])))) > LONGEST:
            size = max(1, min(size - 1, size * LONGEST // length))
        return size


def plain(record: Record) -> dict[str, Any]:
    """Turn an item into plain data for a request's keyword arguments."""
    return {name: value for name, value in asdict(record).items() if value not in (None, {}, [])}
