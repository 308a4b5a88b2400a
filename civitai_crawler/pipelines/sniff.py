"""What bytes are, by their first few hundred: names and headers of downloads are no evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: ``page`` is what servers say in words: web pages, JSON and XML. ``weights`` are model formats.
Family = Literal[
    "image", "video", "audio", "weights", "archive", "page", "text", "empty", "unknown"
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A file type."""

    ext: str
    """Usual extension without a dot; empty when unknown."""
    mime: str
    """Media type."""
    family: Family
    """What it is good for."""


UNKNOWN = Kind("", "application/octet-stream", "unknown")
EMPTY = Kind("", "application/octet-stream", "empty")
TEXT = Kind("txt", "text/plain", "text")
HTML = Kind("html", "text/html", "page")
JSON = Kind("json", "application/json", "page")
XML = Kind("xml", "application/xml", "page")

_MP4 = Kind("mp4", "video/mp4", "video")
_AVIF = Kind("avif", "image/avif", "image")
_HEIC = Kind("heic", "image/heic", "image")
_MP3 = Kind("mp3", "audio/mpeg", "audio")
_TIFF = Kind("tiff", "image/tiff", "image")

#: (offset, signature, kind); the first that fits counts.
_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", Kind("png", "image/png", "image")),
    (0, b"\xff\xd8\xff", Kind("jpeg", "image/jpeg", "image")),
    (0, b"GIF87a", Kind("gif", "image/gif", "image")),
    (0, b"GIF89a", Kind("gif", "image/gif", "image")),
    (0, b"\xff\x0a", Kind("jxl", "image/jxl", "image")),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", Kind("jxl", "image/jxl", "image")),
    (0, b"II*\x00", _TIFF),
    (0, b"MM\x00*", _TIFF),
    (0, b"OggS", Kind("ogg", "audio/ogg", "audio")),
    (0, b"fLaC", Kind("flac", "audio/flac", "audio")),
    (0, b"ID3", _MP3),
    (0, b"PK\x03\x04", Kind("zip", "application/zip", "archive")),
    (0, b"PK\x05\x06", Kind("zip", "application/zip", "archive")),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("7z", "application/x-7z-compressed", "archive")),
    (0, b"Rar!\x1a\x07", Kind("rar", "application/vnd.rar", "archive")),
    (0, b"\x1f\x8b\x08", Kind("gz", "application/gzip", "archive")),
    (0, b"GGUF", Kind("gguf", "application/octet-stream", "weights")),
)
#: Containers by their four-letter type at offset 8.
_RIFF = {
    b"WEBP": Kind("webp", "image/webp", "image"),
    b"WAVE": Kind("wav", "audio/wav", "audio"),
    b"AVI ": Kind("avi", "video/x-msvideo", "video"),
}
_BRANDS = {
    b"avif": _AVIF,
    b"avis": _AVIF,
    b"heic": _HEIC,
    b"heix": _HEIC,
    b"mif1": _HEIC,
    b"qt  ": Kind("mov", "video/quicktime", "video"),
    b"M4A ": Kind("m4a", "audio/mp4", "audio"),
}
_HTML = re.compile(
    rb"<(?:!doctype\s+html|html|head|body|script|title|meta|div|p|h1)[\s/>]", re.IGNORECASE
)
_XML = re.compile(rb"<(?:\?xml|error|message|svg|rss)[\s>]", re.IGNORECASE)
#: The beginning of a JSON object or array with something JSON-like right after it.
_JSON = re.compile(
    rb'\{\s*(?:"|\}|$)|\[\s*(?:[\[\]{"]|-?\d[\d.eE+-]*\s*[,\]]|(?:true|false|null)\s*[,\]]|$)'
)
_HEADER_LIMIT = 100_000_000  # bytes of a safetensors header; the format's own limit


def sniff(head: bytes) -> Kind:
    """Tell what begins with *head* (512 bytes are enough)."""
    if not head:
        return EMPTY
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    return _container(head) or _weights(head) or _words(head) or UNKNOWN


def _container(head: bytes) -> Kind | None:
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], _MP4)
    if head.startswith(b"\x1aE\xdf\xa3"):
        return (
            Kind("webm", "video/webm", "video")
            if b"webm" in head[:64]
            else Kind("mkv", "video/x-matroska", "video")
        )
    if head.startswith(b"BM") and head[6:10] == b"\x00\x00\x00\x00":
        return Kind("bmp", "image/bmp", "image")
    return None


def _weights(head: bytes) -> Kind | None:
    # A pickle: PROTO 2-5 and a first opcode; old PyTorch files begin with a pickled magic number.
    if head[0] == 0x80 and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):  # noqa: PLR2004  # the PROTO opcode
        return Kind("pt", "application/octet-stream", "weights")
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= _HEADER_LIMIT:  # noqa: PLR2004  # at least {}
        return Kind("safetensors", "application/octet-stream", "weights")
    # ONNX: a protobuf whose first field is ir_version, followed by the producer's name.
    if head[0] == 0x08 and head[1:2] < b"\x20" and head[2:3] == b"\x12":  # noqa: PLR2004  # field tags
        return Kind("onnx", "application/octet-stream", "weights")
    # MP3 without a tag: a frame sync of layer III.
    if head[0] == 0xFF and head[1:2] in (b"\xfb", b"\xf3", b"\xf2", b"\xfa"):  # noqa: PLR2004  # frame sync
        return _MP3
    return None


def _words(head: bytes) -> Kind | None:
    """Tell text apart; ``None`` for bytes that are none."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<") and _HTML.search(text):
        return HTML
    if _XML.match(text):
        return XML
    if _JSON.match(text):
        return JSON
    if any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head):  # noqa: PLR2004  # controls
        return None
    try:
        # A character may be cut at the end of the head.
        head.decode()
    except UnicodeDecodeError as error:
        return TEXT if error.start >= len(head) - 3 else None
    return TEXT
