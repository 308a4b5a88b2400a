"""How an image was made, as its own file tells: programs that make images write it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from civitai_crawler.api import containers, graphs, parameters
from civitai_crawler.api.parsers.clean import json_safe

if TYPE_CHECKING:
    from civitai_crawler.api.containers import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Generation data of one file. All values can be written as JSON."""

    source: str
    """Container and place: ``png:parameters``, ``jpeg:UserComment``, ``webp:comfy`` ..."""
    parameters: dict[str, Any]
    """Keys as in the ``meta`` of ``image.getGenerationData``; may be empty beside ``comfy``."""
    comfy: dict[str, Any]
    """ComfyUI's ``{prompt, workflow}``, as far as there; text where it is no valid JSON."""
    text: str
    """The parameters as they stand in the file; empty when they were read from the graph."""

    def plain(self) -> dict[str, Any]:
        """Give what there is as JSON: ``{source, parameters?, comfy?, text?}``."""
        parts = {"parameters": self.parameters, "comfy": self.comfy, "text": self.text}
        return {"source": self.source, **{name: part for name, part in parts.items() if part}}


def embedded(read: Read) -> Embedded | None:
    """Read the generation data in a PNG, JPEG or WebP file; ``None`` when it holds none.

    *read* gives the bytes of a place: ``read(offset, length)``, fewer at the end of the file. Only
    metadata is asked for, never the picture, and no single text above 4 MiB is unpacked, so that
    memory does not grow with the file. Bytes never cause an error; those of *read* itself pass.
    """
    container, texts = containers.texts(read)
    comfy: dict[str, Any] = {
        name: _graph(texts[name]) for name in ("prompt", "workflow") if name in texts
    }
    for place in ("parameters", "Comment", "UserComment", "comment"):
        text = texts.get(place, "")
        known, graph = _understood(text, sure=place == "parameters")
        if known or graph:
            return _clean(f"{container}:{place}", known, {**graph, **comfy}, text)
    if comfy:
        return _clean(f"{container}:comfy", graphs.parameters(comfy.get("prompt")), comfy, "")
    return None


def of_bytes(data: bytes) -> Embedded | None:
    """Read a file that is in memory."""
    return embedded(lambda at, length: data[at : at + length])


def _understood(text: str, *, sure: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return parameters and graph of a text; *sure* when it cannot be anything else.

    Comments also hold the remarks of cameras and editors.
    """
    if text.lstrip().startswith("{"):
        data = parameters.loads(text)
        graph = {"prompt": data} if _is_graph(data) else {}
        known = parameters.from_json(data) or graphs.parameters(graph.get("prompt"))
        if known or graph or data is not None:
            return known, graph
    if text.strip() and (sure or parameters.is_parameters(text)):
        return parameters.parse(text), {}
    return {}, {}


def _is_graph(data: Any) -> bool:
    """Tell an API graph, also one with a few entries of another kind among its nodes."""
    return isinstance(data, dict) and any(
        isinstance(node, dict) and "class_type" in node for node in data.values()
    )


def _graph(text: str) -> Any:
    decoded = parameters.loads(text)
    return decoded if isinstance(decoded, dict) else text


def _clean(source: str, known: dict[str, Any], comfy: dict[str, Any], text: str) -> Embedded:
    return Embedded(
        source=source, parameters=json_safe(known), comfy=json_safe(comfy), text=json_safe(text)
    )
