"""Grading where no stack is needed: what learners hand in, their answers in the course's notebook, remarks, the table."""

import copy
import csv
import io
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
import typer
import yaml  # type: ignore[import-untyped] # comes with myst-parser
from typer.testing import CliRunner

from fraudlab.cli import app
from fraudlab.course import cards, grades, grading, notebooks, submissions
from fraudlab.course.exercise import Lab, Mistake, wrong
from fraudlab.course.grades import Grade, Learner
from fraudlab.course.grading import Run
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.progress import Record
from fraudlab.course.submissions import Cell, Unreadable
from fraudlab.errors import UserError
from fraudlab.settings import REPOSITORY

LAB = lab_of("01")
COURSE = notebooks.read(notebooks.LABS / LAB.file)
EXERCISES: dict[str, Any] = {place.number: place.exercise for place in notebooks.places(COURSE)}
CHECKS: dict[str, Any] = {place.number: place.check for place in notebooks.places(COURSE)}
ROBBED, ROBBED_CHECK = EXERCISES["01.1"], CHECKS["01.1"]
UNTOUCHED = [Cell(cell.id, cell.source) for cell in notebooks.code_cells(COURSE)]
ANSWER = "# Exercise 01.1\nrobbed = 26"


def handed_in(replaced: Mapping[str, str | list[Cell]]) -> list[Cell]:
    """The code cells of Lab 01 with some of them replaced, by their ids: with another text, or with other cells."""
    cells: list[Cell] = []
    for cell in UNTOUCHED:
        other = replaced.get(cell.id, cell.source)
        cells += [Cell(cell.id, other)] if isinstance(other, str) else other
    return cells


def ran(cells: list[Cell]) -> list[str]:
    """The cells that are run for a submission."""
    filled = submissions.filled(COURSE, submissions.answers(COURSE, cells))
    return [cell.source for cell in filled.notebook.cells]


# Answers in the course's notebook


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_the_answers_of_a_solution_make_the_labs_notebook_the_solution(lab: Lab) -> None:
    solution = notebooks.read(notebooks.SOLUTIONS / lab.file)
    course = notebooks.read(notebooks.LABS / lab.file)
    written = [Cell(cell.id, cell.source) for cell in notebooks.code_cells(solution)]
    given = submissions.answers(course, written)
    assert submissions.changed(course, given) == {exercise.number for exercise in lab.exercises}
    filled = submissions.filled(course, given)
    sources = [cell.source for cell in filled.notebook.cells]
    assert sources == [cell.source for cell in written][: len(sources)]
    assert set(filled.places) == {exercise.number for exercise in lab.exercises}
    for number, place in filled.places.items():
        assert number in notebooks.checked_numbers(filled.notebook.cells[place.stop - 1])


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.number)
def test_each_lab_begins_at_its_starting_point_before_any_answer_runs(lab: Lab) -> None:
    sources = [cell.source for cell in notebooks.code_cells(notebooks.read(notebooks.LABS / lab.file))]
    exercise = next(at for at, source in enumerate(sources) if source.startswith("# Exercise"))
    assert f'lab.catch_up("{lab.number}")' in sources[:exercise]


def test_a_changed_check_and_any_other_changed_cell_are_the_courses_again() -> None:
    cheat = {ROBBED_CHECK.id: "lab.check = print", "lab01-01": "import os; os._exit(0)"}
    sources = ran(handed_in({ROBBED.id: ANSWER, **cheat}))
    assert ANSWER in sources
    assert not set(cheat.values()) & set(sources)
    assert sources[-1] == ROBBED_CHECK.source, "what comes after the last answer is not run"


def test_an_untouched_notebook_has_no_answer_and_one_without_ids_has_all() -> None:
    assert submissions.changed(COURSE, submissions.answers(COURSE, UNTOUCHED)) == set()
    without = [Cell("", cell.source) for cell in handed_in({ROBBED.id: ANSWER})]
    given = submissions.answers(COURSE, without)
    assert submissions.changed(COURSE, given) == {"01.1"}
    assert given["01.1"] == [ANSWER]


def test_cells_that_a_learner_added_after_the_exercises_cell_are_part_of_the_answer() -> None:
    added = [Cell(ROBBED.id, "# Exercise 01.1\ncount = 20"), Cell("mine", "robbed = count + 6")]
    trial = [Cell("trial", 'lab.check("01.1", 25)'), Cell("later", "robbed = 25")]
    sources = ran(handed_in({ROBBED.id: [*added, *trial]}))
    assert sources[-3:] == [added[0].source, added[1].source, ROBBED_CHECK.source]


def test_of_a_copied_exercise_the_copy_counts_that_comes_before_the_check() -> None:
    copies = {
        ROBBED.id: [Cell(ROBBED.id, ROBBED.source), Cell("copy", ANSWER)],
        ROBBED_CHECK.id: [Cell(ROBBED_CHECK.id, ROBBED_CHECK.source), Cell("late", "# Exercise 01.1\nrobbed = 0")],
    }
    assert ran(handed_in(copies))[-3:] == [ROBBED.source, ANSWER, ROBBED_CHECK.source]


# Reading


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON: Expecting value in line 1"),
        (b'{\n"cells": <<<<<<< HEAD', "it is not JSON: Expecting value in line 2"),
        (b"\xff\xfe", "it is not text in UTF-8"),
        (b"[" * 100_000, "no cells as a notebook has them"),
        *((text, "no cells as a notebook has them") for text in (b"[]", b'{"cells": 3}', b'{"cells": [1]}', b"null")),
        (b'{"cells": [{"cell_type": "code", "source": 7}]}', "no cells as a notebook has them"),
    ],
)
def test_a_file_that_is_no_notebook_is_said_to_be_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / LAB.file
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=said):
        submissions.read(path)


def test_nothing_is_waited_for_and_no_link_is_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(notebooks.SOLUTIONS / LAB.file)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder", "missing"):
        with pytest.raises(Unreadable, match="it is not a file"):
            submissions.read(tmp_path / name)


def test_a_folder_of_folders_is_a_class_and_what_is_no_lab_is_named(tmp_path: Path) -> None:
    for name in ("ben", "anna", "anna.2026-03-01-1430", ".git", "empty"):
        (tmp_path / name).mkdir()
    for name in ("01-data-generator.ipynb", "notes.ipynb", ".course.json", "progress-anna.json"):
        (tmp_path / "anna" / name).touch()
    (tmp_path / "ben" / "02-cdc-ingestion.ipynb").touch()
    (tmp_path / "carl").symlink_to(tmp_path / "anna")
    (tmp_path / "list.txt").touch()
    found, notes = submissions.find(tmp_path, all_labs())
    assert {one.learner: list(one.notebooks) for one in found} == {"anna": ["01"], "ben": ["02"], "empty": []}
    assert [note.partition(":")[0] for note in notes] == ["anna.2026-03-01-1430", "carl", "list.txt"]
    assert [one.notes for one in found] == [
        ["notes.ipynb: not the notebook of a lab, so it is not graded."],
        [],
        ["no notebook of a lab is in this folder."],
    ]


def test_notebooks_directly_in_the_folder_are_those_of_one_learner(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / LAB.file).touch()
    (only,), notes = submissions.find(tmp_path / "anna", all_labs())
    assert (only.learner, list(only.notebooks), notes) == ("anna", ["01"], [])


def test_a_folder_without_a_lab_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UserError):
            submissions.find(folder, all_labs())
    done = CliRunner().invoke(app, ["course", "grade", str(tmp_path)])
    assert done.exit_code == 1
    assert "holds no notebook of a lab" in done.output.replace("\n", " ")


# Remarks


def run_of(cells: list[Cell], outputs: Mapping[str, Any], *, until: str = "", **ended: str) -> Run:
    """A run of a submission as it is afterwards: outputs by the cells' sources; nothing has run after the cell `until`."""
    filled = submissions.filled(COURSE, submissions.answers(COURSE, cells))
    for number, cell in enumerate(filled.notebook.cells, 1):
        cell.execution_count = number
        if cell.source in outputs:
            cell.outputs = [copy.deepcopy(outputs[cell.source])]
        if cell.source == until:
            break
    return Run(filled, {"01.3": Record(tries=1, solved=True)}, **ended)


def graded(cells: list[Cell], run: Run | None) -> dict[str, tuple[bool, str, bool]]:
    given = submissions.answers(COURSE, cells)
    found = [grading.grade_of(LAB, exercise, COURSE, given, run) for exercise in LAB.exercises]
    return {one.exercise: (one.solved, one.remark, one.graded) for one in found}


def card(text: object) -> Any:
    return nbformat.v4.new_output("execute_result", {"text/plain": str(text)})


def error(name: str, value: str) -> Any:
    return nbformat.v4.new_output("error", ename=name, evalue=value, traceback=[])


ALL = handed_in({cell.id: f"# Exercise {number}\nanswer({number!r})" for number, cell in EXERCISES.items()})
VERDICT = wrong(Mistake("a_mistake", "Those are\nusers."), found="=1+1", expected="payments")


def test_a_remark_is_what_the_check_said_and_found_or_the_first_error_of_the_answer() -> None:
    outputs = {
        CHECKS["01.1"].source: card(cards.of_verdict("01.1", wrong(Mistake("a", "Users."), found=3, expected="x"))),
        "# Exercise 01.2\nanswer('01.2')": error("NameError", "name 'answer' is not defined"),
        CHECKS["01.2"].source: error("NotSolvedYet", "Exercise 01.2 is still to do"),
    }
    assert graded(ALL, run_of(ALL, outputs)) == {
        "01.1": (False, "Users. Found: 3", True),
        "01.2": (False, "NameError: name 'answer' is not defined", True),
        "01.3": (True, "", True),
    }


def test_an_exercise_that_was_not_touched_has_no_answer_and_one_whose_cell_is_gone_cannot_be_graded() -> None:
    cells = [cell for cell in UNTOUCHED if cell.id != ROBBED.id]
    assert graded(cells, None) == {
        "01.1": (False, grading.MISSING, False),
        "01.2": (False, grading.NO_ANSWER, True),
        "01.3": (False, grading.NO_ANSWER, True),
    }


def test_after_a_cell_that_hangs_the_rest_of_the_lab_is_not_reached() -> None:
    outputs = {CHECKS["01.1"].source: error("NotSolvedYet", "Exercise 01.1 is still to do")}
    run = run_of(ALL, outputs, until="# Exercise 01.2\nanswer('01.2')", ended="a cell ran longer than 9 s")
    run = Run(run.filled, {}, run.ended)
    assert graded(ALL, run) == {
        "01.1": (False, grading.NO_ANSWER, True),
        "01.2": (False, "a cell ran longer than 9 s", False),
        "01.3": (False, "not reached: a cell ran longer than 9 s", False),
    }


def test_trouble_of_the_stack_is_no_learners_mistake() -> None:
    begin = run_of(ALL, {'lab.catch_up("01")': error("UserError", "Kafka is away.")})
    assert graded(ALL, begin)["01.1"] == (False, "the lab did not begin: UserError: Kafka is away.", False)
    down = run_of(ALL, {CHECKS["01.1"].source: card(cards.down("MySQL is away.", "Start it."))})
    assert graded(ALL, down)["01.1"] == (False, "a part of the stack was not running", False)
    after = run_of(ALL, {}, down="Kafka is away.")
    assert graded(ALL, after)["01.2"] == (False, "Kafka is away.", False)
    assert graded(ALL, after)["01.3"] == (True, "", True)


# The table

ANNA = Learner("anna", ["x.txt: not the notebook of a lab."], [Grade("01", "01.1", "How many?", True)])
EVE = Learner(
    "=eve", [], [Grade("01", "01.1", "How many?", remark='+1, "two"'), Grade("02", "02.1", "Which?", False, "?", False)]
)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_spreadsheet_takes_a_cell_for_a_formula(text: str) -> None:
    assert grades.cell(text) == f"'{text}"


def test_the_csv_file_has_a_row_per_learner_and_exercise() -> None:
    assert list(csv.reader(io.StringIO(grades.as_csv([ANNA, EVE])))) == [
        list(grades.COLUMNS),
        ["anna", "01", "01.1", "How many?", "yes", ""],
        ["'=eve", "01", "01.1", "How many?", "no", '\'+1, "two"'],
        ["'=eve", "02", "02.1", "Which?", "no", "?"],
    ]


def test_the_json_file_has_totals_notes_and_the_courses_version(tmp_path: Path) -> None:
    book = grades.Book(tmp_path / "new")
    book.write([ANNA, EVE], at=datetime(2026, 3, 1, tzinfo=UTC), complete=False)
    found = json.loads(book.json.read_text(encoding="utf-8"))
    assert re.match(r"\d+\.\d+\.\d+", found["course"])
    assert (found["at"], found["complete"]) == ("2026-03-01T00:00:00+00:00", False)
    assert [(one["learner"], one["solved"], one["exercises"]) for one in found["learners"]] == [
        ("anna", 1, 1),
        ("=eve", 0, 2),
    ]
    assert found["learners"][0]["notes"] == ANNA.notes
    assert found["learners"][1]["grades"][1]["graded"] is False
    assert {path.stat().st_mode & 0o777 for path in (book.csv, book.json)} == {0o600}


def test_a_lab_in_the_summary_says_how_many_are_solved_and_whether_some_could_not_be_graded() -> None:
    assert [ANNA.of_lab("01"), ANNA.of_lab("02"), EVE.of_lab("02")] == ["1/1", "", "0/1!"]
    assert (ANNA.not_graded, EVE.not_graded) == ({}, {"?": ["02.1"]})


def test_a_remark_is_one_line_that_steers_no_terminal_and_that_utf_8_can_hold() -> None:
    assert grades.line("a\n\x1b[2J b\t\ud800") == "a [2J b ?"
    assert len(grades.line("x" * 1000)) == grades.LONGEST_REMARK


# CI


def commands(script: str) -> list[list[str]]:
    return [line.split() for line in script.splitlines() if line.strip()]


@pytest.fixture(params=["grade.github.yml", "grade.gitlab-ci.yml"])
def template(request: pytest.FixtureRequest) -> dict[str, Any]:
    text = (REPOSITORY / "docs" / "ci" / request.param).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def scripts(template: dict[str, Any]) -> list[list[str]]:
    """The commands of a template, each as its words."""
    if "jobs" in template:
        steps = template["jobs"]["grade"]["steps"]
        return [command for step in steps for command in commands(step.get("run", ""))]
    job = template["grade"]
    return [command for line in [*job["script"], *job["after_script"]] for command in commands(line)]


def test_the_commands_of_a_template_exist_and_grade_the_folder_submissions(template: dict[str, Any]) -> None:
    called = scripts(template)
    assert ["python3", "bootstrap.py", "--dev"] in called
    fraudlab = [words[1:] for words in called if words[0].endswith("/fraudlab")]
    assert fraudlab[0][:3] == ["course", "grade", "submissions"]
    assert fraudlab[-1] == ["down"]
    group: Any = typer.main.get_command(app)
    grade = group.commands["course"].commands["grade"]
    options = [word for word in fraudlab[0] if word.startswith("--")]
    assert set(options) <= {name for parameter in grade.params for name in parameter.opts}
    kept = str(template)
    assert "grades/grades.csv" in kept
    assert "grades/grades.json" in kept


def test_a_template_gives_learners_code_no_secret_and_no_right_to_write() -> None:
    text = (REPOSITORY / "docs" / "ci" / "grade.github.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"workflow_dispatch", "push"}, "YAML 1.1 reads `on` as true"
    assert "secrets." not in text
    checkout = workflow["jobs"]["grade"]["steps"][0]
    assert checkout["with"] == {"persist-credentials": False}
