"""A command of ours imports nothing from the folder in which it is started, which may be another user's: the kind of sec-01."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraudlab.stack import embedding
from fraudlab.stack.layout import Layout
from fraudlab.stack.provision import network

MODULES = ("data_generator", "fraudlab", "pip")


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is made as soon as a module of the current folder is imported."""
    trace, folder = tmp_path / "imported", tmp_path / "strange"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(trace)!r}, 'w')\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return trace


def test_sec_01_the_generator_is_not_taken_from_the_current_folder(imported: Path) -> None:
    command = [sys.executable, "-P", "-m", "fraudlab", "generate", "--help"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not imported.exists()


def test_sec_01_the_check_of_python_is_not_taken_from_the_current_folder(imported: Path, tmp_path: Path) -> None:
    embedding.problem(Layout(tmp_path))
    assert not imported.exists()


def test_sec_01_the_set_up_does_not_take_pip_from_the_current_folder(imported: Path) -> None:
    network.environment([sys.executable, "-m", "pip"])
    assert not imported.exists()
