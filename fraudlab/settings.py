"""Every setting once: its name, default and unit. Each is overridden by an environment variable FRAUDLAB_<NAME>."""

from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraudlab.kafka_access import Mechanism, Protocol
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.rule import Rule

REPOSITORY = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
ANYWHERE = "0.0.0.0"  # noqa: S104


def _port(usual: int, description: str) -> Any:
    """A TCP port. Where it is not set, it is the number that this program usually has, plus the base of all ports."""
    return Field(default_factory=lambda values: values["port_base"] + usual, ge=1, le=65535, description=description)


class Settings(BaseSettings):
    """The settings of one lab environment, read from the environment when made."""

    model_config = SettingsConfigDict(env_prefix="FRAUDLAB_", frozen=True, env_ignore_empty=True)

    home: Path = Field(REPOSITORY / ".fraudlab", description="folder of everything made at run time")
    work: Path = Field(REPOSITORY / "my-labs", description="folder of a learner's own notebooks and progress")
    learner: str = Field(
        "", pattern=r"^([a-z][a-z0-9]{0,15})?$", description="prefix of database, topics, groups, jobs"
    )

    port_base: int = Field(
        10_000,
        ge=0,
        le=56_000,
        description="is added to the usual port of each program: 10000 makes 13306 of MySQL's 3306; another one is for a second stack",
    )

    in_container: bool = Field(
        False,
        description="this process is in a container, and so are its neighbours: MySQL, Kafka and Flink are waited for, not started, "
        "and what serves binds to all interfaces, of which only loopback ports are published",
    )
    mysqld: Path | None = Field(
        None, description="a mysqld of your own, version 8.0; without it, the one that the set-up brings"
    )
    mysql_host: str = Field(LOOPBACK, description="where MySQL is")
    mysql_clients: str = Field(LOOPBACK, description="from where MySQL's accounts may log in; `%`: from anywhere")
    mysql_port: int = _port(3306, "MySQL")
    kafka_host: str = Field(LOOPBACK, description="where the Kafka broker is")
    kafka_port: int = _port(9092, "the Kafka broker")
    kafka_security_protocol: Protocol = Field(
        "SASL_PLAINTEXT", description="how Kafka is spoken to, as its `security.protocol`; for a Kafka of your own"
    )
    kafka_sasl_mechanism: Mechanism = Field(
        "SCRAM-SHA-256", description="how accounts log in to Kafka; for a Kafka of your own"
    )
    kafka_ca: Path | None = Field(
        None,
        description="PEM file with the certificates that sign those of a Kafka of your own; without it, the system's",
    )
    kafka_controller_port: int = _port(9093, "Kafka's controller")
    zookeeper_host: str = Field(LOOPBACK, description="where ZooKeeper is")
    zookeeper_port: int = _port(2181, "Flink's high availability")
    flink_host: str = Field(LOOPBACK, description="where Flink's JobManager is")
    flink_page_host: str = Field(LOOPBACK, description="where Flink's web page is")
    flink_page_port: int = _port(8081, "Flink's web page, for whom `fraudlab open flink` has let in")
    flink_rest_port: int = _port(8082, "Flink's REST API, for those who hold its key")
    flink_rpc_port: int = _port(6123, "Flink's JobManager, for TaskManagers")
    taskmanager_host: str = Field(LOOPBACK, description="where Flink's TaskManager is")
    jupyter_port: int = _port(8888, "JupyterLab")
    class_host: str = Field(
        ANYWHERE, description="address of the class server; by default, all addresses of this machine, over HTTPS"
    )
    class_port: int = _port(8444, "the class server, over HTTPS")
    class_hub_port: int = _port(8445, "the class server's JupyterHub, for its proxy")
    class_proxy_port: int = _port(8446, "the class server's proxy, for its JupyterHub")
    class_page_port: int = _port(8447, "the instructor's page, for the class server's proxy")
    class_idle_s: int = Field(
        2 * 3600,
        ge=0,
        description="the jobs of a learner in a class end when the learner has run no cell for this long, in s; 0: never",
    )
    class_kernel_mib: int = Field(
        2000,
        ge=0,
        description="a notebook's kernel in a class is restarted when it holds more memory than this, in MiB, with its JVM; 0: never",
    )
    class_work: Path = Field(
        REPOSITORY / "my-class", description="folder of a class: a folder for the work of each learner in it"
    )
    kernel_idle_s: int = Field(
        3 * 3600,
        ge=0,
        description="a notebook's kernel ends, open or not, when it has run nothing for this long, in s: its variables are lost; 0: never",
    )

    dashboard_host: str = Field(
        LOOPBACK, description="address of the dashboard; where it is not loopback, it asks for a password"
    )
    dashboard_port: int = _port(8080, "the dashboard's page")

    inbox_host: str = Field(LOOPBACK, description="where the inbox is; it has no log-in")
    inbox_smtp_port: int = _port(1025, "the inbox's mail server")
    inbox_http_port: int = _port(8025, "the inbox's page and push server")

    inbox_store_mib: int = Field(
        256, ge=16, description="MiB of messages that the inbox keeps; the oldest are deleted first"
    )

    notify_email_url: str = Field("", description="where e-mail goes, mailto:// or mailtos://; empty: the inbox")
    notify_push_url: str = Field("", description="where push messages go, ntfy:// or any of Apprise; empty: the inbox")
    notify_limit_per_hour: int = Field(5, ge=1, description="messages to one person by one channel within an hour")
    notify_timeout_s: float = Field(10, gt=0, description="how long a mail or push server may be silent")
    notify_retry_max_s: float = Field(60, gt=0, description="longest pause before a message is tried again")
    notify_deadline_s: int = Field(86_400, ge=1, description="how long a message is tried before it is undeliverable")

    partitions: int = Field(4, ge=2, description="partitions of topics that are created; existing topics keep theirs")
    parallelism: int = Field(1, ge=1, description="parallelism of the join and the detector")
    taskmanagers: int = Field(
        1, ge=1, description="local TaskManagers; each has a Python interpreter of its own, so one a core at most"
    )
    task_slots: int = Field(12, ge=3, description="task slots of each local TaskManager")
    class_sharing: bool = Field(
        True,
        description="Kafka and Flink write down their classes when they end for the first time, and then start sooner",
    )
    disk_reserve_mib: int = Field(
        256,
        ge=0,
        description="with less free on the disk of the home, Kafka is stopped; with twice as much, programs are started",
    )
    checkpoint_interval_s: int = Field(10, ge=1, description="seconds from one checkpoint to the next")

    window_s: int = Field(3600, ge=1, description="length of the window that ends with each payment")
    min_countries: int = Field(2, ge=1, description="countries within the window, at least")
    threshold_eur: Decimal = Field(
        Decimal("1000.00"), gt=0, decimal_places=2, description="sum within the window, at least"
    )
    allowed_lateness_s: int = Field(1800, ge=0, description="how far a payment may lie behind the user's newest")
    max_age_s: int = Field(30 * 86_400, ge=1, description="how long after it happened the bank may store a payment")
    profile_patience_s: int = Field(
        600, ge=1, description="how long payments and what is found wait for a user's profile"
    )

    def environment(self, only: Collection[str] = ()) -> dict[str, str]:
        """The environment in which another process has these settings, or those of the given names, wherever it starts."""
        values = self.model_dump(include=set(only) or None)
        paths = {name: path.expanduser().resolve() for name, path in values.items() if isinstance(path, Path)}
        texts = {name: "" if value is None else str(value) for name, value in (values | paths).items()}
        return {f"FRAUDLAB_{name.upper()}": text for name, text in texts.items()}

    @property
    def shares_classes(self) -> bool:
        """Whether JVMs use archives of their classes. In a container nothing is kept of what Java writes."""
        return self.class_sharing and not self.in_container

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address, `host:port`."""
        return f"{self.kafka_host}:{self.kafka_port}"

    @property
    def flink_url(self) -> str:
        """Flink's REST API."""
        return f"https://{self.flink_host}:{self.flink_rest_port}"

    @property
    def flink_page(self) -> str:
        """Flink's web page, as a person reaches it."""
        return self._page(self.flink_page_host, self.flink_page_port)

    @property
    def dashboard_url(self) -> str:
        """The dashboard's page, as this machine reaches it."""
        return self._page(LOOPBACK if self.dashboard_host == ANYWHERE else self.dashboard_host, self.dashboard_port)

    @property
    def inbox_url(self) -> str:
        """The inbox's JSON API and push server."""
        return f"http://{self.inbox_host}:{self.inbox_http_port}"

    @property
    def inbox_page(self) -> str:
        """The inbox's page, as a person reaches it."""
        return self._page(self.inbox_host, self.inbox_http_port)

    @property
    def email_url(self) -> str:
        """Where e-mail goes, `{email}` and `{user_id}` still to be filled in."""
        return self.notify_email_url or f"mailto://{self.inbox_host}:{self.inbox_smtp_port}?to={{email}}"

    @property
    def push_url(self) -> str:
        """Where push messages go, `{phone}` and `{user_id}` still to be filled in."""
        topic = f"{self.learner}-user-{{user_id}}" if self.learner else "user-{user_id}"
        return self.notify_push_url or f"ntfy://{self.inbox_host}:{self.inbox_http_port}/{topic}"

    def bind_address(self, host: str) -> str:
        """Where something that others reach at `host` listens."""
        return ANYWHERE if self.in_container else host

    def _page(self, host: str, port: int) -> str:
        return f"http://{LOOPBACK if self.in_container else host}:{port}"

    @property
    def names(self) -> Names:
        """Names of the database, topics, consumer groups and jobs of this learner."""
        return Names(self.learner)

    @property
    def rule(self) -> Rule:
        """The rule that the detector applies and the verification recomputes."""
        return Rule(
            window_ms=self.window_s * 1000,
            min_countries=self.min_countries,
            threshold_eur_cents=int(self.threshold_eur * 100),
            allowed_lateness_ms=self.allowed_lateness_s * 1000,
            max_age_ms=self.max_age_s * 1000,
            profile_patience_ms=self.profile_patience_s * 1000,
        )
