"""The whole system: the local stack, and on it the database, the topics, the jobs and the services, started in order of dependency."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import mysql.connector

from fraudlab.pipeline import database, topics
from fraudlab.settings import Settings
from fraudlab.stack.flink import get_json
from fraudlab.stack.supervisor import Program, Stack, StackError

Progress = Callable[[str], None]
JOBS_DEADLINE_S = 90


def connect(settings: Settings, role: str, **options: Any) -> Any:
    """A `mysql.connector` connection to the payment database in one of the roles of `database.ROLES`, or as `root`."""
    stack = Stack(settings)
    password = stack.mysql_root_password() if role == "root" else stack.secrets.secret(secret_name(settings, role))
    user = role if role == "root" else settings.names.account(role)
    return mysql.connector.connect(
        host=settings.host, port=settings.mysql_port, user=user, password=password, time_zone="+00:00", **options
    )


def secret_name(settings: Settings, role: str) -> str:
    """Under which name the password of a role's account is kept."""
    return f"mysql_{settings.names.account(role)}"


def generator_environment(settings: Settings) -> dict[str, str]:
    """What the data generator reads from its environment: MySQL's address and its account."""
    return {
        "DATA_GENERATOR_HOST": settings.host,
        "DATA_GENERATOR_PORT": str(settings.mysql_port),
        "DATA_GENERATOR_USER": settings.names.account("generator"),
        "DATA_GENERATOR_PASSWORD": Stack(settings).secrets.secret(secret_name(settings, "generator")),
        "DATA_GENERATOR_DATABASE": settings.names.database,
    }


def prepare(settings: Settings) -> None:
    """Creates the database, its accounts and the topics, where they are missing."""
    secrets = Stack(settings).secrets
    with connect(settings, "root") as connection:
        database.create(
            connection, settings.names, {role: secrets.secret(secret_name(settings, role)) for role in database.ROLES}
        )
    topics.create(settings.bootstrap_servers, settings.names, settings.partitions)


def jobs(settings: Settings) -> dict[str, str]:
    """The jobs that Flink knows of: name to state, the state of the newest where a name has several."""
    known = sorted(get_json(settings, "/jobs/overview")["jobs"], key=lambda job: int(job["start-time"]))
    return {str(job["name"]): str(job["state"]) for job in known}


def services(settings: Settings) -> list[Program]:
    """The consumers, as programs for the supervisor."""
    environment = {f"FRAUDLAB_{name.upper()}": str(value) for name, value in settings.model_dump().items()}
    return [
        Program(
            name=settings.names.group("flagger"),
            command=[sys.executable, "-m", "fraudlab.services.flagger"],
            environment=environment | {"PYTHONUNBUFFERED": "1"},
        )
    ]


def submit_jobs(settings: Settings, progress: Progress) -> None:
    """Submits the jobs that are not there, and waits until all run. Jobs that Flink recovers by itself are left to it."""
    from fraudlab.pipeline import cdc, detector, join
    from fraudlab.pipeline.flink import FlinkCluster, MySqlEndpoint

    stack, names = Stack(settings), settings.names
    cluster = FlinkCluster(settings.flink_url, stack.layout.flink)
    os.environ.update(stack.client_environment())
    present = {name for name, state in jobs(settings).items() if state not in ("FAILED", "CANCELED", "FINISHED")}
    endpoint = MySqlEndpoint(
        settings.host,
        settings.mysql_port,
        names.account("cdc"),
        stack.secrets.secret(secret_name(settings, "cdc")),
        names.database,
    )
    servers = settings.bootstrap_servers
    submissions: dict[str, Callable[[], object]] = {
        cdc.JOB: lambda: cdc.submit(cluster, endpoint, servers, names),
        join.JOB: lambda: join.submit(
            cluster,
            servers,
            names,
            transaction_ttl_s=settings.profile_patience_s,
            parallelism=settings.parallelism,
        ),
        detector.JOB: lambda: detector.submit(cluster, servers, names, settings.rule, parallelism=settings.parallelism),
    }
    for job, submit in submissions.items():
        if names.job(job) not in present:
            submit()
            progress(f"job {names.job(job)} submitted")
    wait_for_jobs(settings, [names.job(job) for job in submissions])


def wait_for_jobs(settings: Settings, names: list[str], deadline_s: float = JOBS_DEADLINE_S) -> None:
    """Waits until the jobs run. Raises StackError with their states when they do not in time."""
    deadline = time.monotonic() + deadline_s
    states: dict[str, str] = {}
    while time.monotonic() < deadline:
        states = {name: state for name, state in jobs(settings).items() if name in names}
        if len(states) == len(names) and set(states.values()) == {"RUNNING"}:
            return
        time.sleep(0.2)
    raise StackError(f"Not all jobs run: {states}.", f"Look at {settings.flink_url} and `fraudlab logs taskmanager`.")


def up(settings: Settings, progress: Progress) -> None:
    """Starts everything that does not run: the stack, the database and topics, the jobs, the services."""
    stack = Stack(settings, progress)
    stack.install()
    stack.start()
    prepare(settings)
    progress(f"database {settings.names.database} and topics are there")
    submit_jobs(settings, progress)
    for program in services(settings):
        stack.add_program(program)
        progress(f"service {program.name} started")


def reinstate(settings: Settings, user_id: int) -> bool:
    """Clears the flag of an account. Returns whether it was set; raises StackError where there is no such user."""
    with connect(settings, "operator", database=settings.names.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM user_profile WHERE user_id = %s", (user_id,))
        if cursor.fetchone()[0] == 0:
            raise StackError(f"There is no user {user_id}.", "`fraudlab generate --help` tells how to make users.")
        cursor.execute(
            "UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = %s AND suspicious_activities",
            (user_id,),
        )
        was_stopped: bool = cursor.rowcount == 1
        connection.commit()
    return was_stopped
