"""Everything that can be found wrong before the first request."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy.settings import default_settings

from civitai_crawler import options, stores
from civitai_crawler.archive.folders import check_names, nearest
from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers import proxies
from civitai_crawler.middlewares.login import credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.settings import BaseSettings


def check(settings: BaseSettings) -> None:
    """Raise UsageError for a wrong setting, proxy, credential, bucket or archive folder."""
    ours = [name for name in settings if name.startswith(options.PREFIX)]
    values: dict[str, Any] = {name: settings.get(name) for name in ours}
    options.check(values, os.environ)
    _check_scrapys(settings)
    proxies.of_hosts(settings)
    check_names()
    credentials(settings)
    stores.check(settings)
    _check_folder(Path(settings["CIVITAI_ARCHIVE"]))


def _check_scrapys(settings: BaseSettings) -> None:
    """Look at the numbers and switches of Scrapy, which it reads somewhere on the way."""
    for name, default in vars(default_settings).items():
        kind, read = _kind(settings, default)
        try:
            if read is not None and settings.get(name) is not None:
                read(name)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{name} cannot be {settings[name]!r}: expected {kind}.") from error


def _kind(settings: BaseSettings, default: Any) -> tuple[str, Callable[[str], Any] | None]:
    if isinstance(default, bool):
        return "True or False", settings.getbool
    return "a number", settings.getfloat if isinstance(default, (int, float)) else None


def _check_folder(folder: Path) -> None:
    """Try the folder, or where it is to be made the nearest one that is there."""
    try:
        with tempfile.TemporaryFile(dir=nearest(folder)):
            pass
    except OSError as error:
        raise UsageError(
            f"The archive folder {folder} cannot be written: {error.strerror}."
        ) from error
