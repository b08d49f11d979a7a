"""Every lab, as a learner gets it, stops at its first exercise with exactly the message meant for them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from fraudlab.course import notebooks
from fraudlab.course.exercise import Lab
from fraudlab.course.labs import all_labs
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.waiting import patient

AT_ONCE = 3
"""Learners at work at the same time: more would have no task slots."""
KILLS = 'lab.kill("taskmanager")'
"""Refused where others are at work, such as the demo here."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A notebook after it was run as it is, and the error that ended it."""

    notebook: NotebookNode
    error: CellExecutionError | None


@pytest.fixture(scope="module")
def attempts(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Attempt]:
    """Every unsolved lab, run as a learner of its own, several at a time; those that kill something, one after the other at the end."""

    def attempt(lab: Lab) -> Attempt:
        folder = tmp_path_factory.mktemp(f"un{lab.number}")
        own = settings.model_copy(update={"learner": f"un{lab.number}", "work": folder})
        notebook = notebooks.read(notebooks.LABS / lab.file)
        for cell in notebooks.code_cells(notebook):
            cell.source = cell.source.replace(KILLS, f"{KILLS[:-1]}, although_shared=True)")
        try:
            notebooks.execute(notebook, folder, own.environment(), cell_s=patient(120))
        except CellExecutionError as error:
            return Attempt(notebook, error)
        finally:
            Workspace(own).reset()  # its jobs would hold the slots that the next lab needs
        return Attempt(notebook, None)

    def kills(lab: Lab) -> bool:
        return KILLS in (notebooks.LABS / lab.file).read_text(encoding="utf-8").replace('\\"', '"')

    labs = sorted(all_labs(), key=kills)
    harmless = [lab for lab in labs if not kills(lab)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        made = [*pool.map(attempt, harmless), *map(attempt, labs[len(harmless) :])]
    return dict(zip((lab.number for lab in labs), made, strict=True))


@pytest.mark.timeout(600)  # the first one waits for all
@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_an_unsolved_lab_stops_at_its_first_exercise_with_the_message_for_the_learner(
    lab: Lab, attempts: dict[str, Attempt]
) -> None:
    notebook, stopped = attempts[lab.number].notebook, attempts[lab.number].error
    assert stopped is not None, "it ran to its end: is it solved?"
    first = lab.exercises[0]
    assert (stopped.ename, stopped.evalue) == ("NotSolvedYet", first.unsolved)
    (failed,) = [cell for cell in notebooks.code_cells(notebook) if errors(cell)]
    assert notebooks.checked_numbers(failed) == [first.number]
    (error,) = errors(failed)
    assert error["traceback"] == [f"NotSolvedYet: {first.unsolved}"], "no traceback that gives the answer away"


def errors(cell: Any) -> list[Any]:
    return [output for output in cell.outputs if output.output_type == "error"]
