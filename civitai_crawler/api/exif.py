"""Generation data in EXIF: the user comment of AUTOMATIC1111 and the camera tags of ComfyUI."""

from __future__ import annotations

import re
from typing import Literal

#: What EXIF begins with in JPEG, followed by one byte of padding.
PREFIX = b"Exif\x00"

_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\x00": "little", b"MM\x00*": "big"}
_DESCRIPTION, _MAKE, _CAMERA, _POINTER, _COMMENT = 0x010E, 0x010F, 0x0110, 0x8769, 0x9286
_WANTED = frozenset({_DESCRIPTION, _MAKE, _CAMERA, _POINTER, _COMMENT})
#: Bytes of one value by its type: BYTE, ASCII, LONG, UNDEFINED; no other type is read.
_SIZES = {1: 1, 2: 1, 4: 4, 7: 1}
_ENTRY = 12
_INLINE = 4
_CODE = 8
_GRAPH = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)
#: In the order of trust where several fit equally.
_CODECS = ("utf-16-be", "utf-16-le", "utf-8")
_SAMPLE = 4096
_PRINTABLE = frozenset(map(chr, (9, 10, 13, *range(32, 127))))


def texts(data: bytes) -> dict[str, str]:
    """Return ``UserComment`` and ComfyUI's ``prompt`` and ``workflow``, as far as they are there.

    *data* is a TIFF file, with or without the prefix that JPEG demands. Whatever it claims, nothing
    outside of it is read, and no error is raised.
    """
    if data.startswith(PREFIX):
        data = data[len(PREFIX) + 1 :]
    order = _ORDERS.get(data[:4])
    if order is None:
        return {}
    tags = _entries(data, int.from_bytes(data[4:8], order), order)
    found: dict[str, str] = {}
    for tag in (_DESCRIPTION, _MAKE, _CAMERA):
        text = plain(tags.get(tag, b""))
        if prefix := _GRAPH.match(text):
            found.setdefault(prefix[1].lower(), text[prefix.end() :])
    if pointer := tags.get(_POINTER):
        tags |= _entries(data, int.from_bytes(pointer, order), order)
    if comment := user_comment(tags.get(_COMMENT, b"")):
        found["UserComment"] = comment
    return found


def _entries(data: bytes, at: int, order: Literal["little", "big"]) -> dict[int, bytes]:
    """Read the wanted values of one directory."""
    found: dict[int, bytes] = {}
    for number in range(int.from_bytes(data[at : at + 2], order)):
        start = at + 2 + number * _ENTRY
        entry = data[start : start + _ENTRY]
        if len(entry) < _ENTRY:
            break
        tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
        size = int.from_bytes(entry[4:8], order) * _SIZES.get(kind, 0)
        if tag in _WANTED:
            place = start + 8 if size <= _INLINE else int.from_bytes(entry[8:], order)
            found[tag] = data[place : place + size]
    return found


def user_comment(value: bytes) -> str:
    """Decode a user comment by the eight bytes before it, and by its looks where these are wrong.

    Programs disagree about the byte order of ``UNICODE``, and some put UTF-8 behind any code.
    """
    code, body = value[:_CODE], value[_CODE:]
    if code == b"UNICODE\x00":
        return _utf16(body)
    if code == b"JIS\x00\x00\x00\x00\x00":
        return _japanese(body)
    if code in {b"ASCII\x00\x00\x00", b"\x00" * _CODE}:
        return plain(body)
    return plain(value)


def plain(value: bytes) -> str:
    """Decode UTF-8, else Latin-1, which takes everything; NULs at the end are padding."""
    value = value.rstrip(b"\x00")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _utf16(body: bytes) -> str:
    """Decode the way that gives the most plain letters; parameter names are always such."""
    if body[:2] in {b"\xfe\xff", b"\xff\xfe"}:
        decoded = body.decode("utf-16", "replace")
    else:
        decoded = body.decode(max(_CODECS, key=lambda codec: _likeness(body, codec)), "replace")
    return decoded.rstrip("\x00")


def _likeness(body: bytes, codec: str) -> int:
    text = body[:_SAMPLE].decode(codec, "replace")
    wrong = text.count("\ufffd") + text.count("\x00")
    return sum(character in _PRINTABLE for character in text) - wrong


def _japanese(body: bytes) -> str:
    return body.decode("iso2022_jp", "replace") if b"\x1b" in body else plain(body)
