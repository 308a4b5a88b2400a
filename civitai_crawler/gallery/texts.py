"""Texts as the pages show them: creators' HTML made harmless, generation parameters, numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nh3
from markupsafe import Markup

from civitai_crawler.api import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What creators may use: text and links; nothing that loads, runs or looks like ours.
_TAGS = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "br", "hr", "blockquote", "pre", "ul", "ol", "li"),
    *("a", "b", "strong", "i", "em", "u", "s", "del", "sub", "sup", "code"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
#: Names of the API's parameters in the text that programs write into files, in their order.
_NAMES = {
    "steps": "Steps",
    "sampler": "Sampler",
    "cfg_scale": "CFG scale",
    "seed": "Seed",
    "clip_skip": "Clip skip",
}
#: Keys of ``meta`` that the line has already, or that are no plain values of it.
_ELSEWHERE = {
    *("prompt", "negativePrompt", "steps", "sampler", "cfgScale", "seed", "clipSkip"),
    *("hashes", "resources", "civitaiResources", "additionalResources", "models", "vaes"),
    *("upscalers", "controlNets", "comfy", "workflow", "external", "extra"),
}


def harmless(html: str | None) -> Markup:
    """Return a creator's HTML without all that could run, load or lead astray."""
    return Markup(  # noqa: S704  # nh3 has cleaned it
        nh3.clean(
            html or "",
            tags=_TAGS,
            attributes={"a": {"href"}},
            url_schemes={"http", "https"},
            link_rel="noopener noreferrer nofollow",
        )
    )


def loaded(text: str | None) -> Any:
    """Return the value of a column that holds JSON."""
    return json.loads(text) if text else None


def a1111(data: Mapping[str, Any], width: int | None, height: int | None) -> str:
    """Return the parameters of an image as AUTOMATIC1111 reads them: the file's own where it has.

    *data* is a row of ``generation_data``.
    """
    own = (loaded(data["embedded"]) or {}).get("text")
    if isinstance(own, str) and parameters.is_parameters(own):
        return own
    lines = [data["prompt"] or ""]
    if data["negative_prompt"]:
        lines.append(f"Negative prompt: {data['negative_prompt']}")
    pairs = {name: data[key] for key, name in _NAMES.items() if data[key] is not None}
    if width and height:
        pairs["Size"] = f"{width}x{height}"
    for key, value in (loaded(data["meta"]) or {}).items():
        if key not in _ELSEWHERE and isinstance(value, (str, int, float)):
            pairs.setdefault(key, value)
    line = parameters.settings([f"{name}: {_quoted(value)}" for name, value in pairs.items()])
    return "\n".join([*lines, line] if line else lines)


def _quoted(value: Any) -> str:
    text = str(value)
    ends = any(mark in text for mark in ',:\n"')
    return json.dumps(text, ensure_ascii=False) if ends else text


def size(count: float | None) -> str:
    """Return bytes for a person."""
    if count is None:
        return ""
    for unit in ("B", "KB", "MB"):
        if count < 1000:  # noqa: PLR2004  # of a unit
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def plain(value: float | None) -> str:
    """Return a number without zeros that say nothing."""
    return "" if value is None else f"{value:g}"


def grouped(value: Any) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
