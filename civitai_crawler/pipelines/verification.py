"""Are these bytes the file that was published? Answers from hashes, sizes and first bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.pipelines.failures import NotTheFileError, SpoiledError

if TYPE_CHECKING:
    from civitai_crawler.items import ModelFile
    from civitai_crawler.pipelines.sniff import Kind

#: Hex digits of a SHA256, and those of them that AutoV2 shows.
_SHA256, _AUTOV2 = 64, 10
_ARRIVED = {
    "html": "A web page arrived instead of the file.",
    "json": "A JSON answer arrived instead of the file.",
    "xml": "An XML answer arrived instead of the file.",
}


def proof(file: ModelFile, sha256: str) -> str | None:
    """Return the published hash that *sha256* answers; ``None`` when none is published.

    Raises SpoiledError when the published one is another.
    """
    published = _published(file)
    if published is None:
        return None
    if not sha256.lower().startswith(published[1]):
        raise SpoiledError(
            "hash_mismatch", f"The bytes have SHA256 {sha256}, the site publishes {published[1]}."
        )
    return published[0]


def verify(file: ModelFile, kind: Kind, size: int, sha256: str) -> str:
    """Return the published hash that proves the bytes, ``none`` when there is none to compare.

    A hash that fits proves any content, a web page included. Without one the published size has to
    fit. Raises NotTheFileError for words in place of a file, SpoiledError for other bytes than
    published. AutoV1, AutoV3, CRC32 and BLAKE3 alone are not compared.
    """
    try:
        proven = proof(file, sha256)
    except SpoiledError:
        _refuse_words(file, kind, size)
        raise
    if proven is not None:
        return proven
    _refuse_words(file, kind, size)
    if not _fits(file, size):
        raise SpoiledError(
            "size_mismatch", f"{size} bytes arrived, the site publishes {file.size_kb} KiB."
        )
    return "none"


def _published(file: ModelFile) -> tuple[str, str] | None:
    """Return ``(hash type, lower-case hex)`` of the best published hash that SHA256 can answer."""
    hashes = {name.upper(): value.strip().lower() for name, value in file.hashes.items() if value}
    if len(full := hashes.get("SHA256", "")) == _SHA256:
        return "SHA256", full
    if len(short := hashes.get("AUTOV2", "")) >= _AUTOV2:
        return "AutoV2", short[:_AUTOV2]
    return None


def _refuse_words(file: ModelFile, kind: Kind, size: int) -> None:
    """Refuse what servers say in words, unless the file is words itself and of published size."""
    if kind.family == "empty":
        raise NotTheFileError("An empty answer arrived instead of the file.")
    if kind.family != "page":
        return
    extension = file.name.rpartition(".")[2].lower()
    if extension == kind.ext and file.size_kb is not None and _fits(file, size):
        return
    raise NotTheFileError(_ARRIVED[kind.ext])


def _fits(file: ModelFile, size: int) -> bool:
    """Compare with the published size: kibibytes as a float, so not to the byte."""
    if file.size_kb is None:
        return True
    published = file.size_kb * 1024
    return abs(size - published) <= max(1024, published / 1000)
