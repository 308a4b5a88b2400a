"""The shape of ``report.json``, format 1. Pure.

- ``format``: 1; ``archive``, ``spider``, ``at`` (UTC), ``pass`` (1 is the first), ``ended``
  (Scrapy's reason: ``finished``, ``shutdown`` ...), ``signed_in``, ``requests_left``;
- ``verdict``: ``code`` (the exit code), ``word``, ``sentence``;
- ``kinds``: by feed ``expected`` (the site's own counts: ``count``, ``source``, ``levels`` it
  covers, ``held`` of these or null where they cannot be compared, ``missing``), ``listed``,
  ``records``, ``failed`` (by reason), ``excluded``, ``gone``, and for ``model_files`` and
  ``images`` ``files``: ``wanted``, ``stored``, ``bytes``, ``verified`` (by published hash),
  ``failed`` (by reason), ``not_chosen``;
- ``not_obtained``: one entry per missing thing: ``kind``, ``id``, ``reason``, ``message``,
  ``status``, ``since``, ``tried``, ``retry_at`` (the site's word), ``again`` (when we ask again;
  null: in the next pass), ``final``, ``model_id``, ``version_id``, ``post_id``;
- ``not_listed``: by feed, how many the site counts and no list names;
- ``gone``: ``kind``, ``id``, ``noticed``, ``kept`` (up to three paths);
- ``changes``: what this pass brought, if it is not the first: ``kind``, ``id``, ``what``
  (``added``, ``updated``, ``stored``);
- ``replaced``: paths of files beside which a newer one of the same file id is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from civitai_crawler.ledger.refusals import Refusal
    from civitai_crawler.ledger.summary import Files, Kind, Summary, Verdict

FORMAT = 1

#: What is written to ``report.json``.
Account = dict[str, Any]


def account(
    summary: Summary, verdict: Verdict, *, archive: str, spider: str, signed_in: bool, ended: str,
    at: str,
) -> Account:  # fmt: skip
    """Put a summary in the shape of the report."""
    return {
        "format": FORMAT,
        "archive": archive,
        "spider": spider,
        "at": at,
        "pass": summary.passes + 1,
        "ended": ended,
        "verdict": verdict._asdict(),
        "signed_in": signed_in,
        "requests_left": summary.pending,
        "kinds": {stem: _kind(kind) for stem, kind in summary.kinds.items()},
        "not_obtained": [_missing(refusal) for refusal in summary.missing],
        "not_listed": summary.not_listed,
        "gone": [gone._asdict() for gone in summary.gone],
        "changes": [change._asdict() for change in summary.changes],
        "replaced": summary.replaced,
    }


def _kind(kind: Kind) -> Account:
    told: Account = {
        "expected": [
            {
                "count": count.count,
                "source": count.source,
                "levels": count.levels,
                "held": count.held,
                "missing": count.missing,
            }
            for count in kind.counts
        ],
        "listed": kind.listed,
        "records": kind.records,
        "failed": kind.failed,
        "excluded": kind.excluded,
        "gone": kind.gone,
    }
    if kind.files is not None:
        told["files"] = _files(kind.files)
    return told


def _files(files: Files) -> Account:
    return {
        "wanted": files.wanted,
        "stored": files.stored,
        "bytes": files.bytes,
        "verified": files.verified,
        "failed": files.failed,
        "not_chosen": files.not_chosen,
    }


def _missing(refusal: Refusal) -> Account:
    return {
        "kind": refusal.kind,
        "id": refusal.item_id,
        "reason": refusal.reason,
        "message": refusal.message,
        "status": refusal.status,
        "since": refusal.since or None,
        "tried": refusal.tried or None,
        "retry_at": refusal.retry_at,
        "again": refusal.again,
        "final": refusal.final,
        "model_id": refusal.model_id,
        "version_id": refusal.version_id,
        "post_id": refusal.post_id,
    }
