"""Another user of this machine gets nothing from ZooKeeper, where Flink's JobManager and jobs are named: the kind of sec-01."""

import contextlib
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import zookeeper
from fraudlab.stack.layout import Layout
from fraudlab.stack.second_stack import free_ports
from fraudlab.stack.secret_store import SecretStore
from tests.support.nobody import as_nobody, needs_root
from tests.support.waiting import eventually
from tests.support.zookeeper import answer, frame

OPEN = struct.pack(">iqiqi", 0, 0, 30_000, 0, 16) + bytes(16) + b"\0"
"""A session request: protocol, last transaction, time-out in ms, session, password, not read-only."""
GET_CHILDREN, CREATE = 8, 1
WITHOUT_LOGIN = {-4, -102, -115, -124}
"""ZooKeeper's CONNECTIONLOSS, NOAUTH, AUTHFAILED and SESSIONCLOSEDREQUIRESASLAUTH, of `KeeperException.Code`."""


def text(value: str) -> bytes:
    return frame(value.encode())


def asked(port: int, operation: int, body: bytes) -> int:
    """The error with which ZooKeeper answers a request of somebody who has not logged in: 0 for none, -4 if it only closes."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(frame(OPEN))
        assert answer(connection), "a session is opened before anybody logs in"
        connection.sendall(frame(struct.pack(">ii", 1, operation) + body))
        said = answer(connection)
        return int(struct.unpack(">i", said[12:16])[0]) if said else -4


def test_sec_01_zookeeper_answers_nobody_without_a_login(settings: Settings) -> None:
    port = settings.zookeeper_port
    everybody = struct.pack(">i", 1) + struct.pack(">i", 31) + text("world") + text("anyone")
    made = text("/made-by-a-stranger") + frame(b"") + everybody + struct.pack(">i", 0)
    assert asked(port, GET_CHILDREN, text("/") + b"\0") in WITHOUT_LOGIN
    assert asked(port, CREATE, made) in WITHOUT_LOGIN


@needs_root
def test_sec_01_another_user_cannot_read_zookeepers_login(settings: Settings) -> None:
    home = settings.home
    files = [home / "zookeeper" / "login.conf", home / "flink" / "conf" / "zookeeper-login.conf"]

    def look() -> list[str]:
        seen = []
        for file in files:
            try:
                seen.append(file.read_text(encoding="utf-8"))
            except PermissionError:
                continue
        return seen

    assert all(file.exists() for file in files)
    assert as_nobody(look) == []


@pytest.mark.slow
def test_sec_05_announcing_much_fills_no_memory_of_zookeeper(settings: Settings, tmp_path: Path) -> None:
    """Four bytes of a length, and nothing more, from connections without a log-in. A ZooKeeper alone."""
    (port,) = free_ports(1)
    own = settings.model_copy(update={"home": tmp_path, "zookeeper_port": port})
    Layout(tmp_path).flink.symlink_to(Layout(settings.home).flink)
    service = zookeeper.service(own, Layout(tmp_path), SecretStore(Layout(tmp_path).secrets))
    service.prepare()
    command, folder = service.program.command, service.program.directory
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as server:
        try:
            eventually(lambda: service.problem() is None, "ZooKeeper runs", 30)
            with contextlib.ExitStack() as held:
                for size in [zookeeper.MAX_PACKET_BYTES, 1_000_000] * 300:
                    connection = held.enter_context(socket.create_connection((LOOPBACK, port), timeout=10))
                    connection.sendall(struct.pack(">i", size))
                time.sleep(2)
                assert server.poll() is None
                assert service.problem() is None
        finally:
            server.kill()
