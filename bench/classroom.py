"""What a class costs: learners who do labs at the same time, each with kernels, jobs and data of their own.

`python -m bench.classroom --learners 8 --labs 01 02 03 --speed 10` measures one learner alone, then all of them, on a system of its own.
With `--speed 1` everybody takes the minutes that the notebooks state. Exit status 1 where an answer was not right, data was not exact, or
the median check took more than twice as long as alone.
"""

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.course import seconds_of
from bench.peer_process import resident_mib
from fraudlab import system
from fraudlab.classroom.commands import with_slots
from fraudlab.classroom.room import numbered
from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.review import lab_minutes
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from fraudlab.stack import second_stack
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import module
from fraudlab.verification.verify import verify

SEED = 7
EVERY_S = 5.0
CELL_S = 600
COMPLETE = "05"
"""After this lab a learner's whole pipeline runs. Before, what it wrote cannot be exact."""
MOST_TIMES_ALONE = 2.0
MIB = 2**20

console = Console(highlight=False)


@dataclass
class Group:
    """Learners who worked at the same time: seconds of each check, and what it took of the machine, sample by sample.

    `troubles` are sentences: cells that failed, answers that were not right, data that was not exact.
    """

    learners: int
    minutes: float = 0
    checks: dict[str, list[float]] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    used_mib: list[float] = field(default_factory=list)
    kernel_mib: list[float] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)

    def has_trouble(self, sentence: str) -> None:
        """Notes it, and tells it at once: the measurement takes long."""
        self.troubles.append(sentence)
        console.print(f"[red]{escape(sentence)}[/red]")

    def as_json(self) -> dict[str, Any]:
        """The figures: medians of checks in seconds, the machine's CPU as a share, memory in MiB."""
        return {
            "learners": self.learners,
            "minutes": round(self.minutes, 1),
            "check_s": {number: round(statistics.median(found), 2) for number, found in sorted(self.checks.items())},
            "slowest_check_s": round(max(max(found) for found in self.checks.values()), 1),
            "cpu": round(statistics.mean(self.cpu), 2),
            "memory_mib": round(max(self.used_mib)),
            "kernel_mib": round(statistics.median(self.kernel_mib)),
            "slots": max(self.slots),
            "troubles": self.troubles,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=8)
    parser.add_argument("--labs", nargs="+", default=["01", "02", "03", "04", "05"])
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how many times faster than the minutes of the notebooks"
    )
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    shared = Settings()
    settings, said = with_slots(shared, arguments.learners)
    console.print(said)
    os.environ.update(second_stack.environment(settings, "bench-class", console.print))
    os.environ["FRAUDLAB_TASK_SLOTS"] = str(settings.task_slots)
    settings = Settings()
    stack = Stack(settings, console.print)
    try:
        stack.install()
        stack.start()
        labs = [lab_of(number).number for number in arguments.labs]
        # pauses change no check's time where nobody else works
        paces = ((1, math.inf), (arguments.learners, arguments.speed))
        groups = [measure(settings, count, labs, speed) for count, speed in paces]
    finally:
        stack.stop()
    if not all(group.checks for group in groups):
        sys.exit("Nobody got as far as a check, so there are no figures. What failed is above.")
    figures = [group.as_json() for group in groups]
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.exit(report(*figures))


def measure(settings: Settings, count: int, labs: Sequence[str], speed: float) -> Group:
    """Has so many learners do the labs, and watches the machine meanwhile."""
    group = Group(count)
    console.rule(f"{count} at once")
    with tempfile.TemporaryDirectory() as work:
        own = [settings.model_copy(update={"learner": name, "work": Path(work) / name}) for name in numbered(count)]
        for one in own:
            one.work.mkdir()
            system.prepare(one)
        began = time.monotonic()
        with watched(settings, group), ThreadPoolExecutor(count) as pool:
            at_work = [
                pool.submit(learn, learner, labs, speed, random.Random(SEED + number), group)
                for number, learner in enumerate(own)
            ]
            for learning in at_work:
                learning.result()
        group.minutes = (time.monotonic() - began) / 60
        for one in own:
            if labs[-1] >= COMPLETE and not verify(one).exact:
                group.has_trouble(f"{one.learner}: the data is not exact")
            Workspace(one).erase()
    return group


def learn(settings: Settings, labs: Sequence[str], speed: float, chance: random.Random, group: Group) -> None:
    """One learner does the labs, a kernel each. Nobody works as evenly as a machine: pauses are half to one and a half times as long."""
    for number in labs:
        notebook = notebooks.read(notebooks.SOLUTIONS / lab_of(number).file)
        cells = list(notebooks.code_cells(notebook))
        pause_s = 60 * lab_minutes(notebook) / speed / len(cells)
        paced = []
        for cell in notebook.cells:
            if cell.cell_type == "code":
                wait_s = pause_s * chance.uniform(0.5, 1.5)
                paced.append(nbformat.v4.new_code_cell(f"import time\ntime.sleep({wait_s:.1f})"))
            paced.append(cell)
        notebook.cells = paced
        try:
            notebooks.execute(notebook, settings.work, settings.environment(), CELL_S + math.ceil(pause_s * 2))
        except Exception as error:  # of one learner; the others go on
            group.has_trouble(f"{settings.learner}, Lab {number}: {str(error).strip().splitlines()[-1]}")
        for cell in cells:
            for exercise in notebooks.checked_numbers(cell):
                if "execution" not in cell.metadata:
                    continue
                group.checks.setdefault(exercise, []).append(seconds_of(cell))
                if "✔ Right" not in json.dumps(cell.outputs, ensure_ascii=False):
                    group.has_trouble(f"{settings.learner}: the answer to {exercise} was not right")
        console.print(f"{settings.learner} has done Lab {number}")


@contextmanager
def watched(settings: Settings, group: Group) -> Iterator[None]:
    """Samples the machine until the end."""
    ended, workspace = threading.Event(), Workspace(settings.model_copy(update={"learner": numbered(1)[0]}))

    def sample() -> None:
        psutil.cpu_percent()
        while not ended.wait(EVERY_S):
            group.cpu.append(psutil.cpu_percent() / 100)
            memory = psutil.virtual_memory()
            group.used_mib.append((memory.total - memory.available) / MIB)
            group.kernel_mib += kernels()
            free, slots = workspace.slots()
            group.slots.append(slots - free)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def kernels() -> list[int]:
    """The memory of each kernel with its JVM, in MiB."""
    found = []
    for process in psutil.Process().children():
        if module(process) == "ipykernel_launcher":
            found.append(resident_mib(process.pid))
    return found


def report(alone: dict[str, Any], together: dict[str, Any]) -> int:
    """Prints the figures; returns the exit status."""
    table = Table("check", "alone, s", f"{together['learners']} at once, s", "ratio")
    ratios = []
    for number, seconds in together["check_s"].items():
        if before := alone["check_s"].get(number):
            ratios.append(seconds / before)
            table.add_row(number, f"{before:.1f}", f"{seconds:.1f}", f"{ratios[-1]:.1f}")
    console.print(table)
    figures = Table("", "alone", "at once")
    for name in ("minutes", "slowest_check_s", "cpu", "memory_mib", "kernel_mib", "slots"):
        figures.add_row(name, str(alone[name]), str(together[name]))
    console.print(figures)
    slow = statistics.median(ratios) > MOST_TIMES_ALONE
    return 1 if slow or alone["troubles"] or together["troubles"] else 0


if __name__ == "__main__":
    main()
