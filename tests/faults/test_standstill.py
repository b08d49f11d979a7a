"""fault-03: a TaskManager that is paused while the bank pays continues at once: no reader waits 30 s for one that hangs."""

import os
import signal
import time
from contextlib import closing
from itertools import count

import pytest

from tests.support import flink
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually, patient

PAYMENTS = 80_000
BATCH = 2_000
STRANGERS = 5_000
LONGEST_GAP_S = 12.0
"""A restart takes a second or two; on a busy machine several. With flink-cdc's reader deadlocked it took more than 30 s."""

_first_strangers = count(20_000_000, STRANGERS)


@pytest.mark.parametrize(("stopped_s", "restarts"), [(8, False), (14, True)])
def test_fault_03_a_taskmanager_that_stood_still_goes_on_at_once(lab: Lab, stopped_s: float, restarts: bool) -> None:
    lab.fraud_is_caught()
    flink.await_something_to_restore(lab.settings)
    failures = sum(job.failures for job in flink.jobs_of(lab.settings))
    pid = next(one.pid for one in lab.stack.status() if one.name == "taskmanager")
    assert pid is not None
    captured = length(lab)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        pay(lab)
        eventually(lambda: time.monotonic() - began >= stopped_s, "it has been paused for long enough", stopped_s + 60)
    finally:
        os.kill(pid, signal.SIGCONT)
    longest_s = longest_gap(lab, captured + PAYMENTS)
    print(f"\nstopped for {time.monotonic() - began:.1f} s in all, the longest gap after it: {longest_s:.1f} s")
    assert longest_s < patient(LONGEST_GAP_S)
    if not restarts:
        assert sum(job.failures for job in flink.jobs_of(lab.settings)) == failures, "nothing was restarted"
    lab.await_jobs()
    assert_exact(lab.settings, settle_s=300)


def pay(lab: Lab) -> None:
    """Writes the payments, a few for each of many users without a profile."""
    first = next(_first_strangers)
    statement = (
        "INSERT INTO transactions (user_id, amount, currency, type, country, merchant, transaction_time)"
        " VALUES (%s, 0.10, 'EUR', 'online', 'DE', 'kiosk', UTC_TIMESTAMP(3))"
    )
    with closing(lab.connect("generator")) as connection, closing(connection.cursor()) as cursor:
        for begin in range(0, PAYMENTS, BATCH):
            cursor.executemany(statement, [(first + number % STRANGERS,) for number in range(begin, begin + BATCH)])
            connection.commit()


def length(lab: Lab) -> int:
    """How many records are in `transactions`."""
    return lab.topics.length(lab.names.transactions)


def longest_gap(lab: Lab, end: int) -> float:
    """The longest time without a new record, in seconds, until the topic has this many."""
    seen, since, longest = length(lab), time.monotonic(), 0.0

    def look() -> bool:
        nonlocal seen, since, longest
        now = length(lab)
        longest = max(longest, time.monotonic() - since)
        if now > seen:
            seen, since = now, time.monotonic()
        return now >= end

    eventually(look, "all payments are captured", 240)
    return longest
