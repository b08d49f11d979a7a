"""What a learner waits for: the first fraud, JupyterLab, each check of Labs 01 to 05, catching up, and all solutions.

`python -m bench.course` starts what is missing of the stack and measures checks and catching up, from the lab before and from a later one.
Exit status 1 where a goal is missed. `make bench` measures the rest, too, on its own system, whose data is wiped for it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from fraudlab import system
from fraudlab.clients.waiting import until
from fraudlab.course import notebooks
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack

LEARNER = "benchlabs"
CHECKED = ("01", "02", "03", "04", "05")
WAYS = {"forward": CHECKED, "backward": CHECKED[::-1]}
CHECK_S, CATCH_UP_S = 5.0, 60.0
"""The goals."""
DEMO_S = "20"
PAGE_WITHIN_S = 120

Figures = dict[str, list[float]]
Say = Callable[[str], None]
console = Console(highlight=False)


def main() -> None:
    shared = Settings()
    Stack(shared, console.print).start()
    checks, catching_up = answers(shared, console.print)
    report("check", checks, CHECK_S)
    report("catch_up", catching_up, CATCH_UP_S)
    if missed := [*over(checks, CHECK_S), *over(catching_up, CATCH_UP_S)]:
        sys.exit(f"Missed: {'; '.join(missed)}.")


def measured(settings: Settings, say: Say) -> list[dict[str, Any]]:
    """All that a learner waits for, in seconds; and the memory of the whole. Everything is installed; the data of `settings` is wiped."""
    fraudlab("reset", "--yes")
    rows = []
    for state in ("with nothing running and no data", "while everything runs"):
        fraudlab("demo", "--seconds", DEMO_S)
        found = json.loads((settings.home / "demo-report.json").read_text(encoding="utf-8"))
        rows.append(row(f"`make demo` to the first activity, {state}", found["first_activity_s"]))
    memory = {"what": "memory of everything while the demo runs", "mib": found["resident_mib"]}
    fraudlab("reset", "--yes")  # a stack has one dashboard, and Lab 05 opens it
    Stack(settings, say).start()
    with tempfile.TemporaryDirectory() as work, opened(Path(work)) as seconds:
        rows.append(row("`make lab` until JupyterLab answers", seconds))
    with learner(settings) as own:
        rows.append(row("a new kernel and the first cell of Lab 00", first_cell(own)))
    checks, catching_up = answers(settings, say)
    rows.append(row("the slowest check of Labs 01 to 05", max(map(max, checks.values()))))
    rows.append(row("the slowest `lab.catch_up`", max(map(max, catching_up.values()))))
    with learner(settings) as own:
        rows.append(row("all solutions, one after the other", all_solutions(own, say)))
    return [*rows, memory]


def row(what: str, seconds: float) -> dict[str, Any]:
    return {"what": what, "seconds": round(seconds, 1)}


def fraudlab(*arguments: str) -> None:
    """Runs a command of the product. Raises UserError if it fails."""
    ended = subprocess.run([program(), *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UserError(
            f"`fraudlab {' '.join(arguments)}` ended with status {ended.returncode}:\n{ended.stdout[-500:]}",
            "Run it alone, then measure again.",
        )


def program() -> str:
    return str(Path(sys.executable).with_name("fraudlab"))


@contextmanager
def opened(work: Path) -> Iterator[float]:
    """JupyterLab as `make lab` starts it; how long it took until it answered."""
    began = time.monotonic()
    environment = os.environ | {"FRAUDLAB_WORK": str(work), "FRAUDLAB_LEARNER": LEARNER}
    with subprocess.Popen(
        [program(), "lab", "00", "--no-browser"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None, "asked for above"
        try:
            address = next(word for line in process.stdout for word in line.split() if "?token=" in word)
            if not until(lambda: answers_with_page(address), PAGE_WITHIN_S, 0.1):
                raise UserError(f"JupyterLab did not answer within {PAGE_WITHIN_S} s.", "Try `make lab` alone.")
            yield time.monotonic() - began
        finally:
            process.terminate()


def answers_with_page(address: str) -> bool:
    try:
        return httpx.get(address, follow_redirects=True).is_success
    except httpx.TransportError:
        return False


@contextmanager
def learner(settings: Settings) -> Iterator[Settings]:
    """A learner with a folder and a workspace of their own, both empty before and after."""
    with tempfile.TemporaryDirectory() as work:
        own = settings.model_copy(update={"learner": LEARNER, "work": Path(work)})
        system.prepare(own)
        try:
            yield own
        finally:
            Workspace(own).reset()


def first_cell(settings: Settings) -> float:
    """Seconds from nothing to the card of the first cell."""
    notebook = notebooks.read(notebooks.SOLUTIONS / lab_of("00").file)
    notebook.cells = [next(notebooks.code_cells(notebook))]
    began = time.monotonic()
    notebooks.execute(notebook, settings.work, settings.environment())
    return time.monotonic() - began


def all_solutions(settings: Settings, say: Say) -> float:
    """Seconds of all labs with a kernel each."""
    began = time.monotonic()
    for lab in all_labs():
        say(f"the solution of Lab {lab.number}")
        notebooks.execute(notebooks.read(notebooks.SOLUTIONS / lab.file), settings.work, settings.environment())
    return time.monotonic() - began


def answers(settings: Settings, say: Say) -> tuple[Figures, Figures]:
    """Seconds of checks and of `catch_up`, by exercise and by lab, both ways."""
    checks: Figures = {}
    catching_up: Figures = {}
    with learner(settings) as own:
        for way, labs in WAYS.items():
            for number in labs:
                say(f"{way}: Lab {number}")
                notebook = notebooks.read(notebooks.SOLUTIONS / lab_of(number).file)
                notebooks.execute(notebook, own.work, own.environment())
                for cell in notebooks.code_cells(notebook):
                    for exercise in notebooks.checked_numbers(cell):
                        checks.setdefault(exercise, []).append(seconds_of(cell))
                    if cell.source.startswith("lab.catch_up("):
                        catching_up.setdefault(number, []).append(seconds_of(cell))
    return checks, catching_up


def seconds_of(cell: Any) -> float:
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
