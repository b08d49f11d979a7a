"""Where Kafka is, and as whom to use it. Every client of Kafka is made here, so that encryption and log-in are settings."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import SaslAuthenticationFailedError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""The Java class that logs in, by SASL mechanism."""


Received = tuple[bytes, Exception | None]
Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

# It warns of each log-in without TLS that the password crosses in the clear, which SCRAM never lets it do.
logging.getLogger("kafka.net.sasl.scram").setLevel(logging.ERROR)


class _Connections(KafkaConnectionManager):  # type: ignore[misc] # kafka-python is untyped
    """Tells at once that a log-in is rejected. kafka-python 3.0 tries until its time is up, and then says that it could not connect."""

    async def _build_transport(self, *arguments: Any, **options: Any) -> Any:
        transport = await super()._build_transport(*arguments, **options)
        transport._sock_recv = partial(last_words_first, transport._sock_recv)
        return transport

    async def _connect(self, node: Any, conn: Any, *arguments: Any, **options: Any) -> None:
        await super()._connect(node, conn, *arguments, **options)
        if conn.init_future.failed() and isinstance(conn.init_future.exception, SaslAuthenticationFailedError):
            self._auth_failures[node.node_id] = SaslAuthenticationFailedError(
                f"Kafka rejects the log-in of {self.config['sasl_plain_username']!r}: there is no such account, or it has another "
                "password. For the stack's own Kafka, `fraudlab up` makes the accounts and sets their passwords."
            )

    def maybe_raise_auth_failure(self, node_id: Any) -> None:
        """Raises it once: the next attempt may succeed."""
        if (failure := self._auth_failures.pop(node_id, None)) is not None:
            raise failure


def last_words_first(receive: Callable[[], Received]) -> Received:
    """What kafka-python has received: bytes or an error, never both.

    A broker answers a wrong password and closes the connection. Where both come at the same moment, kafka-python drops the answer.
    """
    received, error = receive()
    return (received, None) if received else (b"", error)


async def _fetch_when_drained(fetcher: Any, send: Callable[[], Awaitable[list[Any]]]) -> list[Any]:
    """Asks the brokers for more records, unless some are here that `poll` has not given out.

    kafka-python 3.0 then asks for the partitions that have none, and waits for that answer first. Where these are quiet, that takes
    `fetch_max_wait_ms`, again and again: one busy partition delayed all others by seconds.
    """
    if fetcher._completed_fetches or fetcher._next_partition_records:
        return []
    return await send()


def _client(**options: Any) -> KafkaNetClient:
    net = NetworkSelector(**options)
    return KafkaNetClient(net, _Connections(net, **options), **options)


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """One account's way to Kafka.

    Attributes:
        servers: `host:port` of brokers, several with commas.
        protocol: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`, as Kafka's `security.protocol`.
        mechanism: With SASL, one of `LOGIN_MODULES`.
        account: With SASL, the account's name.
        password: With SASL, the account's password.
        ca: With SSL, a PEM file with the certificates that sign the brokers' own. Without one, kafka-python trusts those of the
            system, and Java trusts those of its own store.
    """

    servers: str
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "SCRAM-SHA-256"
    account: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None

    @property
    def logs_in(self) -> bool:
        """Whether an account and a password are needed."""
        return self.protocol.startswith("SASL_")

    def options(self) -> dict[str, Any]:
        """What kafka-python's constructors take: `KafkaConsumer("topic", **access.options())`."""
        options: dict[str, Any] = {"bootstrap_servers": self.servers, "security_protocol": self.protocol}
        if self.logs_in:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.account,
                "sasl_plain_password": self.password,
                "kafka_client": _client,
            }
        if self.protocol.endswith("SSL") and self.ca is not None:
            options["ssl_cafile"] = str(self.ca)
        return options

    def properties(self) -> dict[str, str]:
        """What a Java client takes, Flink's connector for instance: `bootstrap.servers` and whatever the log-in needs."""
        properties = {"bootstrap.servers": self.servers}
        if self.protocol != "PLAINTEXT":
            properties["security.protocol"] = self.protocol
        if self.logs_in:
            properties["sasl.mechanism"] = self.mechanism
            properties["sasl.jaas.config"] = jaas_config(self.mechanism, self.account, self.password)
        if self.protocol.endswith("SSL") and self.ca is not None:
            properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ca)}
        return properties

    def librdkafka_options(self) -> dict[str, str]:
        """What clients in C take, and those that are built on it: `confluent_kafka.Consumer(access.librdkafka_options())`."""
        options = {"bootstrap.servers": self.servers, "security.protocol": self.protocol.lower()}
        if self.logs_in:
            options |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.account,
                "sasl.password": self.password,
            }
        if self.protocol.endswith("SSL") and self.ca is not None:
            options["ssl.ca.location"] = str(self.ca)
        return options

    def table_options(self) -> dict[str, str]:
        """`properties()` as options of a table in Flink SQL."""
        return {f"properties.{name}": value for name, value in self.properties().items()}

    def consumer(self, *topics: str, **options: Any) -> Any:
        """A `kafka.KafkaConsumer`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        consumer = KafkaConsumer(*topics, **self.options(), **options)
        fetcher = consumer._fetcher
        fetcher._send_fetches_async = partial(_fetch_when_drained, fetcher, fetcher._send_fetches_async)
        return consumer

    def producer(self, **options: Any) -> Any:
        """A `kafka.KafkaProducer`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        return KafkaProducer(**self.options(), **options)

    def admin(self, **options: Any) -> Any:
        """A `kafka.admin.KafkaAdminClient`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        return KafkaAdminClient(**self.options(), **options)

    def is_accepted(self) -> bool:
        """Whether Kafka accepts the log-in. Raises KafkaError if it does not answer."""
        try:
            self.admin().close()
        except SaslAuthenticationFailedError:
            return False
        return True


def jaas_config(mechanism: Mechanism, account: str, password: str, **others: str) -> str:
    """Java's way to name an account; `user_anna="…"` tells a server of PLAIN what the password of anna is."""
    named = {"username": account, "password": password, **others}
    return (
        f"{LOGIN_MODULES[mechanism]} required {' '.join(f'{name}={_quoted(value)}' for name, value in named.items())};"
    )


def _quoted(text: str) -> str:
    """A text as JAAS reads it in double quotes."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def sql_options(options: dict[str, str]) -> str:
    """Options of a table as they are written in the WITH of Flink SQL, one a line, without a comma after the last."""
    return ",\n  ".join(f"{_sql_text(name)} = {_sql_text(value)}" for name, value in options.items())


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
