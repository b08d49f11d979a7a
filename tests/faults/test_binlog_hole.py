"""mysql-11: a binlog that was purged before the job read it is reported with the command that makes everything exact again."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import flink
from tests.support.home import outcome
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually, patient

TOLD_WITHIN_S = 25
"""Includes the start of the TaskManager."""


def test_mysql_11_a_purged_binlog_is_named_and_one_command_makes_all_exact(lab: Lab) -> None:
    deleted, changed, reinstated, kept = (lab.add_user() for _ in range(4))
    lab.commit_fraud(reinstated)
    lab.await_stopped(reinstated)
    gone = lab.pay(deleted, "10.00", "DE")
    lab.pay(changed, "10.00", "DE")
    lab.fraud_is_caught()
    with a_hole(lab):
        lab.pay(kept, "600.00", "DE")
        lab.execute("DELETE FROM transactions WHERE transaction_id = %s", gone)
        lab.execute("DELETE FROM user_profile WHERE user_id = %s", deleted)
        lab.execute("UPDATE user_profile SET first_name = 'Grace' WHERE user_id = %s", changed)
        lab.execute("UPDATE user_profile SET suspicious_activities = 0 WHERE user_id = %s", reinstated)
        there_and_gone = lab.pay(kept, "1.00", "DE")
        lab.execute("DELETE FROM transactions WHERE transaction_id = %s", there_and_gone)
    began = time.monotonic()
    said = command("up")
    took_s = time.monotonic() - began
    print(f"\nup told it after {took_s:.1f} s: {said.stdout[-400:]}")
    assert (said.returncode, "has purged the part of the binlog" in said.stdout) == (1, True)
    assert "`fraudlab resnapshot`" in said.stdout
    assert took_s < patient(TOLD_WITHIN_S)
    said = eventually(lambda: status_with("cdc-ingestion keeps failing: MySQL has purged"), "status says so, too")
    assert (said.returncode, "`fraudlab resnapshot`" in said.stdout) == (1, True)
    said = command("resnapshot")
    assert said.returncode == 0, said.stdout
    lab.pay(kept, "600.00", "FR")
    lab.await_stopped(kept)
    after = lab.pay(deleted, "5.00", "DE")
    lab.pay(changed, "5.00", "DE")
    lab.settle(deleted)
    lab.settle(changed)
    assert all(one["user_first_name"] is None for one in joined(lab, deleted, after)), "nobody has this id any more"
    assert lab.joined(changed)[-1].json["user_first_name"] == "Grace"
    lab.commit_fraud(reinstated)
    eventually(lambda: lab.times_stopped(reinstated) == 2, "it is stopped again")
    assert_exact(lab.settings)
    said = command("resnapshot")
    assert said.returncode == 0, said.stdout
    assert "were deleted meanwhile" not in said.stdout
    assert_exact(lab.settings)


def test_mysql_11_a_binlog_that_begins_again_is_named_and_one_command_makes_all_exact(lab: Lab) -> None:
    user = lab.add_user()
    lab.commit_fraud(user)
    lab.await_stopped(user)
    flink.await_checkpoint(lab.settings)  # without one the job would begin with a snapshot, and nothing would be wrong
    lab.stack.remove_program("taskmanager")
    lab.execute("RESET MASTER")
    lab.pay(lab.add_user(), "1.00", "DE")
    said = command("up")
    assert (said.returncode, "`fraudlab resnapshot`" in said.stdout) == (1, True), said.stdout
    said = command("resnapshot")
    assert said.returncode == 0, said.stdout
    lab.fraud_is_caught()
    assert_exact(lab.settings)


@contextmanager
def a_hole(lab: Lab) -> Iterator[None]:
    """No job will ever read in the binlog what happens within this block."""
    flink.await_checkpoint(lab.settings)
    lab.stack.remove_program("taskmanager")
    yield
    lab.execute("FLUSH BINARY LOGS")
    # MySQL does not purge what a reader has open, be it one whose connection it has not yet seen broken.
    eventually(
        lambda: not lab.query("SELECT 1 FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"),
        "no reader is left",
    )
    lab.execute("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")


def joined(lab: Lab, user_id: int, transaction_id: int) -> list[dict[str, object]]:
    found = [one.json for one in lab.joined(user_id) if one.value is not None]
    return [one for one in found if one["transaction_id"] == transaction_id]


def status_with(words: str) -> "subprocess.CompletedProcess[str] | None":
    """What `fraudlab status` says once it says so; on a busy machine the job may just be between two attempts."""
    said = command("status")
    return said if words in said.stdout else None


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return outcome([str(Path(sys.executable).with_name("fraudlab")), *arguments])
