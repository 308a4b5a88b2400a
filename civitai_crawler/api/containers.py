"""Metadata texts of PNG, JPEG and WebP files, found without reading the picture."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from civitai_crawler.api import exif

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Reads at most so many bytes (second) from a place in the file (first), fewer at its end.
Read = Callable[[int, int], bytes]

#: Bytes of one text, unpacked; a longer one is passed over.
MAX_TEXT = 4 * 1024 * 1024
#: Pieces of a file that are looked at; a picture of 800 MB in the usual pieces has as many.
MAX_PIECES = 100_000

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
#: PNG keywords that are read, in lower case, with the name they get.
_KEYWORDS = {
    b"parameters": "parameters",
    b"prompt": "prompt",
    b"workflow": "workflow",
    b"comment": "Comment",
}
_KEYWORD_BYTES = 80
_CHUNK_HEAD, _CHUNK_EDGES = 8, 12
_FILL, _TEM, _RST0, _RST7, _EOI, _SOS, _APP1, _COM = (
    0xFF, 0x01, 0xD0, 0xD7, 0xD9, 0xDA, 0xE1, 0xFE
)  # fmt: skip


def texts(read: Read) -> tuple[str, dict[str, str]]:
    """Return the container (``png``, ``jpeg``, ``webp`` or nothing) and its texts by name.

    Names are ``parameters``, ``prompt``, ``workflow``, ``Comment`` (PNG keywords, or EXIF),
    ``UserComment`` (EXIF) and ``comment`` (JPEG). Of equal names the first counts. Bytes that are
    wrong end the search; what *read* raises passes.
    """
    head = read(0, 12)
    if head.startswith(_PNG):
        return "png", _png(read)
    if head.startswith(_JPEG):
        return "jpeg", _jpeg(read)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp", _webp(read)
    return "", {}


def _png(read: Read) -> dict[str, str]:
    found: dict[str, str] = {}
    in_exif: dict[str, str] | None = None
    for kind, at, length in _png_chunks(read):
        if length > MAX_TEXT:
            continue
        if kind == b"eXIf" and in_exif is None:
            in_exif = exif.texts(read(at, length))
        elif kind in {b"tEXt", b"zTXt", b"iTXt"}:
            keyword = read(at, min(length, _KEYWORD_BYTES)).partition(b"\x00")[0]
            name = _KEYWORDS.get(keyword.lower())
            if name is not None and name not in found:
                body = read(at, length)
                whole = len(body) == length
                found[name] = _png_text(kind, body[len(keyword) + 1 :]) if whole else ""
    return {**(in_exif or {}), **{name: text for name, text in found.items() if text}}


def _png_chunks(read: Read) -> Iterator[tuple[bytes, int, int]]:
    """Walk chunks: type, place of the body, its length."""
    at = len(_PNG)
    for _ in range(MAX_PIECES):
        head = read(at, _CHUNK_HEAD)
        kind = head[4:]
        if len(head) < _CHUNK_HEAD or not kind.isalpha() or kind == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        yield kind, at + _CHUNK_HEAD, length
        at += length + _CHUNK_EDGES


def _png_text(kind: bytes, body: bytes) -> str:
    """Decode what follows the keyword; nothing when it does not unpack within the limit."""
    if kind == b"tEXt":
        return exif.plain(body)
    if kind == b"zTXt":
        unpacked = _inflate(body[1:])
    else:
        packed, rest = body[:1] == b"\x01", body[2:]
        text = rest.split(b"\x00", 2)[-1]
        unpacked = _inflate(text) if packed else text
    return exif.plain(unpacked)


def _inflate(packed: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, MAX_TEXT)
    except zlib.error:
        return b""
    return unpacked if stream.eof else b""


def _jpeg(read: Read) -> dict[str, str]:
    found: dict[str, str] = {}
    in_exif: dict[str, str] | None = None
    for marker, at, length in jpeg_segments(read):
        if marker == _COM and not found:
            found["comment"] = exif.plain(read(at, length))
        elif marker == _APP1 and in_exif is None and is_exif(read, at):
            in_exif = exif.texts(read(at, length))
    return {**(in_exif or {}), **found}


def is_exif(read: Read, at: int) -> bool:
    """Tell whether the body of an APP1 segment that begins at *at* is EXIF."""
    return read(at, len(exif.PREFIX)) == exif.PREFIX


def jpeg_segments(read: Read) -> Iterator[tuple[int, int, int]]:
    """Walk segments up to the picture itself: marker, place of the body, its length."""
    at = 2
    for _ in range(MAX_PIECES):
        head = read(at, 4)
        if len(head) < 4 or head[0] != _FILL or head[1] in {_EOI, _SOS}:  # noqa: PLR2004  # marker and length
            return
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if marker == _FILL:
            at += 1
        elif marker == _TEM or _RST0 <= marker <= _RST7:
            at += 2
        else:
            yield marker, at + 4, max(length - 2, 0)
            at += 2 + length


def _webp(read: Read) -> dict[str, str]:
    at = 12
    for _ in range(MAX_PIECES):
        head = read(at, _CHUNK_HEAD)
        if len(head) < _CHUNK_HEAD:
            break
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF" and length <= MAX_TEXT:
            return exif.texts(read(at + _CHUNK_HEAD, length))
        at += _CHUNK_HEAD + length + length % 2
    return {}
