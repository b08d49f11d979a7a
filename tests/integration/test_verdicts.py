"""What checks say of jobs that are not there, on the real stack."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudlab.course.exercise import Kind
from fraudlab.course.lab import checking
from fraudlab.course.labs import exercise_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.lab import learner_lab
from tests.support.waiting import patient


@pytest.fixture(scope="module")
def workspace(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    work: Path = tmp_path_factory.mktemp("verdicts")
    with learner_lab(settings.model_copy(update={"work": work}), "verdicts") as lab:
        yield Workspace(lab.settings)


@pytest.mark.parametrize(
    ("number", "answer"), [("02.2", print), ("03.3", "INSERT INTO transaction_mid SELECT 1"), ("04.4", max)]
)
def test_nobody_waits_for_a_job_that_does_not_exist(workspace: Workspace, number: str, answer: object) -> None:
    """Case course-13."""
    if number == "04.4":
        workspace.generate(payments=200, users=20, seed=7, hours=6, frauds=10)
    began = time.monotonic()
    verdict = checking.verdict_of(exercise_of(number), workspace, (answer,))
    assert (verdict.kind, verdict.waits) == (Kind.NOT_YET, False)
    assert verdict.sentence.startswith("No job of yours is named")
    assert time.monotonic() - began < patient(3)
