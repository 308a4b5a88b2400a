"""What became of an export: counted, said as it happens where it matters, and summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from civitai_crawler.archive import Problem

_NEVER = "never fetched"


@dataclass(slots=True)
class Outcome:
    """Counts of one run; ``say`` takes the sentences for a person."""

    say: Callable[[str], None]
    unit: str = "files"
    """What is counted: ``files``, ``images`` or ``rows``."""
    added: int = 0
    held: int = 0
    """What an earlier run had exported."""
    lost: Counter[str] = field(default_factory=Counter)
    """What belongs into the export and is not in it, by reason."""
    passed: Counter[str] = field(default_factory=Counter)
    """What does not belong into it, by reason: filters, flags, kinds that the format has not."""
    _awaited: set[int] = field(default_factory=set)
    """Ids of what was never fetched for the archives up to now; another one may have it."""

    @property
    def is_whole(self) -> bool:
        """Nothing is missing that belongs into it."""
        return not self.lost

    def count(self, *, added: bool) -> None:
        """Count one that is in the export, now or from before."""
        self.added += added
        self.held += not added

    def lose(self, reason: str, what: object, why: str = "") -> None:
        """Count and name one that is missing."""
        self.lost[reason] += 1
        self.say(f"{reason:<10} {what}" + (f" ({why})" if why else ""))

    def lack(self, number: int) -> None:
        """Count the one of id *number* as never fetched, until another archive has it."""
        self.lost[_NEVER] += number not in self._awaited
        self._awaited.add(number)

    def found(self, number: int) -> None:
        """Take back what was said of the one of id *number* in an archive before."""
        if number in self._awaited:
            self._awaited.remove(number)
            self.lost = self.lost - Counter([_NEVER])

    def problem(self, problem: Problem) -> None:
        """Count and name what cannot be read of a feed."""
        self.lose(problem.what, problem.feed, problem.why)

    def progress(self) -> str:
        """Say how far it is."""
        return f"{self.added + self.held:,} {self.unit}"

    def summary(self, target: object) -> str:
        """Say what came of it."""
        before = f", {self.held:,} were there before" if self.held else ""
        return (
            f"Exported {self.added:,} {self.unit} to {target}{before}."
            f"{_told(' Left out', self.lost)}{_told(' Not chosen', self.passed)}"
        )


def _told(title: str, counts: Counter[str]) -> str:
    if not counts:
        return ""
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
    return f"{title}: {told}."
