"""A savepoint of the detector outlives the class that took it: its state describes data, and names no class.

It can be taken by the operator that takes every payment into Python and restored by the one with the shortcut, and the other way round.
"""

import sys
from collections.abc import Iterator

import pytest

from fraudlab.course import breaking
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.home import run
from tests.support.lab import LearnerLab, learner_lab

JOB = "fraud-detector"
SUBMIT = """
import sys
from fraudlab import system
from fraudlab.pipeline import detector
from fraudlab.pipeline.cdc import RECORD
from fraudlab.settings import Settings

name, operator, savepoint = sys.argv[1:]
renamed = type(name, (detector.GuardedDetector,), {"__module__": "__main__"})
detector.detect_guarded = {
    "all in Python": lambda transactions, rule, names: (
        transactions.process(renamed(rule, names), RECORD).name("fraud detector").uid("fraud-detector")
    ),
    "with the shortcut": lambda transactions, rule, names: (
        detector.sparing_python(transactions, renamed(rule, names), rule)
    ),
}[operator]
settings = Settings()
cluster = system.flink_cluster(settings, {"execution.state-recovery.path": savepoint} if savepoint else None)
detector.submit(cluster, system.kafka(settings, detector.JOB), settings.names, settings.rule)
"""


@pytest.fixture(scope="module")
def lab(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "renamed1") as lab:
        lab.submit_jobs()
        yield lab


ALL_IN_PYTHON, WITH_THE_SHORTCUT = "all in Python", "with the shortcut"


def submit(lab: LearnerLab, name: str, operator: str, savepoint: str = "") -> None:
    run([sys.executable, "-c", SUBMIT, name, operator, savepoint], print, lab.settings.environment())
    lab.await_jobs()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [(ALL_IN_PYTHON, WITH_THE_SHORTCUT), (WITH_THE_SHORTCUT, WITH_THE_SHORTCUT), (WITH_THE_SHORTCUT, ALL_IN_PYTHON)],
)
def test_state_is_restored_after_its_class_was_renamed(lab: LearnerLab, before: str, after: str) -> None:
    breaking.stop_with_savepoint(Workspace(lab.settings), JOB)
    submit(lab, "BeforeDetector", before)
    user = lab.add_user()
    witness = lab.add_user(lab.new_user_id(like=user))
    home = [lab.pay(user, "600", "DE"), lab.pay(user, "1", "DE")]
    lab.pay(witness, "600", "DE")
    lab.await_activities(witness, [lab.pay(witness, "600", "FR")])  # so the detector has seen all of them
    submit(lab, "AfterDetector", after, breaking.stop_with_savepoint(Workspace(lab.settings), JOB))
    home += [lab.pay(user, "1", "DE"), lab.pay(user, "1", "DE")]
    abroad = lab.pay(user, "600", "FR")
    (activity,) = lab.await_activities(user, [abroad])
    assert activity["transaction_ids"] == [*home, abroad]
    assert len(lab.activity_ids(witness)) == 1, "nothing is found twice"
