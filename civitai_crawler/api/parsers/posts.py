"""Posts."""

from __future__ import annotations

from typing import Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.envelope import Page, page
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.api.parsers.people import owner
from civitai_crawler.items import Post


def posts_page(data: Any) -> Page[Post]:
    """Read ``post.getInfinite``.

    Raises:
        UnexpectedShapeError: it is no page.

    """
    return page(data, _post)


def post(data: Any) -> Post:
    """Read ``post.get``, or one entry of ``post.getInfinite``.

    Raises:
        BadRecordError: it has no usable id.

    """
    return _post(json_safe(data))


def _post(record: Any, path: str = "") -> Post:
    fields = Fields(record, "post", path)
    # The few images listed along are records of their own; kept here they would carry what an
    # archive leaves out.
    fields.raw("images")
    creator, creator_id = owner(fields)
    version_id = fields.reference("modelVersionId")
    nested_version_id = fields.child("modelVersion", keep=True).reference("id")
    return Post(
        id=fields.identity(),
        creator=creator,
        creator_id=creator_id,
        title=fields.text("title"),
        detail=fields.text("detail"),
        version_id=nested_version_id if version_id is None else version_id,
        published_at=fields.text("publishedAt"),
        nsfw_level=fields.integer("nsfwLevel"),
        availability=fields.text("availability"),
        image_count=fields.integer("imageCount"),
        tags=fields.listed(convert.names, "tags"),
        collection_id=fields.reference("collectionId"),
        stats=fields.mapping("stats"),
        extra=fields.rest(),
    )
