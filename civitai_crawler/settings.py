"""Scrapy's settings of this project, in the order of Scrapy's project template.

Whatever differs from Scrapy's default says so and why. Our own settings are at the end.
"""

import os
import sys
from pathlib import Path

from dotenv import dotenv_values
from scrapy.utils.conf import closest_scrapy_cfg

from civitai_crawler import buckets, options

# Beside scrapy.cfg, which Scrapy finds from any folder of the project.
_file = Path(closest_scrapy_cfg()).parent / ".env"
try:
    _dotenv = dotenv_values(_file)
except UnicodeDecodeError:  # as PowerShell's > writes it; its text would quote the file
    sys.stderr.write(f"{_file} is no UTF-8 text.\n")
    raise SystemExit(2) from None
_sources = (os.environ, _dotenv)

BOT_NAME = "civitai_crawler"
SPIDER_MODULES = ["civitai_crawler.spiders"]
NEWSPIDER_MODULE = "civitai_crawler.spiders"
COMMANDS_MODULE = "civitai_crawler.commands"  # default "": demo, standin, crawl with exit codes

# An honest name that is no browser's (default "Scrapy/…"): to browsers the download call answers an
# expired login with a web page under status 200 instead of a 401.
USER_AGENT = "civitai_crawler/0.1 (+archiver; scrapy)"

# Off (the template says True). The site's robots.txt is written for search engines: it disallows
# all of /api/, which holds the public API that is documented for programs, and the download links
# that the site hands to every client. What a polite program owes the site is kept in other ways:
# one request per interval, backing off when told to, no page that a person could not open.
ROBOTSTXT_OBEY = False

# --- politeness -------------------------------------------------------------------------------
# The interval to the site is kept by the download handler (CIVITAI_REQUEST_INTERVAL below): a
# slot's delay would be loosened by AutoThrottle and lost on retries. Slots only bound what runs at
# once, and need a delay above zero (default 0) for it: with zero Scrapy 2.19 keeps no bound.
DOWNLOAD_DELAY = 0.001
DOWNLOAD_DELAY_JITTER = 0  # default 0.5: the pace is exact, never random below the interval
DOWNLOAD_SLOTS = {
    "site": {"concurrency": 4, "delay": 0.001},
    "cdn": {"concurrency": 8, "delay": 0.001},
    "storage": {"concurrency": 2, "delay": 0.001},
}
# 0 = no bound here (default 16): media waiting for the CDN would fill it and stop the site's own.
# The ledger's scheduler admits a bounded number of requests instead.
CONCURRENT_REQUESTS = 0
# Default 100: items of one page in the pipelines at once. A page has up to 200 originals, of which
# the CDN's slot takes eight; each of these costs a task for every page, however short.
CONCURRENT_ITEMS = 24
SCRAPER_SLOT_MAX_ACTIVE_SIZE = 64_000_000  # default 5 MB: pages wait here while their images arrive
AUTOTHROTTLE_ENABLED = True  # default False: slows down media hosts that answer slowly
AUTOTHROTTLE_START_DELAY = 0.001  # default 5: nothing is slow until it shows
AUTOTHROTTLE_TARGET_CONCURRENCY = 8.0  # default 1: as many as the CDN slot allows
AUTOTHROTTLE_MAX_DELAY = 5.0  # default 60

# --- components -------------------------------------------------------------------------------
SCHEDULER = "civitai_crawler.ledger.scheduler.LedgerScheduler"  # Scrapy's loses work when killed
SPIDER_MIDDLEWARES = {
    "civitai_crawler.ledger.tracking.LedgerMiddleware": 10,
    "civitai_crawler.middlewares.stamp.StampMiddleware": 500,
    "scrapy.spidermiddlewares.depth.DepthMiddleware": None,  # default 900: depth says nothing here
    # Default 1000: it would look at every item, and our spiders hand on no meta of a response.
    "scrapy.spidermiddlewares.metacopy.MetaCopyDetectionMiddleware": None,
    # Default 50: BackoffMiddleware has judged every status, what it lets through is for the spider.
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware": None,
}
DOWNLOADER_MIDDLEWARES = {
    "civitai_crawler.middlewares.backoff.BackoffMiddleware": 560,
    "civitai_crawler.middlewares.answers.AnswersMiddleware": 610,
    "civitai_crawler.middlewares.slots.SlotsMiddleware": 720,
    "civitai_crawler.middlewares.login.LoginMiddleware": 950,
    "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,  # BackoffMiddleware owns retries
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware": None,  # LoginMiddleware signs in
}
# 0 = no bound (default 2083): a longer request would be dropped without a word. The spiders keep
# addresses with packed calls below 4,000 characters themselves.
URLLENGTH_LIMIT = 0
COOKIES_ENABLED = False  # default True: LoginMiddleware keeps a jar that never leaves the site
REFERRER_POLICY = "no-referrer"  # the default would carry download links to the storage host
METAREFRESH_ENABLED = False  # default True: answers are data; a page that moves is no answer
DOWNLOAD_HANDLERS = {
    "http": "civitai_crawler.handlers.paced.PacedDownloadHandler",
    "https": "civitai_crawler.handlers.paced.PacedDownloadHandler",
}
DOWNLOAD_VERIFY_CERTIFICATES = True  # default False: certificates are not checked
ITEM_PIPELINES = {
    "civitai_crawler.pipelines.duplicates.DuplicatesPipeline": 100,
    "civitai_crawler.pipelines.plan.PlanPipeline": 150,
    "civitai_crawler.pipelines.embedded.EmbeddedPipeline": 200,
    "civitai_crawler.pipelines.model_files.ModelFilesPipeline": 300,
    "civitai_crawler.pipelines.images.OriginalImagesPipeline": 310,
    "civitai_crawler.pipelines.thumbnails.ThumbnailsPipeline": 320,
    "civitai_crawler.pipelines.duplicates.KnownItemsPipeline": 900,
}
EXTENSIONS = {
    "civitai_crawler.ledger.feeds.AllFeedsExporter": 0,
    "scrapy.extensions.feedexport.FeedExporter": None,  # default 0: AllFeedsExporter is one
    "civitai_crawler.extensions.report.Report": 500,
    "civitai_crawler.extensions.progress.Progress": 500,
    "civitai_crawler.extensions.sidecars.Sidecars": 500,
    "scrapy.extensions.logstats.LogStats": None,  # Progress says more
    "scrapy.extensions.spiderstate.SpiderState": None,  # no state outside the ledger
}
TELNETCONSOLE_ENABLED = False  # default True: a console into the process
REMOTE_CONTROL_ENABLED = False  # default True: a server that runs code in the process

# --- feeds ------------------------------------------------------------------------------------
# The archive's own feeds are added by the spider, which knows the archive's folder.
FEED_EXPORT_ENCODING = "utf-8"  # default None: non-ASCII text as \u escapes
FEED_STORE_EMPTY = False  # default True
FEED_STORAGES = {
    "": "civitai_crawler.ledger.feeds.LedgerFeedStorage",
    "file": "civitai_crawler.ledger.feeds.LedgerFeedStorage",
}
FEED_EXPORTERS = {
    "csv": "civitai_crawler.ledger.feeds.FlatCsvExporter",
    "jsonlines": "civitai_crawler.ledger.feeds.RecordLinesExporter",
    "jsonl": "civitai_crawler.ledger.feeds.RecordLinesExporter",
    "jl": "civitai_crawler.ledger.feeds.RecordLinesExporter",
}

# --- media ------------------------------------------------------------------------------------
# Bodies of media are streamed to disk by our handler, so the bounds for bodies in memory (defaults
# 1 GiB and 180 s) hold for the site's answers only.
DOWNLOAD_MAXSIZE = 128 * 1024 * 1024
DOWNLOAD_TIMEOUT = 60
# FILES_STORE and IMAGES_STORE: not set, files lie in the archive's folder; or s3://bucket/prefix.
globals().update(buckets.settings_of(*_sources))

# --- log --------------------------------------------------------------------------------------
LOG_LEVEL = "INFO"  # default DEBUG: a line for each of many thousand items
LOG_FORMATTER = "civitai_crawler.extensions.logs.QuietLogFormatter"
STATS_DUMP = False  # default True: the report is what a person wants to read

# --- our own (see the table in README.md) -----------------------------------------------------
globals().update(options.unknown(_dotenv))  # a crawl refuses them by name
globals().update(options.defaults(*_sources))
