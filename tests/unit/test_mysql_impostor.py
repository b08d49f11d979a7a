"""Another user of this machine who takes MySQL's port while it is free gets no password: our server proves that it is ours."""

import contextlib
import datetime
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import mysql.connector
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from data_generator.connection import Connection
from data_generator.sink import MySqlSink

from fraudlab import system, tools
from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import mysql as stack_mysql
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import SecretStore

SALT = b"a salt of 20 letters"
CAPABILITIES = 0x1 | 0x8 | 0x200 | 0x800 | 0x2000 | 0x8000 | 0x80000 | 0x200000
"""Of a server that has TLS and asks for caching_sha2_password."""
GREETING = b"".join(
    (
        b"\x0a8.0.15\0",
        (7).to_bytes(4, "little"),
        SALT[:8] + b"\0",
        (CAPABILITIES & 0xFFFF).to_bytes(2, "little"),
        b"\xff\x02\x00",
        (CAPABILITIES >> 16).to_bytes(2, "little"),
        bytes([len(SALT) + 1]) + bytes(10),
        SALT[8:] + b"\0",
        b"caching_sha2_password\0",
    )
)
FULL_AUTHENTICATION = b"\x01\x04"


class Impostor:
    """Says that it is MySQL, and that it does not remember the password: the client sends it again, as it is, for there is TLS."""

    def __init__(self, listener: socket.socket, certificate: Path) -> None:
        self._listener = listener
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)
        self.passwords: list[str] = []
        self.visits = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(10)
                self.visits += 1
                with client, contextlib.suppress(OSError, EOFError):
                    self._rob(client)

    def _rob(self, plain: socket.socket) -> None:
        _send(plain, 0, GREETING)
        _receive(plain)  # it asks for TLS
        with self._tls.wrap_socket(plain, server_side=True) as client:
            number, _ = _receive(client)
            _send(client, number + 1, FULL_AUTHENTICATION)
            _, password = _receive(client)
            self.passwords.append(password.rstrip(b"\0").decode())


def _send(client: socket.socket, number: int, content: bytes) -> None:
    client.sendall(len(content).to_bytes(3, "little") + bytes([number]) + content)


def _receive(client: socket.socket) -> tuple[int, bytes]:
    head = _exactly(client, 4)
    return head[3], _exactly(client, int.from_bytes(head[:3], "little"))


def _exactly(client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = client.recv(size - len(received))
        if not piece:
            raise EOFError
        received += piece
    return received


def authority(name: str) -> tuple[bytes, bytes]:
    """A key and a certificate that signs itself, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return plain, certificate.public_bytes(pem)


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[tuple[Impostor, int]]:
    file = tmp_path / "impostor.pem"
    file.write_bytes(b"".join(authority("MySQL")))
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield Impostor(listener, file), listener.getsockname()[1]


@pytest.fixture
def settings(tmp_path: Path, impostor: tuple[Impostor, int]) -> Settings:
    """A home whose MySQL has run before: it has made a certificate authority of its own in its data folder."""
    file = Layout(tmp_path).mysql_data / "ca.pem"
    file.parent.mkdir(parents=True)
    file.write_bytes(authority("MySQL_Server_8.0.15_Auto_Generated_CA_Certificate")[1])
    return Settings(home=tmp_path, mysql_port=impostor[1])


def as_a_service(settings: Settings) -> None:
    system.connect(settings, "flagger", connection_timeout=5)


def as_the_administrator(settings: Settings) -> None:
    stack_mysql.connect_as_root(settings, SecretStore(Layout(settings.home).secrets))


def as_the_bank(settings: Settings) -> None:
    connection = Connection.from_environment(system.generator_environment(settings), deadline_s=1)
    MySqlSink(connection, threading.Event())._connect()


@pytest.mark.skipif(not any(map(shutil.which, tools.MYSQL_CLIENTS)), reason="this machine has no mysql client")
def test_sec_01_who_takes_mysqls_port_gets_no_password_from_the_mysql_client_either(
    settings: Settings, impostor: tuple[Impostor, int]
) -> None:
    with contextlib.suppress(UserError):  # MariaDB's client is not started at all
        tool = tools.mysql(settings, ["-e", "SELECT 1"])
        subprocess.run(tool.command, env=tool.environment, capture_output=True, timeout=30, check=False)
    assert impostor[0].visits == 1
    assert impostor[0].passwords == []


@pytest.mark.parametrize("connect", [as_a_service, as_the_administrator, as_the_bank])
def test_sec_01_who_takes_mysqls_port_gets_no_password(
    settings: Settings, impostor: tuple[Impostor, int], connect: Callable[[Settings], None]
) -> None:
    with pytest.raises(mysql.connector.Error):
        connect(settings)
    assert impostor[0].visits == 1
    assert impostor[0].passwords == []
