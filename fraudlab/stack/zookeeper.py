"""ZooKeeper as a local process: it remembers for Flink which jobs run and where their last checkpoint is."""

import socket

from fraudlab.settings import Settings
from fraudlab.stack import java
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.templating import properties_text, write_config

NAME = "zookeeper"


def service(settings: Settings, layout: Layout) -> Service:
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
        prepare=lambda: _prepare(settings, layout),
        problem=lambda: _problem(settings),
        ports={settings.zookeeper_port: "FRAUDLAB_ZOOKEEPER_PORT"},
    )


def _prepare(settings: Settings, layout: Layout) -> None:
    private_folder(layout.zookeeper_data)
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
