"""How fast the labs answer a learner: each check of Labs 01 to 05, and catching up, from the lab before and from a later one.

`python bench/labs.py` starts what is missing of the stack. Exit status 1 where a goal is missed.
"""

import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fraudlab import system
from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack

LEARNER = "benchlabs"
LABS = ("01", "02", "03", "04", "05")
WAYS = {"forward": LABS, "backward": LABS[::-1]}
CHECK_S, CATCH_UP_S = 5.0, 60.0
"""The goals."""

Figures = dict[str, list[float]]
console = Console(highlight=False)


def main() -> None:
    shared = Settings()
    Stack(shared, console.print).start()
    checks: Figures = {}
    catching_up: Figures = {}
    with tempfile.TemporaryDirectory() as work:
        settings = shared.model_copy(update={"learner": LEARNER, "work": Path(work)})
        system.prepare(settings)
        try:
            for way, labs in WAYS.items():
                for lab in labs:
                    console.print(f"{way}: Lab {lab}")
                    measure(settings, lab, checks, catching_up)
        finally:
            Workspace(settings).reset()
    report("check", checks, CHECK_S)
    report("catch_up", catching_up, CATCH_UP_S)
    if missed := [*over(checks, CHECK_S), *over(catching_up, CATCH_UP_S)]:
        sys.exit(f"Missed: {'; '.join(missed)}.")


def measure(settings: Settings, lab: str, checks: Figures, catching_up: Figures) -> None:
    """Runs a solution and adds the seconds of its checks and of its `catch_up`, by exercise and by lab."""
    notebook = notebooks.read(notebooks.SOLUTIONS / lab_of(lab).file)
    notebooks.execute(notebook, settings.work, settings.environment())
    for cell in notebooks.code_cells(notebook):
        for number in notebooks.checked_numbers(cell):
            checks.setdefault(number, []).append(seconds(cell))
        if cell.source.startswith("lab.catch_up("):
            catching_up.setdefault(lab, []).append(seconds(cell))


def seconds(cell: Any) -> float:
    """How long a cell ran, by the kernel's own notes."""
    noted = cell.metadata["execution"]
    begin, end = (datetime.fromisoformat(noted[when]) for when in ("iopub.execute_input", "shell.execute_reply"))
    return (end - begin).total_seconds()


def report(what: str, figures: Figures, goal: float) -> None:
    """Prints the table."""
    table = Table(what, *(f"{way}, s" for way in WAYS), "goal")
    for number, taken in sorted(figures.items()):
        table.add_row(number, *(f"{one:.1f}" for one in taken), f"< {goal:.0f}")
    console.print(table)


def over(figures: Figures, goal: float) -> list[str]:
    """What took too long, in words."""
    return [
        f"{number}: {max(taken):.1f} s, not below {goal:.0f}" for number, taken in figures.items() if max(taken) >= goal
    ]


if __name__ == "__main__":
    main()
