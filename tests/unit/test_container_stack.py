"""Programs in containers of their own: killed through the volume that all containers share, and never started from another container."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import container_control, doctor, supervisor
from fraudlab.stack.second_stack import free_ports
from fraudlab.stack.supervisor import Stack
from tests.support.waiting import eventually

SCRIPT = Path(__file__).parents[2] / "containers" / "breakable.sh"
KILLED = 137
TRAPPING = "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.1; done"


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(container_control, "CONTROL", tmp_path)
    return tmp_path


@contextmanager
def breakable(control: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A program as its container starts it, once it has told that it lives."""
    before = container_control.life("kafka")
    with subprocess.Popen(
        [str(SCRIPT), "kafka", *command],
        env=os.environ | {"CONTROL": str(control)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            eventually(lambda: container_control.life("kafka") not in (0, before), "it lives")
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_program_that_is_to_be_killed_ends_as_killed(control: Path) -> None:
    with breakable(control, "sleep", "60") as process:
        container_control.kill("kafka")
        assert process.wait(10) == KILLED


def test_the_next_life_has_another_number_and_is_not_killed_by_an_old_wish(control: Path) -> None:
    with breakable(control, "sleep", "60") as process:
        first = container_control.kill("kafka")
        process.wait(10)
    with breakable(control, "bash", "-c", "sleep 1; exit 5") as process:
        assert container_control.life("kafka") != first
        assert process.wait(10) == 5, "it came to its own end"


def test_a_program_is_asked_to_end_and_its_status_is_passed_on(control: Path) -> None:
    with breakable(control, "bash", "-c", TRAPPING) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.communicate(timeout=10)[0] == "ended\n"
        assert process.returncode == 3
    assert container_control.life("kafka") == 0, "it has told that it ended"


def test_what_does_not_run_cannot_be_killed(control: Path) -> None:
    with pytest.raises(UserError, match="is not running"):
        container_control.kill("kafka")


def test_a_stack_in_a_container_leaves_its_neighbours_data_and_logs_alone(tmp_path: Path, control: Path) -> None:
    stack = Stack(Settings(home=tmp_path / "home", in_container=True))
    with pytest.raises(UserError, match="volumes of other containers"):
        stack.reset()
    with pytest.raises(UserError, match="Docker keeps its log"):
        stack.logs("kafka")
    stack.remove_program("flagger")  # nothing runs here, so there is nothing to do
    (control / "kafka.alive").write_text("17\n")
    assert stack.kill("kafka") == 17
    assert (control / "kafka.kill").read_text() == "17\n"


def test_what_needs_a_neighbour_waits_for_it_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SAY_EVERY_S", 0)
    monkeypatch.setattr(system, "NEIGHBOURS_DEADLINE_S", 0.5)
    settings = Settings(home=tmp_path / "home", in_container=True, zookeeper_port=free_ports(1)[0])
    said: list[str] = []
    with pytest.raises(UserError, match="zookeeper did not become ready in time"):
        system.wait_for_needs(settings, "jobmanager", said.append)
    assert said
    assert all(line.startswith("waiting for zookeeper: does not answer on port") for line in said)
    system.wait_for_needs(settings, "inbox", said.append)  # needs nobody


def test_in_a_container_the_doctor_asks_for_nothing_that_its_neighbours_have(tmp_path: Path) -> None:
    checks = doctor.examine(Settings(home=tmp_path, in_container=True))
    assert [check.name for check in checks] == ["Python", "Java", "Python inside Java", "software", "disk"]
