"""Processes killed (SIGKILL) while a bank is paying: nothing is lost or done twice, and it goes on by itself."""

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fraudlab import system
from fraudlab.settings import Settings
from tests.support import flink
from tests.support.home import fraudlab
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually, patient

RATE = 100
USERS = 2_000
FRAUD_EVERY_S = 0.4
ACTIVITIES_BEFORE, ACTIVITIES_AFTER = 5, 10
RECOVERY_DEADLINE_S = 90.0

_banks = count(1)
"""Each test its own bank: the thieves' accounts of the last are stopped."""


WHILE_PAYMENTS_GO_ON = {"taskmanager", "jobmanager", "kafka"}
"""Without these nothing is detected for seconds, while the bank takes payments; flagger and ZooKeeper are back before anyone notices."""

ENDS_ALL_JOBS = {"taskmanager", "jobmanager"}
"""After the others the jobs may go on without going back to a checkpoint."""

SCENARIOS = {"cloned_card", "impossible_travel", "burst", "traveller", "border_shopper", "family"}


@pytest.mark.parametrize("program", ["taskmanager", "jobmanager", "kafka", "mysql", "flagger", "zookeeper"])
def test_a_killed_program_comes_back_and_nothing_is_lost_or_done_twice(lab: Lab, tmp_path: Path, program: str) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.append(lab.stack.kill(program))
        eventually(lambda: process_id(lab, program) not in (None, killed[0]), f"the supervisor starts {program} again")

    report = run_through(lab, tmp_path / "report.json", kill, payments_go_on=program in WHILE_PAYMENTS_GO_ON)
    if program in ENDS_ALL_JOBS:
        assert None not in restored(lab), "each job went on from a checkpoint"
    if program == "mysql":
        assert report["reconnects"] > 0


def test_a_whole_system_stopped_and_started_again_in_mid_stream_loses_nothing(lab: Lab, tmp_path: Path) -> None:
    def stop_and_start() -> None:
        fraudlab(print, "down")
        fraudlab(print, "up")

    report = run_through(lab, tmp_path / "report.json", stop_and_start, payments_go_on=False)
    assert None not in restored(lab), "each job went on from a checkpoint"
    assert report["reconnects"] > 0


def run_through(lab: Lab, file: Path, fault: Callable[[], None], *, payments_go_on: bool) -> dict[str, Any]:
    """Lets a bank pay, does `fault` in the middle, waits until the system has recovered by itself, and verifies.

    Returns:
        The generator's report.
    """
    lab.fraud_is_caught()
    flink.await_something_to_restore(lab.settings)
    jobs, snapshot = job_ids(lab), lab.snapshot_records()
    began = datetime.now(UTC)
    with paying_bank(lab.settings, file) as pays:
        eventually(lambda: pays() and known(lab, began) >= ACTIVITIES_BEFORE, "activities before the fault")
        fault_at = datetime.now(UTC)
        fault()
        lab.stack.wait_healthy(patient(RECOVERY_DEADLINE_S))
        lab.await_jobs()
        resumed_at = datetime.now(UTC)
        eventually(
            lambda: pays() and known(lab, resumed_at) >= ACTIVITIES_AFTER,
            "activities after the recovery",
            RECOVERY_DEADLINE_S,
        )
    # A job submitted anew would begin at the beginning, and what it sends again would be exact, too.
    assert job_ids(lab) == jobs
    assert lab.snapshot_records() == snapshot
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    verification = assert_exact(lab.settings)
    outage_s = max(delay_s(one) for one in activities(lab, fault_at))
    print(
        f"\n{known(lab, began, fault_at)} activities before the fault, {known(lab, fault_at, resumed_at)} during,"
        f" {known(lab, resumed_at)} after; the longest from commit to detection took {outage_s:.1f} s;"
        f" {report['inserted']} payments, {report['declined']} refused, {report['late']} late,"
        f" {report['too_late']} too late, {report['reconnects']} reconnects, {verification.redelivered} redelivered"
    )
    assert (report["unknown"], report["error"]) == (0, None)
    assert report["by_scenario"].keys() >= SCENARIOS
    assert report["declined"] > 0
    assert report["late"] > 0
    assert report["too_late"] > 0
    if payments_go_on:
        assert known(lab, fault_at, resumed_at) > 0
    return report


@contextmanager
def paying_bank(settings: Settings, report: Path) -> Iterator[Callable[[], bool]]:
    """The generator, with every scenario and late payments, until the end of the block; it ends without an error.

    Gives a check that it still runs, which fails with its report where it does not.
    """
    number = next(_banks)
    first_user = str(1 + number * USERS)
    options = ("--first-user", first_user, "--fraud-every", str(FRAUD_EVERY_S), "--too-late", "0.002")
    process = system.start_generator(
        settings, rate=RATE, users=USERS, seed=number, report=report, options=options, of_the_stack=False
    )

    def pays() -> bool:
        status = process.poll()
        assert status is None, f"the generator ended too early, with status {status}: {report.read_text('utf-8')}"
        return True

    try:
        yield pays
        assert pays()
        assert system.end_generator(process, patient(60)) == 0, "the generator did not end within a minute"
    finally:
        system.end_generator(process, 0)


def process_id(lab: Lab, program: str) -> int | None:
    """The process id of a program of the stack; None where it does not run."""
    return next(one.pid for one in lab.stack.status() if one.name == program)


def job_ids(lab: Lab) -> set[str]:
    """The ids of the jobs."""
    return {job.id for job in flink.jobs_of(lab.settings)}


def restored(lab: Lab) -> list[int | None]:
    """The checkpoint that each job has last gone on from."""
    return [flink.restored_from(lab.settings, job) for job in job_ids(lab)]


def activities(lab: Lab, since: datetime) -> list[dict[str, Any]]:
    """The activities that payments committed since then made known."""
    all_of_them = [record.json for record in lab.topics.read(lab.names.suspicious_activities)]
    return [one for one in all_of_them if since <= datetime.fromisoformat(one["created_at"])]


def known(lab: Lab, since: datetime, until: datetime | None = None) -> int:
    """How many activities became known in a span of time, by the bank's clock."""
    times = [datetime.fromisoformat(one["created_at"]) for one in activities(lab, since)]
    return sum(until is None or time < until for time in times)


def delay_s(activity: dict[str, Any]) -> float:
    """From commit to detection, in seconds."""
    detected, created = (datetime.fromisoformat(activity[name]) for name in ("detected_at", "created_at"))
    return (detected - created).total_seconds()


def last_payment(lab: Lab) -> int:
    """The id of the payment that was inserted last."""
    ((last,),) = lab.query("SELECT MAX(transaction_id) FROM transactions")
    return int(last or 0)


ROUNDS = 5
"""So often MySQL is killed at work, then while it shuts down or serves again, then while it starts."""


def test_fault_02_mysql_killed_again_and_again_ends_no_service(lab: Lab, tmp_path: Path) -> None:
    """fault-02: whatever error a connection breaks with, the services and the bank wait, and none of them ends."""
    services = ("flagger", "notifier", "analytics")

    def state() -> dict[str, int | None]:
        return {one.name: one.pid for one in system.status(lab.settings).programs if one.name in services}

    before, logs = state(), {name: lab.settings.home / "logs" / f"{name}.log" for name in services}
    sizes = {name: path.stat().st_size for name, path in logs.items()}
    kills = 0

    def kill_mysql(number: int) -> None:
        nonlocal kills
        pid = eventually(lambda: process_id(lab, "mysql"), "MySQL runs")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            kills += 1
        eventually(lambda: process_id(lab, "mysql") not in (None, pid), "the supervisor starts it again")

    def await_payment() -> None:
        lab.stack.wait_healthy(patient(RECOVERY_DEADLINE_S), ["mysql"])
        paid = last_payment(lab)
        eventually(lambda: last_payment(lab) > paid, "the bank pays again")

    def kill_again_and_again() -> None:
        for _ in range(ROUNDS):
            kill_mysql(signal.SIGKILL)  # in the middle of its work: 2006, 2013
            await_payment()
            kill_mysql(signal.SIGTERM)  # an orderly shutdown: 1053
            kill_mysql(signal.SIGKILL)  # while it starts or recovers: 2003, 2013
            await_payment()

    report = run_through(lab, tmp_path / "report.json", kill_again_and_again, payments_go_on=False)
    assert report["reconnects"] >= 2 * ROUNDS
    assert state() == before, "no service was started again"
    for name, path in logs.items():
        said = path.read_bytes()[sizes[name] :].decode("utf-8", "replace")
        assert "Traceback" not in said, f"{name}: {said[said.find('Traceback') :][:2_000]}"
    print(f"\nMySQL killed {kills} times")
