"""The parameters that a ComfyUI graph tells: those of its first sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A sampler's inputs → the site's names.
_INPUTS = {
    "seed": "seed",
    "noise_seed": "seed",
    "steps": "steps",
    "cfg": "cfgScale",
    "sampler_name": "sampler",
    "scheduler": "scheduler",
    "denoise": "denoise",
}
#: Inputs of a sampler that lead to nodes which tell what it does not tell itself (as for Flux).
_PARTS = ("guider", "noise", "sampler", "sigmas")
#: Inputs that lead to texts → the site's names. A guider without a negative prompt has the second.
_PROMPTS = {"positive": "prompt", "conditioning": "prompt", "negative": "negativePrompt"}
#: Inputs that hold a text, or lead to the node that holds it.
_WORDS = (
    *("text", "text_g", "t5xxl", "clip_l", "prompt", "string", "value"),
    *("conditioning", "conditioning_1"),
)
#: Nodes behind which a text does not count any more.
_MUTE = {"ConditioningZeroOut"}
_MAX_HOPS = 32


def parameters(graph: Any) -> dict[str, Any]:
    """Read prompt, negative prompt, seed, steps ... from an API graph, ``{node: {inputs}}``.

    Of several samplers the first that tells a value counts. Empty when there is none; a value that
    another node computes is left out.
    """
    nodes = _nodes(graph)
    known: dict[str, Any] = {}
    for node in nodes.values():
        if "sampler" not in str(node.get("class_type")).lower():
            continue
        parts = [_behind(nodes, node["inputs"].get(name)) for name in _PARTS]
        for one in (node, *parts):
            for key, value in _told(nodes, one.get("inputs", {})):
                known.setdefault(key, value)
    return known


def _told(nodes: dict[str, dict[str, Any]], inputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what the inputs of one node tell, by the site's names."""
    for name, key in _INPUTS.items():
        if isinstance(inputs.get(name), (str, int, float)):
            yield key, inputs[name]
    for name, key in _PROMPTS.items():
        text = _words(nodes, inputs.get(name))
        if text is not None:
            yield key, text


def _behind(nodes: dict[str, dict[str, Any]], link: Any) -> dict[str, Any]:
    """Give the node that a link (``[node, output]``) leads to; an empty one for none."""
    return nodes.get(str(link[0]), {}) if isinstance(link, list) and link else {}


def _nodes(graph: Any) -> dict[str, dict[str, Any]]:
    """Pick the nodes that have inputs."""
    if not isinstance(graph, dict):
        return {}
    return {
        str(key): node
        for key, node in graph.items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }


def _words(nodes: dict[str, dict[str, Any]], link: Any) -> str | None:
    """Follow links to a text."""
    for _ in range(_MAX_HOPS):
        if isinstance(link, str):
            return link
        node = _behind(nodes, link)
        inputs = {} if node.get("class_type") in _MUTE else node.get("inputs", {})
        link = next((inputs[name] for name in _WORDS if name in inputs), None)
    return None
