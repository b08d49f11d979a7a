"""Who holds a port, and what the user is told."""

import os
import socket
from collections.abc import Iterator

import pytest

from fraudlab.settings import LOOPBACK
from fraudlab.stack import ports
from fraudlab.stack.doctor import port_check
from fraudlab.stack.ports import Holder


@pytest.fixture
def held_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_port_that_someone_listens_on_is_not_free(held_port: int) -> None:
    assert not ports.is_free("127.0.0.1", held_port)
    assert ports.answers("127.0.0.1", held_port)


def test_holder_is_named_by_process(held_port: int) -> None:
    holder = ports.holder(held_port)
    assert holder.pid == os.getpid()
    assert str(os.getpid()) in str(holder)


def test_port_held_by_a_stranger_fails_with_pid_name_and_what_to_do() -> None:
    check = port_check("mysql", 13306, "FRAUDLAB_MYSQL_PORT", Holder(4711, "mysqld", "mysqld --port=13306"), own={1})
    assert not check.ok
    assert check.found == "held by process 4711, mysqld (mysqld --port=13306)"
    assert "export FRAUDLAB_MYSQL_PORT=<port>" in check.advice


def test_port_held_by_our_own_stack_is_fine() -> None:
    assert port_check("mysql", 13306, "X", Holder(4711, "mysqld"), own={4711}).ok


def test_port_held_by_another_user_says_so() -> None:
    check = port_check("kafka", 19092, "FRAUDLAB_KAFKA_PORT", Holder(None), own=set())
    assert "another user" in check.found


@pytest.fixture
def outgoing(held_port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", held_port)) as connection:
        yield connection


def test_port_of_an_outgoing_connection_is_held_by_its_process(outgoing: socket.socket) -> None:
    port = outgoing.getsockname()[1]
    assert not ports.is_free("127.0.0.1", port)
    assert ports.holder(port).pid == os.getpid()


def test_port_of_a_connection_that_was_just_closed_needs_a_minute_and_no_process_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = socket.create_connection(server.getsockname())
        port = connection.getsockname()[1]
        accepted, _ = server.accept()
        connection.close()  # who closes first keeps the port in TIME_WAIT
        accepted.close()
    assert not ports.is_free("127.0.0.1", port)
    check = port_check("kafka", port, "FRAUDLAB_KAFKA_PORT", ports.holder(port), own=set())
    assert check.found == "held by a connection that has just been closed"
    assert check.advice.startswith("Try again in a minute")


def test_free_port_is_fine() -> None:
    assert port_check("kafka", 19092, "FRAUDLAB_KAFKA_PORT", None, own=set()).ok


def test_a_port_is_our_own_only_if_all_that_listens_there_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's listener cannot be seen by its process. A connection of ours that has the port does not make it ours."""
    with socket.create_server((LOOPBACK, 0)) as listener, socket.socket() as outgoing:
        port = listener.getsockname()[1]
        assert ports.is_own(port)
        outgoing.bind((LOOPBACK, 0))
        outgoing.connect((LOOPBACK, port))
        assert not ports.is_own(outgoing.getsockname()[1]), "nobody listens there"
        monkeypatch.setattr(os, "getuid", lambda: 65_533)
        assert not ports.is_own(port)


def test_a_process_is_connected_to_a_server_as_long_as_its_own_end_is_open() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports.is_connected(os.getpid(), port), "to listen is not to be connected"
        with socket.create_connection((LOOPBACK, port)):
            assert ports.is_connected(os.getpid(), port)
        assert not ports.is_connected(os.getpid(), port)
