"""What of an archive goes into an export: the filters, and the flags that keep content out.

A filter takes only what says of itself that it fits: an unrated image is not taken where a level is
asked for, nor one without a date since a date.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from civitai_crawler.archive import records
from civitai_crawler.items import (
    GenerationData,
    Image,
    Model,
    ModelFile,
    ModelVersion,
    Post,
    Record,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from civitai_crawler.archive import Problem

ALL_LEVELS = 31
#: Reasons for which something is passed over.
EXCLUDED, FILTERED = "excluded by their flags", "filtered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The choice of a user."""

    level: int = ALL_LEVELS
    """The sum of the levels wanted: 1 PG, 2 PG-13, 4 R, 8 X, 16 XXX."""
    since: str = ""
    """ISO 8601 day or time in UTC: published then or later."""
    types: frozenset[str] = frozenset()
    """Model types in lower case; empty: all."""
    base_models: frozenset[str] = frozenset()
    """Base models in lower case; empty: all."""
    exclude: frozenset[str] = frozenset({"poi", "minor"})
    """Flags whose content is left out, with all that belongs to a model that has one."""

    def admits_level(self, bits: int | None) -> bool:
        """Tell whether all that *bits* say of a picture is wanted."""
        return self.level == ALL_LEVELS or bool(bits and not bits & ~self.level)

    def admits_mixture(self, bits: int | None) -> bool:
        """Tell whether something is wanted of what *bits* say of a collection."""
        return self.level == ALL_LEVELS or bool(bits and bits & self.level)

    def admits_date(self, date: str | None) -> bool:
        return not self.since or bool(date and date >= self.since)

    def admits_type(self, name: str | None) -> bool:
        return not self.types or (name or "").lower() in self.types

    def admits_base_model(self, name: str | None) -> bool:
        return not self.base_models or (name or "").lower() in self.base_models

    def excludes(self, record: Model | Image) -> bool:
        return any(getattr(record, flag, False) for flag in self.exclude)


@dataclass(frozen=True, slots=True)
class _Parent:
    """What a version says of the files, posts and images that belong to it."""

    type: str | None
    base_model: str | None
    refused: str | None
    """Why the version itself is not in the export."""


class Chooser:
    """Applies a selection to the records of one archive; knows its models and versions."""

    def __init__(
        self, archive: Path, selection: Selection, tell: Callable[[Problem], None]
    ) -> None:
        self._selection = selection
        self._models: dict[int, tuple[str, str | None]] = {}
        for model in records(archive, Model, tell):
            self._models[model.id] = model.type, self._model(model)
        self._versions: dict[int, _Parent] = {}
        for version in records(archive, ModelVersion, tell):
            kind, _ = self._models.get(version.model_id or 0, (None, None))
            parent = _Parent(kind, version.base_model, self._version(version))
            self._versions[version.id] = parent
        self._refused_images: dict[int, str] = {}

    def model_type(self, model_id: int | None) -> str | None:
        """Return the type of a model; ``None`` when the archive does not hold it."""
        return self._models.get(model_id or 0, (None, None))[0]

    def base_model(self, image: Image) -> str | None:
        """Return the base model of an image: its own, else that of the version its post shows."""
        parent = self._versions.get(image.version_id or 0)
        return image.base_model or (parent.base_model if parent else None)

    def refusal(self, record: Record) -> str | None:
        """Return why *record* is not in the export, ``None`` when it is.

        Generation data follow their image, which has to be asked about before.
        """
        match record:
            case Image():
                refused = self._image(record)
                if refused:
                    self._refused_images[record.id] = refused
                return refused
            case GenerationData():
                return self._refused_images.get(record.id)
            case Post():
                return self._post(record)
        return self._of_models(record)

    def _of_models(self, record: Record) -> str | None:
        match record:
            case Model():
                return self._model(record)
            case ModelVersion():
                return self._version(record)
            case ModelFile():
                return self._file(record)
        return None

    def _model(self, model: Model) -> str | None:
        chosen = self._selection
        if chosen.excludes(model):
            return EXCLUDED
        fits = chosen.admits_type(model.type) and chosen.admits_mixture(model.nsfw_level)
        return None if fits else FILTERED

    def _version(self, version: ModelVersion) -> str | None:
        chosen = self._selection
        _, refused = self._models.get(version.model_id or 0, (None, None))
        if refused:
            return refused
        fits = (
            chosen.admits_base_model(version.base_model)
            and chosen.admits_date(version.published_at)
            and (version.model_id in self._models or not chosen.types)
        )
        return None if fits else FILTERED

    def _file(self, file: ModelFile) -> str | None:
        parent = self._versions.get(file.version_id)
        if parent is not None:
            return parent.refused
        chosen = self._selection
        unasked = not (chosen.types or chosen.base_models or chosen.since)
        return None if unasked and chosen.level == ALL_LEVELS else FILTERED

    def _post(self, post: Post) -> str | None:
        chosen = self._selection
        if self._belongs_to_excluded(post.version_id):
            return EXCLUDED
        fits = chosen.admits_mixture(post.nsfw_level) and chosen.admits_date(post.published_at)
        return None if fits else FILTERED

    def _image(self, image: Image) -> str | None:
        chosen = self._selection
        if chosen.excludes(image) or self._belongs_to_excluded(image.version_id):
            return EXCLUDED
        parent = self._versions.get(image.version_id or 0)
        fits = (
            chosen.admits_level(image.nsfw_level)
            and chosen.admits_date(image.published_at or image.created_at)
            and chosen.admits_base_model(self.base_model(image))
            and chosen.admits_type(parent.type if parent else None)
        )
        return None if fits else FILTERED

    def _belongs_to_excluded(self, version_id: int | None) -> bool:
        parent = self._versions.get(version_id or 0)
        return parent is not None and parent.refused == EXCLUDED
