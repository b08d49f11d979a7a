"""Case course-16: learners run a cell again, to see it once more or after a change. Each cell of each lab works twice.

A lab takes 3 to 10 minutes, so CI tries the first ones. `FRAUDLAB_TEST_TWICE="03 04"` in the environment names the labs that you changed.
"""

import copy
import os
from pathlib import Path

import pytest

from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.notebooks.test_two_learners import OF_ALL, owned
from tests.support.lab import drop
from tests.support.plugin import TWICE
from tests.support.waiting import patient

LABS = os.environ.get(TWICE, "00").split()
"""Not Lab 06: it kills what others use, so it needs a stack of its own."""


def twice(notebook: notebooks.Notebook) -> notebooks.Notebook:
    """The notebook with each code cell run a second time right after the first."""
    cells = []
    for cell in notebooks.code_cells(notebook):
        cell.outputs = []
        again = copy.deepcopy(cell)
        again.id = f"{cell.id}-again"
        cells += [cell, again]
    notebook.cells = cells
    return notebook


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", LABS)
def test_each_cell_of_a_lab_works_twice(number: str, settings: Settings, tmp_path: Path) -> None:
    own = owned(settings, f"again{number}", tmp_path)
    notebook = twice(notebooks.read(notebooks.SOLUTIONS / lab_of(number).file))
    for cell in notebook.cells:
        if OF_ALL in cell.source:
            cell.metadata["tags"] = [*cell.metadata.get("tags", ()), "raises-exception"]
    try:
        notebooks.execute(notebook, tmp_path, own.environment(), cell_s=patient(120))
        for cell in notebook.cells:
            said = "".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
            assert {one.ename for one in cell.outputs if one.output_type == "error"} <= {"UserError"}
            for exercise in notebooks.checked_numbers(cell):
                assert f"Right · Exercise {exercise}" in said, f"{cell.id}: {said}"
    finally:
        Workspace(own).reset()
        drop(own)
