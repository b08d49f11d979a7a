"""A record that fails a job five times is named with the command that skips it, and that command makes the job continue."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudlab import system
from fraudlab.stack import flink_jobs
from fraudlab.verification.verify import Skipping
from tests.faults.test_binlog_hole import command
from tests.support import flink, poisoned
from tests.support.home import outcome
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

NAMED_WITHIN_S = 60
"""Five attempts: each takes a second of Flink's delay, and the start of the job."""
FAULTS = {
    poisoned.IN_PYTHON: ("fraud-detector", "transaction_mid", "MemoryError: no room for this one"),
    poisoned.BEFORE_PYTHON: ("fraud-detector", "transaction_mid", "NumberFormatException: For input string: '{'"),
    poisoned.IN_THE_JOIN: ("transaction-join", "transactions", "NumberFormatException: For input string: 'poison"),
}


def faulty(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command `fraudlab`, which submits jobs with the faults."""
    return outcome([sys.executable, "-P", str(Path(poisoned.__file__)), *arguments])


@contextmanager
def jobs_with_faults(lab: Lab) -> Iterator[None]:
    """Meanwhile the join and the detector have the faults."""
    for name in ("transaction-join", "fraud-detector"):
        flink_jobs.cancel(lab.settings, lab.names.job(name))
    done = faulty("up")
    assert done.returncode == 0, done.stdout
    yield
    for name in ("transaction-join", "fraud-detector"):
        flink_jobs.cancel(lab.settings, lab.names.job(name))
    done = command("up")
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def ill(lab: Lab) -> Iterator[Lab]:
    """The system, whose jobs have the faults."""
    with jobs_with_faults(lab):
        yield lab


@pytest.mark.parametrize("merchant", FAULTS)
def test_a_record_that_fails_five_times_is_named_and_the_printed_command_skips_it(ill: Lab, merchant: str) -> None:
    lab, (job, topic, cause) = ill, FAULTS[merchant]
    flink.await_checkpoint(lab.settings)
    user = lab.add_user()
    first = lab.pay(user, "600.00", "DE")
    poison = lab.pay(user, "600.00", "FR", merchant=merchant)
    later = lab.pay(user, "1.00", "DE")
    said = eventually(
        lambda: next((line for line in command("status").stdout.splitlines() if "fraudlab skip" in line), None),
        "the status names the command",
        NAMED_WITHIN_S,
    )
    said = " ".join(command("status").stdout.split())
    assert f"{job} keeps failing: {cause}" in said
    named = re.search(r"while processing the record (\S+), (\d+) times `(fraudlab skip (\S+))`", said)
    assert named is not None, said
    place, attempts, printed, _ = named.groups()
    assert (named[4], int(attempts) >= flink_jobs.RECORD_ATTEMPTS) == (place, True)
    (record,) = [one for one in lab.records(getattr(lab.names, topic), user) if one.place == place]
    row = record.json if topic == "transaction_mid" else record.json["after"]
    assert row["transaction_id"] == poison
    told = command("up")
    assert (told.returncode, printed in told.stdout) == (1, True), told.stdout
    name = lab.names.job(job)
    (shown,) = [
        one for one in system.job_status(lab.settings, [name]) if one.problem
    ]  # as the dashboard and `lab.jobs()` ask
    assert printed in str(shown.advice)

    done = faulty(*printed.split()[1:])
    assert done.returncode == 0, done.stdout
    running = next(one for one in flink.jobs_of(lab.settings) if one.name == name)
    assert flink.restored_from(lab.settings, running.id) is not None, "it went on from its checkpoint"
    last = lab.pay(user, "500.00", "FR")
    (activity,) = lab.await_activities(user, [last])
    assert activity["transaction_ids"] == [first, later, last]
    assert any(merchant in one["payload"] for one in lab.dead_letters() if one["dead_letter_id"] == place)
    verification = assert_exact(lab.settings)
    assert Skipping(place, f"payment {poison} does not count") in verification.skipped
    assert f"Skipped on purpose: {place}." in command("verify").stdout
    done = command("skip", place)
    assert (done.returncode, "already" in done.stdout) == (0, True)


def test_jobs_that_are_submitted_again_skip_the_same_payments(ill: Lab) -> None:
    """They read their topics from the beginning."""
    lab = ill
    for name in ("transaction-join", "fraud-detector"):
        flink_jobs.cancel(lab.settings, lab.names.job(name))
    done = faulty("up")
    assert done.returncode == 0, done.stdout
    lab.fraud_is_caught()
    assert_exact(lab.settings)


def test_a_record_that_cannot_be_skipped_is_refused(lab: Lab) -> None:
    lab.fraud_is_caught()
    flink.await_checkpoint(lab.settings)
    for place, words in (
        ("elsewhere-0-1", "No job skips records"),
        (f"{lab.names.transaction_mid}-0-999999", "There is no record"),
        (next(one.place for one in lab.topics.read(lab.names.transaction_mid)), "has read"),
    ):
        done = command("skip", place)
        assert (done.returncode, words in done.stdout) == (1, True), done.stdout
