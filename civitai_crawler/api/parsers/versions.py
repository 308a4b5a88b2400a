"""Versions of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.envelope import attempt
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.api.parsers.files import Parents, model_file
from civitai_crawler.api.parsers.images import MEDIA_BASE, ImageRecord, image_id, image_record
from civitai_crawler.api.parsers.people import owner
from civitai_crawler.items import ModelFile, ModelVersion

if TYPE_CHECKING:
    from civitai_crawler.exceptions import BadRecordError


@dataclass
class VersionTree:
    """A version with its files and the showcase images that the answer listed."""

    version: ModelVersion
    files: list[ModelFile] = field(default_factory=list)
    images: list[ImageRecord] = field(default_factory=list)
    broken: list[BadRecordError] = field(default_factory=list)
    """One error for each file or image that could not be read."""


def version_tree(payload: Any, *, media_base: str = MEDIA_BASE) -> VersionTree:
    """Read ``GET /api/v1/model-versions/{id}``, its by-hash sibling or ``modelVersion.getById``.

    Raises:
        BadRecordError: it is no version.

    """
    tree, images = version_record(json_safe(payload), "", Parents())
    version = tree.version

    def convert_image(record: Any, path: str) -> ImageRecord:
        return image_record(
            record,
            path,
            media_base=media_base,
            creator=version.creator,
            version_id=version.id,
        )

    for record, path in images:
        image = attempt(convert_image, record, path, tree.broken)
        if image is not None:
            tree.images.append(image)
    return tree


def version_record(
    record: Any, path: str, parents: Parents, index: int | None = None
) -> tuple[VersionTree, list[tuple[Any, str]]]:
    """Read one version and its files; its images come back unread, each with its path.

    ``index`` is its place in the list, used where the answer does not tell one. ``record`` has
    passed :func:`json_safe`.

    Raises:
        BadRecordError: it has no usable id or name, or a wrong model id.

    """
    fields = Fields(record, "model_version", path)
    files = fields.records("files")
    images = fields.records("images")
    above = _above(fields, parents)
    version = _version(fields, above, index)
    tree = VersionTree(version)

    def convert_file(entry: Any, at: str) -> ModelFile:
        return model_file(entry, at, above, version)

    for entry, entry_path in files:
        file = attempt(convert_file, entry, entry_path, tree.broken)
        if file is not None:
            tree.files.append(file)
    version.file_ids = [file.id for file in tree.files]
    version.image_ids = [found for entry, _ in images if (found := image_id(entry)) is not None]
    return tree, images


def _above(fields: Fields, parents: Parents) -> Parents:
    """Add to the parents what the version itself tells about them."""
    model = fields.child("model", keep=True)
    own_model = fields.reference("modelId")
    nested_model = model.integer("id")
    creator = owner(fields)[0] or owner(model)[0]
    told = nested_model if own_model is None else own_model
    return replace(
        parents,
        model_id=told if parents.model_id is None else parents.model_id,
        model_name=model.text("name") if parents.model_name is None else parents.model_name,
        creator=parents.creator or creator,
    )


def _version(fields: Fields, above: Parents, index: int | None) -> ModelVersion:
    own_index = fields.integer("index")
    return ModelVersion(
        id=fields.identity(),
        model_id=above.model_id,
        creator=above.creator,
        name=fields.needed_text("name"),
        index=index if own_index is None else own_index,
        base_model=fields.text("baseModel"),
        base_model_type=fields.text("baseModelType"),
        description=fields.text("description"),
        trained_words=fields.listed(convert.texts, "trainedWords"),
        nsfw_level=fields.integer("nsfwLevel"),
        availability=fields.text("availability"),
        status=fields.text("status"),
        created_at=fields.text("createdAt"),
        updated_at=fields.text("updatedAt"),
        published_at=fields.text("publishedAt"),
        early_access_deadline=fields.text("earlyAccessDeadline", "earlyAccessEndsAt"),
        paid_access=fields.mapping("paidAccess") or None,
        air=fields.text("air"),
        vae_id=fields.integer("vaeId"),
        usage_control=fields.text("usageControl"),
        supports_generation=fields.flag("supportsGeneration", "canGenerate"),
        stats=fields.mapping("stats", "rank"),
        download_url=fields.url("downloadUrl"),
        extra=fields.rest(),
    )
