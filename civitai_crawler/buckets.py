"""Scrapy's settings of object storage, which the environment and ``.env`` tell as they do ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.settings import BaseSettings

#: Those that may be seen.
OPEN = (
    "FILES_STORE",
    "IMAGES_STORE",
    "FILES_STORE_S3_ACL",
    "IMAGES_STORE_S3_ACL",
    "AWS_ENDPOINT_URL",
    "AWS_REGION_NAME",
)
#: Those that nobody may see.
SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Secret(str):
    """Text that does not show where values are printed: Scrapy logs the settings that were set."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def settings_of(*sources: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of object storage that the first of *sources* has that has them."""
    found: dict[str, str] = {}
    for source in reversed(sources):
        found.update({name: source[name] for name in OPEN if source.get(name)})
        found.update({name: Secret(source[name]) for name in SECRETS if source.get(name)})
    return found


def hide(settings: BaseSettings) -> None:
    """Keep the secrets of object storage out of Scrapy's log, wherever they were set."""
    for name in SECRETS:
        value = settings.get(name)
        if value and not isinstance(value, Secret):
            settings.set(name, Secret(value), settings.getpriority(name) or "project")
