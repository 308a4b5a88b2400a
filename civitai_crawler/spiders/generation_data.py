"""Generation data alone, many images in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.api import links
from civitai_crawler.exceptions import UsageError
from civitai_crawler.spiders import arguments
from civitai_crawler.spiders.base import POSTS
from civitai_crawler.spiders.generations import GenerationsSpider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request


class GenerationDataSpider(GenerationsSpider):
    """Fetch the generation data of images: prompt, seed, parameters, models.

    image_id: ids or links of images: one, a comma list, or @file
    from: a feed (images.jsonl or .csv) whose images are meant; instead of or beside image_id
    """

    name = "generation_data"
    folder = "generation-data"

    def __init__(self, *, image_id: str = "", from_: str = "") -> None:
        super().__init__(download="none")
        if not (image_id or from_):
            raise UsageError("generation_data needs -a image_id=… or -a from=images.jsonl.")
        ids = arguments.ids_of_feed(from_) if from_ else []
        if image_id:
            ids += arguments.listed("image_id", str(image_id), links.image_id)
        self.image_ids = list(dict.fromkeys(ids))

    def plan(self) -> Iterator[Request]:
        held = (image_id for image_id in self.image_ids if not self._is_held(image_id))
        yield from self.ask([[image_id, None, None, None] for image_id in held], POSTS)

    def _is_held(self, image_id: int) -> bool:
        """Tell whether the data is in its feed already; once published it does not change."""
        return self.ledger.is_known("GenerationData", image_id)
