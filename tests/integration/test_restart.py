"""A TaskManager that is stopped and started again: the jobs continue where they were."""

import signal

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

    pid = lab.stack.kill("taskmanager", signal.SIGTERM)
    second = lab.pay(user, "600.00", "FR")  # while nobody reads
    eventually(lambda: running_pid(lab) not in (None, pid), "the supervisor starts another TaskManager")
    (activity,) = lab.await_activities(user, [second])
    assert activity["transaction_ids"] == [first, second], "the detector remembers the payment from before"
    lab.await_jobs()
    assert lab.snapshot_records() == snapshot, "no second snapshot"
    assert_exact(lab.settings)


def running_pid(lab: Lab) -> int | None:
    """The TaskManager's process id; None where there is none."""
    return next(one.pid for one in lab.stack.status() if one.name == "taskmanager")
