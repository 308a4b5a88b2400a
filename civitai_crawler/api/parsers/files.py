"""Files of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from civitai_crawler.api.parsers import convert
from civitai_crawler.api.parsers.fields import Fields
from civitai_crawler.items import ModelFile

if TYPE_CHECKING:
    from civitai_crawler.items import ModelVersion


@dataclass(frozen=True)
class Parents:
    """What a file or a version takes over from the records above it."""

    model_id: int | None = None
    model_name: str | None = None
    creator: str | None = None


def model_file(record: Any, path: str, parents: Parents, version: ModelVersion) -> ModelFile:
    """Read one entry of ``files``; the internal storage address in ``url`` is never kept.

    Raises:
        BadRecordError: it has no usable id or name.

    """
    fields = Fields(record, "model_file", path)
    fields.raw("url")
    metadata = fields.child("metadata", keep=True)
    home = fields.raw("modelVersionId")
    if home not in (None, version.id):  # a linked file of another version
        fields.keep("modelVersionId", home)
    return ModelFile(
        id=fields.identity(),
        version_id=version.id,
        model_id=parents.model_id,
        creator=parents.creator,
        model_name=parents.model_name,
        version_name=version.name,
        name=fields.needed_text("name"),
        override_name=fields.text("overrideName"),
        type=fields.text("type"),
        size_kb=fields.number("sizeKB"),
        format=metadata.text("format") or fields.text("format"),
        size=metadata.text("size"),
        fp=metadata.text("fp"),
        quant_type=metadata.text("quantType"),
        primary=fields.flag("primary") or False,
        pickle_scan_result=fields.text("pickleScanResult"),
        virus_scan_result=fields.text("virusScanResult"),
        scanned_at=fields.text("scannedAt"),
        hashes=fields.mapping_of(convert.hashes, "hashes"),
        download_url=fields.url("downloadUrl"),
        extra=fields.rest(),
    )
