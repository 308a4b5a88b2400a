"""Everything that can be found wrong before the first request."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from civitai_crawler import options, stores
from civitai_crawler.archive.folders import check_names
from civitai_crawler.exceptions import UsageError
from civitai_crawler.handlers import proxies
from civitai_crawler.middlewares.login import credentials

if TYPE_CHECKING:
    from scrapy.settings import BaseSettings


def check(settings: BaseSettings) -> None:
    """Raise UsageError for a wrong setting, proxy, credential, bucket or archive folder."""
    ours = [name for name in settings if name.startswith(options.PREFIX)]
    values: dict[str, Any] = {name: settings.get(name) for name in ours}
    options.check(values, os.environ)
    proxies.of_hosts(settings)
    check_names()
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
