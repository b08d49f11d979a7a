"""Kafka as a local process: one node that is broker and controller."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from kafka.errors import KafkaError

from fraudlab.kafka_access import KafkaAccess
from fraudlab.settings import Settings
from fraudlab.stack import java, kafka_metadata, ports
from fraudlab.stack.class_sharing import SharedClasses
from fraudlab.stack.errors import StackError
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.supervisord import BARE_PYTHON
from fraudlab.stack.templating import properties_text, write_config

NAME = "kafka"
OWNER = "owner"
"""The account of the owner's commands, who may do everything."""


def service(settings: Settings, layout: Layout) -> Service:
    """The Kafka broker, in KRaft mode."""
    classes = SharedClasses(layout.class_archives, NAME, _class_path(layout), enabled=settings.shares_classes)

    def prepare() -> None:
        classes.prepare()
        _prepare(settings, layout)

    return Service(
        program=Program(
            name=NAME,
            command=[
                *_java(layout, "-Xms128m", "-Xmx384m", *java.SMALL, *classes.options),
                "kafka.Kafka",
                str(layout.kafka / "server.properties"),
            ],
            directory=layout.kafka,
            stop_wait_s=classes.stop_wait_s(20),
            priority=20,
            before=(
                (
                    *BARE_PYTHON,
                    str(Path(kafka_metadata.__file__)),
                    str(layout.kafka_data),
                    str(layout.kafka_metadata_copy),
                ),
            ),
        ),
        prepare=prepare,
        problem=lambda: _problem(settings),
        ports={
            settings.kafka_port: "FRAUDLAB_KAFKA_PORT",
            settings.kafka_controller_port: "FRAUDLAB_KAFKA_CONTROLLER_PORT",
        },
    )


def access(settings: Settings, account: str = OWNER) -> KafkaAccess:
    """How an account uses Kafka."""
    return KafkaAccess(settings.bootstrap_servers, account=account)


def _class_path(layout: Layout) -> str:
    return java.class_path(layout.jars / "kafka", "*")


def _java(layout: Layout, *options: str) -> list[str]:
    return [
        str(java.find().executable),
        *options,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss,SSS",
        "-cp",
        _class_path(layout),
    ]


def _prepare(settings: Settings, layout: Layout) -> None:
    private_folder(layout.kafka)
    config = layout.kafka / "server.properties"
    write_config(
        config,
        "kafka.properties",
        host=settings.kafka_host,
        port=settings.kafka_port,
        controller_port=settings.kafka_controller_port,
        partitions=settings.partitions,
        data=properties_text(layout.kafka_data),
    )
    if (layout.kafka_data / "meta.properties").exists():
        return
    if layout.kafka_metadata_copy.exists():
        raise StackError(
            f"Kafka's data folder {layout.kafka_data} is gone or empty, and with it all topics and their records.",
            "Restore the folder from a backup, then run the command again. Without one, `fraudlab reset` wipes the database, the topics "
            "and the jobs' state together, so that they agree again.",
        )
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    done = subprocess.run(
        [
            *_java(layout, "-Xmx64m", *java.QUICK),
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster_id}",
            f"--config={config}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(
            f"Kafka could not format its data folder (exit status {done.returncode}). Its last words:\n{done.stdout}",
            "Run `fraudlab doctor`, then the command again.",
        )


def _problem(settings: Settings) -> str | None:
    if not ports.answers(settings.kafka_host, settings.kafka_port):
        return f"does not accept connections on port {settings.kafka_port} yet"
    try:
        admin = access(settings).admin(client_id="fraudlab-health", request_timeout_ms=3000)
        try:
            brokers = admin.describe_cluster()["brokers"]
        finally:
            admin.close()
    except KafkaError as error:
        return f"does not answer a metadata request: {error!r}"
    return None if brokers else "has no broker registered yet"
