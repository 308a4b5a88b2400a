"""Where the checked files of an archive lie: its own folder, or a bucket behind the S3 protocol.

Records, reports, the ledger, and what is on its way always lie in the archive's folder on the
local disk; Scrapy's ``FILES_STORE`` and ``IMAGES_STORE`` say where model files and originals go.
"""

from civitai_crawler.stores.base import Store, StoreError
from civitai_crawler.stores.choice import Stores, check
from civitai_crawler.stores.local import LocalStore

__all__ = ["LocalStore", "Store", "StoreError", "Stores", "check"]
