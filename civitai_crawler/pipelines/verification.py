"""Are these bytes the file that was published? Answers from hashes, sizes and first bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from civitai_crawler.pipelines import safetensors
from civitai_crawler.pipelines.failures import NotTheFileError, SpoiledError
from civitai_crawler.pipelines.hashes import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.items import ModelFile
    from civitai_crawler.pipelines.sniff import Kind

#: Published hashes that SHA256 answers, the best first, with their hex digits.
_OF_SHA256 = {"SHA256": 64, "AutoV2": 10}
_ARRIVED = {
    "html": "A web page arrived instead of the file.",
    "json": "A JSON answer arrived instead of the file.",
    "xml": "An XML answer arrived instead of the file.",
    "txt": "Plain text arrived instead of the file.",
}
#: Extensions of files that are never text.
_BINARY = frozenset(
    {"7z", "bin", "ckpt", "gguf", "gz", "onnx", "pt", "pth", "rar", "safetensors", "sft", "zip"}
)


def published_sha256(file: ModelFile) -> str | None:
    """Return the published SHA256 in lower-case hex, if there is a whole one."""
    found = _published(file).get("SHA256", "")
    return found if len(found) == _OF_SHA256["SHA256"] else None


def proof(
    file: ModelFile, sha256: str, path: Path | None, check: Callable[[], None] = lambda: None
) -> str | None:
    """Return the published hash that proves the bytes; ``None`` when none is published.

    What SHA256 answers (SHA256, AutoV2) costs nothing; for others *path*, where the bytes lie, is
    read once (blocking; *check* may raise to end that), and ``None`` leaves them out. Raises
    SpoiledError when the published hash is another.
    """
    hashes = _published(file)
    for name, digits in _OF_SHA256.items():
        published = hashes.get(name.upper(), "")[:digits]
        if len(published) == digits:
            return _compared("SHA256", name, published, (sha256.lower(),))
    if path is None:
        return None
    for name, algorithm in ALGORITHMS.items():
        published = hashes.get(name.upper(), "")
        if len(published) in algorithm.digits and (found := algorithm.compute(path, check)):
            return _compared(name, name, published, found)
    return None


def verify(
    file: ModelFile,
    kind: Kind,
    size: int,
    sha256: str,
    path: Path,
    check: Callable[[], None] = lambda: None,
) -> str:
    """Return the published hash that proves the bytes, ``none`` when there is none to compare.

    A hash of all bytes that fits proves any content, a web page included. Without one the published
    size has to fit, and a safetensors file its own header. Blocking; *path* and *check* as for
    :func:`proof`. Raises NotTheFileError for words in place of a file, SpoiledError for other bytes
    than published.
    """
    try:
        proven = proof(file, sha256, path, check)
    except SpoiledError:
        _refuse_words(file, kind, size)
        raise
    if proven is not None and is_whole(proven):
        return proven
    _refuse_words(file, kind, size)
    if not _fits(file, size):
        raise SpoiledError(
            "size_mismatch", f"{size} bytes arrived, the site publishes {file.size_kb} KiB."
        )
    if file.name.lower().endswith(".safetensors") and (why := safetensors.flaw(path)):
        raise SpoiledError("not_the_file", f"What arrived is not the file: {why}.")
    return proven or "none"


def is_whole(proven: str) -> bool:
    """Tell whether the named hash covers every byte of a file."""
    return proven in _OF_SHA256 or (proven in ALGORITHMS and ALGORITHMS[proven].whole)


def _published(file: ModelFile) -> dict[str, str]:
    """Return the published hashes in lower case by their upper-case names."""
    return {name.upper(): value.strip().lower() for name, value in file.hashes.items() if value}


def _compared(computed: str, name: str, published: str, found: tuple[str, ...]) -> str:
    if not any(digest.startswith(published) for digest in found):
        raise SpoiledError(
            "hash_mismatch",
            f"The bytes have {computed} {found[0]}, the site publishes {published}.",
        )
    return name


def _refuse_words(file: ModelFile, kind: Kind, size: int) -> None:
    """Refuse what servers say in words, unless the file is words itself and of published size."""
    if kind.family == "empty":
        raise NotTheFileError("An empty answer arrived instead of the file.")
    if kind.family not in ("page", "text"):
        return
    extension = file.name.rpartition(".")[2].lower()
    fits = _published_size(file) is not None and _fits(file, size)
    if fits and (extension == kind.ext or kind.family == "text"):
        return
    if kind.family == "text" and extension not in _BINARY:
        return
    raise NotTheFileError(_ARRIVED[kind.ext])


def _fits(file: ModelFile, size: int) -> bool:
    """Compare with the published size: kibibytes as a float, so not to the byte."""
    published = _published_size(file)
    return published is None or abs(size - published) <= max(1024, published / 1000)


def _published_size(file: ModelFile) -> float | None:
    """Return the published size in bytes; ``None`` for none, and for one that no file can have."""
    size = (file.size_kb or 0) * 1024
    return size if 0 < size < math.inf else None
