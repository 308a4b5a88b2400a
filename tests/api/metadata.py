"""Small files with metadata inside, built byte by byte, and the text that stands in them."""

from __future__ import annotations

import zlib
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"
A1111 = (
    "a fox, (red:1.2)\nsecond line, мост 🌙 <lora:reed:0.8>\n"
    "Negative prompt: blurry, text\nmore of it\n"
    "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 5.5, Seed: 17739416935733250000, "
    "Size: 832x1216, Model hash: 9F1C0A77B3, Model: paperBoat, Clip skip: 2, "
    'Lora hashes: "reed: aa11, sun, moon: bb22", Note: "a, b: \\"c\\"\\nd", Version: v1.10.1'
)
EXPECTED: dict[str, Any] = {
    "prompt": "a fox, (red:1.2)\nsecond line, мост 🌙 <lora:reed:0.8>",
    "negativePrompt": "blurry, text\nmore of it",
    "steps": 28,
    "sampler": "DPM++ 2M Karras",
    "cfgScale": 5.5,
    "seed": 17739416935733250000,
    "Size": "832x1216",
    "Model hash": "9F1C0A77B3",
    "Model": "paperBoat",
    "clipSkip": 2,
    "Lora hashes": "reed: aa11, sun, moon: bb22",
    "Note": 'a, b: "c"\nd',
    "Version": "v1.10.1",
    "hashes": {"model": "9F1C0A77B3", "lora:reed": "aa11", "lora:moon": "bb22"},
}


def chunk(kind: bytes, body: bytes) -> bytes:
    crc = zlib.crc32(kind + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + crc


def png(*chunks: bytes) -> bytes:
    return PNG + chunk(b"IHDR", bytes(13)) + b"".join(chunks) + chunk(b"IEND", b"")


def text_chunk(keyword: str, text: str) -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + text.encode())


def packed_chunk(keyword: str, packed: bytes) -> bytes:
    return chunk(b"zTXt", keyword.encode() + b"\0\0" + packed)


def itxt(keyword: str, text: bytes, *, packed: bool = False) -> bytes:
    flag = b"\1\0" if packed else b"\0\0"
    return chunk(b"iTXt", keyword.encode() + b"\0" + flag + b"en\0name\0" + text)


def tiff(comment: bytes = b"", order: str = "big", **tags: bytes) -> bytes:
    """EXIF with a user comment and texts in IFD0, all values stored away from their entries."""
    names = {"description": 0x010E, "make": 0x010F, "camera": 0x0110}
    entries = [(names[name], 2, value) for name, value in sorted(tags.items())]
    count = len(entries) + 1
    sub = 8 + 2 + 12 * count + 4
    values_at = sub + 2 + 12 + 4

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "big" if order == "big" else "little")

    out, values = number(count, 2), b""
    for tag, kind, value in entries:
        out += number(tag, 2) + number(kind, 2) + number(len(value), 4)
        out += number(values_at + len(values), 4)
        values += value
    out += number(0x8769, 2) + number(4, 2) + number(1, 4) + number(sub, 4) + number(0, 4)
    out += number(1, 2) + number(0x9286, 2) + number(7, 2) + number(len(comment), 4)
    out += number(values_at + len(values), 4) + number(0, 4)
    head = (b"MM\0*" if order == "big" else b"II*\0") + number(8, 4)
    return head + out + values + comment


def jpeg(exif: bytes | None = None, *segments: bytes) -> bytes:
    first = segment(0xE1, b"Exif\0\0" + exif) if exif is not None else b""
    return b"\xff\xd8" + first + b"".join(segments) + b"\xff\xda\x00\x04..picture"


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)
        for kind, data in chunks
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def utf16(text: str, order: str = "be") -> bytes:
    return b"UNICODE\0" + text.encode(f"utf-16-{order}")
