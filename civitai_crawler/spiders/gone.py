"""The steps of a later pass that find what the site shows no more. What is held of it is kept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from civitai_crawler.api import procedures, trpc
from civitai_crawler.exceptions import ApiError
from civitai_crawler.ledger import changes, holdings
from civitai_crawler.spiders.base import CHECK, GONE
from civitai_crawler.spiders.pictures import PicturesSpider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy import Request
    from scrapy.http import TextResponse
    from twisted.python.failure import Failure as TwistedFailure


class GoneSpider(PicturesSpider):
    """Base of the spiders that compare a pass with the one before."""

    include: set[str]

    @property
    def is_restricted(self) -> bool:
        """Whether the arguments keep a part of the creator's work from being listed."""
        return False

    def look_for_gone(self) -> Iterator[Request]:
        """Ask by id for what no list has shown in this pass; only that is proof."""
        if not self.ledger.passes or self.is_restricted or changes.has_failed(self.ledger):
            return
        models = changes.unseen(self.ledger, "Model") if "models" in self.include else []
        # What was not listed in this pass is unseen without being suspect.
        listed = bool(self.include - {"models"})
        for kind, ids in (
            ("Model", models),
            ("Post", self.unseen_posts() if listed else []),
            ("Image", self.unseen_images() if listed else []),
        ):
            for batch in self.batches(ids, partial(self.calls_for, kind)):
                yield self.trpc(
                    *self.calls_for(kind, batch),
                    callback=self.parse_gone,
                    errback=self.on_gone,
                    stage=CHECK,
                    kind=kind,
                    ids=batch,
                )
        # The list of a model is all there is of its versions and files.
        for kind, part, whole in (
            ("ModelVersion", "version", "model"),
            ("ModelFile", "file", "version"),
        ):
            for number in changes.unlisted(self.ledger, kind, part, whole):
                changes.lose(self.ledger, kind, number)

    def unseen_posts(self) -> list[int]:
        """Leave out what only a search would have shown that was not walked to its end."""
        unseen = changes.unseen(self.ledger, "Post")
        if self.ledger.marked("walked", "username") == str(self.ledger.passes):
            return unseen
        return [post for post in unseen if self.ledger.marked("listed_post", post) is not None]

    def unseen_images(self) -> list[int]:
        """Return the unseen images of posts that have more of them than the site counts."""
        posts = holdings.images_of_posts(self.ledger.db)
        crowded = {post for post, (held, expected) in posts.items() if held > expected}
        return changes.unseen(self.ledger, "Image", parents=crowded) if crowded else []

    def calls_for(self, kind: str, ids: Iterable[int]) -> list[trpc.Call]:
        if kind == "Model":
            return [procedures.model_get_by_id(number) for number in ids]
        ask = procedures.post_get if kind == "Post" else procedures.image_get
        return [ask(number, authed=self.signed_in) for number in ids]

    def parse_gone(self, response: TextResponse, kind: str, ids: list[int]) -> Iterator[Any]:
        results = trpc.results(self.json(response), len(ids))
        for number, data in zip(ids, results, strict=True):
            if isinstance(data, ApiError) and data.status == GONE:
                changes.lose(self.ledger, kind, number)
            elif not isinstance(data, ApiError):
                changes.see(self.ledger, kind, number)
        yield from ()

    def on_gone(self, failure: TwistedFailure) -> None:
        """Take the answer to a single question: it has the status of what was asked for."""
        kwargs = failure.request.cb_kwargs  # type: ignore[attr-defined]  # set by Scrapy for errbacks
        if getattr(failure.value, "status", None) == GONE and len(kwargs["ids"]) == 1:
            changes.lose(self.ledger, kwargs["kind"], kwargs["ids"][0])
        else:
            self.on_failure(failure)
