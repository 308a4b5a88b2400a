"""Finds in the source every sentence that a person may be told when something is wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parent.parent / "civitai_crawler"
#: Which argument of a call is the sentence.
CALLS = {
    "UsageError": 0, "ScrapyUsageError": 0, "LedgerError": 0, "NotTheFileError": 0,
    "SpoiledError": 1, "RefusedError": 1, "stop": 1, "Rule": 5, "error": 0, "warning": 0,
}  # fmt: skip
#: Variables that hold a sentence until it is told.
NAMES = {"sentence", "problem", "_EXPIRED", "FULL"}
_HOLE = "\0"


def sentences() -> dict[str, re.Pattern[str]]:
    """Return each sentence as the source has it, with ``…`` for what is filled in, and a pattern.

    The pattern fits the sentence however it is filled in.
    """
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if "standin" not in file.parts:
            for text in _texts(ast.parse(file.read_text(encoding="utf-8"))):
                pieces = re.split(f"{_HOLE}|%s|%d|%\\.0f", text)
                if max(map(len, pieces)) >= len(" cannot be "):
                    pattern = ".*".join(map(re.escape, pieces))
                    found["…".join(pieces)] = re.compile(pattern)
    return found


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = CALLS.get(_name(node.func), 99)
            if len(node.args) > place and (text := _text(node.args[place])):
                yield text
        elif isinstance(node, ast.Assign):
            named = any(_name(target) in NAMES for target in node.targets)
            if named and (text := _text(node.value)):
                yield text


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(piece) or _HOLE for piece in node.values)
    return ""


if __name__ == "__main__":
    print("\n".join(sentences()))  # noqa: T201  # for whoever writes the page about them
