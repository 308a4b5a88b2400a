"""The steps from a creator's name to models, versions and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from civitai_crawler.api import endpoints, parsers, procedures, trpc
from civitai_crawler.items import ModelFile
from civitai_crawler.ledger import holdings, outlook
from civitai_crawler.pipelines.filters import FileFilter
from civitai_crawler.pipelines.plan import free
from civitai_crawler.pipelines.plan_text import size_lines
from civitai_crawler.spiders.base import LISTS, POSTS, SECOND, THIRD, plain
from civitai_crawler.spiders.pictures import PicturesSpider

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scrapy import Request
    from scrapy.http import Response, TextResponse
    from twisted.python.failure import Failure as TwistedFailure

    from civitai_crawler.api.parsers import ModelTree
    from civitai_crawler.items import Failure, Model, ModelVersion


class ListingsSpider(PicturesSpider):
    """Base of the spiders that list the models of a creator."""

    username: str
    types: list[str]
    base_models: list[str]
    since: str
    gallery: bool
    api: str

    def on_no_creator(self, failure: TwistedFailure) -> None:
        """Handle the site's not knowing the creator."""
        self.on_no_start(failure)

    def is_recent(self, date: str | None) -> bool:
        """Tell whether a date is within ``since``; what has no date is."""
        return not self.since or not date or date >= self.since

    # --- the lists: two of REST, and the site's own by tRPC ------------------------------------

    def model_lists(self) -> Iterator[Request]:
        """Ask for the lists one after the other: of what two of them name, the first one tells."""
        yield self.models(nsfw=True)
        yield self.models(nsfw=None)
        yield self.local("models", self.parse_listed, stage=THIRD)

    def models(self, *, nsfw: bool | None, cursor: str | int | None = None) -> Request:
        # With nsfw=true the server leaves out models with some tags, without it mature ones and
        # images: neither list holds the other. Archived models come along in both.
        address = endpoints.models(
            username=self.username,
            archived=True,
            nsfw=nsfw,
            cursor=cursor,
            types=self.types,
            base_models=self.base_models,
        )
        # The site's own list can stand in for REST's.
        errback = self.on_failure if self.api == "trpc" else self.on_no_creator
        stage = LISTS if nsfw else SECOND
        return self.request(address, self.parse_models, errback=errback, stage=stage, nsfw=nsfw)

    def parse_models(self, response: TextResponse, *, nsfw: bool | None) -> Iterator[Any]:
        page = parsers.models_page(self.json(response))
        for tree in page.items:
            yield from self.tree(tree, response)
        yield from self.broken(page.broken)
        if page.next_cursor is not None:
            yield self.models(nsfw=nsfw, cursor=page.next_cursor)

    def parse_listed(self, _: Response) -> Iterator[Request]:
        """Ask for the site's own list, unless the site's counts prove that it has no more.

        It names no model without a showcase image at the viewer's level; REST's name no mature one
        with some tags.
        """
        if self.api == "trpc" or not holdings.are_models_listed(self.ledger):
            yield self.models_by_trpc()

    def models_by_trpc(self, cursor: str | int | None = None) -> Request:
        call = procedures.model_get_all(
            username=self.username,
            cursor=cursor,
            level=self.level,
            types=self.types,
            base_models=self.base_models,
            **self.unfiltered,
        )
        return self.trpc(call, callback=self.parse_models_by_trpc)

    def parse_models_by_trpc(self, response: TextResponse) -> Iterator[Any]:
        page = parsers.trpc_models_page(trpc.result(self.json(response)))
        for model in filter(lambda model: self.owns(model.creator), page.items):
            if self.is_excluded(model):
                if self.ledger.marked("excluded_model", model.id) is None:
                    # Its posts are known by its versions, of which the list names but one.
                    call = procedures.model_get_by_id(model.id)
                    yield self.trpc(call, callback=self.parse_excluded)
            elif self.selects(model) and not self.is_listed(model.id):
                yield self.request(endpoints.model(model.id), self.parse_model)
        yield from self.broken(page.broken)
        if page.next_cursor is not None:
            yield self.models_by_trpc(page.next_cursor)

    def parse_excluded(self, response: TextResponse) -> None:
        self.exclude_model(parsers.trpc_model_tree(trpc.result(self.json(response))))

    def is_listed(self, model_id: int) -> bool:
        """Tell whether a list of this pass has told all of a model."""
        return self.ledger.marked("listed_model", model_id) == str(self.ledger.passes)

    def parse_model(self, response: TextResponse) -> Iterator[Any]:
        yield from self.tree(parsers.model_tree(self.json(response)), response)

    # --- one model -----------------------------------------------------------------------------

    def tree(self, tree: ModelTree, response: Response) -> Iterator[Any]:
        """Yield a model with its versions, and one step for each of its files."""
        yield from self.broken(tree.broken)
        if self.is_excluded(tree.model):
            self.exclude_model(tree)
            return
        if not (self.owns(tree.model.creator) and self.selects(tree.model)):
            return
        yield tree.model
        versions = [version for version in tree.versions if self.selects_version(version)]
        yield from versions
        kept = {version.id for version in versions}
        files = [file for file in tree.files if file.version_id in kept]
        self.include_model(tree.model, kept, files)
        outlook.listed(self.ledger, filter(FileFilter.from_settings(self.settings).admits, files))
        for file in files:
            yield self.local(
                f"model_file/{file.id}",
                self.parse_file,
                lane="file",
                stage=POSTS,  # said before the first file: how much there is
                origin=response,
                record=plain(file),
            )
        yield from self.withdrawn(tree.model, versions)
        if self.gallery:
            for version_id in kept:
                yield self.search(model_version_id=version_id)

    def parse_sizes(self, _: Response) -> None:
        """Say what is going to be downloaded: the lists of models are done, no file has begun."""
        files = outlook.files_due(self.ledger, signed_in=self.signed_in)
        for line in size_lines(
            files=files if "files" in self.download else None,
            originals=outlook.originals_due(self.ledger),
            images="images" in self.download,
            free=free(self.home(self.settings)),
        ):
            self.logger.info("%s", line)

    def withdrawn(self, model: Model, versions: list[ModelVersion]) -> Iterator[Failure]:
        """Name the versions of an archived model: no call lists their files or serves them."""
        if model.mode == "Archived" and "files" in self.download:
            for version in versions:
                if not version.file_ids:
                    message = "The model is archived: its files are neither listed nor served."
                    yield self.failed(
                        "model_version", version.id, "archived", message,
                        model_id=model.id, version_id=version.id, creator=model.creator,
                    )  # fmt: skip

    def parse_file(self, _: Response, record: dict[str, Any]) -> Iterator[ModelFile]:
        yield ModelFile(**{"model_id": None, **record})

    def exclude_model(self, tree: ModelTree) -> None:
        """Remember what is left out, so that its posts are left out too."""
        self.leave_out("model", [tree.model.id])
        self.leave_out("version", [version.id for version in tree.versions])
        self.leave_out("file", [file.id for file in tree.files])

    def leave_out(self, kind: str, ids: Iterable[int]) -> None:
        for number in ids:
            self.ledger.mark(f"excluded_{kind}", number)

    def include_model(self, model: Model, versions: set[int], files: list[ModelFile]) -> None:
        """Remember what was listed, so that the report knows what should be there."""
        self.ledger.mark("model", model.id, str(model.nsfw_level or 0))
        listed = {"model": {model.id}, "version": versions, "file": {file.id for file in files}}
        for kind, ids in listed.items():
            for number in ids:
                self.ledger.mark(f"listed_{kind}", number, str(self.ledger.passes))
                self.ledger.unmark(f"excluded_{kind}", number)

    def selects(self, model: Model) -> bool:
        """Apply ``types`` and ``level``; an unrated model is of every level."""
        levels = model.nsfw_level or self.level
        return bool(levels & self.level) and (not self.types or model.type in self.types)

    def selects_version(self, version: ModelVersion) -> bool:
        """Apply ``base_models`` and ``since``."""
        wanted = not self.base_models or version.base_model in self.base_models
        return wanted and self.is_recent(version.published_at)
