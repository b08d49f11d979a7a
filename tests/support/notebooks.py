"""Notebooks as tests, run by nbval on a stack of their own: hooks for a conftest.

Each notebook works as a learner of its own. After a cell that failed the notebook's other cells are skipped. A cell may take a minute,
unless its metadata says otherwise (`"timeout": 90`).
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any

import pytest

from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.home import JAVA_OPTIONS, running_system
from tests.support.waiting import patient

CELL_TIMEOUT_S = 60
TEXT_ONLY = ("text/html", "image/svg+xml")
"""What of an output is not compared: its text says the same."""

_session = ExitStack()
_started: list[bool] = []
_failed: set[str] = set()


def is_cell(item: pytest.Item) -> bool:
    """Whether a test is a cell of a notebook."""
    return type(item).__name__ == "IPyNbCell"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Starts the stack before the first cell of all, and sets up each notebook before its kernel starts."""
    if not is_cell(item):
        return
    if not _started:
        _started.append(True)
        _start(item.config)
    notebook: Any = item.parent
    learner = f"nb{notebook.path.name[:2]}"
    if (before := os.environ.get("FRAUDLAB_LEARNER")) and before != learner:
        Workspace(Settings(learner=before)).reset()  # one that failed did not get to its clean-up, and holds slots
    os.environ["FRAUDLAB_LEARNER"] = learner
    if TEXT_ONLY[0] not in notebook.skip_compare:
        notebook.skip_compare += TEXT_ONLY
    cell: Any = item
    item.config.option.nbval_cell_timeout = patient(cell.cell.metadata.get("timeout", CELL_TIMEOUT_S))
    if notebook.nodeid in _failed:
        pytest.skip("a cell before it failed")


def _start(config: pytest.Config) -> None:
    capture: Any = config.pluginmanager.getplugin("capturemanager")

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n  {line}", end="", flush=True)

    work = _session.enter_context(tempfile.TemporaryDirectory())
    try:
        _session.enter_context(running_system(progress, with_jobs=False))
    except AssertionError as failure:
        pytest.exit(f"The stack did not start, so no notebook can run. {failure}", returncode=1)
    os.environ["FRAUDLAB_WORK"] = work
    # nbval kills its kernels, and what PyFlink's JVM has unpacked stays: 40 MB of SQL planner each.
    os.environ[JAVA_OPTIONS] = f"{os.environ.get(JAVA_OPTIONS, '')} -Djava.io.tmpdir={work}".strip()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Remembers which notebook has failed."""
    report = yield
    if is_cell(item) and report.failed and item.parent is not None:
        _failed.add(item.parent.nodeid)
    return report


def pytest_sessionfinish() -> None:
    """Stops the stack."""
    _session.close()
