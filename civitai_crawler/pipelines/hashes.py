"""The hashes that the site publishes beside SHA256, computed from disk when nothing else proves.

Each function reads a file once, in constant memory, and blocks. *check* is called between blocks
and may raise to end the reading.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from civitai_crawler.pipelines.safetensors import data_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Bytes that are read at a time.
_BLOCK = 1 << 20
#: Where the 64 KiB of AutoV1 lie; a shorter file has no AutoV1 that would prove anything.
_AUTOV1_START, _AUTOV1_LENGTH = 0x100000, 0x10000


class Algorithm(NamedTuple):
    """A published hash: how it is computed, and how much of it is published."""

    compute: Callable[[Path, Callable[[], None]], tuple[str, ...]]
    """Gives the lower-case hex digests that may be published; none where it does not apply."""
    digits: tuple[int, ...]
    """Hex digits that may be published; other lengths are no such hash."""
    whole: bool
    """Whether it covers every byte."""


def _blocks(file: Path, check: Callable[[], None], start: int = 0) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_BLOCK))
    with file.open("rb", buffering=0) as stream:
        stream.seek(start)
        while read := stream.readinto(buffer):
            check()
            yield buffer[:read]


def _blake3(file: Path, check: Callable[[], None]) -> tuple[str, ...]:
    digest = blake3()
    for block in _blocks(file, check):
        digest.update(block)
    return (digest.hexdigest(),)


def _autov3(file: Path, check: Callable[[], None]) -> tuple[str, ...]:
    """Hash the tensors of a safetensors file, without its header."""
    start = data_offset(file)
    if start is None:
        return ()
    digest = hashlib.sha256()
    for block in _blocks(file, check, start):
        digest.update(block)
    return (digest.hexdigest(),)


def _crc32(file: Path, check: Callable[[], None]) -> tuple[str, ...]:
    """Sum up the file. The site's scanner prints the four bytes with the lowest first."""
    total = 0
    for block in _blocks(file, check):
        total = zlib.crc32(block, total)
    return total.to_bytes(4, "little").hex(), total.to_bytes(4, "big").hex()


def _autov1(file: Path, _check: Callable[[], None]) -> tuple[str, ...]:
    with file.open("rb", buffering=0) as stream:
        stream.seek(_AUTOV1_START)
        piece = stream.read(_AUTOV1_LENGTH)
    return (hashlib.sha256(piece).hexdigest(),) if len(piece) == _AUTOV1_LENGTH else ()


#: Named as the site names them; the first that is published and applies is compared.
ALGORITHMS = {
    "BLAKE3": Algorithm(_blake3, (64,), whole=True),
    "AutoV3": Algorithm(_autov3, (12, 64), whole=False),
    "CRC32": Algorithm(_crc32, (8,), whole=True),
    "AutoV1": Algorithm(_autov1, (8,), whole=False),
}
