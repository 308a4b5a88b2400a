"""Images, videos and sounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from civitai_crawler.api import links
from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.envelope import Page, page
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.api.parsers.generation import inline_generation
from civitai_crawler.api.parsers.people import owner
from civitai_crawler.items import Image

if TYPE_CHECKING:
    from civitai_crawler.items import GenerationData

T = TypeVar("T")
MEDIA_BASE = "https://image.civitai.com/xG1nkqKTMzGDvpLrqFT7WA"
_KINDS = {"mp4": "video", "webm": "video", "mp3": "audio", "wav": "audio"}


@dataclass
class ImageRecord:
    """An image and what the same answer told about its making."""

    image: Image
    generation: GenerationData | None
    """From the inline ``meta``; ``None`` when the answer carried none."""


def images_page(payload: Any, *, media_base: str = MEDIA_BASE) -> Page[ImageRecord]:
    """Read ``GET /api/v1/images``.

    Raises:
        UnexpectedShapeError: it is no page.

    """
    return page(payload, lambda record, path: image_record(record, path, media_base=media_base))


def trpc_images_page(data: Any, *, media_base: str = MEDIA_BASE) -> Page[ImageRecord]:
    """Read ``image.getInfinite``.

    Raises:
        UnexpectedShapeError: it is no page.

    """
    return images_page(data, media_base=media_base)


def image_detail(data: Any, *, media_base: str = MEDIA_BASE) -> Image:
    """Read ``image.get``.

    Raises:
        BadRecordError: it is no image.

    """
    return image_record(json_safe(data), media_base=media_base).image


def image_record(
    record: Any,
    path: str = "",
    *,
    media_base: str = MEDIA_BASE,
    creator: str | None = None,
    version_id: int | None = None,
) -> ImageRecord:
    """Read one image of any answer; ``creator`` and ``version_id`` fill in what it does not tell.

    ``record`` has passed :func:`json_safe`.

    Raises:
        BadRecordError: it has no usable id, neither its own nor one in its URL.

    """
    fields = Fields(record, "image", path)
    meta = fields.raw("meta")
    image = _image(fields, media_base)
    image.creator = image.creator or creator
    image.version_id = version_id if image.version_id is None else image.version_id
    generation = inline_generation(meta, image)
    if generation is not None and image.has_meta is None:
        image.has_meta = True
    return ImageRecord(image, generation)


def image_id(record: Any) -> int | None:
    """Id of an image of a version: its own, or the one in its URL; ``None`` without either."""
    if not isinstance(record, dict):
        return None
    own = convert.integer(record.get("id"))
    return own if own is not None else links.image_id_from_url(str(record.get("url")))


def _image(fields: Fields, media_base: str) -> Image:
    metadata = fields.child("metadata", keep=True)
    creator, creator_id = owner(fields)
    address = fields.url("url")
    mime_type = fields.text("mimeType")
    type_ = fields.text("type") or _type(mime_type, address)
    uuid = links.media_uuid(address) if address else None
    return Image(
        id=_id(fields, address),
        post_id=fields.reference("postId"),
        post_title=fields.text("postTitle"),
        creator=creator,
        creator_id=creator_id,
        uuid=uuid,
        url=_url(address, uuid, type_, media_base),
        type=type_,
        name=fields.text("name"),
        mime_type=mime_type,
        width=_first(fields.integer("width"), metadata.integer("width")),
        height=_first(fields.integer("height"), metadata.integer("height")),
        hash=_first(fields.text("hash"), metadata.text("hash")),
        nsfw_level=_level(fields),
        index=fields.integer("index"),
        created_at=fields.text("createdAt"),
        published_at=fields.text("publishedAt"),
        has_meta=fields.flag("hasMeta"),
        on_site=fields.flag("onSite"),
        remix_of_id=fields.integer("remixOfId"),
        minor=fields.flag("minor") or False,
        poi=fields.flag("poi") or False,
        version_id=fields.reference("modelVersionId"),
        version_ids=_versions(fields),
        base_model=fields.text("baseModel"),
        tag_ids=_tags(fields),
        stats=fields.mapping("stats"),
        media_size=metadata.integer("size"),
        duration=metadata.number("duration"),
        extra=fields.rest(),
    )


def _id(fields: Fields, address: str | None) -> int:
    """Read the id; showcase images of the detail calls have theirs in the URL only."""
    own = fields.reference("id")
    found = own if own is not None else links.image_id_from_url(address or "")
    if found is None:
        raise fields.bad("id", "an integer")
    return found


def _url(address: str | None, uuid: str | None, type_: str, media_base: str) -> str | None:
    """Give the URL of the original; an address of no known form stays as it is."""
    if address is None or uuid is None:
        return address
    base = links.media_base(address) if "/" in address else media_base
    return links.media_forms(base, uuid, type_)[0] if base else address


def _type(mime_type: str | None, address: str | None) -> str:
    """Tell the kind where the answer does not: by MIME type, then by the URL's ending."""
    if mime_type and mime_type.split("/")[0] in _KINDS.values():
        return mime_type.split("/")[0]
    ending = (address or "").partition("?")[0].rpartition(".")[2].lower()
    return _KINDS.get(ending, "image")


def _level(fields: Fields) -> int | None:
    """Read the bit; the texts of older answers cover several levels each and stay in ``extra``."""
    return fields.integer("browsingLevel", "nsfwLevel")


def _versions(fields: Fields) -> list[int]:
    """Versions found in the parameters, then those that the creator named."""
    found = fields.listed(convert.integers, "modelVersionIds")
    named = fields.listed(convert.integers, "modelVersionIdsManual")
    return list(dict.fromkeys([*found, *named]))


def _tags(fields: Fields) -> list[int]:
    """Tag ids; ``tags`` are ids too in older answers, and ``{id, name}`` where asked for."""
    tag_ids = fields.listed(convert.integers, "tagIds")
    named = fields.raw("tags")
    if named is not None and convert.integers(named) is None:
        fields.keep("tags", named)
    return tag_ids or convert.ids(named) or []


def _first(first: T | None, second: T | None) -> T | None:
    return second if first is None else first
