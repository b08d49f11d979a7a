"""The tools that people use at work, with everything filled in: `mysql`, Kafka's and Flink's own. The command becomes the tool.

With FRAUDLAB_LEARNER they log in as that learner, otherwise as the owner of the stack.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mysql.connector import Error as MySqlError

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import flink, java
from fraudlab.stack import mysql as stack_mysql
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import write_private
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.templating import properties_text

MYSQL_CLIENTS = ("mysql", "mariadb")

KAFKA_TOOLS = {
    "topics": ("org.apache.kafka.tools.TopicCommand", "--command-config"),
    "console-consumer": ("org.apache.kafka.tools.consumer.ConsoleConsumer", "--consumer.config"),
    "console-producer": ("org.apache.kafka.tools.ConsoleProducer", "--producer.config"),
    "consumer-groups": ("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--command-config"),
    "get-offsets": ("org.apache.kafka.tools.GetOffsetShell", "--command-config"),
}
"""Name, as in the scripts `kafka-….sh` of Kafka's distribution, to class and to the option that takes the log-in."""


class Tool(NamedTuple):
    """A program with its arguments, and its whole environment."""

    command: list[str]
    environment: dict[str, str]


def mysql(settings: Settings, arguments: Sequence[str]) -> Tool:
    """The `mysql` client of this machine, in the bank's database. Raises UserError if the machine has none."""
    client = next(filter(None, map(shutil.which, MYSQL_CLIENTS)), None)
    if client is None:
        raise UserError(
            "No mysql client is installed on this machine.",
            "install one (Debian and Ubuntu: `sudo apt install default-mysql-client`), or use `lab.query` in a notebook.",
        )
    stack, role = Stack(settings), "learner" if settings.learner else "operator"
    options = {
        "host": settings.mysql_host,
        "port": str(settings.mysql_port),
        "protocol": "TCP",
        "user": settings.names.account(role),
        "password": stack.secrets.secret(system.secret_name(settings, role)),
    }
    authority = stack_mysql.authority(settings, stack.layout)
    if authority is not None and _is_mariadbs(client):
        _require_ours(settings, role)
    elif authority is not None:
        options |= {"ssl-ca": str(authority), "ssl-mode": "VERIFY_CA"}
    file = _log_in_file(stack.layout, "mysql.cnf")
    write_private(file, "[client]\n" + "".join(f'{name}="{value}"\n' for name, value in options.items()))
    return Tool(
        [
            client,
            f"--defaults-extra-file={file}",
            "--skip-reconnect",
            f"--database={settings.names.database}",
            *arguments,
        ],
        {**os.environ},
    )


def kafka(settings: Settings, name: str, arguments: Sequence[str]) -> Tool:
    """One of `KAFKA_TOOLS`. Raises UserError if there is none of this name."""
    if name not in KAFKA_TOOLS:
        raise UserError(f"There is no Kafka tool {name!r} here.", f"Tools: {', '.join(KAFKA_TOOLS)}.")
    main, option = KAFKA_TOOLS[name]
    layout = Layout(settings.home)
    access = system.kafka(settings, "learner") if settings.learner else system.kafka(settings)
    file = _log_in_file(layout, "kafka.properties")
    write_private(file, "".join(f"{key}={properties_text(value)}\n" for key, value in access.properties().items()))
    classes = ":".join(java.class_path(layout.jars / folder, "*") for folder in ("kafka", "kafka-tools"))
    return Tool(
        [
            str(java.find().executable),
            *java.QUICK,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            classes,
            main,
            "--bootstrap-server",
            access.servers,
            option,
            str(file),
            *arguments,
        ],
        {**os.environ},
    )


def flink_cli(settings: Settings, arguments: Sequence[str]) -> Tool:
    """Flink's command line: `list`, `savepoint`, `stop`, `cancel`.

    The SQL client is not there: apache-flink lacks the gateway that it needs.
    """
    layout = Layout(settings.home)
    action, *rest = arguments or ["--help"]
    # ZooKeeper, which would tell the address, too, talks to Flink's own processes only.
    address = [] if action.startswith("-") else ["-Dhigh-availability.type=NONE"]
    conf = layout.flink / "conf"
    return Tool(
        [
            str(java.find().executable),
            *java.QUICK,
            *flink.shipped_java_options(flink.distribution()),
            f"-Dlog.file={layout.logs / 'flink-client.log'}",
            f"-Dlog4j.configurationFile={(conf / 'log4j-cli.properties').as_uri()}",
            "-cp",
            flink.class_path(layout),
            "org.apache.flink.client.cli.CliFrontend",
            action,
            *address,
            *rest,
        ],
        {**os.environ, **Stack(settings).client_environment()},
    )


def _is_mariadbs(client: str) -> bool:
    """MariaDB's client verifies a server by its host name only, which MySQL's certificate does not have."""
    return "MariaDB" in subprocess.run([client, "--version"], capture_output=True, text=True, check=False).stdout


def _require_ours(settings: Settings, role: str) -> None:
    """Raises UserError unless this home's MySQL has the port: MariaDB's client tells the password to any server that asks for it."""
    try:
        system.connect(settings, role, connection_timeout=5).close()
    except MySqlError as error:
        raise UserError(
            f"MySQL on port {settings.mysql_port} does not answer, or does not prove that it is this stack's: {error}.",
            "`fraudlab status` shows whether it runs.",
        ) from error


def _log_in_file(layout: Layout, name: str) -> Path:
    """Where the log-in is written, so that no other user sees it among the arguments."""
    return layout.supervisor / "log-ins" / name
