"""What could not be had: remembered by what it is, with its reason, and when to ask again.

An update pass would otherwise ask for every lost original and every closed file once more. What may
pass by itself (a broken connection, an overloaded server, a quota) is asked for again in every
pass; what the site refused, after a week; a file that it does not find, once more before that;
early access when it ends; what needs an account as soon as there is one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from civitai_crawler.items import Failure
    from civitai_crawler.ledger.store import Ledger

#: Days after which a refusal is questioned.
QUESTIONED_AFTER = timedelta(days=7)
#: Reasons that a repetition does not change. Any other reason may pass by itself.
FINAL = frozenset(
    {
        "archived", "bad_record", "bad_request", "downloads_disabled", "early_access", "filtered",
        "forbidden", "hash_mismatch", "login_required", "no_access", "no_address", "not_found",
        "not_the_file", "refused", "size_mismatch",
    }
)  # fmt: skip
#: Reasons that an account may change.
_OF_THE_ACCOUNT = frozenset({"login_required", "no_access", "forbidden", "early_access"})
IMAGES_MISSING = "images_missing"
#: A list may have been short, and a file not found, by accident: so many passes that agree make it
#: a fact.
_AGREEING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that is missing, and why. Times are UTC, ISO 8601."""

    key: str
    """``<kind>:<item id>``, or what stands for the id where there is none."""
    kind: str
    """As in ``Failure.kind``."""
    item_id: int | None = None
    reason: str
    message: str = ""
    status: int | None = None
    retry_at: str | None = None
    model_id: int | None = None
    version_id: int | None = None
    post_id: int | None = None
    since: str = ""
    """When it was first refused for this reason."""
    tried: str = ""
    """When it was last asked for."""
    passes: int = 1
    """In how many passes it was refused for this reason."""
    in_pass: int = 0
    run: int = 0
    signed_in: bool = False

    @property
    def final(self) -> bool:
        """Whether the same command would meet the same answer."""
        if self.reason == IMAGES_MISSING:
            return self.passes >= _AGREEING
        return self.reason in FINAL

    @property
    def _is_doubtful(self) -> bool:
        """Whether to ask once more: the site also says so when it cannot reach its storage."""
        once = self.kind == "model_file" and self.reason == "not_found"
        return once and self.passes < _AGREEING

    @property
    def again(self) -> str | None:
        """When it is asked for again, ISO 8601; ``None``: in the next pass."""
        tried = _date(self.tried)
        if self.retry_at or not self.final or self._is_doubtful or tried is None:
            return self.retry_at
        return (tried + QUESTIONED_AFTER).isoformat(timespec="seconds")

    def is_due(self, now: datetime, *, run: int, signed_in: bool) -> bool:
        """Tell whether asking again is of use: never twice in one run."""
        if self.run == run:
            return False
        if signed_in and not self.signed_in and self.reason in _OF_THE_ACCOUNT:
            return True
        if (opens := _date(self.retry_at)) is not None:
            return now >= opens
        if not self.final or self._is_doubtful:
            return True
        tried = _date(self.tried)
        return tried is None or now - tried >= QUESTIONED_AFTER


class Refusals:
    """The refusals of one job. Kept as marks of the ledger, so as durable as everything else."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def run(self) -> int:
        """Number of this run of the job."""
        return int(self._ledger.fact("run") or 0)

    def begin_run(self) -> None:
        """Count the run. Pages that may be had now are asked for in each run: start without."""
        self._ledger.set_fact("run", str(self.run + 1))
        for refusal in standing(self._ledger.db):
            if refusal.kind == "page" and not refusal.final:
                self._forget(refusal.key)

    def note(self, failure: Failure, *, signed_in: bool) -> None:
        """Remember *failure*; a further one of the same thing takes its place."""
        key = failure.id.rpartition(":")[0]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        new = Refusal(
            key=key, kind=failure.kind, item_id=failure.item_id, reason=failure.reason,
            message=failure.message, status=failure.status, retry_at=failure.retry_at,
            model_id=failure.model_id, version_id=failure.version_id, post_id=failure.post_id,
            since=now, tried=now, in_pass=self._ledger.passes, run=self.run, signed_in=signed_in,
        )  # fmt: skip
        old = self._read(key)
        if old is not None and (old.reason, old.message) == (new.reason, new.message):
            further = old.in_pass != new.in_pass
            new = replace(new, since=old.since, passes=old.passes + further)
        self._ledger.mark("refusal", key, json.dumps(asdict(new)))
        self._known.add(key)

    def of(self, kind: str, item_id: int) -> Refusal | None:
        """Return why the item could not be had; ``None`` when nothing is known against it."""
        return self._read(f"{kind}:{item_id}")

    def is_due(self, kind: str, item_id: int, *, signed_in: bool) -> bool:
        """Tell whether to ask for it now; what was never refused is due."""
        refusal = self.of(kind, item_id)
        now = datetime.now(UTC)
        return refusal is None or refusal.is_due(now, run=self.run, signed_in=signed_in)

    def resolve(self, kind: str, item_id: int) -> None:
        """Forget a refusal: it was had after all."""
        self._forget(f"{kind}:{item_id}")

    def keep_only(self, reason: str, keys: set[str]) -> None:
        """Forget the refusals of a reason that is found out anew, but for *keys*."""
        for refusal in standing(self._ledger.db):
            if refusal.reason == reason and refusal.key not in keys:
                self._forget(refusal.key)

    @property
    def _known(self) -> set[str]:
        """The keys on record. Most items have none: then the disk is not asked."""
        if self._ledger.refused is None:
            self._ledger.refused = set(self._ledger.marks("refusal"))
        return self._ledger.refused

    def _forget(self, key: str) -> None:
        if key not in self._known:
            return
        self._known.discard(key)
        self._ledger.db.execute("DELETE FROM marks WHERE kind = 'refusal' AND id = ?", (key,))

    def _read(self, key: str) -> Refusal | None:
        if key not in self._known:
            return None
        text = self._ledger.marked("refusal", key)
        return None if text is None else Refusal(**json.loads(text))


def standing(db: sqlite3.Connection) -> list[Refusal]:
    """Return what is still missing, by kind and id."""
    rows = db.execute("SELECT value FROM marks WHERE kind = 'refusal'").fetchall()
    found = [Refusal(**json.loads(value)) for (value,) in rows]
    return sorted(found, key=lambda one: (one.kind, one.item_id or 0, one.key))


def _date(text: str | None) -> datetime | None:
    """Read an ISO date; without a zone it is UTC; ``None`` for anything else."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
