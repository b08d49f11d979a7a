"""A clone in a folder with an odd name, set up and run from a shell without UTF-8, with the software of this one's home."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from fraudlab.settings import REPOSITORY, Settings
from fraudlab.stack import second_stack
from fraudlab.stack.layout import Layout

NAME = "ä b%20 #c'd\"e$g`h`"
"""In which every letter means something to some program. Together with a temporary folder it is too long for a `#!` line."""

HANDED_ON = (
    "PIP_",
    "UV_",
    "SSL_",
    "MAVEN_",
    "JAVA_HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
)
"""Of the environment: where packages come from. All else is the shell's, and odd."""

IN_A_KERNEL = """
import asyncio, nbformat
from nbclient import NotebookClient
cells = [
    "from fraudlab.course import lab",
    "environment = lab.cluster().environment(); environment.get_parallelism()",
    "import subprocess; subprocess.run(['locale', 'charmap'], stdout=subprocess.PIPE).stdout.decode()",
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(notebook, timeout=100).execute()
print([cell.outputs[0]["data"]["text/plain"] for cell in notebook.cells[1:]])
"""
"""What a lab does first: it asks the cluster for an environment, for which PyFlink starts a JVM in the kernel's own environment."""


@dataclass(frozen=True)
class Clone:
    """A copy of this repository, and the only environment that its commands get."""

    folder: Path
    shell: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / ".fraudlab"

    def run(self, *command: str, umask: int = 0, shell: Mapping[str, str] = MappingProxyType({})) -> str:
        """Runs a command in the clone's folder, by default under the loosest umask; gives what it printed. Fails where it fails."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.shell, **shell},
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        log = self.home / "logs" / "taskmanager.log"
        told = log.read_text(encoding="utf-8")[-4000:] if done.returncode and log.exists() else ""
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{told}"
        return done.stdout

    def fraudlab(self, *arguments: str) -> str:
        return self.run(str(self.home / "venv" / "bin" / "fraudlab"), *arguments)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with an odd name, in which `make setup` has run from a shell without UTF-8 and without HOME."""
    folder = tmp_path_factory.mktemp("odd") / NAME
    folder.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    ports = {"FRAUDLAB_PORT_BASE": str(second_stack.free_base(folder))}
    sources = {name: value for name, value in os.environ.items() if name.upper().startswith(HANDED_ON)}
    clone = Clone(folder, {"PATH": os.environ["PATH"], "LC_ALL": "C"} | ports | sources)
    clone.home.mkdir()
    (clone.home / "jars").symlink_to(Layout(Settings().home).jars.resolve())
    python = str(Path(sys.base_prefix) / "bin" / "python3.11")
    clone.run(python, "bootstrap.py", "--dev", umask=0o077)
    clone.run("make", "setup", f"PYTHON={python}")
    try:
        yield clone
    finally:
        clone.run("make", "stop")
        shutil.rmtree(folder)


def test_frauds_are_caught_in_a_clone_with_an_odd_name_from_a_shell_without_utf8(clone: Clone) -> None:
    """Cases unix-01 and sec-07."""
    assert "EXACT" in clone.fraudlab("demo", "--seconds", "8", "--rate", "100")
    shown = clone.fraudlab("status")
    assert "flagger" in shown
    checkpoints = clone.home / "flink" / "state" / "checkpoints"
    assert any(checkpoints.rglob("_metadata")), "Flink's checkpoints are not in the home"
    assert [path for path in (clone.home, *clone.home.rglob("*")) if is_open_to_others(path)] == []


def is_open_to_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # Flink deletes old checkpoints all the time
        return False
    return not stat.S_ISLNK(mode) and bool(mode & (stat.S_IWGRP | stat.S_IWOTH)) and not inside_a_private_folder(path)


def inside_a_private_folder(path: Path) -> bool:
    return any(not parent.stat().st_mode & 0o077 for parent in path.parents)


@pytest.mark.parametrize("shell", [{"LC_ALL": "C"}, {"LC_ALL": "", "LC_CTYPE": "UTF-8"}], ids=["C", "no such locale"])
def test_a_kernel_submits_to_the_cluster_in_a_clone_with_an_odd_name(clone: Clone, shell: dict[str, str]) -> None:
    """Case unix-01, for labs."""
    clone.fraudlab("lab", "--no-serve")
    python = str(clone.home / "venv" / "bin" / "python")
    assert clone.run(python, "-c", IN_A_KERNEL, shell=shell).splitlines()[-1] == str(["1", repr("UTF-8\n")])
