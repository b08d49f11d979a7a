"""The notebooks: reading solutions, cutting labs out of them (one way), and running them to store their outputs."""

import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from fraudlab.course.exercise import PLACEHOLDER, Exercise, Lab
from fraudlab.settings import REPOSITORY

SOLUTIONS, LABS = REPOSITORY / "solutions", REPOSITORY / "labs"
PICTURES = "pictures"

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
"""nbgrader's marks. In SQL they stand behind `--`."""

COMPARED = "nbval-check-output"
"""The tag of a cell whose output nbval compares."""

_EXERCISE = re.compile(r"^# Exercise (\d\d\.\d+)\b")
_FLINK = re.compile(
    r"(?i:flink)|\benvironment\.|^\s*(?:SELECT|CREATE|INSERT|ALTER|FROM|MATCH_RECOGNIZE)\b", re.MULTILINE
)
"""What an exercise's cell holds whose answer is Flink's API or SQL."""
_CHECK = re.compile(r'^(?:\w+ = )?lab\.check\(\s*"(\d\d\.\d+)"', re.MULTILINE)

Notebook = Any
Cell = Any


class MarkError(ValueError):
    """The marks of a solution do not pair up; the text says how."""


@dataclass(frozen=True, slots=True)
class Place:
    """An exercise in a solution: the cell that the learner fills in, and the one that checks it; None where missing."""

    number: str
    exercise: Cell | None
    check: Cell | None


def read(path: Path) -> Notebook:
    """A notebook file."""
    return nbformat.read(path, as_version=4)


def text_of(notebook: Notebook) -> str:
    """A notebook as its file holds it."""
    return str(nbformat.writes(notebook, indent=1, ensure_ascii=False)) + "\n"


def code_cells(notebook: Notebook) -> Iterator[Cell]:
    """The code cells, in order."""
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def markdown_cells(notebook: Notebook) -> Iterator[Cell]:
    """The markdown cells, in order."""
    return (cell for cell in notebook.cells if cell.cell_type == "markdown")


def exercise_number(cell: Cell) -> str | None:
    """The number of the exercise that a code cell holds: it begins with `# Exercise 01.2`."""
    found = _EXERCISE.match(cell.source)
    return found[1] if found else None


def checked_numbers(cell: Cell) -> list[str]:
    """The numbers of the exercises that a code cell checks."""
    return _CHECK.findall(cell.source)


def places(notebook: Notebook) -> list[Place]:
    """The exercises of a notebook, in order: from their cells, and from their checks where the cell is missing."""
    cells = list(code_cells(notebook))
    exercises = {number: cell for cell in cells if (number := exercise_number(cell))}
    checks: dict[str, Cell] = {}
    for cell in cells:
        for number in checked_numbers(cell):
            checks.setdefault(number, cell)
    return [Place(number, exercises.get(number), checks.get(number)) for number in dict.fromkeys([*exercises, *checks])]


def solution_of(number: str) -> str:
    """The solution's cell of an exercise, without its marks."""
    for path in sorted(SOLUTIONS.glob(f"{number[:2]}-*.ipynb")):
        for place in places(read(path)):
            if place.number == number and place.exercise is not None:
                return without_marks(place.exercise.source)
    raise KeyError(number)


def to_type(notebook: Notebook) -> tuple[int, int]:
    """How many lines of a solution the learner writes, without comments and empty lines, and how many of them are Flink or SQL."""
    lines = in_flink = 0
    for place in places(notebook):
        if place.exercise is None:
            continue
        source, written, inside = place.exercise.source, 0, False
        for line in source.splitlines():
            marks = BEGIN in line or END in line
            inside = BEGIN in line or (inside and END not in line)
            written += inside and not marks and bool(line.strip()) and not line.strip().startswith(("#", "--"))
        lines += written
        in_flink += written if _FLINK.search(source) else 0
    return lines, in_flink


def without_marks(source: str) -> str:
    """A solution's source without the lines that hold its marks."""
    return "\n".join(line for line in source.splitlines() if BEGIN not in line and END not in line)


def cut(source: str, number: str) -> str:
    """A solution's source with each marked part cut out, as the learner gets it.

    A part that is not indented leaves a comment: a line before it, `answer = ...`, is what is left of the answer. An indented
    one is the body of a function, and leaves a call that raises NotSolvedYet. One in SQL leaves a SQL comment.

    Raises:
        MarkError: The marks do not pair up.
    """
    kept: list[str] = []
    inside = False
    for line in source.splitlines():
        if BEGIN in line:
            if inside:
                raise MarkError(f"`{BEGIN}` twice without `{END}` between")
            inside = True
            kept.append(_left_behind(line, number))
        elif END in line:
            if not inside:
                raise MarkError(f"`{END}` without `{BEGIN}` before it")
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise MarkError(f"`{BEGIN}` without `{END}` after it")
    return "\n".join(kept)


def _left_behind(mark: str, number: str) -> str:
    indentation = mark[: len(mark) - len(mark.lstrip())]
    if mark.strip().startswith("--"):
        return f"{indentation}-- {PLACEHOLDER}"
    return f'{indentation}lab.todo("{number}")  # {PLACEHOLDER}' if indentation else f"# {PLACEHOLDER}"


def lab_from(solution: Notebook, lab: Lab) -> Notebook:
    """The lab that a learner gets: solutions cut out, no outputs, hints after each check."""
    exercises = {exercise.number: exercise for exercise in lab.exercises}
    metadata = {name: solution.metadata[name] for name in ("kernelspec",) if name in solution.metadata}
    notebook = nbformat.v4.new_notebook(metadata=metadata | {"generated_from": f"solutions/{lab.file}"})
    for cell in solution.cells:
        if cell.cell_type != "code":
            notebook.cells.append(nbformat.v4.new_markdown_cell(cell.source, id=cell.id))
            continue
        number = exercise_number(cell)
        source = cut(cell.source, number) if number else cell.source
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=cell.id))
        for checked in checked_numbers(cell):
            if checked in exercises:
                hints = nbformat.v4.new_markdown_cell(
                    _hints(exercises[checked]), id=f"hints-{checked.replace('.', '-')}"
                )
                if not any(one.id == hints.id for one in notebook.cells):
                    notebook.cells.append(hints)
    return notebook


def _hints(exercise: Exercise) -> str:
    parts = [
        f"<details>\n<summary>Exercise {exercise.number}: hint {place} of {len(exercise.hints)}</summary>\n\n{hint}\n\n</details>"
        for place, hint in enumerate(exercise.hints, 1)
    ]
    return "\n".join(parts)


def generated(labs: tuple[Lab, ...], solutions: Path = SOLUTIONS) -> dict[str, bytes]:
    """What the folder of labs must hold, relative path to content: the labs, and the pictures they show."""
    files = {
        lab.file: text_of(lab_from(read(solutions / lab.file), lab)).encode()
        for lab in labs
        if (solutions / lab.file).exists()
    }
    pictures = sorted((solutions / PICTURES).glob("*"))
    return files | {f"{PICTURES}/{picture.name}": picture.read_bytes() for picture in pictures}


def build(labs: tuple[Lab, ...], solutions: Path = SOLUTIONS, target: Path = LABS) -> list[str]:
    """Writes the folder of labs anew; returns what has changed. Files that belong to no solution are removed."""
    wanted = generated(labs, solutions)
    changed = []
    for name, content in wanted.items():
        path = target / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed.append(name)
    for path in [*target.glob("*.ipynb"), *target.glob(f"{PICTURES}/*")]:
        if str(path.relative_to(target)) not in wanted:
            path.unlink()
            changed.append(f"{path.relative_to(target)} (removed)")
    return changed


def run(path: Path, environment: dict[str, str], replacements: dict[str, str]) -> None:
    """Runs a solution in a fresh kernel on the running stack, and stores its outputs.

    Args:
        path: The notebook.
        environment: What the kernel gets in its environment on top of this process's.
        replacements: Text that differs from machine to machine, and what is stored instead.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed; nothing is stored.
    """
    notebook = read(path)
    execute(notebook, path.parent, environment)
    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)  # when it ran: another value each time
        cell.outputs = _replaced(cell.outputs, replacements)
    path.write_text(text_of(notebook), encoding="utf-8")


def execute(notebook: Notebook, folder: Path, environment: Mapping[str, str], cell_s: float = 120) -> None:
    """Runs all cells in a fresh kernel; their outputs are in the notebook afterwards, also where one of them failed.

    Args:
        notebook: The notebook.
        folder: Where the kernel works.
        environment: What the kernel gets in its environment on top of this process's.
        cell_s: How long a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed.
        nbclient.exceptions.CellTimeoutError: A cell took too long.
    """
    # `client.execute` would leave this thread's event loop open.
    asyncio.run(_execution(notebook, folder, environment, cell_s))


def execute_past_errors(notebook: Notebook, folder: Path, environment: Mapping[str, str], cell_s: float) -> None:
    """Runs all cells in a fresh kernel as `execute` does, and goes on after one that failed. Ctrl-C ends the kernel, too.

    A cell that has begun has a number afterwards (`execution_count`). What is printed is not kept: an endless loop prints without end.

    Raises:
        nbclient.exceptions.CellTimeoutError: A cell took too long; the kernel has ended.
        nbclient.exceptions.DeadKernelError: The kernel has died.
    """

    async def begin() -> None:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        await _execution(notebook, folder, environment, cell_s, past_errors=True)

    begun: Future[tuple[asyncio.AbstractEventLoop, Any]] = Future()
    with ThreadPoolExecutor(1) as pool:  # in the main thread nbclient would take Ctrl-C for a kernel that died
        ended = pool.submit(lambda: asyncio.run(begin()))
        try:
            ended.result()
        except KeyboardInterrupt:
            loop, task = begun.result()
            loop.call_soon_threadsafe(task.cancel)
            raise


async def _execution(
    notebook: Notebook, folder: Path, environment: Mapping[str, str], cell_s: float, *, past_errors: bool = False
) -> None:
    from nbclient import NotebookClient
    from traitlets.config import Config

    class Silent(NotebookClient):
        def output(self, outs: list[Any], msg: dict[str, Any], display_id: Any, cell_index: int) -> Any:
            return None if msg["msg_type"] == "stream" else super().output(outs, msg, display_id, cell_index)

    kind = Silent if past_errors else NotebookClient
    resources = {"metadata": {"path": str(folder)}}
    log: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} if past_errors else {}
    # Over TCP a kernel tells every user of the machine what it runs and prints; its sockets lie in this folder.
    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as private:
        config = Config({"KernelManager": {"transport": "ipc", "connection_file": f"{private}/kernel.json"}})
        client = kind(notebook, timeout=cell_s, allow_errors=past_errors, resources=resources, config=config)
        await client.async_execute(env={**os.environ, **environment}, **log)


def _replaced(value: Any, replacements: dict[str, str]) -> Any:
    if isinstance(value, str):
        for text, instead in replacements.items():
            value = value.replace(text, instead)
        return value
    if isinstance(value, list):
        return [_replaced(one, replacements) for one in value]
    if isinstance(value, dict):
        return type(value)({key: _replaced(one, replacements) for key, one in value.items()})
    return value
