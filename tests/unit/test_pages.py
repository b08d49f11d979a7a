"""The address of Flink's page, which holds its token: to whom it is given."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fraudlab import pages
from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import flink_page
from fraudlab.stack.supervisor import Stack


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A process that listens where the guard should: this one."""
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        yield listener


@pytest.fixture
def settings(tmp_path: Path, listener: socket.socket) -> Settings:
    return Settings(home=tmp_path, flink_page_port=listener.getsockname()[1])


def with_guard(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    """Supervisord says that the guard is a process."""
    processes: dict[str, dict[str, Any]] = {flink_page.NAME: {"pid": pid}}
    monkeypatch.setattr(Stack, "is_running", lambda stack: True)
    monkeypatch.setattr(Stack, "require_own_ports", lambda stack: None)
    monkeypatch.setattr(Stack, "processes", lambda stack: processes)


def test_sec_01_the_token_is_given_when_the_guard_has_the_port(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guard(monkeypatch, os.getpid())
    assert "token=" in pages.address(settings, "flink")


def test_sec_01_the_token_is_not_given_when_another_process_has_the_port(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard was started and finds its port taken, perhaps by another user: it would get the token."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as guard:
        with_guard(monkeypatch, guard.pid)
        with pytest.raises(UserError, match="Flink's web page is not running"):
            pages.address(settings, "flink")
