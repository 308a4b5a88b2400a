"""Originals of images, videos and sounds: byte for byte, named by id and by what the bytes are."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from civitai_crawler.api import links
from civitai_crawler.items import Image
from civitai_crawler.pipelines.arrival import LargeError
from civitai_crawler.pipelines.failures import NotTheFileError, SpoiledError
from civitai_crawler.pipelines.media import StreamedMediaPipeline
from civitai_crawler.pipelines.names import image_path
from civitai_crawler.pipelines.sniff import sniff

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from civitai_crawler.handlers.streaming import Streamed
    from civitai_crawler.ledger import Media
    from civitai_crawler.pipelines.sniff import Kind

logger = logging.getLogger(__name__)
# It makes a line of each chunk of each picture, also for a log that leaves it out.
logging.getLogger("PIL").setLevel(logging.INFO)

#: What may stand behind a declared type: addresses say "image" for anything that a browser shows,
#: while a still in a video's place is only its poster.
_FAMILIES = {
    "image": {"image", "video"},
    "video": {"video"},
    "audio": {"audio", "video"},
}
_ANY = {"image", "video", "audio"}
#: Formats that every Pillow decodes.
_DECODED = {"png", "jpeg", "webp", "gif", "bmp", "tiff"}
#: Larger stills are not decoded: 50 million pixels are 200 MB in memory.
MAX_PIXELS = 50_000_000
#: Up to this many they are decoded side by side: eight such are 128 MB.
SMALL_PIXELS = 4_000_000
#: What Pillow says of broken files; of AVIF it tells everything as a RuntimeError.
BROKEN = (OSError, SyntaxError, RuntimeError)
#: What it says of those beyond its limits: sizes, text chunks as large workflows have them, and the
#: tags of a TIFF that it writes anew to turn it.
TOO_MUCH = (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning, ValueError, TypeError)


class OriginalImagesPipeline(StreamedMediaPipeline):
    """Fetches the original of every :class:`Image`; on when CIVITAI_DOWNLOAD lists ``images``.

    Scrapy's pipeline makes a JPEG of everything, and the prompt inside a PNG is lost; here no byte
    is changed.
    """

    record = Image
    kind = "image"
    word = "images"
    source = "media"
    route = "media"
    slot = "cdn"

    def sources(self, item: Image) -> Sequence[str]:
        uuid = item.uuid or links.media_uuid(item.url or "")
        if uuid is None:
            return [item.url] if item.url and item.url.startswith(("http://", "https://")) else []
        base = links.media_base(item.url or "") or self.crawler.settings["CIVITAI_MEDIA_URL"]
        return links.media_forms(base, uuid, item.type)

    def file_path(self, item: Image, kind: Kind, sha256: str) -> str:
        """Name by id; the extension follows the first bytes, never the address."""
        return image_path(item, kind.ext)

    def look(self, item: Image, streamed: Streamed) -> Kind:
        kind = sniff(streamed.head)
        if kind.family not in _FAMILIES.get(item.type, _ANY):
            raise NotTheFileError(
                f"{kind.mime} ({kind.family}) arrived where the {item.type} was due."
            )
        return kind

    def inspect(
        self, item: Image, kind: Kind, media: Media, file: Path, body: bytes | None
    ) -> None:
        """Decode a still; large ones one by one, however many have arrived."""
        if kind.family != "image":
            return
        if not check_still(file if body is None else BytesIO(body), kind, SMALL_PIXELS):
            raise LargeError

    def inspect_large(self, kind: Kind, file: Path) -> None:
        check_still(file, kind)


def check_still(file: Path | BytesIO, kind: Kind, at_most: int = MAX_PIXELS) -> bool:
    """Decode a still image (blocking); tell whether it has no more than *at_most* pixels.

    A larger one is not decoded. Raises SpoiledError for a cut or broken one. What Pillow will not
    read passes, the first bytes have said what it is: formats without a decoder, pictures too large
    to decode here, and text chunks beyond Pillow's limits, which large workflows reach.
    """
    try:
        with Pillow.open(file) as image:
            if image.width * image.height > at_most:
                return False
            image.load()
    except TOO_MUCH:
        return True
    except BROKEN as error:
        if kind.ext in _DECODED:
            why = "cut short or broken" if isinstance(error, UnidentifiedImageError) else error
            raise SpoiledError("not_the_file", f"The picture does not decode: {why}.") from error
    return True
