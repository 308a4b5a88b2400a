"""How the generation data of images is got: from the lists, or asked for, many in one request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from civitai_crawler.api import parsers, procedures, trpc
from civitai_crawler.exceptions import ApiError, BadRecordError, UnexpectedShapeError
from civitai_crawler.items import GenerationData, Resource
from civitai_crawler.spiders import arguments, resources
from civitai_crawler.spiders.base import CHECK, GONE, POSTS, SEARCH, CivitaiSpider, plain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from scrapy import Request
    from scrapy.http import Response, TextResponse
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.api.parsers import ImageRecord

#: What is known of an image whose generation data is wanted: id, post id, has_meta, user name.
Wanted = list[Any]
#: An image that waits for its models to be resolved: the above, its record, ids of the versions.
Waiting = tuple[Wanted, dict[str, Any], list[int]]

#: Waiting images in one row of the ledger.
_ROW = 100


class GenerationsSpider(CivitaiSpider):
    """Base of the spiders that make records of how images were made.

    What is to be asked gathers in a pool, so that pages of few images do not make requests of few.
    The pool is a set of marks: each stays until its image is answered, and what a run has left,
    killed or refused by a busy server, is packed by the last step of the next one.
    """

    wants_generation = True

    def __init__(
        self, *, download: str = "images,files", thumbs: str = "", level: str = "31",
        generation: str = "full",
    ) -> None:  # fmt: skip
        super().__init__(download=download, thumbs=thumbs, level=level)
        self.asking = arguments.one_of("generation", generation, arguments.GENERATIONS)
        self._pool: list[Wanted] = []
        #: Versions that an image under way will resolve.
        self._asked: set[int] = set()

    async def start(self) -> AsyncIterator[Any]:
        async for each in super().start():
            yield each
        if self.wants_generation and self.asking != "none":
            yield self.again(self.local("generation", self.parse_pool, stage=CHECK))

    # --- from the lists ------------------------------------------------------------------------

    def generation(self, records: list[ImageRecord], origin: Response) -> Iterator[Any]:
        """Yield the records of images that *origin* lists, or the requests for them."""
        if self.asking == "full":
            yield from self.ask(map(_wanted, records), stage_of(origin))
        elif self.asking == "none":
            yield from filter(None, map(resources.listed, records))
        else:
            yield from self._auto(records, origin)

    def _auto(self, records: list[ImageRecord], origin: Response) -> Iterator[Any]:
        """Ask for one image of each unknown model; the others wait for its answer."""
        stage = stage_of(origin)
        asked: list[Wanted] = []
        open_: list[Wanted] = []
        waiting: list[Waiting] = []
        for record in records:
            item = resources.listed(record)
            versions = resources.needed(record, item)
            if item is None or versions is None:
                open_.append(_wanted(record))
            elif not (unknown := {one for one in versions if self._known(one) is None}):
                yield self._resolved(item, versions)
            elif unknown <= self._asked:
                waiting.append((_wanted(record), plain(item), versions))
            else:
                self._asked |= unknown
                asked.append(_wanted(record))
        yield from self.ask(open_, stage)
        yield from self.generation_batches(asked, stage)
        for at in range(0, len(waiting), _ROW):
            rows = waiting[at : at + _ROW]
            yield self.local(
                f"waiting/{rows[0][0][0]}", self.parse_waiting, origin=origin, rows=rows,
                stage=max(SEARCH, stage + 1),
            ).replace(dont_filter=True)  # fmt: skip

    def parse_waiting(self, response: Response, rows: list[Waiting]) -> Iterator[Any]:
        left: list[Wanted] = []
        if self.dry_run:  # nothing was asked, so nothing is resolved; it would be by now
            self.count_planned(wanted for wanted, _, _ in rows)
            return
        for wanted, fields, versions in rows:
            if any(self._known(version_id) is None for version_id in versions):
                left.append(wanted)
                continue
            named = [Resource(**one) for one in fields.pop("resources", ())]
            item = GenerationData(**{"provenance": None, **fields, "resources": named})
            yield self._resolved(item, versions)
        yield from self.generation_batches(left, stage_of(response))

    def _known(self, version_id: int) -> str | None:
        return self.ledger.marked("resource", version_id)

    def _resolved(self, item: GenerationData, versions: list[int]) -> GenerationData:
        known = {
            version_id: json.loads(self._known(version_id) or "null") for version_id in versions
        }
        resources.resolve(item, known)
        return item

    def _learn(self, item: GenerationData) -> None:
        """Keep what an answer tells of models, for the images that only name them."""
        for version_id, fields in resources.described(item).items():
            if fields is not None or self._known(version_id) is None:
                self.ledger.mark("resource", version_id, json.dumps(fields))

    # --- asked for -----------------------------------------------------------------------------

    def ask(self, rows: Iterable[Wanted], stage: int) -> Iterator[Request]:
        """Put images into the pool and yield the requests that it fills."""
        for row in rows:
            if self.ledger.marked("wanted", row[0]) is None:
                self.ledger.mark("wanted", row[0], json.dumps(row[1:]))
                self._pool.append(row)
        while self._pool:
            size = self.fitting(self._pool, self.calls)
            if size == len(self._pool) < self.batch_size:
                break
            batch, self._pool = self._pool[:size], self._pool[size:]
            yield self.generation_batch(batch, stage)

    def parse_pool(self, response: Response) -> Iterator[Request]:
        """Ask for what is left when all lists are done, by this run or one that was killed."""
        waiting, self._pool = self._pool, []
        if self.dry_run:  # the marks of what was counted still stand
            yield from self.generation_batches(waiting, stage_of(response))
            return
        rows = [[int(key), *json.loads(row)] for key, row in self.ledger.marks("wanted").items()]
        yield from self.generation_batches(rows, stage_of(response))

    def calls(self, batch: list[Wanted]) -> list[trpc.Call]:
        """Return the calls of one request: the images', then those that tell hidden from absent.

        Whether a missing prompt is hidden or absent is told by image.get alone.
        """
        asked = [
            procedures.image_get_generation_data(row[0], authed=self.signed_in) for row in batch
        ]
        return asked + [
            procedures.image_get(image_id, authed=self.signed_in) for image_id in _unsure(batch)
        ]

    def generation_batches(self, rows: list[Wanted], stage: int) -> Iterator[Request]:
        for batch in self.batches(rows, self.calls):
            yield self.generation_batch(batch, stage)

    def generation_batch(self, batch: list[Wanted], stage: int = POSTS) -> Request:
        """Ask for the data of a batch in the *stage* of the page that lists its images.

        So a resumed crawl reads that page first, and the data finds the originals on their way.
        """
        if self.dry_run:
            key = f"planned/{batch[0][0]}"
            return self.local(key, self.parse_planned, stage=stage, batch=batch)
        return self.trpc(
            *self.calls(batch),
            callback=self.parse_generation,
            errback=self.on_no_generation,
            stage=stage,
            batch=batch,
        )

    def parse_planned(self, _: Response, batch: list[Wanted]) -> None:
        """Count what a dry run does not ask."""
        self.count_planned(batch)
        self.crawler.stats.inc_value("civitai/plan/requests")

    def count_planned(self, rows: Iterable[Wanted]) -> None:
        """Count images whose generation data a crawl would bring, each once."""
        for row in rows:
            if self.ledger.marked("planned", row[0]) is None:
                self.ledger.mark("planned", row[0])
                self.crawler.stats.inc_value("civitai/plan/generation_data")

    def parse_generation(self, response: TextResponse, batch: list[Wanted]) -> Iterator[Any]:
        unsure = _unsure(batch)
        results = trpc.results(self.json(response), len(batch) + len(unsure))
        flags = dict(zip(unsure, results[len(batch) :], strict=True))
        for row, data in zip(batch, results, strict=False):
            if isinstance(data, ApiError):
                yield from self.no_generation(data, row, batch, stage_of(response))
                continue
            image_id, post_id, has_meta, creator = row
            told = flags.get(image_id)
            if isinstance(told, ApiError) and told.status != GONE and len(batch) > 1:
                yield self.generation_batch([row], stage_of(response))
                continue
            self.ledger.unmark("wanted", image_id)
            if image_id in flags:
                has_meta = _holds_meta(told)
            try:
                item = parsers.generation_data(data, image_id=image_id, has_meta=has_meta)
            except (BadRecordError, UnexpectedShapeError) as error:
                yield from self.broken([BadRecordError("generation_data", image_id, str(error))])
                continue
            item.post_id, item.creator = post_id, creator
            if self.asking == "auto":
                self._learn(item)
            yield item

    def no_generation(
        self, error: ApiError, row: Wanted, batch: list[Wanted], stage: int
    ) -> Iterator[Any]:
        """Ask once more, singly, what failed inside a batch; name what failed alone.

        The next run asks again what may pass, also where its lists do not name the image.
        """
        final = error.status == GONE
        if len(batch) > 1 and not final:
            yield self.generation_batch([row], stage)
            return
        if final:
            self.ledger.unmark("wanted", row[0])
        reason = "not_found" if final else "server_error"
        yield self.failed(
            "generation_data", row[0], reason, error.message, status=error.status,
            post_id=row[1],
        )  # fmt: skip

    def on_no_generation(self, failure: TwistedFailure) -> Any:
        """Take a batch apart that was refused as a whole."""
        request: Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy for errbacks
        batch = request.cb_kwargs["batch"]
        for row in batch:
            self.ledger.unmark("wanted", row[0])
        if len(batch) == 1:
            return self.on_failure(failure)
        stage = stage_of(request)
        return self.instead(*(self.generation_batch([row], stage) for row in batch))


def _wanted(record: ImageRecord) -> Wanted:
    image = record.image
    return [image.id, image.post_id, image.has_meta, image.creator]


def _unsure(batch: list[Wanted]) -> list[int]:
    """Pick the images of which the lists show nothing: hidden parameters are listed as none."""
    return [row[0] for row in batch if not row[2]]


def _holds_meta(detail: Any) -> bool | None:
    """Tell by image.get whether there are parameters, shown or not; ``None``: it does not tell."""
    if not isinstance(detail, dict):
        return None
    return bool(detail.get("hasMeta") or detail.get("hideMeta"))


def stage_of(asked: Request | Response) -> int:
    """Return the stage of a request or its answer, in which what it leads to is asked as well."""
    return max(POSTS, int(asked.meta.get("civitai_stage", POSTS)))
