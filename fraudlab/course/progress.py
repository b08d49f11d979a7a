"""A learner's progress, in a file that people can read."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from fraudlab.settings import Settings

TRIES_BEFORE_SOLUTION = 3


@dataclass
class Record:
    """What happened in one exercise. `hints` counts those shown; `wrong` is the fingerprint of the last wrong answer."""

    tries: int = 0
    hints: int = 0
    solved: bool = False
    wrong: str = ""

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
        """Exercise number to what happened in it. A file that cannot be read counts as empty: progress is a comfort."""
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return {number: Record(**fields) for number, fields in known.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def of(self, number: str) -> Record:
        """What happened in one exercise."""
        return self.records().get(number, Record())

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
        record.solved = record.solved or solved
        return self._write(number, record)

    def hinted(self, number: str, available: int) -> Record:
        """One more hint shown, as long as there is one."""
        record = self.of(number)
        record.hints = min(record.hints + 1, available)
        return self._write(number, record)

    def _write(self, number: str, record: Record) -> Record:
        records = self.records() | {number: record}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        shown = {
            one: {name: value for name, value in asdict(records[one]).items() if value != ""} for one in sorted(records)
        }
        text = json.dumps(shown, indent=2)
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(self.path)
        return record
