"""Texts of the site in the words of other programs."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Ends of lines in a description.
_BREAK = re.compile(r"<(?:br|/p|/li|/div|/h[1-6]|/pre|/tr)\b[^<>]*+>", re.IGNORECASE)
#: Values of attributes may hold ``<`` and ``>``. Of what is no tag little is looked at.
_TAG = re.compile(
    r"""<(?:/?[a-z]|!)(?:[^<>"']++|"[^"]{0,2000}+"|'[^']{0,2000}+'){0,100}+>""", re.IGNORECASE
)
_BLANK = re.compile(r"[^\S\n]+")
_EMPTY = re.compile(r"\n{3,}")
#: Base models of AUTOMATIC1111's three families, by how their names begin.
_FAMILIES = (
    ("SD 1", "SD1"),
    ("SD 2", "SD2"),
    ("SDXL", "SDXL"),
    ("Pony", "SDXL"),
    ("Illustrious", "SDXL"),
    ("NoobAI", "SDXL"),
)
#: Base models whose names begin alike and that are of no family.
_OTHERS = ("Pony V7",)


def plain(description: str | None) -> str:
    """Make plain text of a description in HTML."""
    text = html.unescape(_TAG.sub("", _BREAK.sub("\n", description or "")))
    lines = [_BLANK.sub(" ", line).strip() for line in text.splitlines()]
    return _EMPTY.sub("\n\n", "\n".join(lines)).strip()


def words(trained: Iterable[str]) -> list[str]:
    """Return trigger words without the spaces and commas at their edges, each once."""
    stripped = (word.strip(" ,\t\n") for word in trained)
    return list(dict.fromkeys(word for word in stripped if word))


def activation(trained: Iterable[str]) -> str:
    """Join trigger words as Civitai Helper does.

    Where one holds a comma they are alternatives (``a, b || c, d``), otherwise one list.
    """
    found = words(trained)
    return (" || " if any("," in word for word in found) else ", ").join(found)


def sd_version(base_model: str | None) -> str:
    """Tell AUTOMATIC1111's family of a base model: ``SD1``, ``SD2``, ``SDXL`` or ``Unknown``."""
    name = base_model or ""
    if name.startswith(_OTHERS):
        return "Unknown"
    return next((family for start, family in _FAMILIES if name.startswith(start)), "Unknown")
