"""Models with their versions and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.clean import json_safe
from civitai_crawler.api.parsers.envelope import Page, attempt, page
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.api.parsers.files import Parents
from civitai_crawler.api.parsers.people import owner
from civitai_crawler.api.parsers.versions import version_record
from civitai_crawler.items import Model, ModelFile, ModelVersion

if TYPE_CHECKING:
    from civitai_crawler.exceptions import BadRecordError


@dataclass
class ModelTree:
    """A model with everything below it that the answer held."""

    model: Model
    versions: list[ModelVersion] = field(default_factory=list)
    files: list[ModelFile] = field(default_factory=list)
    broken: list[BadRecordError] = field(default_factory=list)
    """One error for each version or file that could not be read."""


def models_page(payload: Any) -> Page[ModelTree]:
    """Read ``GET /api/v1/models`` of any year.

    Raises:
        UnexpectedShapeError: it is no page.

    """
    return page(payload, _tree)


def model_tree(record: Any) -> ModelTree:
    """Read one model of REST: ``GET /api/v1/models/{id}`` or an entry of the list.

    Raises:
        BadRecordError: it has no usable id, name or type.

    """
    return _tree(json_safe(record))


def trpc_models_page(data: Any) -> Page[Model]:
    """Read ``model.getAll``: models without files, with the id of one version each.

    Raises:
        UnexpectedShapeError: it is no page.

    """
    return page(data, lambda record, path: _tree(record, path).model)


def trpc_model_tree(data: Any) -> ModelTree:
    """Read ``model.getById``.

    Raises:
        BadRecordError: it has no usable id, name or type.

    """
    return model_tree(data)


def _tree(record: Any, path: str = "") -> ModelTree:
    fields = Fields(record, "model", path)
    versions = fields.records("modelVersions")
    # Showcase images are records of their own, reached through their posts; kept here they would
    # carry what an archive leaves out.
    fields.raw("images")
    fields.raw("image")
    tree = ModelTree(_model(fields))
    above = Parents(tree.model.id, tree.model.name, tree.model.creator)
    for index, (entry, entry_path) in enumerate(versions):
        _add_version(tree, entry, entry_path, above, index)
    _sum_up(tree, record.get("version"))
    return tree


def _add_version(tree: ModelTree, entry: Any, path: str, above: Parents, index: int) -> None:
    found = attempt(
        lambda raw, at: version_record(raw, at, above, index)[0], entry, path, tree.broken
    )
    if found is not None:
        tree.versions.append(found.version)
        tree.files.extend(found.files)
        tree.broken.extend(found.broken)


def _sum_up(tree: ModelTree, single: Any) -> None:
    """Fill in what the versions tell about the model; ``single`` is the one that getAll gives."""
    model = tree.model
    model.version_ids = [version.id for version in tree.versions]
    bases = [version.base_model for version in tree.versions]
    if isinstance(single, dict) and not tree.versions:
        model.version_ids = convert.ids([single]) or []
        bases = [convert.text(single.get("baseModel"))]
    if not model.base_models:
        model.base_models = list(dict.fromkeys(base for base in bases if base))


def _model(fields: Fields) -> Model:
    creator, creator_id = owner(fields)
    return Model(
        id=fields.identity(),
        creator=creator,
        creator_id=creator_id,
        creator_image=fields.child("creator").url("image") or fields.child("user").url("image"),
        name=fields.needed_text("name"),
        type=fields.needed_text("type"),
        description=fields.text("description"),
        tags=fields.listed(convert.names, "tags", "tagsOnModels"),
        nsfw=fields.flag("nsfw") or False,
        nsfw_level=fields.integer("nsfwLevel"),
        minor=fields.flag("minor") or False,
        poi=fields.flag("poi") or False,
        sfw_only=fields.flag("sfwOnly") or False,
        availability=fields.text("availability"),
        mode=fields.text("mode"),
        base_models=fields.listed(convert.texts, "baseModels"),
        allow_no_credit=fields.flag("allowNoCredit"),
        allow_derivatives=fields.flag("allowDerivatives"),
        allow_different_license=fields.flag("allowDifferentLicense"),
        allow_commercial_use=fields.listed(convert.commercial_use, "allowCommercialUse"),
        supports_generation=fields.flag("supportsGeneration", "canGenerate"),
        published_at=fields.text("publishedAt"),
        stats=fields.mapping("stats", "rank"),
        extra=fields.rest(),
    )
