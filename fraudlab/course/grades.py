"""What learners got, as a table: CSV, JSON, and a summary. Pure, but for asking git for the version of the course."""

import csv
import io
import json
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fraudlab.settings import REPOSITORY
from fraudlab.stack.secret_store import write_private
from fraudlab.terminal import printable

COLUMNS = ("learner", "lab", "exercise", "title", "solved", "remark")
LONGEST_REMARK = 300

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula where a cell begins with it."""


@dataclass(frozen=True, slots=True)
class Grade:
    """What a learner got for an exercise.

    Attributes:
        lab: The lab's number.
        exercise: The exercise's number.
        title: The exercise's title.
        solved: Whether its check said *right*.
        remark: What the check or the error said; "" for what is solved.
        graded: Whether it could be graded. Where it could not, the remark says why.
    """

    lab: str
    exercise: str
    title: str
    solved: bool = False
    remark: str = ""
    graded: bool = True


@dataclass
class Learner:
    """A learner's grades so far, and a sentence for each thing that was handed in and not graded."""

    name: str
    notes: Sequence[str] = ()
    grades: list[Grade] = field(default_factory=list)

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(one.solved for one in self.grades)

    @property
    def not_graded(self) -> dict[str, list[str]]:
        """What could not be graded: the remark, and the numbers of its exercises."""
        found: dict[str, list[str]] = {}
        for one in self.grades:
            if not one.graded:
                found.setdefault(one.remark, []).append(one.exercise)
        return found

    def of_lab(self, number: str) -> str:
        """A lab in a few signs: `2/3`, with a `!` where something could not be graded, "" where nothing was handed in."""
        grades = [one for one in self.grades if one.lab == number]
        sign = "" if all(one.graded for one in grades) else "!"
        return f"{sum(one.solved for one in grades)}/{len(grades)}{sign}" if grades else ""


def line(text: str) -> str:
    """Text of a learner as one line of a table: no steering signs, no line breaks, not too long, and nothing that UTF-8 cannot hold."""
    one = " ".join(printable(text.encode("utf-8", "replace").decode("utf-8")).split())
    return one if len(one) <= LONGEST_REMARK else f"{one[: LONGEST_REMARK - 1]}…"


def cell(text: str) -> str:
    """A cell of the CSV file: what a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_csv(learners: Sequence[Learner]) -> str:
    """One row per learner and exercise, below the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for learner in learners:
        for one in learner.grades:
            solved = "yes" if one.solved else "no"
            row = (learner.name, one.lab, one.exercise, one.title, solved, one.remark)
            writer.writerow(map(cell, row))
    return text.getvalue()


def as_json(learners: Sequence[Learner], *, course: str, at: datetime, complete: bool) -> str:
    """The same with each learner's totals and notes, the version of the course, the time, and whether all is graded."""
    listed = [
        {
            "learner": learner.name,
            "solved": learner.solved,
            "exercises": len(learner.grades),
            "notes": list(learner.notes),
            "grades": [
                {
                    **{"lab": one.lab, "exercise": one.exercise, "title": one.title},
                    **{"solved": one.solved, "graded": one.graded, "remark": one.remark},
                }
                for one in learner.grades
            ],
        }
        for learner in learners
    ]
    document = {"course": course, "at": at.isoformat(timespec="seconds"), "complete": complete, "learners": listed}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Book:
    """The two files that hold the grades. They are written again after each lab, and only their owner can read them."""

    folder: Path

    @property
    def csv(self) -> Path:
        """One row per learner and exercise."""
        return self.folder / "grades.csv"

    @property
    def json(self) -> Path:
        """The same, and more."""
        return self.folder / "grades.json"

    def write(self, learners: Sequence[Learner], *, at: datetime, complete: bool) -> None:
        """Replaces both files. Raises OSError where the folder cannot be written."""
        write_private(self.csv, as_csv(learners))
        write_private(self.json, as_json(learners, course=course_version(), at=at, complete=complete))


def course_version() -> str:
    """The version of the repository, and the commit where git knows it: `0.1.0 (679ce32)`."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    described = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(described, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except OSError:  # no git, as in our image
        return str(project["version"])
    commit = done.stdout.strip()
    return f"{project['version']} ({commit})" if commit else str(project["version"])
