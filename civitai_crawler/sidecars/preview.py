"""The image beside a model file that shows what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from civitai_crawler.items import Image
    from civitai_crawler.sidecars.subject import Shown

#: Endings by what the bytes are; anything else is no still picture.
EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/jxl": "jxl",
}
#: What every program shows; others are taken only where there is none of these.
_COMMON = frozenset({"image/png", "image/jpeg", "image/webp"})
#: PG-13: up to here an image is safe for work.
_SAFE = 2
#: XXX; beyond it is what the site has blocked. An unrated image may be anything.
HIGHEST = 16


def choose(shown: Iterable[Shown], highest: int = HIGHEST) -> Image | None:
    """Choose the first stored still that is safe for work, else the first of the lowest level.

    *highest* is the highest browsing level (1, 2, 4, 8, 16) that is taken.
    """
    stills = [one.image for one in shown if one.image.path and _extension(one.image)]
    taken = [image for image in stills if _level(image) <= highest]
    return min(taken, key=_rank, default=None)


def ending(image: Image) -> str:
    """Return what follows the stem in the name of a preview: ``.preview.png`` ..."""
    return f".preview.{_extension(image)}"


def _rank(image: Image) -> tuple[int, bool]:
    return max(_level(image), _SAFE), image.content_type not in _COMMON


def _extension(image: Image) -> str | None:
    return EXTENSIONS.get(image.content_type or "")


def _level(image: Image) -> int:
    return image.nsfw_level or HIGHEST
