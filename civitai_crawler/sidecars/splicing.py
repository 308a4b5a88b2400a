"""Puts texts into PNG, JPEG and WebP files without touching the picture.

A new file is a list of pieces: bytes of ours, and ranges of the original that are copied as they
are.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from PIL import Image as Pillow

from civitai_crawler.api import exif
from civitai_crawler.api.containers import is_exif, jpeg_segments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from civitai_crawler.api.containers import Read

#: Bytes of ours, or a range of the original: where it begins and where it ends.
Piece = bytes | tuple[int, int]

_SIGNATURE, _HEADER_END = 8, 33
_APP0, _APP1 = 0xE0, 0xE1
#: Bytes of a JPEG segment with its length.
_SEGMENT = 65_535
_COMMENT, _EXIF, _MAKE, _CAMERA = 0x9286, 0x8769, 0x010F, 0x0110
_HAS_EXIF, _HAS_ALPHA = 0x08, 0x10
_VP8_START = b"\x9d\x01\x2a"


class NoPlaceError(Exception):
    """The file has no room for the texts, or is not built as its format demands."""


def spliced(container: str, read: Read, size: int, texts: Mapping[str, str]) -> list[Piece]:
    """Return the pieces of a file of *size* bytes with *texts* in it.

    *texts*: ``parameters``, ``prompt``, ``workflow``; none of them is in the file yet.

    Raises:
        NoPlaceError: see there.

    """
    if container == "png":
        return _png(read, size, texts)
    return _jpeg(read, size, texts) if container == "jpeg" else _webp(read, size, texts)


def _png(read: Read, size: int, texts: Mapping[str, str]) -> list[Piece]:
    if read(_SIGNATURE + 4, 4) != b"IHDR":
        raise NoPlaceError("it does not begin with a header")
    chunks = [_text_chunk(name.encode(), text) for name, text in texts.items()]
    return [(0, _HEADER_END), *chunks, (_HEADER_END, size)]


def _text_chunk(keyword: bytes, text: str) -> bytes:
    """Make a ``tEXt`` chunk of ASCII, which every reader takes, and an ``iTXt`` of all else."""
    if text.isascii():
        kind, body = b"tEXt", keyword + b"\0" + text.encode()
    else:
        kind, body = b"iTXt", keyword + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    crc = zlib.crc32(kind + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + crc


def _jpeg(read: Read, size: int, texts: Mapping[str, str]) -> list[Piece]:
    """Put EXIF behind the JFIF header, in place of what EXIF there was."""
    place, old, cut = 2, b"", (2, 2)
    for number, (marker, at, length) in enumerate(jpeg_segments(read)):
        if number == 0 and marker == _APP0:
            place = at + length
        elif marker == _APP1 and is_exif(read, at):
            old, cut = read(at, length), (at - 4, at + length)
            break
    for tried in _fewer(texts):
        body = _tiff(old, tried)
        if len(body) + 2 <= _SEGMENT:
            break
    else:
        raise NoPlaceError("the text is longer than a JPEG can hold")
    head = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big")
    if cut[1] == cut[0]:
        return [(0, place), head + body, (place, size)]
    return [(0, cut[0]), head + body, (cut[1], size)]


def _fewer(texts: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield the texts, then ever fewer of them: the graphs go first, the larger before."""
    left = dict(texts)
    yield left
    for name in ("workflow", "prompt"):
        if len(left) > 1 and left.pop(name, None) is not None:
            yield left


def _tiff(old: bytes, texts: Mapping[str, str]) -> bytes:
    """Return EXIF with its prefix: what was in *old*, and the texts where programs look."""
    tags = Pillow.Exif()
    try:
        if old:
            tags.load(old)
            tags.get_ifd(_EXIF)
        if "prompt" in texts:
            tags[_CAMERA] = "prompt:" + texts["prompt"]
        if "workflow" in texts:
            tags[_MAKE] = "workflow:" + texts["workflow"]
        if "parameters" in texts:
            encoded = texts["parameters"].encode("utf-16-be", "replace")
            tags.get_ifd(_EXIF)[_COMMENT] = b"UNICODE\0" + encoded
        return tags.tobytes()
    except Exception as error:  # the words of Pillow for broken EXIF are of every kind
        raise NoPlaceError("the EXIF that is there cannot be added to") from error


def _webp(read: Read, size: int, texts: Mapping[str, str]) -> list[Piece]:
    """Put EXIF behind the picture; a simple file gets the header that this demands."""
    chunks = list(_chunks(read, size))
    if not chunks:
        raise NoPlaceError("it holds no picture")
    old = next((read(at + 8, length) for kind, at, length in chunks if kind == b"EXIF"), b"")
    body = _tiff(old, texts).removeprefix(exif.PREFIX + b"\0")
    kept = [chunk for chunk in chunks if chunk[0] not in {b"EXIF", b"VP8X"}]
    pieces: list[Piece] = [_chunk(b"VP8X", _extended(read, chunks[0]))]
    last = [chunk for chunk in kept if chunk[0] == b"XMP "]
    pieces += [_range(chunk) for chunk in kept if chunk not in last]
    pieces += [_chunk(b"EXIF", body), *(_range(chunk) for chunk in last)]
    total = 4 + sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in pieces)
    return [b"RIFF" + total.to_bytes(4, "little") + b"WEBP", *pieces]


def _chunks(read: Read, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk whole chunks: type, place, length of the body."""
    at = 12
    while at + 8 <= size:
        head = read(at, 8)
        length = int.from_bytes(head[4:], "little")
        if at + 8 + length + length % 2 > size:
            raise NoPlaceError("it is cut short")
        yield head[:4], at, length
        at += 8 + length + length % 2


def _range(chunk: tuple[bytes, int, int]) -> tuple[int, int]:
    _, at, length = chunk
    return at, at + 8 + length + length % 2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)


def _extended(read: Read, first: tuple[bytes, int, int]) -> bytes:
    """Return the body of the extended header, from the one there is or from the picture's own."""
    kind, at, _ = first
    body = read(at + 8, 10)
    if kind == b"VP8X":
        return bytes([body[0] | _HAS_EXIF]) + body[1:]
    if kind == b"VP8 " and body[3:6] == _VP8_START:
        width, height = (int.from_bytes(body[n : n + 2], "little") & 0x3FFF for n in (6, 8))
        flags = _HAS_EXIF
    elif kind == b"VP8L" and body[:1] == b"\x2f":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        flags = _HAS_EXIF | (_HAS_ALPHA if bits >> 28 & 1 else 0)
    else:
        raise NoPlaceError("its picture is of an unknown kind")
    if not width or not height:
        raise NoPlaceError("its picture has no size")
    sides = ((side - 1).to_bytes(3, "little") for side in (width, height))
    return bytes([flags, 0, 0, 0]) + b"".join(sides)
