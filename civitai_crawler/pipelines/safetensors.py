"""The header of safetensors files: eight bytes of length, JSON, then tensors without a gap."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a header at most, the format's own limit.
HEADER_LIMIT = 100_000_000
#: Bytes of a header that is read: decoded it takes ten times as much memory, and real ones are
#: below 2 MB.
_READ_LIMIT = 16_000_000
_LENGTH = 8
_NOTES = "__metadata__"


def data_offset(file: Path) -> int | None:
    """Return where the tensors begin; ``None`` when *file* is no safetensors file."""
    with file.open("rb", buffering=0) as stream:
        head = stream.read(_LENGTH + 1)
    length = int.from_bytes(head[:_LENGTH], "little")
    size = file.stat().st_size
    if head[_LENGTH:] != b"{" or length > HEADER_LIMIT or _LENGTH + length > size:
        return None
    return _LENGTH + length


def flaw(file: Path) -> str | None:
    """Tell what is wrong with the header (blocking); ``None`` when it fits the file to the byte."""
    start = data_offset(file)
    if start is None:
        return "it does not begin with a safetensors header"
    if start > _READ_LIMIT:
        return None
    with file.open("rb", buffering=0) as stream:
        stream.seek(_LENGTH)
        text = stream.read(start - _LENGTH)
    try:
        header = json.loads(text)
        named = max((_end(header[name]) for name in header if name != _NOTES), default=0)
    except (ValueError, RecursionError, LookupError, TypeError):
        return "its safetensors header cannot be read"
    held = file.stat().st_size - start
    if named != held:
        return f"its safetensors header names {named} bytes of tensors, {held} are there"
    return None


def _end(tensor: Any) -> int:
    begin, end = tensor["data_offsets"]
    if not (isinstance(begin, int) and isinstance(end, int) and 0 <= begin <= end):
        raise ValueError(tensor)
    return end
