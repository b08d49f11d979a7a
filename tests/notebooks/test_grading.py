"""`fraudlab course grade` on the real stack: a solved notebook, wrong answers, one that hangs, and one that is broken, side by side."""

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import nbformat
import psutil

from fraudlab import system
from fraudlab.course import notebooks
from fraudlab.course.answers import answers_of
from fraudlab.course.labs import exercise_of, lab_of
from fraudlab.course.workspace import GRADER
from fraudlab.settings import Settings
from tests.support.home import outside_pytest
from tests.support.waiting import eventually, patient

LAB = lab_of("01")
LIMIT_S = patient(30)


def test_each_learner_gets_what_their_answers_are_worth_and_a_broken_notebook_harms_nobody(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "submissions"
    solution = notebooks.read(notebooks.SOLUTIONS / LAB.file)
    hand_in(folder / "anna", notebooks.text_of(solution))
    (folder / "ben").mkdir()
    (folder / "ben" / LAB.file).write_text('{"cells": [', encoding="utf-8")
    (mistaken,) = [one for one in answers_of(LAB)["01.1"].wrong if one.mistake == "all_accounts"]
    hand_in(folder / "carl", answered({"01.1": f"robbed = {mistaken.answers[0]!r}", "01.2": "1 / 0"}))
    hand_in(folder / "dora", answered({"01.1": "while True: pass", "01.3": "def changes(before, after): return {}"}))

    status, said = graded(folder)

    assert status == 1, said
    assert "Traceback" not in said
    assert "ben, 01.1, 01.2, 01.3: not readable" in said
    found = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert found["complete"]
    remarks = {one["learner"]: {grade["exercise"]: grade for grade in one["grades"]} for one in found["learners"]}
    assert {one["learner"]: one["solved"] for one in found["learners"]} == {"anna": 3, "ben": 0, "carl": 0, "dora": 0}
    assert [one["remark"] for one in remarks["anna"].values()] == ["", "", ""]
    assert all(one["remark"].startswith("not readable: it is not JSON") for one in remarks["ben"].values())
    verdict = exercise_of("01.1").verdict(mistaken.observed, mistaken.answers)
    assert remarks["carl"]["01.1"]["remark"] == f"{verdict.sentence} Found: {verdict.found}"
    assert remarks["carl"]["01.2"]["remark"] == "ZeroDivisionError: division by zero"
    assert remarks["carl"]["01.3"]["remark"] == "no answer"
    assert remarks["dora"]["01.1"]["remark"] == f"a cell ran longer than {LIMIT_S:g} s"
    assert remarks["dora"]["01.2"]["remark"] == "no answer"
    assert remarks["dora"]["01.3"]["remark"] == f"not reached: a cell ran longer than {LIMIT_S:g} s"
    assert {one for one, of in remarks.items() for grade in of.values() if not grade["graded"]} == {"ben", "dora"}
    assert not databases(settings), "nothing of the grading is left"


def test_ctrl_c_keeps_what_is_graded_and_leaves_neither_a_kernel_nor_data(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "submissions"
    hand_in(folder / "anna", answered({"01.3": "def changes(before, after): pass"}))
    marked = f"import pathlib\npathlib.Path({str(tmp_path / 'hangs')!r}).touch()\nwhile True: pass"
    hand_in(folder / "ben", answered({"01.1": marked}))
    with subprocess.Popen(
        command(folder, 600),
        env=outside_pytest(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where pytest runs in the background
    ) as grading:
        try:
            eventually((tmp_path / "hangs").exists, "the second notebook hangs", deadline_s=120)
            kernels = psutil.Process(grading.pid).children(recursive=True)
            grading.send_signal(signal.SIGINT)
            said, _ = grading.communicate(timeout=patient(60))
        finally:
            grading.kill()
    assert grading.returncode == 130, said
    assert "Interrupted." in said
    assert "Traceback" not in said
    found = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert not found["complete"]
    assert [one["learner"] for one in found["learners"]] == ["anna"]
    assert (
        found["learners"][0]["grades"][2]["remark"] == "The function returns nothing: it lacks a `return`. Found: None"
    )
    assert kernels
    assert not [one for one in kernels if one.is_running()]
    assert not databases(settings)


def hand_in(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / LAB.file).write_text(text, encoding="utf-8")


def answered(sources: dict[str, str]) -> str:
    """Lab 01 with these answers, a check that always agrees, and a cell that would end all that follow."""
    notebook = notebooks.read(notebooks.LABS / LAB.file)
    for cell in notebooks.code_cells(notebook):
        number = notebooks.exercise_number(cell)
        if number in sources:
            cell.source = f"# Exercise {number}\n{sources[number]}"
        if notebooks.checked_numbers(cell):
            cell.source = "print('Right')"
    notebook.cells.insert(1, nbformat.v4.new_code_cell("import os; os._exit(1)"))
    return notebooks.text_of(notebook)


def command(folder: Path, limit_s: float) -> list[str]:
    program = str(Path(sys.executable).with_name("fraudlab"))
    return [program, "course", "grade", str(folder), "--cell-timeout", f"{limit_s:g}"]


def graded(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        command(folder, LIMIT_S),
        env=outside_pytest(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=patient(270),
    )
    return done.returncode, done.stdout


def databases(settings: Settings) -> list[object]:
    """The grader's database, where it is there."""
    name = settings.model_copy(update={"learner": GRADER}).names.database
    with closing(system.connect(settings, "root")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name = %s", (name,))
        return list(cursor.fetchall())
