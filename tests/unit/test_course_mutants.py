"""Each check calls each mutant of its solution wrong; and a check that does not is found."""

from collections.abc import Callable
from typing import Any

import nbformat
import pytest

from fraudlab.course import mutants, review
from fraudlab.course.answers import Answers
from fraudlab.course.exercise import Exercise, Lab, Mistake, Verdict, call, nothing_to_observe, right, wrong

COURSE = review.present()
ATTACKED = [
    pytest.param(lab, exercise, id=exercise.number)
    for lab in COURSE.definitions
    for exercise in lab.exercises
    if COURSE.answers[exercise.number].mutants
]

OF_THE_JOB = ("return payments.", "pass")
"""Begins what a mutant of Exercise 04.2 has written that is seen only on the cluster."""


def test_the_check_of_the_windows_accepts_no_mutant_of_their_sums() -> None:
    (lab,) = [one for one in COURSE.definitions if one.number == "04"]
    (windows,) = [one for one in lab.exercises if one.number == "04.2"]
    tried, survivors = mutants.survivors(windows, COURSE.answers["04.2"], COURSE.notebook(lab))
    assert [one for one in survivors if not one.written.startswith(OF_THE_JOB)] == []
    assert tried > 50


SOLUTION = """# Exercise 09.1
def of_age(people):
    ### BEGIN SOLUTION
    found = []
    for name, age in people:
        if age >= 18 and name != "":
            found.append(name)
    return found
    ### END SOLUTION
"""


def test_most_exercises_are_attacked() -> None:
    assert len(ATTACKED) > 15


@pytest.mark.parametrize(("lab", "exercise"), ATTACKED)
def test_a_check_accepts_no_mutant_of_its_solution(lab: Lab, exercise: Exercise) -> None:
    notebook = COURSE.notebook(lab)
    tried, survivors = mutants.survivors(exercise, COURSE.answers[exercise.number], notebook)
    assert survivors == []
    assert tried >= 5


def adults(*cases: tuple[list[tuple[str, int]], list[str]]) -> Exercise:
    """An exercise whose check tries these cases."""

    def judge(_observed: None, of_age: Callable[..., Any]) -> Verdict:
        for people, expected in cases:
            if call(of_age, people) != expected:
                return wrong(Mistake("others", "These are others."), found=people, expected="adults")
        return right("Grown up.")

    return Exercise("09.1", "Adults", "find them.", ("a", "b", "c"), "a function", nothing_to_observe, judge)


def survivors(exercise: Exercise, **equivalent: str) -> set[str]:
    cells = [nbformat.v4.new_code_cell(SOLUTION), nbformat.v4.new_code_cell('lab.check("09.1", of_age)')]
    answers = Answers([], [], equivalent=equivalent)
    return {one.written for one in mutants.survivors(exercise, answers, nbformat.v4.new_notebook(cells=cells))[1]}


STRICT = ([("Ada", 18), ("Ben", 17), ("", 40), ("Cem", 90)], ["Ada", "Cem"])
KIND = ([("Ada", 30), ("Ben", 5)], ["Ada"])


def test_a_strict_check_leaves_no_survivor() -> None:
    assert survivors(adults(STRICT)) == set()


def test_what_a_kind_check_does_not_try_survives() -> None:
    found = survivors(adults(KIND))
    assert "if age > 18 and name != '':" in found, "a comparison changed"
    assert "if age >= 18:" in found, "one condition dropped"
    assert "if age >= 19 and name != '':" in found, "a constant changed"


def test_a_mutant_that_no_longer_survives_is_not_to_be_explained() -> None:
    assert survivors(adults(STRICT), stale="for no reason") == {"stale"}


def test_a_solution_that_its_own_check_refuses_is_told() -> None:
    assert survivors(adults(([("Ada", 18)], []))) == {"the solution itself"}
