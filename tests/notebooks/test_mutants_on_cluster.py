"""Mutants of exercises whose check looks at what the cluster made of the answer: Lab 03's join in SQL, and Lab 04's windows.

A learner has a kernel. In it, for each mutant of the solution, run the cells from the exercise to its check.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

from fraudlab.course import mutants, notebooks
from fraudlab.course.mutants import Mutant
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.notebooks.test_wrong_answers import BEGIN, named, solution
from tests.support.lab import drop
from tests.support.waiting import patient

FORGET = "for _name in {names}:\n    globals().pop(_name, None)"
"""Runs before a mutant: of what an earlier one has made, nothing is checked again."""


@dataclass(frozen=True)
class Attacked:
    """An exercise whose mutants are tried.

    Attributes:
        number: Its number.
        mutate: `(source)` → the mutants of its cell.
        makes: The names that its cell and those up to the check make.
        tried: Whether a mutant goes to the cluster; the others are tried without one, or cannot matter.
        equivalent: Mutants that are right answers: what the mutation has written, and why it changes nothing.
    """

    number: str
    mutate: Callable[[str], list[Mutant]]
    makes: tuple[str, ...]
    tried: Callable[[Mutant], bool] = lambda _mutant: True
    equivalent: dict[str, str] = field(default_factory=dict)


JOIN = Attacked(
    "03.3",
    mutants.sql_mutants_of,
    ("JOIN", "statements", "submit"),
    equivalent={},
)
WINDOWS = Attacked(
    "04.2",
    mutants.mutants_of,
    ("Sums", "sliding_hours", "boxes"),
    tried=lambda mutant: (
        "payments." in mutant.written or "Time." in mutant.written or "return payments" in mutant.written
    ),
    equivalent={},
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("attacked", [JOIN, WINDOWS], ids=lambda one: one.number)
def test_a_check_accepts_no_mutant_of_what_runs_on_the_cluster(
    attacked: Attacked, settings: Settings, tmp_path: Path
) -> None:
    lab = attacked.number[:2]
    own = settings.model_copy(update={"learner": f"mutant{lab}", "work": tmp_path})
    cells = list(notebooks.code_cells(solution(lab)))
    begin = next(at for at, cell in enumerate(cells) if notebooks.exercise_number(cell) == attacked.number)
    end = next(at for at, cell in enumerate(cells) if attacked.number in notebooks.checked_numbers(cell))
    exercise, *rest = (cell.source for cell in cells[begin : end + 1])
    tried = [one for one in attacked.mutate(exercise) if attacked.tried(one)]
    assert len(tried) >= 5

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in named(lab, BEGIN[lab])])
    asked = []
    for source in [exercise, *(one.source for one in tried)]:
        for text in (FORGET.format(names=attacked.makes), source, *rest):
            cell = nbformat.v4.new_code_cell(text)
            cell.metadata["tags"] = ["raises-exception"]
            notebook.cells.append(cell)
        asked.append(notebook.cells[-1])
    try:
        notebooks.execute(notebook, tmp_path, own.environment(), cell_s=patient(90))
    finally:
        Workspace(own).reset()
        drop(own)
    verdicts = ["Right ·" in said(cell) for cell in asked]
    assert verdicts[0], f"the solution itself: {said(asked[0])}"
    survived = {one.written for one, right in zip(tried, verdicts[1:], strict=True) if right}
    assert survived == set(attacked.equivalent)


def said(check: notebooks.Cell) -> str:
    """What a check said; nothing where it raised an error."""
    return "".join(str(output.get("data", {}).get("text/plain", "")) for output in check.outputs)
