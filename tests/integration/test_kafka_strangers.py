"""What a program without an account gets of Kafka by taking its port, or by announcing more than it sends (sec-03, sec-05)."""

import contextlib
import dataclasses
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import kafka
from fraudlab.stack.layout import Layout
from fraudlab.stack.program import Program
from fraudlab.stack.second_stack import free_ports
from fraudlab.stack.secret_store import SecretStore
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

API_VERSIONS, SASL_HANDSHAKE = 18, 17
SPOKEN = ((API_VERSIONS, 0, 4), (SASL_HANDSHAKE, 0, 1), (36, 0, 2), (1, 0, 13), (3, 0, 12), (59, 0, 1), (62, 0, 4))
"""Requests that the impostor says it answers, with versions: what a broker asks of its controller."""
CONNECTIONS = 1_500
"""Each announced half a MiB: more than Kafka's whole memory."""
TOO_MUCH = 100_000_000


@pytest.fixture
def alone(settings: Settings, tmp_path: Path) -> tuple[Settings, SecretStore, Program]:
    """A Kafka of its own, prepared and not started."""
    port, controller = free_ports(2)
    own = settings.model_copy(update={"home": tmp_path, "kafka_port": port, "kafka_controller_port": controller})
    Layout(tmp_path).jars.symlink_to(Layout(settings.home).jars)
    secrets = SecretStore(Layout(tmp_path).secrets)
    service = kafka.service(own, Layout(tmp_path), secrets)
    service.prepare()
    return own, secrets, service.program


@contextlib.contextmanager
def running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        program.command, cwd=program.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Impostor:
    """Answers at a port as a broker that knows nothing but passwords in plain text, and keeps what it is told."""

    def __init__(self, port: int) -> None:
        self.told: list[bytes] = []
        self._listener = socket.create_server((LOOPBACK, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(10)
            while request := connection.recv(65_536):
                self.told.append(request)
                if len(request) >= 12:
                    connection.sendall(self._answer(*struct.unpack(">ihhi", request[:12])))

    @staticmethod
    def _answer(_: int, key: int, version: int, number: int) -> bytes:
        if key == API_VERSIONS and version >= 3:
            versions = b"".join(struct.pack(">hhhx", *one) for one in SPOKEN)
            body = struct.pack(">hb", 0, len(SPOKEN) + 1) + versions + struct.pack(">ix", 0)
        elif key == API_VERSIONS:
            body = struct.pack(">hi", 0, len(SPOKEN)) + b"".join(struct.pack(">hhh", *one) for one in SPOKEN)
            body += struct.pack(">i", 0) if version else b""
        elif key == SASL_HANDSHAKE:
            body = struct.pack(">hih", 0, 1, 5) + b"PLAIN"
        else:
            return b""
        return struct.pack(">ii", 4 + len(body), number) + body


def test_sec_03_who_takes_kafkas_controller_port_gets_no_password(
    alone: tuple[Settings, SecretStore, Program],
) -> None:
    """Kafka cannot start then, but it speaks to its controller before it notices."""
    own, secrets, program = alone
    passwords = [secrets.secret(kafka.secret_name(account)).encode() for account in (kafka.BROKER, kafka.OWNER)]
    with closing(Impostor(own.kafka_controller_port)) as impostor, running(program) as broker:
        eventually(lambda: impostor.told or broker.poll() is not None, "Kafka speaks to the impostor, or ends", 60)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the password was the third thing that it said
            broker.wait(10)
    assert not [told for told in impostor.told if any(password in told for password in passwords)]


def test_sec_05_announcing_much_fills_no_memory_of_kafka(alone: tuple[Settings, SecretStore, Program]) -> None:
    """Four bytes of a length, and nothing more: before a log-in, and after it."""
    own, secrets, program = alone
    owner = kafka.access(own, secrets)
    plain = dataclasses.replace(owner, mechanism="PLAIN")

    def is_up() -> bool:
        with contextlib.suppress(KafkaError), closing(plain.admin(**kafka.HEALTH)) as admin:
            return bool(admin.describe_cluster()["brokers"])
        return False

    with running(program) as broker, contextlib.ExitStack() as held:
        eventually(is_up, "Kafka runs", 60)
        for _ in range(CONNECTIONS):
            connection = held.enter_context(socket.create_connection((LOOPBACK, own.kafka_port), timeout=10))
            connection.sendall(struct.pack(">i", 500_000))
        logged_in = [held.enter_context(_logged_in(own.kafka_port, plain.account, plain.password)) for _ in range(8)]
        for connection in logged_in:
            connection.sendall(struct.pack(">i", TOO_MUCH))
        time.sleep(2)
        assert broker.poll() is None
        assert is_up()


@contextlib.contextmanager
def _logged_in(port: int, account: str, password: str) -> Iterator[socket.socket]:
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        _ask(connection, SASL_HANDSHAKE, struct.pack(">h", 5) + b"PLAIN")
        token = f"\0{account}\0{password}".encode()
        said = _ask(connection, 36, struct.pack(">i", len(token)) + token)
        assert said[4:6] == b"\0\0", said
        yield connection


def _ask(connection: socket.socket, key: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", key, 1, 1, 0) + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(size, socket.MSG_WAITALL)
