"""Generation parameters as programs write them into files, under the names that the site uses."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Pairs of one text that are kept.
MAX_PAIRS = 1_000

#: Pairs by which AUTOMATIC1111 knows settings; all others want ``Steps:`` among them.
_SETTINGS = 3

#: Names of programs in lower case → the site's own; all others stay as written.
_NAMES = {
    "prompt": "prompt",
    "negative prompt": "negativePrompt",
    "negative_prompt": "negativePrompt",
    "negativeprompt": "negativePrompt",
    "uc": "negativePrompt",
    "steps": "steps",
    "sampler": "sampler",
    "sampler_name": "sampler",
    "cfg scale": "cfgScale",
    "cfgscale": "cfgScale",
    "cfg_scale": "cfgScale",
    "guidance_scale": "cfgScale",
    "scale": "cfgScale",
    "seed": "seed",
    "clip skip": "clipSkip",
    "clipskip": "clipSkip",
    "clip_skip": "clipSkip",
    "size": "Size",
    "model": "Model",
    "civitai resources": "civitaiResources",
    "civitai metadata": "extra",
    "hashes": "hashes",
}
_NUMBERS = frozenset({"steps", "cfgScale", "seed", "clipSkip"})
_TEXTS = frozenset({"prompt", "negativePrompt", "sampler", "Model", "Size"})

_NEGATIVE = re.compile(r"^[ \t]*Negative prompt:[ \t]*", re.MULTILINE)
_STEPS = re.compile(r"^[ \t]*Steps:[ \t]*\d", re.MULTILINE)
#: Every start that could be one is tried once, so that no text takes more than linear time.
_NAME = r"([^\s,:\"'{}\[\]][^,:\n\"{}\[\]]*+):[ \t]*+"
_PAIR = re.compile(_NAME)
_NEXT = re.compile(rf"[,\n][ \t]*+(?={_NAME})")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_HASH = re.compile(r"([^,:]++):[ \t]*+([0-9A-Fa-f]++)")
_JSON = json.JSONDecoder(parse_constant=lambda _: None)


def is_parameters(text: str) -> bool:
    """Tell whether *text* has a part that only generation parameters have."""
    return bool(_STEPS.search(text) or _NEGATIVE.search(text))


def settings(pairs: Sequence[str]) -> str:
    """Join pairs ``Name: value`` to the line behind the prompts.

    Empty where every reader would take them for the end of a prompt.
    """
    is_known = len(pairs) >= _SETTINGS or any(pair.startswith("Steps: ") for pair in pairs)
    return ", ".join(pairs) if is_known else ""


def parse(text: str) -> dict[str, Any]:
    """Read AUTOMATIC1111's text: prompt, ``Negative prompt:`` and the line that begins ``Steps:``.

    The names are those of ``image.getGenerationData`` (``prompt``, ``negativePrompt``, ``steps``,
    ``sampler``, ``cfgScale``, ``seed``, ``clipSkip``, ``Size`` ...), all others as written.
    """
    text = text.replace("\r\n", "\n")
    lines = list(_STEPS.finditer(text))
    words, rest = (text[: lines[-1].start()], text[lines[-1].start() :]) if lines else (text, "")
    negative = _NEGATIVE.search(words)
    known: dict[str, Any] = {"prompt": words[: negative.start()].strip() if negative else ""}
    if negative is None:
        known["prompt"] = words.strip()
    else:
        known["negativePrompt"] = words[negative.end() :].strip()
    for name, value in _pairs(rest.lstrip()).items():
        known.setdefault(*_named(name, value))
    if hashes := _hashes(known):
        known["hashes"] = hashes
    return known


def from_json(data: Any) -> dict[str, Any] | None:
    """Read an object of SwarmUI (``sui_image_params``), NovelAI, Fooocus or the site's generator.

    ``None`` when it tells no prompt.
    """
    if not isinstance(data, dict):
        return None
    for key in ("sui_image_params", "extraMetadata"):
        inner = data.get(key)
        if isinstance(inner, str):
            inner = loads(inner)
        if isinstance(inner, dict):
            data = inner
    known: dict[str, Any] = {}
    for name, value in list(data.items())[:MAX_PAIRS]:
        known.setdefault(*_named(name, value))
    if not isinstance(known.get("prompt"), str):
        return None
    width, height = convert.integer(data.get("width")), convert.integer(data.get("height"))
    if width and height:
        known.setdefault("Size", f"{width}x{height}")
    return known


def loads(text: str) -> Any:
    """Decode JSON as programs write it, NaN included; ``None`` when it is none."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _named(name: str, value: Any) -> tuple[str, Any]:
    name = _NAMES.get(name.strip().lower(), name.strip())
    if name in _NUMBERS:
        whole, broken = convert.integer(value), convert.number(value)
        value = next((number for number in (whole, broken) if number is not None), value)
    elif name in _TEXTS and isinstance(value, (int, float)):
        value = str(value)
    return name, value


def _pairs(text: str) -> dict[str, Any]:
    """Split ``Key: value, Key: "quoted, value", Key: [JSON]``; a name's first value counts.

    What stands between two commas without a name belongs to the value before.
    """
    found: dict[str, Any] = {}
    at = 0
    for _ in range(MAX_PAIRS):
        pair = _PAIR.match(text, at)
        if pair is None:
            break
        value, at = _structured(text, pair.end())
        following = _NEXT.search(text, at)
        end = following.start() if following else len(text)
        found.setdefault(pair[1].strip(), text[at:end].strip(" ,\n") if value is None else value)
        at = following.end() if following else end
    return found


def _structured(text: str, at: int) -> tuple[Any, int]:
    """Read a quoted or JSON value and where it ends; ``None`` when it is neither."""
    first = text[at : at + 1]
    if first == '"':
        quoted = _QUOTED.match(text, at)
        if quoted is None:
            return None, at
        try:
            return json.loads(quoted[0], strict=False), quoted.end()
        except ValueError:
            return quoted[0][1:-1], quoted.end()
    try:
        return _JSON.raw_decode(text, at) if first in {"[", "{"} else (None, at)
    except (ValueError, RecursionError):
        return None, at


def _hashes(known: dict[str, Any]) -> dict[str, Any]:
    """Gather the hashes that stand in several places: ``{model, vae, lora:NAME, embed:NAME}``."""
    listed = known.get("hashes")
    found: dict[str, Any] = dict(listed) if isinstance(listed, dict) else {}
    for name, key in (("Model hash", "model"), ("VAE hash", "vae")):
        if isinstance(known.get(name), str):
            found.setdefault(key, known[name])
    for name, key in (("Lora hashes", "lora"), ("TI hashes", "embed")):
        for pair in _HASH.finditer(str(known.get(name, ""))):
            found.setdefault(f"{key}:{pair[1].strip()}", pair[2])
    return found
