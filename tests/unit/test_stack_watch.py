"""Which services the watcher restarts, and which it leaves alone."""

import dataclasses
from pathlib import Path

import pytest

from fraudlab.stack import flink, watch
from fraudlab.stack.layout import Layout
from fraudlab.stack.watch import ASK_EVERY_S, PATIENCE_S, START_PATIENCE_S, Look, RestartPolicy

WELL = Look("jobmanager", 7, 1000, None)
UNHEALTHY = dataclasses.replace(WELL, problem="its REST API does not answer (HTTP status 503)")
ZOOKEEPER = Look("zookeeper", 3, 1000, None)


class Times:
    """A policy that is asked every ten seconds."""

    def __init__(self) -> None:
        self.policy, self.now = RestartPolicy(flink.NEEDS), 1_000.0

    def ask(self, *looks: Look, full: bool = False) -> dict[str, str]:
        self.now += ASK_EVERY_S
        return self.policy.restarts(self.now, looks, full=full)

    def for_s(self, seconds: float, *looks: Look, full: bool = False) -> list[float]:
        """The seconds at which a restart of the JobManager was wanted, from the first look on."""
        found = []
        for number in range(round(seconds / ASK_EVERY_S) + 1):
            if "jobmanager" in self.ask(*looks, full=full):
                found.append(number * ASK_EVERY_S)
        return found


@pytest.fixture
def times() -> Times:
    times = Times()
    times.ask(WELL)
    times.ask(WELL)
    return times


def test_fault_01_a_service_that_is_unhealthy_for_a_minute_is_restarted_with_the_reason(times: Times) -> None:
    assert times.for_s(PATIENCE_S - ASK_EVERY_S, UNHEALTHY, ZOOKEEPER) == []
    (reason,) = times.ask(UNHEALTHY, ZOOKEEPER).values()
    assert reason == "unhealthy for 60 s: its REST API does not answer (HTTP status 503)"


def test_one_good_answer_begins_the_minute_again(times: Times) -> None:
    for _ in range(5):
        assert times.for_s(PATIENCE_S - ASK_EVERY_S, UNHEALTHY, ZOOKEEPER) == []
        assert times.ask(WELL, ZOOKEEPER) == {}


def test_a_restart_that_does_not_help_is_not_repeated_at_once(times: Times) -> None:
    at = times.for_s(400, UNHEALTHY, ZOOKEEPER)
    assert at == [60.0, 60.0 + ASK_EVERY_S + 120.0]


@pytest.mark.parametrize(
    ("look", "others", "full"),
    [
        (dataclasses.replace(UNHEALTHY, held=True), [ZOOKEEPER], False),
        (UNHEALTHY, [dataclasses.replace(ZOOKEEPER, problem="does not answer")], False),
        (UNHEALTHY, [dataclasses.replace(ZOOKEEPER, pid=0, problem="does not run")], False),
        (UNHEALTHY, [ZOOKEEPER], True),
        (dataclasses.replace(UNHEALTHY, pid=0), [ZOOKEEPER], False),
    ],
    ids=["held by SIGSTOP", "ZooKeeper is unhealthy", "ZooKeeper is away", "disk full", "does not run"],
)
def test_fault_01_it_is_left_alone_while_something_else_is_the_cause(
    times: Times, look: Look, others: list[Look], full: bool
) -> None:
    assert times.for_s(1000, look, *others, full=full) == []
    back = dataclasses.replace(UNHEALTHY, pid=look.pid or 7)
    if look.pid:
        assert times.for_s(PATIENCE_S, back, ZOOKEEPER) == [PATIENCE_S], "from then on it counts"


def test_a_process_that_was_never_healthy_may_take_its_time_to_start() -> None:
    times = Times()
    times.ask()
    for uptime in range(0, int(START_PATIENCE_S), int(ASK_EVERY_S)):
        assert times.ask(dataclasses.replace(UNHEALTHY, uptime_s=uptime)) == {}
    assert times.for_s(PATIENCE_S, dataclasses.replace(UNHEALTHY, uptime_s=START_PATIENCE_S)) == [PATIENCE_S]


def test_another_process_of_the_same_name_begins_again(times: Times) -> None:
    times.for_s(PATIENCE_S - ASK_EVERY_S, UNHEALTHY, ZOOKEEPER)
    assert times.for_s(100, dataclasses.replace(UNHEALTHY, pid=8, uptime_s=5), ZOOKEEPER) == []


def test_after_the_machine_slept_nobody_is_judged_by_it(times: Times) -> None:
    times.for_s(PATIENCE_S - ASK_EVERY_S, UNHEALTHY, ZOOKEEPER)
    times.now += 10 * ASK_EVERY_S
    assert times.for_s(PATIENCE_S - ASK_EVERY_S, UNHEALTHY, ZOOKEEPER) == []


def test_what_was_done_is_remembered_for_status(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.supervisor.mkdir()
    assert watch.recent(layout) == []
    for number in range(7):
        watch.remember(layout, "kafka", f"restarted {number}")
    assert [what for _, what, _ in watch.recent(layout)] == [f"restarted {number}" for number in range(2, 7)]
    assert watch.recent(layout, for_s=-1) == []
    layout.restarts.write_text("{", encoding="utf-8")
    assert watch.recent(layout) == []
