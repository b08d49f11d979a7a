"""A notebook's kernel ends, in every way in which kernels end, while its bank is paying. The bank must end with it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty

import psutil
import pytest
from jupyter_client.manager import KernelManager

from fraudlab import system
from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import marked_processes, module, open_notebooks
from tests.conftest import Database
from tests.support.home import outside_pytest
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow

CELL = """
import time
from fraudlab.course import breaking
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
with breaking.paying_bank(Workspace(Settings()), rate=20, users=50, fraud_every_s=5, seed=1):
    print("it pays", flush=True)
    while True:
        time.sleep(0.1)
"""

DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""No interrupt reaches this cell, as in the middle of a long call of C. Jupyter interrupts a cell before it kills the kernel, and a cell
that notices ends its bank."""


def banks(settings: Settings) -> list[psutil.Process]:
    """The banks that belong to this home; no other test runs one at the same time."""
    found = []
    for process in marked_processes(Layout(settings.home).home):
        with suppress(psutil.NoSuchProcess):
            if module(process) == "data_generator":
                found.append(process)
    return found


@contextmanager
def kernel_with_a_bank(settings: Settings, *, first: str = "") -> Iterator[KernelManager]:
    """A kernel as JupyterLab starts it, in the middle of a cell whose bank is paying."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=outside_pytest() | settings.environment())
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=patient(60))
        client.execute(first + CELL)
        said: list[str] = []

        def pays() -> bool:
            with suppress(Empty):
                content = client.get_iopub_msg(timeout=1)["content"]
                said.append(str(content.get("text", "") or content.get("traceback", "")))
            return any("it pays" in text for text in said)

        eventually(pays, f"the bank pays; the kernel said {said}", 60)
        yield manager
    finally:
        client.stop_channels()
        with suppress(RuntimeError):
            manager.shutdown_kernel(now=True)


def kill(manager: KernelManager) -> None:
    assert manager.provisioner is not None
    os.kill(manager.provisioner.pid, signal.SIGKILL)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("first", "end"),
    [
        pytest.param(DEAF, lambda manager: manager.restart_kernel(now=True), id="restart"),
        pytest.param("", lambda manager: manager.restart_kernel(), id="restart with a warning", marks=pytest.mark.slow),
        pytest.param("", lambda manager: manager.interrupt_kernel(), id="interrupt", marks=pytest.mark.slow),
        pytest.param("", lambda manager: manager.shutdown_kernel(), id="shut down", marks=pytest.mark.slow),
        pytest.param("", kill, id="SIGKILL"),
    ],
)
def test_no_bank_outlives_the_kernel_that_let_it_pay(
    database: Database, first: str, end: Callable[[KernelManager], None]
) -> None:
    """Case course-01."""
    settings = database.settings
    with kernel_with_a_bank(settings, first=first) as manager:
        assert len(banks(settings)) == 1, "`fraudlab down` would end it, too"
        assert manager.provisioner.pid in {one.pid for one in open_notebooks(Layout(settings.home).home)}  # type: ignore[union-attr]
        end(manager)
        eventually(lambda: not banks(settings), "the bank has ended", 15)


def test_a_bank_ends_with_its_parent_also_while_the_database_is_away(settings: Settings) -> None:
    """Case course-01: the bank is waiting for MySQL."""
    own = settings.model_copy(update={"mysql_port": 1})
    process = system.start_generator(own, rate=20, users=50, seed=1, report=settings.home / "unused.json")
    try:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=patient(20))
    finally:
        system.end_generator(process, 0)
