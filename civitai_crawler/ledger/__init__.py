"""What is done: one SQLite file per job with every request, item, feed length and stored file.

A request is done only when its callback has ended, its child requests are rows, and its items have
left the pipelines and stand in the feeds: all of it is committed in one transaction. Whatever is
killed when, the next run puts back what was in flight and repeats nothing that was committed.
"""

from civitai_crawler.ledger.store import HANDLED, Ledger, LedgerError, Media

__all__ = ["HANDLED", "Ledger", "LedgerError", "Media"]
