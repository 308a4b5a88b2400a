"""Captions: what a prompt says about the picture, without what it says to the program."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: ``<lora:name:0.8>``, ``<hypernet:...>`` ...; a plain ``<`` is part of the text.
_NETWORK = re.compile(r"<[A-Za-z]\w*:[^<>]*+>")
#: Begins a new chunk of tokens; of all words it alone says nothing of the picture.
_BREAK = re.compile(r"\bBREAK\b")
_TOKEN = re.compile(
    r"\\(?P<escaped>[()\[\]{}\\])"
    r"|:\s*+(?P<weight>[+-]?(?:\d++(?:\.\d*+)?|\.\d++))\s*+(?=[)\]])"
    r"|(?P<opening>[(\[{])|(?P<closing>[)\]}])|(?P<colon>:)|(?P<bar>\|)"
    r"|(?P<text>[^\\()\[\]{}:|]++|\\)"
)
_COMMAS = re.compile(r"\s*+,[\s,]*+")
_PAIRS = {")": "(", "]": "[", "}": "{"}


def one_line(prompt: str) -> str:
    """Return *prompt* as it is written, on one line."""
    return " ".join(prompt.split())


def plain(prompt: str) -> str:
    r"""Return *prompt* as a caption: one line, which may be empty.

    Left out are the tags of networks (``<lora:x:0.8>``), ``BREAK``, and the grammar of weights:
    ``(a:1.2)``, ``[a]`` and ``{a}`` become ``a``, ``\(`` becomes ``(``. Of a switch ``[a:b:0.5]``
    that is kept with which the picture ends, ``b`` (``a`` in ``[a::0.5]``), of alternatives
    ``[a|b]`` the first.
    """
    text = _BREAK.sub(",", _NETWORK.sub("", prompt))
    parser = _Parser()
    for token in _TOKEN.finditer(text):
        parser.take(token)
    line = one_line("".join(parser.out))
    return _COMMAS.sub(", ", line).strip(" ,")


@dataclass(slots=True)
class _Group:
    """An open bracket, by the place in the output at which its text begins."""

    bracket: str
    start: int
    colon: int | None = None
    """Where the last colon of the group stands."""
    bar: int | None = None
    """Where the first bar of the group stands."""
    weighted: bool = False


@dataclass(slots=True)
class _Parser:
    out: list[str] = field(default_factory=list)
    groups: list[_Group] = field(default_factory=list)

    def take(self, token: re.Match[str]) -> None:
        kind, text = token.lastgroup, token[0]
        group = self.groups[-1] if self.groups else None
        if kind == "opening":
            self.groups.append(_Group(text, len(self.out)))
        elif kind == "weight" and group is not None:
            group.weighted = True
        elif kind == "closing" and group is not None and group.bracket == _PAIRS[text]:
            self._close(self.groups.pop())
        else:
            if kind == "colon" and group is not None:
                group.colon = len(self.out)
            elif kind == "bar" and group is not None and group.bar is None:
                group.bar = len(self.out)
            self.out.append(token["escaped"] or text)

    def _close(self, group: _Group) -> None:
        if group.bracket != "[":
            return
        if group.weighted and group.colon is not None:
            later = "".join(self.out[group.colon + 1 :]).strip()
            dropped = slice(group.start, group.colon + 1) if later else slice(group.colon, None)
            del self.out[dropped]
        elif group.bar is not None:
            del self.out[group.bar :]
