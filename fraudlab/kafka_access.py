"""Where Kafka is, and as whom to use it. Every client of Kafka is made here, so that encryption and log-in are settings."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient

LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""The Java class that logs in, by SASL mechanism."""


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
    protocol: str = "PLAINTEXT"
    mechanism: str = "SCRAM-SHA-256"
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

    def table_options(self) -> dict[str, str]:
        """`properties()` as options of a table in Flink SQL."""
        return {f"properties.{name}": value for name, value in self.properties().items()}

    def consumer(self, *topics: str, **options: Any) -> Any:
        """A `kafka.KafkaConsumer`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        return KafkaConsumer(*topics, **self.options(), **options)

    def producer(self, **options: Any) -> Any:
        """A `kafka.KafkaProducer`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        return KafkaProducer(**self.options(), **options)

    def admin(self, **options: Any) -> Any:
        """A `kafka.admin.KafkaAdminClient`. Raises KafkaError if Kafka does not answer or rejects the log-in."""
        return KafkaAdminClient(**self.options(), **options)


def jaas_config(mechanism: str, account: str, password: str) -> str:
    """Java's way to name an account. Raises ValueError for a mechanism that is not one of `LOGIN_MODULES`."""
    if mechanism not in LOGIN_MODULES:
        raise ValueError(f"{mechanism!r} is none of {', '.join(LOGIN_MODULES)}")
    return f"{LOGIN_MODULES[mechanism]} required username={_quoted(account)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    """A text as JAAS reads it in double quotes."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def sql_options(options: dict[str, str]) -> str:
    """Options of a table as they are written in the WITH of Flink SQL, one a line, without a comma after the last."""
    return ",\n  ".join(f"{_sql_text(name)} = {_sql_text(value)}" for name, value in options.items())


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
