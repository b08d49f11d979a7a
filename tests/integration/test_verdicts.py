"""What checks say of jobs that are not there, on the real stack."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager
from kafka import KafkaConsumer

from fraudlab.course import consumers
from fraudlab.course.exercise import Kind
from fraudlab.course.lab import checking, starting
from fraudlab.course.labs import exercise_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.lab import learner_lab
from tests.support.waiting import eventually, patient


@pytest.fixture(scope="module")
def workspace(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    work: Path = tmp_path_factory.mktemp("verdicts")
    with learner_lab(settings.model_copy(update={"work": work}), "verdicts") as lab:
        yield Workspace(lab.settings)


def test_a_cell_that_opens_a_consumer_can_be_run_twice(workspace: Workspace) -> None:
    """Case course-15: the consumer of the first run stayed in the group, and three cells waited for 30 s each."""

    def new_consumer() -> KafkaConsumer:
        return KafkaConsumer(
            workspace.names.suspicious_activities,
            **workspace.kafka.options(),
            group_id=workspace.names.group("twice"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
        )

    first = new_consumer()
    assert len(consumers.share(first=first)) == 1
    again = new_consumer()
    try:
        shares = consumers.share(first=again)
        assert shares["count"].tolist() == [workspace.partitions("suspicious_activities")]
        second = new_consumer()
        assert min(consumers.share(first=again, second=second)["count"]) >= 1
        second.close()
    finally:
        again.close()


def test_a_card_at_the_beginning_names_other_kernels(settings: Settings, tmp_path: Path) -> None:
    """Case course-19."""
    manager = KernelManager()
    manager.start_kernel(
        env=os.environ | settings.environment() | {"JPY_SESSION_NAME": str(tmp_path / "04-detector.ipynb")}
    )
    try:
        eventually(lambda: "04-detector.ipynb" in dict(starting.other_kernels(settings)), "the kernel is seen", 15)
        assert dict(starting.other_kernels(settings))["04-detector.ipynb"] > 0
    finally:
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("number", "answer"), [("02.2", print), ("03.3", "INSERT INTO transaction_mid SELECT 1"), ("04.8", max)]
)
def test_nobody_waits_for_a_job_that_does_not_exist(workspace: Workspace, number: str, answer: object) -> None:
    """Case course-13."""
    if number == "04.8":
        workspace.generate(payments=200, users=20, seed=7, hours=6, frauds=10)
    began = time.monotonic()
    verdict = checking.verdict_of(exercise_of(number), workspace, (answer,))
    assert (verdict.kind, verdict.waits) == (Kind.NOT_YET, False)
    assert verdict.sentence.startswith("No job of yours is named")
    assert time.monotonic() - began < patient(3)
