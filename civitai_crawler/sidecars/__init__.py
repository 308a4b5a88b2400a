"""Files that other programs look for beside models and images, made from an archive's records."""

from civitai_crawler.sidecars.formats import DEFAULT, FORMATS
from civitai_crawler.sidecars.writing import Outcome, Wish, write

__all__ = ["DEFAULT", "FORMATS", "Outcome", "Wish", "write"]
