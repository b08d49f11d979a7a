"""A whole lab in JupyterLab in a browser, as a learner goes through it: read, get it wrong, put it right, go on."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from fraudlab.course import notebooks
from fraudlab.course.labs import lab_of
from fraudlab.settings import LOOPBACK
from tests.e2e.conftest import FIRST_LAB, Visit
from tests.support.notebook import Notebook

pytestmark = pytest.mark.slow


def test_a_whole_lab_can_be_done_in_jupyterlab(watched: Visit, jupyterlab: str, tmp_path: Path) -> None:
    lab = lab_of(FIRST_LAB)
    cells = notebooks.read(notebooks.LABS / lab.file).cells
    watched.page.goto(jupyterlab)
    notebook = Notebook(watched.page)
    exercises = checks = 0
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        if exercise := notebooks.exercise_number(cell):
            exercises += 1
            notebook.run(number)
            expect(notebook.run(number + 1)).to_contain_text("NotSolvedYet")
            output = notebook.run(number, notebooks.solution_of(exercise))
        else:
            output = notebook.run(number)
            if cell.source.startswith("lab.check"):
                checks += 1
                expect(output).to_contain_text("Right")
        expect(output).not_to_contain_text("Traceback")
        output.scroll_into_view_if_needed()
        watched.page.screenshot(path=tmp_path / f"{number:02}.png")
    assert exercises == checks == len(lab.exercises) > 0
    assert watched.hosts == {LOOPBACK}
