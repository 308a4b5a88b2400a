"""Reading of spider arguments: all arrive as text, all that is wrong ends in one sentence."""

from __future__ import annotations

import difflib
import inspect
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from civitai_crawler.api import links
from civitai_crawler.archive.feeds import Problem, heads
from civitai_crawler.exceptions import UsageError
from civitai_crawler.options import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy import Spider

T = TypeVar("T")

INCLUDES = ("models", "posts", "images", "generation")
DOWNLOADS = ("images", "files")
GENERATIONS = ("auto", "full", "none")
#: Types of models as the site spells them, which it minds; it may have more by now.
MODEL_TYPES = (
    *("Checkpoint", "TextualInversion", "Hypernetwork", "AestheticGradient", "LORA", "LoCon"),
    *("DoRA", "Controlnet", "Upscaler", "MotionModule", "VAE", "TextEncoder", "UNet"),
    *("CLIPVision", "Poses", "Wildcards", "Workflows", "ComfyWorkflows", "Detection"),
    *("VisionLanguage", "CLIP", "LLM", "Other"),
)
#: Base models as the site spells them, which it minds; it has more, and more by the week.
BASE_MODELS = (
    *("SD 1.4", "SD 1.5", "SD 1.5 LCM", "SD 1.5 Hyper", "SD 2.0", "SD 2.0 768", "SD 2.1"),
    *("SD 2.1 768", "SD 2.1 Unclip", "SD 3", "SD 3.5", "SD 3.5 Large", "SD 3.5 Large Turbo"),
    *("SD 3.5 Medium", "SDXL 0.9", "SDXL 1.0", "SDXL 1.0 LCM", "SDXL Lightning", "SDXL Hyper"),
    *("SDXL Turbo", "SDXL Distilled", "Pony", "Pony V7", "Illustrious", "NoobAI", "Anima"),
    *("AuraFlow", "Chroma", "Flux.1 S", "Flux.1 D", "Flux.1 Krea", "Flux.1 Kontext", "Flux.2 D"),
    *("HiDream", "Hunyuan 1", "Hunyuan Video", "Kolors", "Krea 2", "LTXV", "LTXV2", "Lumina"),
    *("Mochi", "PixArt a", "PixArt E", "Playground v2", "Qwen", "Qwen 2", "Stable Cascade"),
    *("SVD", "SVD XT", "ZImageTurbo", "ZImageBase", "CogVideoX", "Imagen4", "Nano Banana"),
    *("Seedream", "Sora 2", "Veo 3", "Kling", "Seedance", "OpenAI", "Upscaler", "Other"),
)
FRESH = "fresh"


def check(spider: type[Spider], given: dict[str, Any]) -> dict[str, Any]:
    """Return *given* as keywords of *spider*; an unknown or missing one is refused.

    ``fresh``, which every spider takes, is checked and left out: see :func:`is_fresh`.
    """
    parameters = inspect.signature(spider.__init__).parameters
    known = {name.rstrip("_"): p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    is_fresh(given)
    given = {name: value for name, value in given.items() if name != FRESH}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, FRESH], 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            takes = ", ".join([*known, FRESH])
            raise UsageError(f"{spider.name} has no argument {name!r}.{hint} It takes: {takes}.")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and not given.get(name):
            raise UsageError(f"{spider.name} needs the argument {name}: -a {name}=…")
    return {known[name].name: value for name, value in given.items()}


def is_fresh(given: dict[str, Any]) -> bool:
    """Tell whether the crawl starts anew instead of going on."""
    return flag(FRESH, given.get(FRESH, False))


def subset(name: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Read a comma list of words, all of them among *allowed*; ``none`` is the empty list."""
    chosen = words_of(text)
    for word in chosen:
        if word not in allowed:
            raise UsageError(f"{name}={text}: {word!r} is none of {', '.join(allowed)}, none.")
    return tuple(word for word in allowed if word in chosen)


def types(text: str) -> list[str]:
    """Read types of models, spelled in any case; what only resembles one is refused."""
    known = _folded(MODEL_TYPES)
    chosen = [known.get(word.casefold(), word) for word in words_of(text)]
    for word in chosen:
        near = difflib.get_close_matches(word.casefold(), known, 1)
        if word not in MODEL_TYPES and near:
            raise UsageError(f"types={text}: {word!r} is no type. Did you mean {known[near[0]]}?")
    return chosen


def base_models(text: str) -> list[str]:
    """Read base models, the known ones in any case; new ones resemble old ones and are taken."""
    known = _folded(BASE_MODELS)
    return [known.get(word.casefold(), word) for word in words_of(text)]


def _folded(words: tuple[str, ...]) -> dict[str, str]:
    return {word.casefold(): word for word in words}


def one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    """Read one word of *allowed*."""
    if text not in allowed:
        raise UsageError(f"{name}={text}: expected one of {', '.join(allowed)}.")
    return text


def flag(name: str, text: str | bool) -> bool:  # noqa: FBT001  # text on the command line, a bool in code
    """Read ``true`` or ``false``."""
    return one_of(name, str(text).lower(), ("true", "false")) == "true"


def level(text: str | int) -> int:
    """Read a browsing level: a sum of 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX."""
    if not str(text).isdecimal() or not 1 <= int(text) <= 31:  # noqa: PLR2004  # all five bits
        raise UsageError(f"level={text}: expected a sum of 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX (1-31).")
    return int(text)


def since(text: str) -> str:
    """Read a date (``2026-05-01``) as ISO 8601 UTC text that compares with the site's dates."""
    if not text:
        return ""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"since={text}: expected a date like 2026-05-01.") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def listed(name: str, text: str, parse: Callable[[str], T]) -> list[T]:
    """Read ids, names or links: one, a comma list, or ``@file`` with one on each line."""
    if text.startswith("@"):
        text = _read(Path(text[1:]))
    found = links.id_list(text, parse)
    if not found:
        raise UsageError(f"{name}: nothing is named in it.")
    return found


def ids_of_feed(text: str) -> list[int]:
    """Read the image ids of a feed of images or generation data: JSON Lines or CSV."""
    problems: list[Problem] = []
    try:
        found = [int(head.id) for _, head in heads(Path(text), problems.append)]
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(f"{text} is no feed with an id in each line.") from error
    for problem in problems:
        if problem.what == "unreadable":
            raise UsageError(f"{text} cannot be read: {problem.why}.")
        raise UsageError(f"{text} is no feed with an id in each line.")
    return list(dict.fromkeys(found))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text.") from error
