"""Flink from Python: an environment that submits to a cluster, Kafka tables from .sql files, and the MySQL CDC source."""

import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any
from urllib.parse import quote, urlsplit

from py4j.java_gateway import CallbackServerParameters, GatewayParameters, JavaGateway
from py4j.protocol import ENTRY_POINT_OBJECT_ID
from pyflink import java_gateway, pyflink_gateway_server
from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors import Source
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from fraudlab.kafka_access import KafkaAccess, sql_options
from fraudlab.pipeline.contracts import Names

LOW_LATENCY = {
    # The defaults trade latency for throughput: 100 ms, 1000 ms. With these a payment crosses a job in a few milliseconds.
    # 0 sends each record at once. 1 ms was no faster in bulk (`make bench`), and woke a thread of each task a thousand times a second.
    "execution.buffer-timeout.interval": "0 ms",
    "python.fn-execution.bundle.time": "5",
    # CPython inside the TaskManager's JVM: no second process and no gRPC between a record and its function.
    "python.execution-mode": "thread",
    "pipeline.object-reuse": "true",
}


_GATEWAY_SERVER = "org.apache.flink.api.python.shaded.py4j.GatewayServer"
_import_flink_view = java_gateway.import_flink_view
_launch_unguarded = java_gateway.launch_gateway
_processes: list[Popen[bytes]] = []
"""The JVM that this process has started. It ends when its standard input does."""


def _launch_gateway() -> JavaGateway:
    """Starts the JVM in which PyFlink builds jobs. It and this process ask each other for a token that only they know.

    PyFlink opens two ports on loopback, one in the JVM and one here, that do what anybody says: any user of the machine could run programs
    as this one. PyFlink has no option for the token of its gateway, Py4J, and a client that connects before there is one is never asked for
    it. So the JVM runs Py4J's own server, which begins with a token, and is given what PyFlink's adds to it.

    Raises RuntimeError with the JVM's own words if it does not start.
    """
    if java_gateway.is_launch_gateway_disabled():
        return _launch_unguarded()  # which says so: a function that runs in a job must not start a JVM
    arguments = ["-c", _GATEWAY_SERVER, "local", "--die-on-broken-pipe", "--enable-auth", "0"]
    process = java_gateway.launch_gateway_server_process(dict(os.environ), arguments)
    _processes.append(process)
    port = next((int(line) for line in process.stdout if line.strip().isdigit()), None)
    if port is None:
        raise RuntimeError(
            f"The JVM that builds jobs has not started:\n{process.stderr.read().decode(errors='replace')}"
        )
    token = process.stdout.readline().decode().strip()
    threading.Thread(target=_pass_on, args=[process.stdout], daemon=True).start()
    gateway = JavaGateway(
        gateway_parameters=GatewayParameters(port=port, auto_convert=True, auth_token=token),
        callback_server_parameters=CallbackServerParameters(
            port=0, daemonize=True, daemonize_connections=True, auth_token=token
        ),
    )
    server, entries = gateway.java_gateway_server, gateway.jvm.java.util.concurrent.ConcurrentHashMap()
    inner = server.getGateway()
    inner.putObject(ENTRY_POINT_OBJECT_ID, entries)
    _set_field(inner.getClass(), inner, "entryPoint", entries)
    _set_field(
        gateway.jvm.java.lang.Class.forName("org.apache.flink.client.python.PythonEnvUtils"),
        None,
        "gatewayServer",
        server,
    )
    return gateway


def _pass_on(output: IO[bytes]) -> None:
    """What Java prints, such as a table's rows, is printed by this process, as if they shared their output."""
    while piece := os.read(output.fileno(), 65_536):
        os.write(1, piece)


def _set_field(class_: Any, owner: Any, name: str, value: Any) -> None:
    field = class_.getDeclaredField(name)
    field.setAccessible(True)
    field.set(owner, value)


def _keep_to_this_process(gateway: Any) -> None:
    """Gives Java's side the token for calls back to Python, which PyFlink has just changed the address of.

    Also to a JVM that began without one, because `flink run` has started it, and this process with it.
    """
    token = gateway.gateway_parameters.auth_token or secrets.token_hex(32)
    server = gateway.java_gateway_server
    for end in (server, server.getCallbackClient()):
        _set_field(end.getClass(), end, "authToken", token)
    gateway.gateway_parameters.auth_token = token
    gateway.get_callback_server().callback_server_parameters.auth_token = token
    _import_flink_view(gateway)


pyflink_gateway_server.Popen = partial(Popen, stdout=PIPE, bufsize=0)
java_gateway.launch_gateway = _launch_gateway
# PyFlink calls this when both ports are open, and before either side has anything that the other calls
java_gateway.import_flink_view = _keep_to_this_process


@dataclass(frozen=True, slots=True)
class FlinkCluster:
    """A running Flink session cluster.

    Attributes:
        rest_url: Its REST endpoint, `http://host:port`; `https://` where it has TLS, whose options are in `conf`.
        home: The folder that holds Flink's `lib` with the connectors, which the client needs to build a job, and its `conf`.
        options: Configuration on top of the cluster's own, for every job submitted through this object.
    """

    rest_url: str
    home: Path
    options: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> StreamExecutionEnvironment:
        """An environment whose `execute_async` submits to this cluster, from any Python process or notebook.

        PyFlink's own `get_execution_environment` makes a local mini cluster in a plain Python process, whatever
        `execution.target` says; hence this one is built on the JVM's.
        """
        os.environ.setdefault("FLINK_HOME", str(self.home))
        rest = urlsplit(self.rest_url)
        jvm: Any = get_gateway().jvm
        # As `flink run` does: checkpoints, restarts and state storage are the cluster's business, and stand in its configuration.
        configuration = Configuration(
            j_configuration=jvm.org.apache.flink.configuration.GlobalConfiguration.loadConfiguration(
                str(self.home / "conf")
            )
        )
        for key, value in {
            **LOW_LATENCY,
            **self.options,
            "execution.target": "remote",
            "execution.attached": "false",
            # The address is known. ZooKeeper, which would tell it too, talks to Flink's own processes only.
            "high-availability.type": "NONE",
            "rest.address": str(rest.hostname),
            "rest.port": str(rest.port),
            "security.ssl.rest.enabled": str(rest.scheme == "https").lower(),
        }.items():
            configuration.set_string(key, value)
        environment = jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
        return StreamExecutionEnvironment(environment(configuration._j_configuration))

    def table_environment(self) -> tuple[StreamExecutionEnvironment, StreamTableEnvironment]:
        """An environment as from `environment()` with a table environment on top of it."""
        environment = self.environment()
        return environment, StreamTableEnvironment.create(environment)


def kafka_values(kafka: KafkaAccess, names: Names, job: str) -> dict[str, object]:
    """What the .sql files leave open: Kafka with its log-in, as options of a table, and names."""
    return {
        "kafka_options": sql_options(kafka.table_options()),
        "group": names.group(job),
        **{topic: getattr(names, topic) for topic in ("user_profile", "transactions", "transaction_mid")},
        **{topic: getattr(names, topic) for topic in ("suspicious_activities", "dead_letters")},
    }


@dataclass(frozen=True, slots=True)
class MySqlEndpoint:
    """Where and as whom to read MySQL's binlog. The account needs REPLICATION SLAVE, REPLICATION CLIENT and SELECT.

    `trusted` is a file in Java's PKCS12, with TRUSTED_PASSWORD, of the certificates by which the server must prove itself. Without one
    the binlog is read without TLS, so a program that takes the server's port can announce changes that never happened.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    trusted: str = ""


TRUSTED_PASSWORD = "fraudlab"  # noqa: S105 - of a file that holds nothing secret; Java wants one
CDC_LATENCY = {
    # Debezium hands out what it has read when a batch is full, or after 500 ms, the last of which it spends looking at the clock. With a
    # batch of two and 20 ms a lone payment waited for that end, and the looking took 4 % of a core.
    "max.batch.size": "1",
}
"""Debezium's properties with which each change is handed out at once."""


def mysql_cdc_source(endpoint: MySqlEndpoint, tables: list[str], server_ids: range) -> Source:
    """The Flink MySQL CDC connector as a DataStream source: a snapshot of the tables, then their binlog from where it began.

    PyFlink has no class for it; this wraps the connector's builder.

    Args:
        endpoint: The server, the account and the database.
        tables: Names of tables in that database.
        server_ids: Ids under which the source registers as a replica, one for each parallel reader. No other replica or CDC
            job may use them: two readers with one id get each other's binlog positions.

    Returns:
        A source of strings, each a Debezium envelope in JSON: `{"before": …, "after": …, "op": "c|r|u|d", "ts_ms": …,
        "source": {…}}`. Decimals are strings, times ISO 8601, booleans 0 or 1 (MySQL's BOOLEAN is TINYINT(1)).
    """
    gateway = get_gateway()
    jvm: Any = gateway.jvm
    mysql = jvm.org.apache.flink.cdc.connectors.mysql
    debezium = {
        **CDC_LATENCY,
        **_binlog_tls(endpoint.trusted),
        "decimal.handling.mode": "string",
        # A server that was killed is noticed by its missing heartbeats. With the default of a minute reading goes on after two.
        "connect.keep.alive.interval.ms": "5000",
    }
    builder = (
        mysql.source.MySqlSource.builder()
        .hostname(endpoint.host)
        .port(endpoint.port)
        .username(endpoint.user)
        .password(endpoint.password)
        .databaseList(_strings(gateway, [endpoint.database]))
        .tableList(_strings(gateway, [f"{endpoint.database}.{table}" for table in tables]))
        .serverId(f"{server_ids.start}-{server_ids.stop - 1}")
        .serverTimeZone("UTC")
        .startupOptions(mysql.table.StartupOptions.initial())
        # The backfill would hand out each chunk of the snapshot in the order of a hash map. Without it rows come in the order of
        # their key; those that change meanwhile come again from the binlog, which readers must bear anyway.
        .skipSnapshotBackfill(True)
        .debeziumProperties(_properties(jvm, debezium))
        .jdbcProperties(_properties(jvm, _jdbc_tls(endpoint.trusted)))
        .deserializer(jvm.org.apache.flink.cdc.debezium.JsonDebeziumDeserializationSchema())
    )
    return Source(builder.build())


def _binlog_tls(trusted: str) -> dict[str, str]:
    if not trusted:
        return {}
    return {
        "database.ssl.mode": "verify_ca",
        "database.ssl.truststore": trusted,
        "database.ssl.truststore.password": TRUSTED_PASSWORD,
    }


def _jdbc_tls(trusted: str) -> dict[str, str]:
    if not trusted:
        return {}
    return {
        "sslMode": "VERIFY_CA",
        # The binlog's reader takes the version of this session; with TLS 1.3 it can deadlock (FLINK-38904).
        "tlsVersions": "TLSv1.2",
        # The connector puts it into a URL of its own, so it is decoded twice.
        "trustCertificateKeyStoreUrl": quote(Path(trusted).as_uri(), safe="/:"),
        "trustCertificateKeyStoreType": "PKCS12",
        "trustCertificateKeyStorePassword": TRUSTED_PASSWORD,
    }


def _properties(jvm: Any, values: dict[str, str]) -> Any:
    properties = jvm.java.util.Properties()
    for key, value in values.items():
        properties.setProperty(key, value)
    return properties


def _strings(gateway: Any, values: list[str]) -> Any:
    array = gateway.new_array(gateway.jvm.java.lang.String, len(values))
    for index, value in enumerate(values):
        array[index] = value
    return array
