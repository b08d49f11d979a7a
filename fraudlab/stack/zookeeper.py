"""ZooKeeper as a local process: it remembers for Flink which jobs run and where their last checkpoint is, and talks to Flink only."""

import socket
from pathlib import Path

from fraudlab.settings import Settings
from fraudlab.stack import java
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore, write_private
from fraudlab.stack.templating import properties_text, write_config

NAME = "zookeeper"
SECRET = "zookeeper"  # noqa: S105 - the name of one
ACCOUNT = "flink"
LOGIN_MODULE = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.auth.DigestLoginModule"

MAX_PACKET_BYTES = 2**15
"""ZooKeeper makes room for what a client announces, before it comes and before a log-in: with its default, a MiB, 200 connections of a
stranger fill its memory. Flink's largest packets, the lists of what it watches, have some 300 bytes a job."""


def service(settings: Settings, layout: Layout, secrets: SecretStore) -> Service:
    """A single ZooKeeper node, the one that ships inside Flink."""
    config = layout.zookeeper / "zookeeper.properties"
    return Service(
        program=Program(
            name=NAME,
            command=[
                str(java.find().executable),
                "-Xmx96m",
                *java.SMALL,
                *java.QUICK,
                "-XX:TieredStopAtLevel=1",
                f"-Djute.maxbuffer={MAX_PACKET_BYTES}",
                _login_option(_server_login(layout)),
                f"-Dlog4j.configurationFile={(layout.flink / 'conf' / 'log4j-console.properties').as_uri()}",
                "-cp",
                java.class_path(layout.flink / "lib", "flink-dist-*", "flink-shaded-zookeeper-*", "log4j-*"),
                "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer",
                "--zkConfigFile",
                str(config),
                "--peerId",
                "1",
            ],
            directory=layout.zookeeper,
            priority=10,
        ),
        prepare=lambda: _prepare(settings, layout, secrets),
        problem=lambda: _problem(settings),
        ports={settings.zookeeper_port: "FRAUDLAB_ZOOKEEPER_PORT"},
    )


def client_option(layout: Layout) -> str:
    """The option with which a JVM of Flink logs in."""
    return _login_option(_client_login(layout))


def write_client_login(layout: Layout, secrets: SecretStore) -> None:
    """Writes the file that `client_option` names."""
    password = secrets.secret(SECRET)
    write_private(_client_login(layout), _login("Client", username=ACCOUNT, password=password))


def _client_login(layout: Layout) -> Path:
    return layout.flink / "conf" / "zookeeper-login.conf"


def _server_login(layout: Layout) -> Path:
    return layout.zookeeper / "login.conf"


def _login_option(file: Path) -> str:
    # As a URL: Java would expand `${…}` in a file's name.
    return f"-Djava.security.auth.login.config={file.as_uri()}"


def _login(section: str, **options: str) -> str:
    """A JAAS file. Passwords of `SecretStore` need no escaping in it."""
    given = " ".join(f'{name}="{value}"' for name, value in options.items())
    return f"{section} {{ {LOGIN_MODULE} required {given}; }};\n"


def _prepare(settings: Settings, layout: Layout, secrets: SecretStore) -> None:
    private_folder(layout.zookeeper_data)
    write_private(_server_login(layout), _login("Server", **{f"user_{ACCOUNT}": secrets.secret(SECRET)}))
    write_config(
        layout.zookeeper / "zookeeper.properties",
        "zookeeper.properties",
        host=settings.bind_address(settings.zookeeper_host),
        port=settings.zookeeper_port,
        data=properties_text(layout.zookeeper_data),
    )


def _problem(settings: Settings) -> str | None:
    try:
        with socket.create_connection((settings.zookeeper_host, settings.zookeeper_port), timeout=1) as connection:
            connection.sendall(b"ruok")
            answer = connection.recv(16)
    except OSError as error:
        return f"does not answer on port {settings.zookeeper_port} yet ({error})"
    return None if answer == b"imok" else f"says {answer!r} where imok was expected"
