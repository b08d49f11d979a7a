"""Counts of what a run did, as the JSON report and the progress line show them."""

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from data_generator.stream import Payment

EVERYDAY = "everyday"


@dataclass(slots=True)
class Report:
    """Counts of one run. `inserted`, `declined` and `unknown` together are the payments that were tried.

    `unknown`: the connection broke during a commit, and the run ended before the payments could be sent again.
    `skipped`: payments of scenarios whose user's account was stopped when the scenario began; not tried.
    `by_scenario`: counts by scenario (`everyday` for none) and outcome.
    `max_behind_ms`: how far, at most, the run was behind its schedule, in wall time.
    """

    seed: int
    users: int
    inserted: int = 0
    declined: int = 0
    unknown: int = 0
    skipped: int = 0
    late: int = 0
    too_late: int = 0
    labelled: int = 0
    reconnects: int = 0
    max_behind_ms: int = 0
    elapsed_s: float = 0.0
    seconds_for_users: float = 0.0
    interrupted: bool = False
    error: str | None = None
    by_scenario: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        """Payments whose insertion was tried, whatever came of it."""
        return self.inserted + self.declined + self.unknown

    def count(self, payment: Payment, outcome: str) -> None:
        """Count a payment by its outcome: `inserted`, `declined`, `unknown` or `skipped`."""
        self.by_scenario.setdefault(payment.scenario or EVERYDAY, Counter())[outcome] += 1
        if outcome == "inserted":
            self.inserted += 1
            self.labelled += payment.by_thief
            self.late += payment.lateness == "late"
            self.too_late += payment.lateness == "too_late"
        elif outcome == "declined":
            self.declined += 1
        elif outcome == "unknown":
            self.unknown += 1
        else:
            self.skipped += 1

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-compatible values."""
        return {
            "seed": self.seed,
            "users": self.users,
            "tried": self.tried,
            "inserted": self.inserted,
            "declined": self.declined,
            "unknown": self.unknown,
            "skipped": self.skipped,
            "labelled": self.labelled,
            "late": self.late,
            "too_late": self.too_late,
            "by_scenario": {name: dict(counts) for name, counts in sorted(self.by_scenario.items())},
            "reconnects": self.reconnects,
            "max_behind_ms": self.max_behind_ms,
            "elapsed_s": round(self.elapsed_s, 3),
            "seconds_for_users": round(self.seconds_for_users, 3),
            "interrupted": self.interrupted,
            "error": self.error,
        }

    def write(self, path: Path) -> None:
        """Write the report as a whole: a reader sees the old file or the new one, never half of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.write_text(json.dumps(self.as_dict(), indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)

    def summary(self) -> str:
        """One line for people."""
        thefts = {name: counts for name, counts in self.by_scenario.items() if name != EVERYDAY}
        scenarios = ", ".join(f"{name} {sum(counts.values())}" for name, counts in sorted(thefts.items()))
        return (
            f"{self.inserted:,} payments inserted, {self.declined:,} refused, {self.late + self.too_late:,} late"
            + (f", {self.unknown:,} of unknown outcome" if self.unknown else "")
            + (f", {self.skipped:,} skipped" if self.skipped else "")
            + (f"; {scenarios}" if scenarios else "")
        )
