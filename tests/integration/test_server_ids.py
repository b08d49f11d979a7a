"""Two readers of one binlog: MySQL disconnects a replica when another one connects with its id."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import CDC_JOB
from fraudlab.settings import Settings
from tests.support import flink
from tests.support.home import run
from tests.support.lab import LearnerLab, learner_lab
from tests.support.waiting import eventually

LEARNERS = ("learner36", "t38")
"""These two have the same crc32 modulo 100,000, from which ids were made."""
SUBMIT = """
from fraudlab import system
from fraudlab.settings import Settings
for learner in {learners!r}:
    system.submit_jobs(Settings().model_copy(update={{"learner": learner}}), print, only=[{job!r}])
"""


@pytest.fixture
def neighbours(settings: Settings) -> Iterator[tuple[LearnerLab, LearnerLab]]:
    with ExitStack() as stack:
        first, second = (stack.enter_context(learner_lab(settings, learner)) for learner in LEARNERS)
        yield first, second


@pytest.mark.slow
def test_two_learners_read_the_binlog_at_the_same_time(neighbours: tuple[LearnerLab, LearnerLab]) -> None:
    """Case course-02."""
    run([sys.executable, "-c", SUBMIT.format(learners=LEARNERS, job=CDC_JOB)], print)
    for _ in range(5):
        payments = [(lab, lab.pay(lab.add_user(), "1.00", "DE")) for lab in neighbours]
        for lab, payment in payments:
            eventually(
                lambda lab=lab, payment=payment: payment in captured(lab),  # type: ignore[misc]
                f"{lab.settings.learner}'s payment is captured; jobs {flink.jobs_of(lab.settings)}",
            )
    jobs = [job for lab in neighbours for job in flink.jobs_of(lab.settings)]
    assert [(job.state, job.failures) for job in jobs] == [("RUNNING", 0)] * 2
    readers = neighbours[0].query(
        "SELECT user FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' AND user LIKE '%\\_cdc'"
    )
    assert {f"{learner}_cdc" for learner in LEARNERS} <= {user for (user,) in readers}


def captured(lab: LearnerLab) -> set[int]:
    """The ids of the payments in a learner's topic."""
    return {record.json["after"]["transaction_id"] for record in lab.topics.read(lab.names.transactions)}


def test_a_learner_whose_replica_ids_are_anothers_is_told_to_choose_another_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case course-02, when the hashes collide after all."""
    monkeypatch.setattr(system, "server_ids", lambda names: range(1_000_000_000, 1_000_000_004))
    with pytest.raises(UserError, match=r"with which twin\.cdc-ingestion would read") as refused:
        system.create_database(settings.model_copy(update={"learner": "twin"}))
    assert "the pipeline without a learner's name" in str(refused.value)
    assert "FRAUDLAB_LEARNER" in refused.value.advice
