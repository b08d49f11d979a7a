"""The set-up before there is an environment: what it refuses, what it calls ready, and what it hands to the installers."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from fraudlab.stack import artifacts, own_packages, system_packages
from fraudlab.stack.errors import StackError

OLD_PYTHON = (3, 8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is set up yet; whoever starts a program fails."""
    monkeypatch.setenv("FRAUDLAB_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
    monkeypatch.setattr(subprocess, "run", lambda command, **_: pytest.fail(f"{command} was started"))
    return tmp_path


def set_up(home: Path, *, dev: bool) -> None:
    """As a finished set-up leaves it."""
    python = home / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    (home / "venv" / "lib" / "python3.11" / "site-packages").mkdir(parents=True, exist_ok=True)
    own_packages.put_into(home / "venv", bootstrap.REPOSITORY)
    (home / "venv" / "complete-for").write_text(bootstrap.digest(dev), encoding="utf-8")
    artifacts.stamp(home).parent.mkdir(exist_ok=True)
    artifacts.stamp(home).write_text(artifacts._digest(), encoding="utf-8")


def test_another_python_is_refused_with_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    assert bootstrap.main() == 1
    said = capsys.readouterr().err
    assert "PyFlink 1.20 needs Python 3.11" in said
    assert "make PYTHON=<path of python3.11>" in said
    assert list(home.iterdir()) == []


def test_an_old_python_gets_as_far_as_the_refusal() -> None:
    tree = ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8"), feature_version=OLD_PYTHON)
    first = tree.body[1]  # after the docstring
    assert isinstance(first, ast.ImportFrom)
    assert [(first.module, name.name) for name in first.names] == [("__future__", "annotations")]


@pytest.mark.parametrize("dev", [False, True], ids=["with the plain packages", "with those for tests, too"])
def test_a_second_run_does_nothing(home: Path, dev: bool, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(home, dev=dev)
    assert bootstrap.main() == 0
    assert capsys.readouterr().out == ""


def test_tests_need_more_than_the_plain_packages(home: Path) -> None:
    set_up(home, dev=False)
    assert bootstrap.is_ready(home / "venv", dev=False)
    assert not bootstrap.is_ready(home / "venv", dev=True)


def test_after_an_update_the_environment_is_not_ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(home, dev=True)
    monkeypatch.setattr(bootstrap, "digest", lambda dev: f"another {dev}")
    assert not bootstrap.is_ready(home / "venv", dev=True)


def test_an_interrupted_environment_is_not_ready(home: Path) -> None:
    set_up(home, dev=True)
    (home / "venv" / "complete-for").unlink()
    assert not bootstrap.is_ready(home / "venv", dev=True)


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(artifacts, "free_disk_mib", lambda _: 100)
    assert bootstrap.main() == 1
    assert f"Only 100 MiB are free for {home}; 3000 MiB are needed." in capsys.readouterr().err


def test_uv_gets_pips_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "global.index-url='https://a.example/simple'\ninstall.cert='/ca.pem'\n:env:.find-links='/one /two'\nglobal.timeout='9'\n"

    def run(command: list[str | Path], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-m", "pip", "config", "list"]
        return subprocess.CompletedProcess(command, 0, stdout=listed)

    monkeypatch.setattr(subprocess, "run", run)
    handed_over = bootstrap.uv_environment(Path("python"))
    assert handed_over["UV_DEFAULT_INDEX"] == "https://a.example/simple"
    assert handed_over["SSL_CERT_FILE"] == "/ca.pem"
    assert handed_over["UV_FIND_LINKS"] == "/one /two"
    assert not [name for name in handed_over if "TIMEOUT" in name and name.startswith("UV_")]


def test_without_a_password_one_command_to_copy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    known = {"openjdk-17-jre-headless", "maven", "libaio1t64", "libnuma1", "python3-venv"}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] == "sudo":
            return subprocess.CompletedProcess(command, 1)  # it asks for a password
        assert command[:2] == ["apt-cache", "policy"]
        return subprocess.CompletedProcess(
            command, 0, stdout=f"  Candidate: {'1.0' if command[2] in known else '(none)'}\n"
        )

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(StackError, match=r"lacks java, libaio, venv, and installing it needs a password") as refusal:
        system_packages.install(["java", "libaio", "venv"], print)
    assert refusal.value.advice.splitlines()[1:] == [
        "  sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless libaio1t64 python3-venv"
    ]


def test_without_apt_get_what_is_missing_is_named_and_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: pytest.fail(f"{command} was started"))
    with pytest.raises(StackError, match=r"This machine lacks maven, libnuma\.") as refusal:
        system_packages.install(["maven", "libnuma"], print)
    assert "docker compose up" in refusal.value.advice


@pytest.mark.parametrize("is_named", [False, True])
def test_make_finds_its_programs_in_a_folder_with_an_odd_name(tmp_path: Path, is_named: bool) -> None:
    """Case unix-01."""
    folder = tmp_path / "ä b%20#c'd\"e\\f$g`h`"
    program = folder / ".fraudlab" / "venv" / "bin" / "fraudlab"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "fraudlab $1 of %s\\n" "$(readlink -f "$FRAUDLAB_HOME")"\n', encoding="utf-8")
    program.chmod(0o700)
    shutil.copy(bootstrap.REPOSITORY / "Makefile", folder)
    environment = {name: value for name, value in os.environ.items() if name != "FRAUDLAB_HOME"}
    environment |= {"FRAUDLAB_HOME": f"{folder}/.fraudlab"} if is_named else {}
    done = subprocess.run(
        ["make", "-s", "stop"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"fraudlab down of {folder}/.fraudlab\n"
    assert done.stderr == ""
