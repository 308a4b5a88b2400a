"""Which model files are fetched: the settings that choose among the files of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

    from civitai_crawler.items import ModelFile


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """A choice among files. What a file does not say about itself never speaks against it."""

    types: frozenset[str] = frozenset()
    """``Model``, ``VAE`` ... lower case; empty: all."""
    formats: frozenset[str] = frozenset()
    """``SafeTensor``, ``GGUF`` ... lower case; empty: all."""
    fp: frozenset[str] = frozenset()
    """``fp16``, ``bf16`` ... lower case; empty: all."""
    max_size: int = 0
    """Bytes by the published size; 0: any."""
    primary_only: bool = False
    """Only the file that the plain download link serves."""

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> Self:
        """Read the settings; a size that is no number raises UsageError."""
        try:
            max_size = int(settings.get("CIVITAI_MAX_SIZE") or 0)
        except ValueError as error:
            raise UsageError("CIVITAI_MAX_SIZE has to be a number of bytes.") from error
        return cls(
            types=_words(settings, "CIVITAI_FILE_TYPES"),
            formats=_words(settings, "CIVITAI_FORMATS"),
            fp=_words(settings, "CIVITAI_FP"),
            max_size=max_size,
            primary_only=settings.getbool("CIVITAI_PRIMARY_ONLY"),
        )

    def admits(self, file: ModelFile) -> bool:
        """Tell whether *file* is chosen."""
        choices = ((self.types, file.type), (self.formats, file.format), (self.fp, file.fp))
        if any(chosen and said and said.lower() not in chosen for chosen, said in choices):
            return False
        if self.max_size and (file.size_kb or 0) * 1024 > self.max_size:
            return False
        return file.primary or not self.primary_only


def _words(settings: BaseSettings, name: str) -> frozenset[str]:
    words = (word.strip().lower() for word in settings.getlist(name))
    return frozenset(word for word in words if word)
