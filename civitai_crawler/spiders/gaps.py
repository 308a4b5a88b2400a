"""The steps that find what the lists left out, and name what stays missing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from civitai_crawler.api import parsers
from civitai_crawler.ledger import holdings
from civitai_crawler.ledger.refusals import IMAGES_MISSING, Refusals
from civitai_crawler.spiders.base import CHECK, REPAIR, SEARCH
from civitai_crawler.spiders.gone import GoneSpider
from civitai_crawler.spiders.pictures import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scrapy import Request
    from scrapy.http import Response

    from civitai_crawler.items import Creator

#: What tRPC shows of images: to anyone, and to a signed-in user, by the end of the site's name.
_ANONYMOUS_CAP, _SIGNED_IN_CAP = 1, 3
_CAPS = {"com": _SIGNED_IN_CAP, "red": holdings.ALL_LEVELS}

#: How often the images of a post are asked for that counts more of them.
_ATTEMPTS = 3


class GapsSpider(GoneSpider):
    """Base of the spiders that prove their completeness against counts."""

    username: str

    def second_list(self) -> Request:
        """Ask for the posts that the first list has left out."""
        raise NotImplementedError

    @property
    def cap(self) -> int:
        """The levels that the site's lists of posts and images show to this viewer."""
        if not self.signed_in:
            return _ANONYMOUS_CAP
        return _CAPS.get(self.top_level, _SIGNED_IN_CAP)

    @property
    def listed_levels(self) -> int:
        """The levels that the lists have told all of; who is shown one is shown all up to it."""
        highest = (self.shown() & holdings.ALL_LEVELS).bit_length()
        return self.cap | ((1 << highest) - 1)

    @property
    def top_level(self) -> str:
        return (urlsplit(self.base_url).hostname or "").rpartition(".")[2]

    def count_on(self, creator: Creator, data: dict[str, Any]) -> None:
        """Remember what was asked for, and the site's own counts."""
        scope = {
            "include": sorted(self.include), "restricted": self.is_restricted,
            "levels": self.level, "exclude": sorted(self.exclude),
        }  # fmt: skip
        if holdings.scope(self.ledger.db).get("exclude", scope["exclude"]) != scope["exclude"]:
            self.ledger.db.execute("DELETE FROM marks WHERE kind LIKE 'excluded%'")
        self.ledger.set_fact("scope", json.dumps(scope))
        own = parsers.creator(data).model_count
        images = (creator.image_count or 0) + (creator.video_count or 0)
        told = {("models user.getCreator", own, holdings.ALL_LEVELS)}
        if creator.post_count is not None:
            # Of another host it is not known what it shows to whom: then nothing is compared.
            known = not self.signed_in or self.top_level in _CAPS
            told |= {
                (f"{stem} userProfile.overview", number, self.cap if known else 0)
                for stem, number in (
                    ("models", creator.model_count), ("posts", creator.post_count),
                    ("images", images),
                )
            }  # fmt: skip
        for name, number, levels in told:
            if number is not None:
                self.ledger.mark("expected", name, json.dumps([number, levels]))

    def gaps(self) -> Request:
        """Make the step that looks for gaps when all lists are done."""
        return self.local("gaps", self.parse_gaps, stage=SEARCH)

    def parse_gaps(self, _: Response) -> Iterator[Any]:
        self.ledger.under_way.show()
        short = {count.stem for count in holdings.counts(self.ledger.db) if count.missing}
        if self.include - {"models"}:
            if "posts" in short:
                yield self.second_list()
            named = re.fullmatch(r"\w+", self.username, re.ASCII)  # the search takes no other name
            # Images that a known post lacks are asked for by the post (parse_repair).
            if named and (self.level & ~self.listed_levels or "posts" in short):
                yield self.search(username=self.username)
        yield self.local("repair/1", self.parse_repair, stage=REPAIR, attempt=1)

    def parse_repair(self, _: Response, attempt: int) -> Iterator[Any]:
        self.ledger.under_way.show()
        short = [
            post_id
            for post_id in (holdings.short_posts(self.ledger.db) if self.wants_images else ())
            if not holdings.is_settled(self.ledger, post_id, signed_in=self.signed_in)
        ]
        for post_id in short:
            # An overloaded server answers an empty list. Another limit is another address, which
            # no cache between has the answer to.
            yield self.images_of([post_id], flags=self.unfiltered, limit=PAGE - attempt)
        if attempt == 1:
            due: list[int] = []
            if "images" in self.download and not self.dry_run:
                due = holdings.posts_with_due_files(self.ledger, signed_in=self.signed_in)
            for post_id in dict.fromkeys([*short, *due]):
                yield self.search(post_id=post_id)
        if short and attempt < _ATTEMPTS:
            yield self.local(
                f"repair/{attempt + 1}",
                self.parse_repair,
                stage=REPAIR + attempt,
                attempt=attempt + 1,
            )
        else:
            yield self.local("check", self.parse_check, stage=CHECK)

    def parse_check(self, _: Response) -> Iterator[Any]:
        self.ledger.under_way.show()
        short = holdings.short_posts(self.ledger.db) if self.wants_images else {}
        refusals = Refusals(self.ledger)
        for post_id, (held, expected) in short.items():
            if not holdings.is_settled(self.ledger, post_id, signed_in=self.signed_in):
                message = f"The site counts {expected} images in this post and lists {held}."
                yield self.failed("post", post_id, IMAGES_MISSING, message, post_id=post_id)
        refusals.keep_only(IMAGES_MISSING, {f"post:{post_id}" for post_id in short})
        yield from self.look_for_gone()
