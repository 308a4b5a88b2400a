"""The parameters that a ComfyUI graph tells: those of its first sampler."""

from __future__ import annotations

from typing import Any

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
#: Inputs that hold a text, or lead to the node that holds it.
_WORDS = ("text", "text_g", "prompt", "string", "value", "conditioning", "conditioning_1")
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
        inputs = node["inputs"]
        for name, key in _INPUTS.items():
            if isinstance(inputs.get(name), (str, int, float)):
                known.setdefault(key, inputs[name])
        for name, key in (("positive", "prompt"), ("negative", "negativePrompt")):
            text = _words(nodes, inputs.get(name))
            if text is not None:
                known.setdefault(key, text)
    return known


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
    """Follow links (``[node, output]``) to a text."""
    for _ in range(_MAX_HOPS):
        if isinstance(link, str):
            return link
        if not isinstance(link, list) or not link:
            return None
        inputs = nodes.get(str(link[0]), {}).get("inputs", {})
        link = next((inputs[name] for name in _WORDS if name in inputs), None)
    return None
