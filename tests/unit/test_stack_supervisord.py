"""What supervisord is told, without starting it."""

import configparser
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import MARKER, daemon_config, launcher, program_config
from tests.support.waiting import patient

ODD = "ä b%20 #c ;'d\"e\\f$g`h`"
"""A name of a folder in which every letter means something to some program."""


def section(text: str, name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser[name]


def started(program: Program, layout: Layout) -> list[str | None]:
    """Arguments, working folder and value of X of a Python program that its launcher has started; the last is its marker."""
    script = layout.home / "launcher.sh"
    script.write_text(launcher(program, layout, 0), encoding="utf-8")
    done = subprocess.run(["/bin/sh", str(script)], stdout=subprocess.PIPE, text=True, check=True)
    told: list[str | None] = json.loads(done.stdout)
    return told


def told(*arguments: str) -> list[str]:
    code = (
        f"import json, os, sys; print(json.dumps([*sys.argv[1:], os.getcwd(), os.getenv('X'), os.getenv({MARKER!r})]))"
    )
    return [sys.executable, "-c", code, *arguments]


def test_program_is_restarted_and_stopped_with_its_children() -> None:
    program = Program("alerts", ["/bin/run", "an argument"], stop_wait_s=7, priority=600)
    written = section(program_config(program, "1"), "program:alerts")
    assert written["autorestart"] == "true"
    assert written["stopasgroup"] == written["killasgroup"] == "true"
    assert (written["stopwaitsecs"], written["priority"]) == ("7", "600")


@pytest.mark.parametrize("odd", [ODD, "a\nb", "%(here)s %", "--"], ids=["all", "line break", "expansion", "option"])
def test_a_program_gets_every_letter_of_its_arguments_environment_and_folder(tmp_path: Path, odd: str) -> None:
    """Case unix-01, in its kind: what is handed from one program to the next is taken as it is."""
    layout = Layout(tmp_path)
    folder = tmp_path / odd
    folder.mkdir()
    program = Program("p", told(odd, ""), {"X": odd}, directory=folder)
    assert started(program, layout) == [odd, "", str(folder), odd, str(layout.home)]


def test_a_program_is_not_started_where_its_folder_is_gone(tmp_path: Path) -> None:
    script = launcher(Program("p", ["touch", str(tmp_path / "ran")], directory=tmp_path / "gone"), Layout(tmp_path), 0)
    assert subprocess.run(["/bin/sh", "-c", script], stderr=subprocess.DEVNULL, check=False).returncode == 1
    assert not (tmp_path / "ran").exists()


def test_supervisord_reads_its_configuration_in_a_home_with_an_odd_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case unix-01: read by supervisord's own parser."""
    layout = Layout(tmp_path / ODD)
    socket = layout.home / "run" / "supervisor.sock"
    for folder in (layout.supervisor / "programs", layout.logs, socket.parent):
        folder.mkdir(parents=True)
    layout.supervisor.joinpath("supervisord.conf").write_text(daemon_config(layout, socket), encoding="utf-8")
    config = layout.supervisor / "programs" / "mysql.conf"
    config.write_text(program_config(Program("mysql", ["mysqld"]), "1"), encoding="utf-8")
    monkeypatch.chdir(layout.supervisor)
    options = ServerOptions()
    options.realize(["-c", "supervisord.conf"])
    (group,) = options.process_group_configs
    (program,) = group.process_configs
    assert program.command == "/bin/sh programs/mysql.sh 1"
    places = (program.stdout_logfile, options.logfile, options.pidfile, options.server_configs[0]["file"])
    assert [os.path.realpath(place) for place in places] == [
        str(layout.logs / "mysql.log"),
        str(layout.logs / "supervisord.log"),
        str(layout.supervisor / "supervisord.pid"),
        str(socket),
    ]


def test_a_percent_sign_in_the_temporary_folder_is_one() -> None:
    text = daemon_config(Layout(Path("/home")), Path("/tmp%d/x.sock"))  # noqa: S108 - nothing is written
    assert section(text, "unix_http_server")["file"] == "/tmp%%d/x.sock"  # noqa: S108


def test_a_changed_program_has_another_command_so_that_supervisord_sees_it() -> None:
    program = Program("p", ["x"])
    assert program_config(program, "1") != program_config(program, "2")


def test_program_name_that_would_be_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="no program name"):
        program_config(Program("../up", ["x"]), "1")


def test_control_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    text = daemon_config(layout, layout.sockets / "supervisor.sock")
    assert section(text, "unix_http_server")["chmod"] == "0700"
    assert section(text, "supervisord")["umask"] == "077"


@contextlib.contextmanager
def a_process(module: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs a module of this name, and waits."""
    folder.joinpath(f"{module}.py").write_text("input()", encoding="utf-8")
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_down_ends_a_bank_and_names_it(tmp_path: Path) -> None:
    """Case course-01: `fraudlab down` and `reset` said that no process is left, while a notebook's bank was running."""
    said: list[str] = []
    with a_process("data_generator", tmp_path, **{MARKER: str(tmp_path)}) as bank:
        Stack(Settings(home=tmp_path), said.append).stop()
        bank.wait(timeout=patient(5))
        assert f"ending what was left behind: data_generator (process {bank.pid})" in said
    assert said[-1] == "stopped: no process is left"


@pytest.mark.parametrize("module", ["jupyterlab", "ipykernel_launcher"])
def test_down_names_the_notebooks_that_are_open(tmp_path: Path, module: str) -> None:
    """Case course-01, and course-19: processes that may hold unsaved work are named, not ended."""
    said: list[str] = []
    with a_process(module, tmp_path, FRAUDLAB_HOME=str(tmp_path)) as notebook:
        Stack(Settings(home=tmp_path), said.append).stop()
        assert notebook.poll() is None
    assert "still open" in said[-1]
    assert f"({notebook.pid})" in said[-1]
