"""A TaskManager that is stopped and started again: the jobs continue where they were."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.support import flink
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually


@pytest.mark.slow
def test_after_a_restart_of_the_taskmanager_the_binlog_is_read_on_from_where_it_was(lab: Lab) -> None:
    lab.fraud_is_caught()
    snapshot = lab.snapshot_records()
    user = lab.add_user()
    first = lab.pay(user, "600.00", "DE")
    lab.settle(user)
    # From here on the payment is in the detector's state only: no offset that is restored brings it again.
    flink.await_checkpoint(lab.settings)

    killed_ms = time.time_ns() // 1_000_000
    pid = lab.stack.kill("taskmanager", signal.SIGTERM)
    second = lab.pay(user, "600.00", "FR")  # while nobody reads
    with slow_start(eventually(lambda: another(lab, pid), "the supervisor starts another TaskManager")):
        eventually(lambda: all(job.failures > 4 for job in flink.jobs_of(lab.settings)), "jobs fail for want of a slot")
    lab.await_jobs(killed_ms)
    (activity,) = lab.await_activities(user, [second])
    assert activity["transaction_ids"] == [first, second], "the detector remembers the payment from before"
    assert lab.snapshot_records() == snapshot, "no second snapshot"
    assert_exact(lab.settings)


def another(lab: Lab, than: int) -> int | None:
    """The process id of the TaskManager, once it is a new one; None before."""
    pid = next(one.pid for one in lab.stack.status() if one.name == "taskmanager")
    return None if pid == than else pid


@contextmanager
def slow_start(pid: int) -> Iterator[None]:
    """A process that gets no processor, as on a busy machine."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()
