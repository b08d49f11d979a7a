"""What supervisord is told, without starting it."""

import configparser
from pathlib import Path

import pytest
from supervisor.datatypes import dict_of_key_value_pairs

from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program
from fraudlab.stack.supervisord import MARKER, daemon_config, program_config


def section(text: str, name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser[name]


def test_program_is_restarted_and_stopped_with_its_children(tmp_path: Path) -> None:
    program = Program("alerts", ["/bin/run", "an argument"], stop_wait_s=7, priority=600)
    written = section(program_config(program, Layout(tmp_path)), "program:alerts")
    assert written["command"] == "/bin/run 'an argument'"
    assert written["autorestart"] == "true"
    assert written["stopasgroup"] == written["killasgroup"] == "true"
    assert (written["stopwaitsecs"], written["priority"]) == ("7", "600")
    assert written["stdout_logfile"] == f"{tmp_path}/logs/alerts.log"


def test_environment_survives_supervisords_own_parser(tmp_path: Path) -> None:
    values = {"A": "commas, spaces = and it's", "PATH": "/usr/bin:/bin"}
    written = section(program_config(Program("p", ["x"], values), Layout(tmp_path)), "program:p")["environment"]
    read = dict_of_key_value_pairs(written)
    assert read == {**values, MARKER: str(tmp_path)}


def test_percent_sign_is_escaped(tmp_path: Path) -> None:
    assert "date +%%H" in program_config(Program("p", ["date", "+%H"]), Layout(tmp_path))


@pytest.mark.parametrize("command", [["a\nb"], ["a", "; rm"]], ids=["line break", "comment"])
def test_what_supervisord_would_misread_is_refused(tmp_path: Path, command: list[str]) -> None:
    program = Program("p", command) if "\n" in command[0] else Program("p", ["a"], {"X": "b ; c"})
    with pytest.raises(ValueError, match="supervisord cannot take"):
        program_config(program, Layout(tmp_path))


def test_program_name_that_would_be_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no program name"):
        program_config(Program("../up", ["x"]), Layout(tmp_path))


def test_the_programs_are_found_in_a_folder_whose_name_has_a_space(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a folder")
    programs = layout.supervisor / "programs"
    text = daemon_config(layout, layout.sockets / "supervisor.sock", layout.supervisor / "pid", programs)
    (pattern,) = section(text, "include")["files"].split()
    assert layout.supervisor / pattern == programs / "*.conf"


def test_control_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    text = daemon_config(layout, layout.sockets / "supervisor.sock", tmp_path / "pid", tmp_path / "programs")
    assert section(text, "unix_http_server")["chmod"] == "0700"
    assert section(text, "supervisord")["umask"] == "077"
