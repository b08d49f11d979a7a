"""The instructor guide speaks of the labs as they are: sections, exercises, what is cut, and agendas that fit."""

import re
from itertools import pairwise

import pytest

from fraudlab.course import review
from tests.support.documents import DOCS, tables, text

GUIDE = text(DOCS / "instructor-guide.md")
COURSE = review.present()
STEPS = {lab.number: {step.title for step in review.steps(notebook)} for lab, notebook in COURSE.pairs()}
HALF_A_DAY_MIN = 240
SITTING_MIN = 100
"""So long people sit without a pause, at most."""


def advice(number: str) -> str:
    """What the guide says of one lab."""
    return re.sub(r"\s+", " ", GUIDE.partition(f"### Lab {number}\n")[2].partition("\n#")[0])


@pytest.mark.parametrize("number", STEPS)
def test_sections_and_exercises_that_the_guide_names_are_those_of_the_lab(number: str) -> None:
    named = set(re.findall(r'"([A-Z][^"]+)"', advice(number)))
    assert named <= STEPS[number]
    exercises = set(re.findall(r"\b(0\d\.\d)\b", advice(number)))
    assert exercises <= {
        exercise.number for lab in COURSE.definitions if lab.number == number for exercise in lab.exercises
    }
    assert set(re.findall(r"\*\*(\w[\w ]+)\*\*:", advice(number))) == {"Ask", "Demonstrate", "People get stuck", "Cut"}


@pytest.mark.parametrize("number", STEPS)
def test_what_the_guide_says_to_cut_is_what_the_minutes_are_counted_from(number: str) -> None:
    said = advice(number).partition("**Cut**:")[2]
    named = set(re.findall(r'"([A-Z][^"]+)"', said)) | {
        f"Exercise {one}" for one in re.findall(r"Exercise (\d\d\.\d)", said)
    }
    assert named == {title.partition(":")[0] for title in tables.CUTS[int(number)]}


def test_half_a_day_is_four_hours_with_two_pauses_in_it() -> None:
    steps = tables.agenda(tables.labs(), "half a day")
    assert sum(minutes for _, minutes, _ in steps) <= HALF_A_DAY_MIN
    assert [what for what, _, _ in steps].count("break") == 2


@pytest.mark.parametrize("name", review.AGENDAS)
def test_nobody_sits_too_long_without_a_pause(name: str) -> None:
    steps = tables.agenda(tables.labs(), name)
    pauses = [-1, *(place for place, (what, _, _) in enumerate(steps) if what in ("break", "lunch")), len(steps)]
    sittings = [sum(minutes for _, minutes, _ in steps[a + 1 : b]) for a, b in pairwise(pauses)]
    assert max(sittings) <= SITTING_MIN


def test_the_mail_names_both_ways_to_set_up() -> None:
    mail = "\n".join(line[1:].strip() for line in GUIDE.splitlines() if line.startswith(">"))
    assert "make demo" in mail
    assert "docker compose up" in mail
