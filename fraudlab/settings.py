"""Every setting once: its name, default and unit. Each is overridden by an environment variable FRAUDLAB_<NAME>."""

from decimal import Decimal
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.rule import Rule

REPOSITORY = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """The settings of one lab environment, read from the environment when made."""

    model_config = SettingsConfigDict(env_prefix="FRAUDLAB_", frozen=True, env_ignore_empty=True)

    home: Path = Field(REPOSITORY / ".fraudlab", description="folder of everything made at run time")
    learner: str = Field(
        "", pattern=r"^([a-z][a-z0-9]{0,15})?$", description="prefix of database, topics, groups, jobs"
    )

    host: str = Field("127.0.0.1", description="address that every service binds to")
    mysql_port: int = Field(13306, ge=1, le=65535)
    kafka_port: int = Field(19092, ge=1, le=65535)
    kafka_controller_port: int = Field(19093, ge=1, le=65535)
    zookeeper_port: int = Field(12181, ge=1, le=65535, description="Flink's high availability")
    flink_rest_port: int = Field(18081, ge=1, le=65535, description="Flink's web page")
    flink_rpc_port: int = Field(16123, ge=1, le=65535)

    partitions: int = Field(4, ge=2, description="partitions of every topic")
    parallelism: int = Field(1, ge=1, description="parallelism of the join and the detector")
    task_slots: int = Field(6, ge=3, description="task slots of the local TaskManager")
    checkpoint_interval_s: int = Field(10, ge=1)

    window_s: int = Field(3600, ge=1, description="length of the window that ends with each payment")
    min_countries: int = Field(2, ge=1)
    threshold_eur: Decimal = Field(Decimal("1000.00"), gt=0, decimal_places=2)
    allowed_lateness_s: int = Field(1800, ge=0)
    max_age_s: int = Field(30 * 86_400, ge=1, description="how long after it happened the bank may store a payment")
    profile_patience_s: int = Field(600, ge=1, description="how long a payment waits for a profile that comes after it")

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address, `host:port`."""
        return f"{self.host}:{self.kafka_port}"

    @property
    def flink_url(self) -> str:
        """Flink's web page and REST API."""
        return f"http://{self.host}:{self.flink_rest_port}"

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
        )
