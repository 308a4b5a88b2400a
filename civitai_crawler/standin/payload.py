"""The bytes of model files: a valid safetensors header, then seeded noise, made piece by piece."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from civitai_crawler.standin.records import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from civitai_crawler.standin.records import File

BLOCK = 65_536
DIGEST = 32
AUTOV1_START, AUTOV1_LENGTH = 0x100000, 0x10000
AUTOV3_EVERY = 3
MAGIC = {".zip": b"PK\x03\x04", ".pt": b"PK\x03\x04", ".gguf": b"GGUF", ".yaml": b"model:\n  # "}


def _safetensors_header(file: File) -> bytes:
    """Length, JSON and padding; one U8 tensor fills the rest of the file."""
    meta = {"format": "pt", "modelspec.title": file.name[:60], "standin.file": str(file.id)}
    length = 0
    for _ in range(3):  # the length of the offsets depends on the length of the header
        data = max(file.size - 8 - length, 0)
        tensor = {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}
        text = json.dumps({"__metadata__": meta, "weight": tensor}).encode()
        length = (len(text) + 15) // 8 * 8
    return length.to_bytes(8, "little") + text.ljust(length)


def header(file: File) -> bytes:
    """Return the first bytes of the file, by its extension."""
    for extension, magic in MAGIC.items():
        if file.name.endswith(extension):
            return magic
    if ".safetensors" in file.name:
        return _safetensors_header(file)
    return b"STANDIN\x00"


@lru_cache(maxsize=8)
def _noise(file_id: int) -> bytes:
    return random.Random(file_id).randbytes(BLOCK)


def _block(file_id: int, number: int) -> bytes:
    """Noise that differs from block to block by a digest in front."""
    head = hashlib.sha256(b"%d:%d" % (file_id, number)).digest()
    return head + _noise(file_id)[DIGEST:]


def pieces(file: File, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Return the bytes ``start:stop`` of the file in pieces of at most 64 KiB."""
    stop = file.size if stop is None else min(stop, file.size)
    head = header(file)[: file.size]
    if start < len(head):
        yield head[start : min(stop, len(head))]
        start = len(head)
    while start < stop:
        number, offset = divmod(start - len(head), BLOCK)
        piece = _block(file.id, number)[offset : offset + stop - start]
        yield piece
        start += len(piece)


def fingerprint(file: File) -> Fingerprint:
    """Return the true hashes, computed once; reads every byte of the file."""
    if file.fingerprint is None:
        file.fingerprint = _measure(file)
    return file.fingerprint


def _measure(file: File) -> Fingerprint:
    whole, crc = hashlib.sha256(), 0
    for piece in pieces(file):
        whole.update(piece)
        crc = zlib.crc32(piece, crc)
    return Fingerprint(
        whole.hexdigest().upper(),
        f"{crc:08X}",
        _part(file, AUTOV1_START, AUTOV1_START + AUTOV1_LENGTH, 8)
        if file.size >= AUTOV1_START + AUTOV1_LENGTH
        else None,
        _part(file, len(header(file)), file.size, 12)
        if ".safetensors" in file.name and file.id % AUTOV3_EVERY == 0
        else None,
    )


def _part(file: File, start: int, stop: int, digits: int) -> str:
    digest = hashlib.sha256()
    for piece in pieces(file, start, stop):
        digest.update(piece)
    return digest.hexdigest()[:digits].upper()
