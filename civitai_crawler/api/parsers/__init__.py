"""Decoded answers in, items out: every shape the API has sent so far, old and new.

A page parser raises ``UnexpectedShapeError`` when the answer is no page and otherwise gives a
:class:`Page`: one broken record costs one record. A record parser raises ``BadRecordError`` with
the path of the bad value. Nothing here does I/O; ``archive``, ``fetched_at`` and ``source`` of the
items are the caller's to fill in.
"""

from __future__ import annotations

from civitai_crawler.api.parsers.envelope import Page, decode, raise_for_rest, rest_error
from civitai_crawler.api.parsers.generation import generation_data
from civitai_crawler.api.parsers.images import (
    MEDIA_BASE,
    ImageRecord,
    image_detail,
    images_page,
    trpc_images_page,
)
from civitai_crawler.api.parsers.models import (
    ModelTree,
    model_tree,
    models_page,
    trpc_model_tree,
    trpc_models_page,
)
from civitai_crawler.api.parsers.people import Me, creator, me
from civitai_crawler.api.parsers.posts import post, posts_page
from civitai_crawler.api.parsers.versions import VersionTree, version_tree

__all__ = [
    "MEDIA_BASE",
    "ImageRecord",
    "Me",
    "ModelTree",
    "Page",
    "VersionTree",
    "creator",
    "decode",
    "generation_data",
    "image_detail",
    "images_page",
    "me",
    "model_tree",
    "models_page",
    "post",
    "posts_page",
    "raise_for_rest",
    "rest_error",
    "trpc_images_page",
    "trpc_model_tree",
    "trpc_models_page",
    "version_tree",
]
