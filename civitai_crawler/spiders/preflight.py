"""Everything that can be found wrong before the first request."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from civitai_crawler import options, stores
from civitai_crawler.exceptions import UsageError
from civitai_crawler.middlewares.login import credentials

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings

#: Names of the environment that are read by the tests, not by a crawl.
_NOT_OURS = {"CIVITAI_SAMPLES"}


def check(settings: BaseSettings) -> None:
    """Raise :class:`UsageError` for a wrong setting, credential, bucket or archive folder."""
    environment = [name for name in os.environ if name not in _NOT_OURS]
    ours = [name for name in settings if name.startswith(options.PREFIX)]
    values: dict[str, Any] = {name: settings.get(name) for name in ours}
    options.check(values, environment)
    credentials(settings)
    stores.check(settings)
    folder = Path(settings["CIVITAI_ARCHIVE"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"The archive folder {folder} cannot be written: {error.strerror}."
        ) from error
