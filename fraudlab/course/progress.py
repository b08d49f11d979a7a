"""A learner's progress, in a file that people can read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fraudlab.course import learner_files
from fraudlab.settings import Settings

TRIES_BEFORE_SOLUTION = 3


@dataclass
class Record:
    """What happened in one exercise, or in a whole lab, of which only the times are known.

    `hints` counts those shown; `wrong` is the fingerprint of the last wrong answer. Times are in ISO 8601, "" for never.
    """

    tries: int = 0
    hints: int = 0
    solved: bool = False
    wrong: str = ""
    begun: str = ""
    touched: str = ""
    solved_at: str = ""

    @property
    def solution_is_open(self) -> bool:
        """After success or three tries."""
        return self.solved or self.tries >= TRIES_BEFORE_SOLUTION


class Progress:
    """The progress of one learner: read anew at each look, written at each step, so that notebooks can share it."""

    def __init__(self, folder: Path, learner: str) -> None:
        self.path = folder / f"progress-{learner}.json"

    @classmethod
    def of_learner(cls, settings: Settings) -> "Progress":
        """The progress of the learner whose settings these are."""
        return cls(settings.work, settings.learner)

    def records(self) -> dict[str, Record]:
        """Number of an exercise, or of a lab that was begun, to what happened. What cannot be read counts as missing."""
        found = learner_files.read(self.path, {})
        read = {number: _record(one) for number, one in found.items()} if isinstance(found, dict) else {}
        return {number: record for number, record in read.items() if record is not None}

    def of(self, number: str) -> Record:
        """What happened in one exercise."""
        return self.records().get(number, Record())

    def began(self, lab: str) -> None:
        """A lab's first cell was run."""
        self._write(lab, self.of(lab))

    def tried(self, number: str, *, solved: bool, wrong: str = "") -> Record:
        """One more try, unless it is the wrong answer of the last one. What was solved once stays solved.

        Args:
            number: The exercise's number.
            solved: Whether the answer is right.
            wrong: The fingerprint of a wrong answer.
        """
        record = self.of(number)
        record.tries += not wrong or wrong != record.wrong
        record.wrong = wrong
        if solved and not record.solved:
            record.solved, record.solved_at = True, _now()
        return self._write(number, record)

    def hinted(self, number: str, available: int) -> Record:
        """One more hint shown, as long as there is one."""
        record = self.of(number)
        record.hints = min(record.hints + 1, available)
        return self._write(number, record)

    def _write(self, number: str, record: Record) -> Record:
        record.touched = _now()
        record.begun = record.begun or record.touched
        records = self.records() | {number: record}
        shown = {
            one: {name: value for name, value in asdict(records[one]).items() if value != ""} for one in sorted(records)
        }
        learner_files.write(self.path, shown)
        return record


def _record(found: Any) -> Record | None:
    """What a file says of an exercise; None if it isn't that. A learner can write anything there, and the instructor's page reads it."""
    try:
        record = Record(**found)
    except TypeError:
        return None
    has_kinds = all(type(getattr(record, one.name)) is one.type for one in fields(record))
    times = (record.begun, record.touched, record.solved_at)
    return record if has_kinds and all(not at or learner_files.is_time(at) for at in times) else None


def latest(records: Mapping[str, Record]) -> str:
    """Where a learner is: the exercise, or the lab, that they touched last; "" of one who has not begun."""
    return max(records, key=lambda number: (records[number].touched, number), default="")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
