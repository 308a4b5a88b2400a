"""The steps that find what the lists left out, and name what stays missing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from civitai_crawler.spiders.base import CHECK, REPAIR, SEARCH
from civitai_crawler.spiders.pictures import Flags, PicturesSpider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request
    from scrapy.http import Response

    from civitai_crawler.items import Creator

#: What tRPC shows of images: to anyone, and to a signed-in user on the host without mature content.
_ANONYMOUS_CAP, _SIGNED_IN_CAP = 1, 3


class GapsSpider(PicturesSpider):
    """Base of the spiders that prove their completeness against counts."""

    username: str

    def count_on(self, creator: Creator) -> None:
        """Remember the site's own count of images."""
        expected = (creator.image_count or 0) + (creator.video_count or 0)
        self.ledger.mark("expected", "images", str(expected))

    def gaps(self) -> Request:
        """Make the step that looks for gaps when all lists are done."""
        return self.local("gaps", self.parse_gaps, stage=SEARCH)

    def parse_gaps(self, _: Response) -> Iterator[Any]:
        named = re.fullmatch(r"\w+", self.username, re.ASCII)  # the search takes no other name
        if named and (self.is_capped() or self.is_miscounted() or self.short_posts()):
            yield self.search(username=self.username)
        yield self.local("repair", self.parse_repair, stage=REPAIR)

    def is_capped(self) -> bool:
        """Tell whether the lists of posts and images hide levels that are wanted."""
        if not self.signed_in:
            return bool(self.level & ~_ANONYMOUS_CAP)
        mature = (urlsplit(self.base_url).hostname or "").endswith(".red")
        return not mature and bool(self.level & ~_SIGNED_IN_CAP)

    def is_miscounted(self) -> bool:
        expected = int(self.ledger.marked("expected", "images") or 0)
        return expected > self.ledger.count_items("Image") + len(
            self.ledger.marks("excluded_image")
        )

    def short_posts(self) -> dict[int, tuple[int, int]]:
        """Return the posts of which images are missing: id → (held or excluded, expected)."""
        if not self.wants_images:
            return {}
        excluded = list(self.ledger.marks("excluded_image").values())
        short = {}
        for post_id, known in self.ledger.marks("post").items():
            expected = json.loads(known)[2] or 0
            held = self.ledger.count_items("Image", int(post_id)) + excluded.count(post_id)
            if held < expected:
                short[int(post_id)] = (held, expected)
        return short

    def parse_repair(self, _: Response) -> Iterator[Any]:
        for post_id in self.short_posts():
            # Without the filters, so that what is excluded is at least counted.
            yield self.images_of(
                [post_id],
                flags=Flags(authed=self.signed_in, disable_poi=False, disable_minor=False),
            )
            yield self.search(post_id=post_id)
        yield self.local("check", self.parse_check, stage=CHECK)

    def parse_check(self, _: Response) -> Iterator[Any]:
        for post_id, (held, expected) in self.short_posts().items():
            yield self.failed(
                "post",
                post_id,
                "images_missing",
                f"The site counts {expected} images in this post and lists {held}.",
                post_id=post_id,
            )
