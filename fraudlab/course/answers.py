"""Answers that the checks must tell apart. Only tests and `fraudlab course check` load them: no check of a learner does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fraudlab.course.exercise import Lab


@dataclass(frozen=True, slots=True)
class Example:
    """An answer, and what its check must say. A right answer has neither `mistake` nor `waits`.

    Attributes:
        answers: What the learner passes to `lab.check` after the exercise's number.
        observed: What `observe` would return. tests/notebooks/test_wrong_answers.py gives real answers, and observes.
        mistake: The name of the mistake that the check must find.
        waits: Words of the sentence that the check must say while it waits: *not yet*.
        at_rest: Whether the check finds the mistake only when what is observed no longer changes.
    """

    answers: tuple[Any, ...]
    observed: Any = None
    mistake: str = ""
    waits: str = ""
    at_rest: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to one exercise.

    Attributes:
        right: Right answers, written differently. At least one besides the notebook's own.
        wrong: Plausible wrong answers, at least three.
        observe: `(*answers)` → what the exercise's `observe` would return without a stack, for examples that do not say it and for mutants.
        mutants: Whether `fraudlab course check --mutants` tries mutations of the solution: neither its cell nor its judge needs a stack.
        given: What the solution's cell has from the cells before it, by name; their imports are there anyway.
        equivalent: Mutants that are right answers: what the mutation has written, and why it changes nothing.
    """

    right: Sequence[Example]
    wrong: Sequence[Example]
    observe: Callable[..., Any] = lambda *_answers: None
    mutants: bool = True
    given: Mapping[str, Any] = field(default_factory=dict)
    equivalent: Mapping[str, str] = field(default_factory=dict)

    def observed(self, example: Example) -> Any:
        """What the check sees of an example."""
        return self.observe(*example.answers) if example.observed is None else example.observed


def answers_of(lab: Lab) -> Mapping[str, Answers]:
    """The answers to a lab's exercises, by their numbers."""
    answers: Mapping[str, Answers] = import_module(f"fraudlab.course.labs.lab{lab.number}.answers").ANSWERS
    return answers
