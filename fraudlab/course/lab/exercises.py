"""Exercises as a learner meets them: check, hints, solution, progress, help."""

from typing import Any, NoReturn

import pandas as pd

from fraudlab.course import cards
from fraudlab.course import glossary as glossary_book
from fraudlab.course.cards import Card, Done
from fraudlab.course.exercise import HINTS, Kind, NotSolvedYet, fingerprint
from fraudlab.course.lab import checking
from fraudlab.course.labs import all_labs, exercise_of
from fraudlab.course.messages import Messages, in_class
from fraudlab.course.progress import Progress, Record, latest
from fraudlab.course.workspace import OUTAGES, Workspace
from fraudlab.errors import UserError


def todo(number: str) -> NoReturn:
    """Marks the place of your code in a function that you complete: replace this call.

    Raises:
        NotSolvedYet: Always.

    Example:
        def precision(found, robbed):
            lab.todo("07.1")  # your code here
    """
    raise NotSolvedYet(exercise_of(number).unsolved)


def check(workspace: Workspace, number: str, *answers: Any) -> Card:
    """Checks your answer to an exercise.

    It waits while your job's results are still on their way. If they don't arrive, that counts as a try, because your answer may
    be the reason. The same wrong answer once more is not another try.

    Returns:
        A card: right, not right yet (with what was found), or not yet.

    Raises:
        NotSolvedYet: There is no answer so far.

    Example:
        lab.check("01.1", robbed)
    """
    exercise = exercise_of(number)
    exercise.require_solved(answers)
    try:
        verdict = checking.verdict_of(exercise, workspace, answers)
    except OUTAGES:
        if trouble := cards.of_problem(workspace.problem()):
            return trouble
        raise
    solved, wrong = verdict.kind is Kind.RIGHT, fingerprint(answers, verdict) if verdict.kind is Kind.WRONG else ""
    record = Progress.of_learner(workspace.settings).tried(number, solved=solved, wrong=wrong)
    messages = Messages(workspace.settings)
    if solved and (hand := messages.hand()) and hand.place == number:
        messages.lower_hand()
    return cards.of_verdict(number, verdict, solution_is_open=record.solution_is_open)


def hint(workspace: Workspace, number: str) -> Card:
    """Shows the next hint for an exercise, and those before it. There are three; the last one nearly is the answer.

    Example:
        lab.hint("01.1")
    """
    exercise = exercise_of(number)
    return cards.of_hints(exercise, Progress.of_learner(workspace.settings).hinted(number, HINTS).hints)


def solution(workspace: Workspace, number: str) -> Card:
    """Shows the course's solution of an exercise. It opens when your answer is right, or after three tries.

    Example:
        lab.solution("01.1")
    """
    from fraudlab.course import notebooks  # nbformat takes a second to import

    record = Progress.of_learner(workspace.settings).of(exercise_of(number).number)
    if not record.solution_is_open:
        return cards.of_closed_solution(number, record)
    return cards.of_solution(number, notebooks.solution_of(number))


def progress(workspace: Workspace) -> pd.DataFrame:
    """Shows how far you are: one row per exercise, with your tries and the hints that you have seen."""
    records = Progress.of_learner(workspace.settings).records()
    rows = []
    for lab in all_labs():
        for exercise in lab.exercises:
            record = records.get(exercise.number, Record())
            rows.append((lab.number, exercise.number, exercise.title, record.solved, record.tries, record.hints))
    return pd.DataFrame(rows, columns=["lab", "exercise", "title", "solved", "tries", "hints"])


def help_me(workspace: Workspace, question: str = "") -> Done:
    """Raises your hand: your instructor sees your name, where you are, and your question. It comes down when the exercise is solved.

    Raises:
        UserError: This is no class, so nobody would see it.

    Example:
        lab.help_me("What is a tombstone?")
    """
    if not in_class():
        raise UserError(
            "This is no class with an instructor, so nobody would see your hand.",
            '`lab.hint("01.1")` shows a hint for an exercise, and docs/troubleshooting.md explains messages.',
        )
    place = latest(Progress.of_learner(workspace.settings).records())
    hand = Messages(workspace.settings).raise_hand(place, question)
    asked = (f"Your question: {hand.question}",) if hand.question else ()
    return Done("Your hand is up: your instructor sees where you are.", asked)


def glossary(word: str) -> Card:
    """Explains a term, and says which lab introduces it.

    Example:
        lab.glossary("watermark")
    """
    term = glossary_book.find(word)
    if term is None:
        known = ", ".join(sorted(term.names[0] for term in glossary_book.terms()))
        return Card(f"The glossary has no {word!r}.", (f"It has: {known}.",))
    return Card(term.names[0], (term.text, f"First explained in Lab {term.lab}."))
