"""The command line where no stack is needed: errors that are explained, and questions that are asked."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import mysql.connector
import pytest
from kafka.errors import KafkaTimeoutError
from typer.testing import CliRunner

from fraudlab import system
from fraudlab.__main__ import without
from fraudlab.cli import app
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import doctor, ports, space
from fraudlab.stack.flink_jobs import Checkpoint, JobStatus
from fraudlab.stack.home_lock import HomeLock
from fraudlab.stack.layout import Layout
from fraudlab.stack.ports import Holder
from fraudlab.stack.second_stack import free_base
from fraudlab.stack.space import Space
from fraudlab.stack.supervisor import ServiceStatus


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path))
    return tmp_path


def test_a_setting_that_cannot_be_used_is_named_and_no_traceback_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_MYSQL_PORT", "abc")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "The setting FRAUDLAB_MYSQL_PORT cannot be used: Input should be a valid integer" in done.output
    assert "Next:" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "error", [mysql.connector.OperationalError("gone away"), KafkaTimeoutError("gone away"), TimeoutError("gone away")]
)
def test_a_service_that_is_away_is_explained(home: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def reinstate(*_: object) -> bool:
        raise error

    monkeypatch.setattr(system, "reinstate", reinstate)
    done = CliRunner().invoke(app, ["reinstate", "42"])
    assert done.exit_code == 1
    assert "MySQL, Kafka or Flink did not answer: " in done.output
    assert "gone away" in done.output
    assert "Next: `fraudlab status`" in done.output


def program(name: str, problem: str | None) -> ServiceStatus:
    return ServiceStatus(name, "RUNNING", 4711, 10, 60, problem)


@pytest.mark.parametrize(
    ("programs", "jobs", "status", "said"),
    [
        ([program("mysql", None)], [], 0, "`fraudlab logs NAME` shows a log"),
        ([program("mysql", None)], [JobStatus("cdc", "RUNNING", 2, Checkpoint(7, 0, 3 * 2**20), None)], 0, "3.0 MiB"),
        (
            [program("mysql", None)],
            [JobStatus("cdc", "RESTARTING", 9, None, "keeps failing: [x]")],
            1,
            "\ncdc keeps failing: [x]\n",
        ),
        ([program("mysql", None)], [JobStatus("cdc", "ABSENT", 0, None, "does not run")], 1, "`fraudlab up` submits"),
        ([program("mysql", "is away")], [], 1, "`fraudlab logs mysql` shows why mysql is not ready"),
    ],
)
def test_status_ends_with_1_where_a_program_or_a_job_does_not_run(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: list[ServiceStatus],
    jobs: list[JobStatus],
    status: int,
    said: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(system, "status", lambda _: system.Status(programs, jobs, SPACE))
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == status
    assert said in done.output
    as_json = CliRunner().invoke(app, ["status", "--json"])
    assert as_json.exit_code == status
    assert [one["name"] for one in json.loads(as_json.stdout)["jobs"]] == [one.name for one in jobs]


SPACE = Space(2**33, 2**34, 10**6, 10**6)


def test_where_nothing_runs_status_shows_no_jobs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDLAB_PORT_BASE", str(free_base(home)))
    seen = system.status(Settings())
    assert seen.jobs == []
    assert "mysql" in seen.unhealthy


def test_reset_asks_before_it_wipes(home: Path) -> None:
    data = Layout(home).mysql_data
    data.mkdir(parents=True)
    refused = CliRunner().invoke(app, ["reset"], input="n\n")
    assert refused.exit_code == 1
    assert f"Wipe all data under {home}?" in refused.output
    assert data.exists()
    agreed = CliRunner().invoke(app, ["reset"], input="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert not data.exists()


def test_a_port_of_any_program_is_looked_at_before_a_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    programs = system.services(settings)
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    doctor.require_room(settings, programs, print)
    monkeypatch.setattr(ports, "is_free", lambda _, port: port != settings.dashboard_port)
    monkeypatch.setattr(ports, "holder", lambda _: Holder(4711, "nginx", "nginx -g daemon"))
    expected = rf"Not ready to start: port {settings.dashboard_port} \(analytics\): held by process 4711, nginx"
    with pytest.raises(UserError, match=expected) as refusal:
        doctor.require_room(settings, programs, print)
    assert "export FRAUDLAB_DASHBOARD_PORT=<port>" in refusal.value.advice


def test_a_full_disk_is_said_before_a_start_and_little_memory_only_warned_of(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    monkeypatch.setattr(doctor, "NEEDED_MEMORY_MIB", 2**40)
    doctor.require_room(Settings(), (), said.append)
    assert len(said) == 1
    assert said[0].startswith("memory: ")
    monkeypatch.setattr(space, "measure", lambda _: Space(12 * 2**20, 2**30, 0, 0))
    with pytest.raises(UserError, match="Not ready to start: disk: 12 MiB of 1,024 MiB free"):
        doctor.require_room(Settings(), (), said.append)


def test_a_home_is_held_by_one_process_at_a_time_and_freed_by_its_end(home: Path) -> None:
    code = """if True:
        import sys, time
        from pathlib import Path
        from fraudlab.stack.home_lock import HomeLock

        with HomeLock(Path(sys.argv[1]))(lambda line: print("waits", flush=True)):
            print("holds it", flush=True)
            time.sleep(600)
    """
    lock = HomeLock(home)
    with subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "holds it\n"
            said: list[str] = []
            waiting = threading.Thread(target=hold, args=(lock, said))
            waiting.start()
            while not said:
                waiting.join(0.01)
            assert said == ["waiting for another command that sets up, starts or stops this stack"]
        finally:
            other.kill()
    waiting.join()
    assert said[1:] == ["held twice"], "the end of the other one freed it"


def hold(lock: HomeLock, said: list[str]) -> None:
    with lock(said.append), lock(said.append):  # whoever holds it may take it again
        said.append("held twice")


def test_a_command_whose_packages_are_not_installed_says_what_installs_them() -> None:
    assert without(ModuleNotFoundError(name="nbformat.v4")).splitlines() == [
        "The package nbformat is not installed here: the labs and the class server need it.",
        "Next: `make lab` installs it.",
    ]
    with pytest.raises(ModuleNotFoundError):
        without(ModuleNotFoundError(name="fraudlab.course.gone"))
