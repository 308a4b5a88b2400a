"""What a job is for: the archive that it fills, and what its run looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from civitai_crawler.exceptions import UsageError

if TYPE_CHECKING:
    from civitai_crawler.ledger.store import Ledger


def belong(ledger: Ledger, archive: str, *, within: bool) -> None:
    """Keep a job to one archive, for it says what stands in the feeds of that one.

    *within*: it lies in the archive's folder, which follows a creator to a new name.

    Raises:
        UsageError: the job folder was given to another archive before.

    """
    owner = ledger.fact("archive")
    if not within and owner not in (None, archive):
        raise UsageError(
            f"The job folder holds what was done for {owner!r}, not for {archive!r}: leave out "
            "JOBDIR or give each its own."
        )
    ledger.set_fact("archive", archive)


def look_for(ledger: Ledger, choices: str) -> bool:
    """Note what this run looks for; tell whether the one that it goes on with chose otherwise.

    Then lists are read anew: what was passed over in them may be wanted now.
    """
    other = ledger.resumed and ledger.fact("choices") not in (None, choices)
    if other:
        ledger.queue.forget_done()
    ledger.set_fact("choices", choices)
    return other
