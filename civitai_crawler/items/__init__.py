"""The records of an archive: one dataclass per kind, joined by ids into one relational set.

Every record carries its ``id``, the ids of what it belongs to, where it came from (``source``) and
when (``fetched_at``). What the server sent beyond the named fields is kept in ``extra``. Texts stay
as the site wrote them; enumerations stay open text; missing values are ``None``.
"""

from __future__ import annotations

from civitai_crawler.items.failure import Failure
from civitai_crawler.items.generation import GenerationData, Resource
from civitai_crawler.items.models import Creator, Model, ModelFile, ModelVersion
from civitai_crawler.items.pictures import Image, Post
from civitai_crawler.items.record import Record

__all__ = [
    "FEEDS",
    "Creator",
    "Failure",
    "GenerationData",
    "Image",
    "Model",
    "ModelFile",
    "ModelVersion",
    "Post",
    "Record",
    "Resource",
]

#: Every item class in the order of the archive, with the stem of its feed.
FEEDS: dict[str, type[Record]] = {
    "creators": Creator,
    "models": Model,
    "model_versions": ModelVersion,
    "model_files": ModelFile,
    "posts": Post,
    "images": Image,
    "generation_data": GenerationData,
    "failures": Failure,
}
