"""Kafka as a local process: one node that is broker and controller."""

import contextlib
import dataclasses
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from kafka.admin import UserScramCredentialUpsertion
from kafka.errors import KafkaError, SaslAuthenticationFailedError

from fraudlab.errors import UserError
from fraudlab.kafka_access import KafkaAccess, jaas_config
from fraudlab.settings import Settings
from fraudlab.stack import certificates, java, kafka_metadata, ports
from fraudlab.stack.class_sharing import SharedClasses
from fraudlab.stack.layout import Layout, private_folder
from fraudlab.stack.program import Program, Service
from fraudlab.stack.secret_store import SecretStore, write_private
from fraudlab.stack.supervisord import BARE_PYTHON
from fraudlab.stack.templating import properties_text, render

NAME = "kafka"
OWNER = "owner"
"""The account of the owner's commands, which may do everything."""
BROKER = "broker"
"""As whom the broker speaks to its controller and to itself."""
SCRAM_ITERATIONS = 4096
"""The passwords are random: more would only make logging in slower."""
HEALTH = {"client_id": "fraudlab-health", "request_timeout_ms": 3000, "bootstrap_timeout_ms": 3000}


def service(settings: Settings, layout: Layout, secrets: SecretStore) -> Service:
    """The Kafka broker, in KRaft mode."""
    classes = SharedClasses(layout.class_archives, NAME, _class_path(layout), enabled=settings.shares_classes)

    def prepare() -> None:
        classes.prepare()
        _prepare(settings, layout, secrets)

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
        problem=lambda: _problem(settings, secrets),
        ports={
            settings.kafka_port: "FRAUDLAB_KAFKA_PORT",
            settings.kafka_controller_port: "FRAUDLAB_KAFKA_CONTROLLER_PORT",
        },
    )


def access(settings: Settings, secrets: SecretStore, account: str = OWNER) -> KafkaAccess:
    """How an account uses Kafka. Its password is made now if there is none yet."""
    reached = KafkaAccess(
        settings.bootstrap_servers,
        settings.kafka_security_protocol,
        settings.kafka_sasl_mechanism,
        account,
        ca=settings.kafka_ca,
    )
    return dataclasses.replace(reached, password=secrets.secret(secret_name(account))) if reached.logs_in else reached


def secret_name(account: str) -> str:
    """Under which name the password of an account is kept."""
    return f"kafka_{account}"


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


def _prepare(settings: Settings, layout: Layout, secrets: SecretStore) -> None:
    private_folder(layout.kafka)
    config = layout.kafka / "server.properties"
    broker, owner = (secrets.secret(secret_name(account)) for account in (BROKER, OWNER))
    key, certificate = _key()
    text = render(
        "kafka.properties",
        host=settings.kafka_host,
        port=settings.kafka_port,
        controller_port=settings.kafka_controller_port,
        partitions=settings.partitions,
        data=properties_text(layout.kafka_data),
        clients=properties_text(jaas_config("PLAIN", BROKER, broker, user_broker=broker, user_owner=owner)),
        key=properties_text(key),
        certificate=properties_text(certificate),
    )
    write_private(config, text)
    if (layout.kafka_data / "meta.properties").exists():
        return
    if layout.kafka_metadata_copy.exists():
        raise UserError(
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
        raise UserError(
            f"Kafka could not format its data folder (exit status {done.returncode}). Its last words:\n{done.stdout}",
            "Run `fraudlab doctor`, then the command again.",
        )


def _key() -> tuple[str, str]:
    """A new key, and its certificate, for what broker and controller say to each other: both are this process."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, certificate = certificates.as_pem(
        key, certificates.self_signed(key, "fraudlab kafka", certificates.VALID_FOR)
    )
    return private.decode(), certificate.decode()


def _problem(settings: Settings, secrets: SecretStore) -> str | None:
    if not ports.answers(settings.kafka_host, settings.kafka_port):
        return f"does not accept connections on port {settings.kafka_port} yet"
    owner = access(settings, secrets)
    try:
        try:
            brokers = _brokers(owner)
        except SaslAuthenticationFailedError:
            _make_owner(settings, owner)
            brokers = _brokers(owner)
    except SaslAuthenticationFailedError:
        return f"rejects the log-in of {OWNER!r}: it was started with another password. `fraudlab down` and `fraudlab up` set it"
    except KafkaError as error:
        return f"does not answer a metadata request: {error!r}"
    return None if brokers else "has no broker registered yet"


def _brokers(owner: KafkaAccess) -> list[Any]:
    with contextlib.closing(owner.admin(**HEALTH)) as admin:
        return list(admin.describe_cluster()["brokers"])


def _make_owner(settings: Settings, owner: KafkaAccess) -> None:
    """Creates the owner's account, or sets its password. Raises SaslAuthenticationFailedError if the broker has another one.

    Kafka keeps the accounts of SCRAM with its data, and so has none at first. What it knows from its start is the password of the owner,
    by PLAIN: that sends it as it is, and so it goes only to a broker that is ours.
    """
    if not settings.in_container and not ports.is_own(settings.kafka_port):
        raise SaslAuthenticationFailedError
    with contextlib.closing(dataclasses.replace(owner, mechanism="PLAIN").admin(**HEALTH)) as admin:
        admin.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(owner.account, owner.mechanism, owner.password, SCRAM_ITERATIONS)]
        )
