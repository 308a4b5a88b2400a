"""The files of archives: originals, thumbnails and model files, and nothing else."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from PIL import Image, ImageOps
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse

from civitai_crawler.gallery.filters import number

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from civitai_crawler.gallery.store import Row, Store

#: What a browser may show. Everything else is handed out for saving: SVG and HTML can run scripts.
SHOWN = frozenset(
    {
        *("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif", "image/jxl"),
        *("video/mp4", "video/webm", "video/quicktime"),
        *("audio/mpeg", "audio/ogg", "audio/flac", "audio/wav"),
    }
)
OPAQUE = "application/octet-stream"
#: Edge of a thumbnail in pixels: a card on a screen of double density.
_EDGE = 400
_KEPT = {"Cache-Control": "private, max-age=3600"}
#: Where an archive keeps the thumbnails of a crawl, unless IMAGES_THUMBS names other sizes.
_OWN = "thumbnails/small/{}.jpg"
_MIME = {".jpg": "image/jpeg", ".webp": "image/webp"}


class Media:
    """Serves files that records name, from inside their archive only."""

    def __init__(self, store: Store, archives: dict[str, Path], cache: Path) -> None:
        self._store = store
        self._archives = archives
        self._thumbs = cache / "thumbs"
        # An original can take 100 MB once it is decoded.
        self._busy = threading.Semaphore(os.cpu_count() or 1)

    def original(self, request: Request) -> FileResponse:
        """Answer with the bytes of an image, a part of them where that is asked for."""
        row, file = self._asked(request, "images")
        mime = row["content_type"]
        if mime in SHOWN and "save" not in request.query_params:
            return FileResponse(file, media_type=mime, headers=_KEPT)
        return FileResponse(file, media_type=OPAQUE, filename=file.name)

    def model_file(self, request: Request) -> FileResponse:
        """Answer with a model file, for saving."""
        _, file = self._asked(request, "model_files")
        return FileResponse(file, media_type=OPAQUE, filename=file.name)

    def thumbnail(self, request: Request) -> FileResponse:
        """Answer with the archive's own thumbnail of an image, or one made now and kept."""
        row, file = self._asked(request, "images")
        own = self._inside(row["archive"], _OWN.format(row["id"]))
        if own is None:
            own = self._thumbs / str(row["id"] % 256) / f"{row['id']}.webp"
            if not own.is_file() or own.stat().st_mtime < file.stat().st_mtime:
                self._make(file, own)
        return FileResponse(own, media_type=_MIME.get(own.suffix, OPAQUE), headers=_KEPT)

    def _asked(self, request: Request, table: str) -> tuple[Row, Path]:
        asked = number(request.path_params["id"])
        row = self._store.row(f"SELECT * FROM {table} WHERE id = ?", asked)  # noqa: S608  # our own names
        file = self._inside(row["archive"], row["path"]) if row and row["path"] else None
        if row is None or file is None:
            raise HTTPException(404, "This file is not in the archive.")
        return row, file

    def _inside(self, archive: str, path: str) -> Path | None:
        """Return the file; ``None`` when it is none, or hidden, or not truly in the archive.

        Records come from elsewhere: a path or a link may lead anywhere.
        """
        home = self._archives[archive].resolve()
        try:
            file = (home / path).resolve()
            inside = file.relative_to(home)
            if any(part.startswith(".") for part in inside.parts) or not file.is_file():
                return None
        except (OSError, ValueError, RuntimeError):  # too long, NUL, outside, a loop of links
            return None
        return file

    def _make(self, original: Path, thumb: Path) -> None:
        part = thumb.with_name(f".{thumb.name}.{threading.get_ident()}.part")
        try:
            with self._busy, Image.open(original) as picture:
                picture.draft("RGB", (_EDGE, _EDGE))  # JPEG decodes to less at once
                small = ImageOps.exif_transpose(picture)
                if small.mode.startswith("I;16"):  # of whose shades nearly all would be white
                    small = small.point(lambda shade: shade / 256).convert("L")
                small.thumbnail((_EDGE, _EDGE))
                thumb.parent.mkdir(parents=True, exist_ok=True)
                small.convert("RGBA" if small.has_transparency_data else "RGB").save(
                    part, "webp", quality=80, method=2
                )
            part.replace(thumb)
        except Exception as error:  # Pillow raises many kinds for pictures that are none
            part.unlink(missing_ok=True)
            raise HTTPException(404, "This file has no thumbnail.") from error
