"""An archive as it lies on disk, read without a crawl: its folders, feeds and records."""

from civitai_crawler.archive.feeds import Problem
from civitai_crawler.archive.folders import archives, feed_sizes, inside
from civitai_crawler.archive.records import Records, records

__all__ = ["Problem", "Records", "archives", "feed_sizes", "inside", "records"]
