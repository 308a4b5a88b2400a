"""One finding of the doctor, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OK: Literal["ok"] = "ok"
WARNING: Literal["warning"] = "warning"
PROBLEM: Literal["problem"] = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    grade: Literal["ok", "warning", "problem"]
    subject: str
    """A word or two: ``Disk``."""
    text: str
    """One or two sentences, without secrets."""
    advice: str = ""
    """What to do; empty when there is nothing to do."""

    def lines(self) -> list[str]:
        """Say it for a person."""
        told = [f"{self.grade:<8} {self.subject:<15} {self.text}"]
        if self.advice:
            told.append(f"{'':<8} {'':<15} -> {self.advice}")
        return told
