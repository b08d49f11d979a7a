"""Submits the three jobs to a Flink cluster that others run. In deploy/submit.yaml, as a Kubernetes Job.

It makes no database, account or topic: those must be there (docs/scaling-out.md). Jobs that run already are left alone.
"""

import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from fraudlab.clients.flink_rest import FlinkRest
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline import cdc, detector, join
from fraudlab.pipeline.flink import FlinkCluster, MySqlEndpoint
from fraudlab.settings import Settings


class Addresses(BaseSettings):
    """Where everything is; from environment variables DEPLOY_<NAME>. The rule and its like are the project's own settings."""

    model_config = SettingsConfigDict(env_prefix="DEPLOY_", frozen=True)

    flink_url: str = Field(description="Flink's REST API, http://host:port or https://host:port")
    flink_ca: Path | None = Field(None, description="PEM of who signed Flink's certificate, unless the system knows it")
    flink_key: Path | None = Field(None, description="PEM of a key and certificate, where Flink asks for one")
    flink_home: Path = Field(Path("/opt/flink"), description="folder with lib and conf")
    kafka_servers: str = Field(description="host:port, several with commas")
    kafka_passwords: dict[str, SecretStr] = Field(
        {},
        description="JSON, account to password: each job logs in with its own name, with FRAUDLAB_KAFKA_SASL_MECHANISM",
    )
    mysql_host: str
    mysql_port: int = 3306
    mysql_user: str = "cdc"
    mysql_password: SecretStr
    mysql_database: str = "payment"


def present(where: Addresses) -> set[str]:
    """The names of the jobs that have not ended."""
    context = ssl.create_default_context(cafile=where.flink_ca)
    if where.flink_key is not None:
        context.load_cert_chain(where.flink_key)
    return {job.name for job in FlinkRest(where.flink_url, context, timeout_s=30).jobs() if not job.ended}


def main() -> int:
    """Submits what is missing; gives the exit status."""
    where, settings = Addresses(), Settings()
    names = settings.names
    cluster = FlinkCluster(where.flink_url, where.flink_home)
    endpoint = MySqlEndpoint(
        where.mysql_host,
        where.mysql_port,
        where.mysql_user,
        where.mysql_password.get_secret_value(),
        where.mysql_database,
    )
    parallelism = settings.parallelism

    def kafka(job: str) -> KafkaAccess:
        account = names.job(job)
        return KafkaAccess(
            where.kafka_servers,
            settings.kafka_security_protocol,
            settings.kafka_sasl_mechanism,
            account,
            where.kafka_passwords.get(account, SecretStr("")).get_secret_value(),
            settings.kafka_ca,
        )

    submissions: dict[str, Callable[[], object]] = {
        cdc.JOB: lambda: cdc.submit(cluster, endpoint, kafka(cdc.JOB), names),
        join.JOB: lambda: join.submit(
            cluster, kafka(join.JOB), names, transaction_ttl_s=settings.profile_patience_s, parallelism=parallelism
        ),
        detector.JOB: lambda: detector.submit(
            cluster, kafka(detector.JOB), names, settings.rule, parallelism=parallelism
        ),
    }
    there = present(where)
    for job, submit in submissions.items():
        if names.job(job) in there:
            print(f"{names.job(job)} is there already", flush=True)
        else:
            submit()
            print(f"{names.job(job)} submitted", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
