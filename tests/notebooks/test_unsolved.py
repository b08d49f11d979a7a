"""Every lab, as a learner gets it, stops at its first exercise with exactly the message meant for them."""

import os
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from fraudlab.course import notebooks
from fraudlab.course.exercise import Lab
from fraudlab.course.labs import all_labs
from fraudlab.course.world import World
from fraudlab.settings import Settings
from tests.support.lab import environment


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_an_unsolved_lab_stops_at_its_first_exercise_with_the_message_for_the_learner(
    lab: Lab, settings: Settings, tmp_path: Path
) -> None:
    own = settings.model_copy(update={"learner": f"un{lab.number}", "work": tmp_path})
    notebook = notebooks.read(notebooks.LABS / lab.file)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    try:
        with pytest.raises(CellExecutionError) as stopped:
            client.execute(env={**os.environ, **environment(own)})
    finally:
        World(own).reset()  # its jobs would hold the slots that the next lab needs
    first = lab.exercises[0]
    assert (stopped.value.ename, stopped.value.evalue) == ("NotSolvedYet", first.unsolved)
    (failed,) = [cell for cell in notebooks.code_cells(notebook) if errors(cell)]
    assert notebooks.checked_numbers(failed) == [first.number]
    (error,) = errors(failed)
    assert error["traceback"] == [f"NotSolvedYet: {first.unsolved}"], "no traceback that gives the answer away"


def errors(cell: Any) -> list[Any]:
    return [output for output in cell.outputs if output.output_type == "error"]
