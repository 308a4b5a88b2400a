"""Small JPEGs of the stored stills, beside the archive's originals; on when sizes are chosen."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from PIL import ExifTags
from PIL import Image as Pillow
from scrapy.exceptions import NotConfigured

from civitai_crawler import options
from civitai_crawler.exceptions import CivitaiError, UnfinishedError, UsageError
from civitai_crawler.handlers.pacing import Pacer
from civitai_crawler.items import Image
from civitai_crawler.ledger import Ledger
from civitai_crawler.ledger.holdings import stored_images
from civitai_crawler.pipelines import shelf
from civitai_crawler.pipelines.arrival import apart
from civitai_crawler.pipelines.images import BROKEN, MAX_PIXELS, TOO_MUCH
from civitai_crawler.pipelines.names import component
from civitai_crawler.pipelines.trouble import end_crawl
from civitai_crawler.stores import StoreError, Stores

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from civitai_crawler.stores import Store

logger = logging.getLogger(__name__)

#: What ``thumbs=true`` makes where IMAGES_THUMBS names no sizes.
DEFAULT = {"small": (320, 320)}
FOLDER = "thumbnails"
_QUALITY = 85
#: What each orientation of the EXIF asks for.
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
#: Originals of earlier runs that are looked at between two looks at the crawl.
_AT_ONCE = 100

Size = tuple[int, int]


class UnreadableError(CivitaiError):
    """An original has no thumbnail, because it does not decode. Raised and caught here."""


class ThumbnailsPipeline:
    """Makes the thumbnails of what is stored, after the media pipelines.

    Sizes are Scrapy's IMAGES_THUMBS (name: width and height at most), or :data:`DEFAULT` when
    CIVITAI_THUMBS is on. Originals of earlier runs, which the crawl does not meet again, are gone
    through beside it. Videos have none. A thumbnail that cannot be made costs no item.
    """

    def __init__(self, crawler: Crawler, sizes: dict[str, Size]) -> None:
        self._crawler = crawler
        self._ledger = Ledger.of(crawler)
        self._sizes = sizes
        self._stopped = False
        self._sweeping: asyncio.Task[None] | None = None

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        sizes = sizes_of(crawler.settings)
        if not sizes:
            raise NotConfigured
        return cls(crawler, sizes)

    async def open_spider(self) -> None:
        if archive := getattr(self._crawler.spider, "archive", None):
            self._sweeping = asyncio.create_task(self._sweep(archive))

    async def close_spider(self) -> None:
        # One that was stopped leaves the rest to the next run.
        self._stopped = Pacer.of(self._crawler).stopping()
        if self._sweeping is not None:
            await self._sweeping

    async def process_item(self, item: Any) -> Any:
        if isinstance(item, Image) and (media := self._ledger.media("image", item.id)):
            await self._make(item.archive, item.id, media.path, media.content_type)
        return item

    async def _sweep(self, archive: str) -> None:
        """Make what originals of earlier runs still lack."""
        after = -1
        while found := stored_images(self._ledger.db, after, _AT_ONCE):
            after = found[-1][0]
            await asyncio.sleep(0)  # videos alone would hold up the crawl
            for number, path, content_type in found:
                if self._stopped:
                    return
                try:
                    await self._make(archive, number, path, content_type)
                except UnfinishedError:
                    return

    async def _make(self, archive: str, number: int, path: str, content_type: str | None) -> None:
        if not (content_type or "").startswith("image/"):
            return
        folder = shelf.folder(self._crawler.settings["CIVITAI_ARCHIVE"], archive)
        targets = {
            folder / FOLDER / name / f"{number}.jpg": size for name, size in self._sizes.items()
        }
        try:
            store = Stores.of(self._crawler).get("images", folder)
            self._count("made", await apart(make_from, store, path, targets))
        except UnreadableError as error:
            logger.info("No thumbnail of image %d: %s", number, error)
            self._count("failed")
        except (OSError, StoreError) as error:
            raise end_crawl(self._crawler, error) from None

    def _count(self, event: str, amount: int = 1) -> None:
        if amount:
            self._crawler.stats.inc_value(f"civitai/thumbnails/{event}", amount)


def sizes_of(settings: BaseSettings) -> dict[str, Size]:
    """Read the chosen sizes; raises UsageError for what is no size."""
    try:
        given = dict(settings.getdict("IMAGES_THUMBS"))
        sizes = {str(name): (int(width), int(height)) for name, (width, height) in given.items()}
    except (TypeError, ValueError) as error:
        raise UsageError('IMAGES_THUMBS has to be like {"small": [320, 320]}.') from error
    for name, size in sizes.items():
        if min(size) < 1 or not name or component(name, "") != name:
            raise UsageError(f"IMAGES_THUMBS: {name!r}: {size} makes no folder of thumbnails.")
    wanted = options.OPTIONS["CIVITAI_THUMBS"].parse(settings.get("CIVITAI_THUMBS"))
    return sizes or (DEFAULT if wanted else {})


def make_from(store: Store, path: str, targets: dict[Path, Size]) -> int:
    """Make the missing thumbnails of a stored original, which a bucket has to send; as below."""
    if all(_is_there(file) for file in targets):
        return 0
    try:
        with store.at_hand(path) as original:
            return make(original, targets)
    except FileNotFoundError as error:
        raise UnreadableError(f"{error.strerror}") from error


def make(original: Path, targets: dict[Path, Size]) -> int:
    """Make the thumbnails that are not there yet (blocking); return how many.

    Raises UnreadableError for an original that does not decode, OSError where nothing can be
    written.
    """
    missing = {file: size for file, size in targets.items() if not _is_there(file)}
    if not missing:
        return 0
    largest = max(max(size) for size in missing.values())
    try:
        small = _decoded(original, largest)
    except (*BROKEN, *TOO_MUCH) as error:
        raise UnreadableError(f"{error}") from error
    for file, size in missing.items():
        picture = small.copy()
        picture.thumbnail(size)
        _write(picture, file)
    return len(missing)


def _decoded(original: Path, largest: int) -> Pillow.Image:
    """Give the first frame the right way up, without transparency, in a square of *largest*."""
    with Pillow.open(original) as image:
        image.draft("RGB", (largest, largest))  # a JPEG is decoded smaller from the start
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many to decode")
        clear = image.has_transparency_data
        mode = "RGBA" if clear else "RGB"
        small: Pillow.Image = _of_eight_bits(image)
        small = small if small.mode == mode else small.convert(mode)
        small.thumbnail((largest, largest))
        turned = upright(small)
    if not clear:
        return turned
    ground = Pillow.new("RGBA", turned.size, "white")
    return Pillow.alpha_composite(ground, turned).convert("RGB")


def _of_eight_bits(picture: Pillow.Image) -> Pillow.Image:
    """Give shades of 16 bits as such of 8: Pillow takes nearly all of them for white."""
    return picture.point(lambda shade: shade / 256) if picture.mode.startswith("I;16") else picture


def upright(picture: Pillow.Image) -> Pillow.Image:
    """Give a copy, turned as the EXIF says.

    Pillow's own way also writes all of the EXIF anew, and fails on odd ones.
    """
    told = picture.getexif().get(ExifTags.Base.Orientation)
    turn = _TURNS.get(told) if isinstance(told, int) else None
    return picture.copy() if turn is None else picture.transpose(turn)


def _is_there(file: Path) -> bool:
    # An empty one is what a power cut leaves of a new file.
    return file.is_file() and file.stat().st_size > 0


def _write(picture: Pillow.Image, target: Path) -> None:
    """Write under another name first: a killed crawl leaves no half of a picture."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".part")
    picture.save(half, "JPEG", quality=_QUALITY)
    half.replace(target)
