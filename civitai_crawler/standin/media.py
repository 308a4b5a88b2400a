"""The bytes of originals: small real pictures with generation data inside, and tiny videos."""

from __future__ import annotations

import io
import json
import random
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from civitai_crawler.standin.records import Picture

CONTENT_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
}
EXIF_POINTER, USER_COMMENT, MAKE, CAMERA = 0x8769, 0x9286, 0x010F, 0x0110
VIDEO_BYTES = (20_000, 60_000)


def original(picture: Picture) -> bytes:
    """Return the uploaded bytes, the same in every run."""
    if picture.format == "mp4":
        return _video(picture)
    image = _drawing(picture.id, picture.width, picture.height)
    if picture.format == "gif":
        image = image.convert("P")  # the fixed palette: quantising takes six times as long
    buffer = io.BytesIO()
    image.save(buffer, **_options(picture))
    return buffer.getvalue()


def prepare() -> None:
    """Load Pillow's formats now rather than with the first picture."""
    Image.init()
    still(1, 8, 8)


def still(seed: int, width: int, height: int, form: str = "webp") -> bytes:
    """Return a preview without generation data: a video's poster, a thumbnail or an avatar."""
    buffer = io.BytesIO()
    _drawing(seed, width, height).save(buffer, format=form.upper())
    return buffer.getvalue()


def video_size(picture: Picture) -> int:
    """Bytes of a video, known without making it."""
    return random.Random(picture.id).randint(*VIDEO_BYTES)


def parameters(meta: dict[str, Any]) -> str:
    """Return the meta as the text that AUTOMATIC1111 writes into a file."""
    lines = [str(meta.get("prompt", ""))]
    if meta.get("negativePrompt"):
        lines.append(f"Negative prompt: {meta['negativePrompt']}")
    names = {"steps": "Steps", "sampler": "Sampler", "cfgScale": "CFG scale", "seed": "Seed"}
    pairs = [f"{name}: {meta[key]}" for key, name in names.items() if key in meta]
    plain = ("Size", "Model hash", "Model", "Clip skip", "Denoising strength", "Version")
    pairs += [f"{key}: {meta[key]}" for key in plain if key in meta]
    if "clipSkip" in meta:
        pairs.append(f"Clip skip: {meta['clipSkip']}")
    return "\n".join([*lines, ", ".join(pairs)])


@lru_cache(maxsize=8)
def _gradient(kind: int) -> Image.Image:
    base = Image.radial_gradient("L") if kind % 2 else Image.linear_gradient("L")
    return base.rotate(kind // 2 * 90)


def _colour(rng: random.Random, low: int, high: int) -> str:
    return "#" + "".join(f"{rng.randrange(low, high):02x}" for _ in "rgb")


def _drawing(seed: int, width: int, height: int) -> Image.Image:
    """Return a two-coloured gradient with a few lights, unlike its neighbours."""
    rng = random.Random(seed)
    base = _gradient(rng.randrange(8)).resize((width, height), Image.Resampling.NEAREST)
    image = ImageOps.colorize(base, _colour(rng, 0, 128), _colour(rng, 128, 256))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, size = rng.randrange(width), rng.randrange(height), rng.randrange(4, 24)
        pen.ellipse((x, y, x + size, y + size), fill=_colour(rng, 0, 256))
    return image


def _options(picture: Picture) -> dict[str, Any]:
    """Arguments of ``Image.save``: the format and the embedded generation data."""
    meta = picture.meta if picture.embedded else None
    if picture.format == "png":
        return {"format": "PNG", "compress_level": 1, "pnginfo": _chunks(picture.id, meta)}
    if picture.format == "gif":
        return {"format": "GIF", "comment": f"standin {picture.id}"}
    exif = _exif(picture.id, meta)
    if picture.format == "webp":
        return {"format": "WEBP", "method": 0, "exif": exif}
    return {"format": "JPEG", "quality": 88, "exif": exif, "comment": f"standin {picture.id}"}


def _comfy(meta: dict[str, Any]) -> dict[str, str]:
    """ComfyUI's two graphs as JSON texts, when the meta has them."""
    comfy = meta.get("comfy")
    if not isinstance(comfy, dict):
        return {}
    return {name: json.dumps(comfy[name]) for name in ("prompt", "workflow") if name in comfy}


def _chunks(picture_id: int, meta: dict[str, Any] | None) -> PngInfo:
    info = PngInfo()
    info.add_text("Software", f"standin {picture_id}")
    if meta is not None:
        graphs = _comfy(meta)
        for name, text in graphs.items():
            info.add_text(name, text)
        if not graphs:
            info.add_itxt("parameters", parameters(meta))
    return info


def _exif(picture_id: int, meta: dict[str, Any] | None) -> bytes:
    exif = Image.Exif()
    exif[0x0131] = f"standin {picture_id}"
    if meta is not None:
        graphs = _comfy(meta)
        for tag, name in ((MAKE, "workflow"), (CAMERA, "prompt")):
            if name in graphs:
                exif[tag] = f"{name}:{graphs[name]}"
        if not graphs:
            comment = b"UNICODE\x00" + parameters(meta).encode("utf-16-be")
            exif.get_ifd(EXIF_POINTER)[USER_COMMENT] = comment
    return exif.tobytes()


def _box(kind: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + kind + body


def _video(picture: Picture) -> bytes:
    """Boxes of an MP4 without a playable track: ``ftyp``, ``free`` with the id, ``mdat``."""
    front = _box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2avc1mp41")
    front += _box(b"free", b"standin %d" % picture.id)
    rest = video_size(picture) - len(front) - 8
    return front + _box(b"mdat", random.Random(picture.id).randbytes(rest))
