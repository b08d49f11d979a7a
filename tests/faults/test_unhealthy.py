"""Case fault-01: a service that runs but does not work is restarted, and the jobs come back."""

import os
import resource
import signal
import time

import pytest

from fraudlab.stack import watch
from fraudlab.system import status
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

BACK_S = 240
"""A minute of patience, the time that a hung service takes to end, its start, and the start of the jobs."""


def process_id(lab: Lab, name: str) -> int:
    return int(lab.stack.processes()[name]["pid"])


def healthy(lab: Lab) -> bool:
    """Whether `fraudlab status` finds all services and jobs healthy."""
    return not status(lab.settings).unhealthy


def passed(seconds: float) -> None:
    """Returns after this much time: the case says how long the fault lasts."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > end, f"{seconds} s have passed", 2 * seconds)


@pytest.mark.parametrize("program", ["jobmanager", "mysql"])
def test_fault_01_a_service_that_runs_but_answers_nobody_is_restarted(lab: Lab, program: str) -> None:
    """fault-01: it can't open any more files, so its process runs, but nothing can connect to it."""
    lab.fraud_is_caught()
    eventually(lambda: healthy(lab), "all is well before")
    hung = process_id(lab, program)
    _, most = resource.prlimit(hung, resource.RLIMIT_NOFILE)
    resource.prlimit(hung, resource.RLIMIT_NOFILE, (1, most))
    began = time.monotonic()
    eventually(lambda: process_id(lab, program) not in (0, hung), f"{program} is restarted", BACK_S)
    restarted_s = time.monotonic() - began
    eventually(lambda: healthy(lab), "all is well again", BACK_S)
    print(f"\n{program} was restarted after {restarted_s:.0f} s; all was well after {time.monotonic() - began:.0f} s")
    assert any(name == program and "unhealthy for" in what for name, what, _ in watch.recent(lab.stack.layout))
    lab.fraud_is_caught()
    assert_exact(lab.settings)


def test_fault_01_zookeeper_away_and_then_the_jobmanager_held_is_left_alone_and_comes_back(lab: Lab) -> None:
    """fault-01: ZooKeeper is away for 9 s, then the JobManager is stopped for 20 s. On a busy machine, no leader was left."""
    lab.fraud_is_caught()
    eventually(lambda: healthy(lab), "all is well before")
    zookeeper, jobmanager = process_id(lab, "zookeeper"), process_id(lab, "jobmanager")
    os.kill(zookeeper, signal.SIGSTOP)
    passed(9)
    os.kill(zookeeper, signal.SIGKILL)
    eventually(lambda: process_id(lab, "zookeeper") not in (0, zookeeper), "ZooKeeper is started again")
    if process_id(lab, "jobmanager") == jobmanager:  # it may end when ZooKeeper is away, and is started again then
        os.kill(jobmanager, signal.SIGSTOP)
        passed(20)
        assert process_id(lab, "jobmanager") == jobmanager, "what is held on purpose is left alone"
        os.kill(jobmanager, signal.SIGCONT)
    began = time.monotonic()
    eventually(lambda: healthy(lab), "all is well again", BACK_S)
    print(f"\nall was well {time.monotonic() - began:.0f} s after the fault")
    lab.fraud_is_caught()
    assert_exact(lab.settings)
