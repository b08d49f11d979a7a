"""Every example of every exercise gets the verdict that its author wrote for it."""

from typing import Any

import pytest

from fraudlab.course.exercise import PLACEHOLDER, AnswerFailed, Example, Exercise, Kind, NotSolvedYet, call
from fraudlab.course.labs import all_labs

EXERCISES = [exercise for lab in all_labs() for exercise in lab.exercises]


def examples(kind: str) -> list[Any]:
    return [
        pytest.param(exercise, example, id=f"{exercise.number}-{kind}-{place}")
        for exercise in EXERCISES
        for place, example in enumerate(getattr(exercise, kind), 1)
    ]


@pytest.mark.parametrize(("exercise", "example"), examples("right"))
def test_a_right_answer_is_accepted_however_it_is_written(exercise: Exercise, example: Example) -> None:
    verdict = exercise.verdict(example.observed, example.answers)
    assert verdict.kind is Kind.RIGHT, verdict


@pytest.mark.parametrize(("exercise", "example"), examples("wrong"))
def test_a_wrong_answer_gets_the_sentence_written_for_it(exercise: Exercise, example: Example) -> None:
    verdict = exercise.verdict(example.observed, example.answers)
    assert verdict.kind in (Kind.WRONG, Kind.NOT_YET)
    assert verdict.sentence == example.says


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
@pytest.mark.parametrize("answer", [..., f"SELECT 1 -- {PLACEHOLDER}"], ids=["dots", "placeholder"])
def test_the_placeholder_is_no_answer(exercise: Exercise, answer: object) -> None:
    with pytest.raises(NotSolvedYet) as unsolved:
        exercise.verdict(None, (answer,))
    assert str(unsolved.value) == exercise.unsolved


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_what_a_right_answer_is_told_has_no_numbers_that_differ_from_run_to_run(exercise: Exercise) -> None:
    sentences = {exercise.verdict(example.observed, example.answers).sentence for example in exercise.right}
    assert len(sentences) == 1


def test_a_function_that_raises_becomes_a_sentence() -> None:
    def broken(value: int) -> int:
        return value // 0

    with pytest.raises(AnswerFailed, match=r"^Called with \(3,\), broken raised ZeroDivisionError: .*\.$"):
        call(broken, 3)


def test_a_function_that_is_still_to_be_written_says_so() -> None:
    def later(value: int) -> int:
        raise NotSolvedYet("Exercise 09.9 is still to do")

    with pytest.raises(NotSolvedYet, match="still to do"):
        call(later, 3)
