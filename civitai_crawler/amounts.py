"""Sizes, times and numbers as a person reads them."""

from __future__ import annotations

_KILO = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def size(number: float) -> str:
    """Say bytes in decimal units: ``850 bytes``, ``1.2 kB``, ``3.4 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < _KILO:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= _KILO
    return f"{number:.1f} TB"


def duration(seconds: float) -> str:
    """Say seconds in at most two units: ``8 s``, ``4 min 10 s``, ``3 h 5 min``, ``2 d 4 h``."""
    whole = round(seconds)
    for unit, name, below, part in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {name}" + (f" {rest} {part}" if rest else "")
    if whole < _MINUTE:
        return f"{whole} s"
    rest = whole % _MINUTE
    return f"{whole // _MINUTE} min" + (f" {rest} s" if rest else "")


def counted(number: int, one: str, many: str = "") -> str:
    """Say a number with its noun: ``1 file``, ``1,200 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
