"""The whole system: the local stack, and on it the database, the topics, the jobs and the services, started in order of dependency."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mysql.connector
from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError
from mysql.connector import errorcode

from fraudlab.clients import waiting
from fraudlab.clients.flink_rest import Job, NoAnswer
from fraudlab.errors import UserError
from fraudlab.kafka_access import KafkaAccess
from fraudlab.mysql_session import Session
from fraudlab.pipeline import captured, database, deletions, kafka_accounts, tables_check, topics
from fraudlab.pipeline.contracts import (
    CDC_JOB,
    DETECTOR_JOB,
    JOBS,
    JOIN_JOB,
    SKIPPED,
    Names,
    joined_beginning,
    server_ids,
)
from fraudlab.settings import Settings
from fraudlab.skipped_records import SkippedRecords
from fraudlab.stack import doctor, flink, flink_jobs, kafka_metadata, ports, space
from fraudlab.stack import kafka as stack_kafka
from fraudlab.stack import mysql as stack_mysql
from fraudlab.stack.layout import Layout
from fraudlab.stack.secret_store import write_private
from fraudlab.stack.supervisor import NEIGHBOURS_DEADLINE_S, Program, ServiceStatus, Stack
from fraudlab.stack.supervisord import MARKER

if TYPE_CHECKING:
    from fraudlab.pipeline.flink import FlinkCluster, MySqlEndpoint

Progress = Callable[[str], None]
JOBS_DEADLINE_S = 90
LOOK_AT_FLINK = "Look at Flink's web page (`fraudlab open flink`) and `fraudlab logs taskmanager`."
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
"""What a service says is in its log at once."""
BANK = "data-generator"
"""The bank's container. It is no program of the supervisor's; its health can be asked for all the same."""
STUCK_AFTER_S = 3
"""How long a consumer that has something to read may commit nothing."""
REJECTED = {
    errorcode.ER_ACCESS_DENIED_ERROR,
    errorcode.ER_DBACCESS_DENIED_ERROR,
    errorcode.ER_MUST_CHANGE_PASSWORD,
    errorcode.ER_MUST_CHANGE_PASSWORD_LOGIN,
    errorcode.ER_ACCOUNT_HAS_BEEN_LOCKED,
}
"""Numbers of errors with which MySQL rejects a login."""
LOCK_PATIENCE_S = 60
"""How long a statement of the administrator waits for a table that another session uses. MySQL itself would wait for a year."""
PAYMENT_PATIENCE_S = 5
"""How long no payment may come while the bank is open."""


def connect(settings: Settings, role: str, **options: Any) -> Any:
    """A `mysql.connector` connection to the payment database in one of the roles of `database.ROLES`, or as `root`."""
    stack = Stack(settings)
    if role == "root":
        options = {"init_command": f"SET SESSION lock_wait_timeout = {LOCK_PATIENCE_S}"} | options
    password = stack.mysql_root_password() if role == "root" else stack.secrets.secret(secret_name(settings, role))
    user = role if role == "root" else settings.names.account(role)
    return Session(
        host=settings.mysql_host,
        port=settings.mysql_port,
        user=user,
        password=password,
        time_zone="+00:00",
        **stack_mysql.proof(settings, stack.layout),
        **options,
    )


def kafka(settings: Settings, role: str = stack_kafka.OWNER) -> KafkaAccess:
    """How Kafka is used by a job, a service or the `learner` in the labs; without one of these roles, by the owner of the stack."""
    account = role if role == stack_kafka.OWNER else settings.names.group(role)
    return stack_kafka.access(settings, Stack(settings).secrets, account)


def secret_name(settings: Settings, role: str) -> str:
    """Under which name the password of a role's account is kept."""
    return f"mysql_{settings.names.account(role)}"


def generator_environment(settings: Settings) -> dict[str, str]:
    """What the data generator reads from its environment: MySQL's address, its account, and how the server proves who it is."""
    stack = Stack(settings)
    return {
        "DATA_GENERATOR_HOST": settings.mysql_host,
        "DATA_GENERATOR_PORT": str(settings.mysql_port),
        "DATA_GENERATOR_USER": settings.names.account("generator"),
        "DATA_GENERATOR_PASSWORD": stack.secrets.secret(secret_name(settings, "generator")),
        "DATA_GENERATOR_DATABASE": settings.names.database,
        "DATA_GENERATOR_CA": str(stack_mysql.authority(settings, stack.layout) or ""),
    }


def start_generator(
    settings: Settings,
    *,
    rate: float,
    users: int,
    seed: int | None,
    report: Path,
    options: tuple[str, ...] = (),
    of_the_stack: bool = True,
) -> subprocess.Popen[bytes]:
    """Starts the synthetic bank as a process of its own, which writes its counts to `report` when it ends.

    It ends with this process, however that ends: the bank's standard input is a pipe whose other end this process holds. `fraudlab
    down` ends it, too, if it is `of_the_stack`. `end_generator` ends it from here.
    """
    seed = seed if seed is not None else int(time.time())
    arguments = ["--rate", str(rate), "--users", str(users), "--seed", str(seed), "--report", str(report), "--quiet"]
    fraud_every_s = max(1.0, 25 / rate)  # more would be more than half of all payments, which the generator refuses
    command = [*arguments, "--late", "0.02", "--fraud-every", str(fraud_every_s), "--end-with-stdin", *options]
    marker = {MARKER: str(Stack(settings).layout.home)} if of_the_stack else {}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "data_generator", *command],
        env=os.environ | generator_environment(settings) | marker,
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the terminal, or an interrupted kernel, is not meant for it
    )


def end_generator(process: subprocess.Popen[bytes], patience_s: float) -> int:
    """Ends the bank after its current batch, or kills it after `patience_s`; returns its exit status."""
    assert process.stdin is not None, "start_generator made it"
    process.terminate()
    process.stdin.close()
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def prepare(settings: Settings) -> None:
    """Creates the database, the topics, and the accounts of both, where they are missing."""
    create_database(settings)
    create_kafka_accounts(settings)
    with connect(settings, "root", autocommit=True) as connection:
        made = database.topics_made(connection, settings.names) or _set_aside(settings, connection)
        try:
            present = topics.create(kafka(settings), settings.names, settings.partitions, made)
        except topics.TopicsLostError as lost:
            raise UserError(
                f"Kafka has lost topics of {settings.names.database}, and with them their records: {lost}.",
                "Restore Kafka's data folder from a backup, then run the command again. Without one, `fraudlab reset` wipes the "
                "database, the topics and the jobs' state together (in a notebook, `lab.reset()` wipes what is yours).",
            ) from lost
        if present != made:
            database.remember_topics(connection, settings.names, present)


def create_kafka_accounts(settings: Settings) -> None:
    """Creates the accounts of jobs, services and the learner in Kafka, or brings them up to date. Raises KafkaError."""
    owner = kafka(settings)
    if not owner.logs_in:
        return
    passwords = {role: kafka(settings, role).password for role in kafka_accounts.roles(settings.names)}
    file = Layout(settings.home).kafka_accounts(settings.learner)
    written = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    made = kafka_accounts.create(owner, settings.names, passwords, written)
    if made != written:
        write_private(file, json.dumps(made, indent=2) + "\n")


def _set_aside(settings: Settings, connection: Any) -> dict[str, str]:
    """Topics of ours that Kafka has set aside, for a home of an older version, which recorded no topics: their ids are not known.

    Without payments nothing can be lost: such folders remain when a topic is deleted and Kafka is killed.
    """
    partitions = kafka_metadata.stray(Layout(settings.home).kafka_data)
    stray = {one.rpartition("-")[0] for one in partitions} & set(settings.names.topics)
    if not stray:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT * FROM {settings.names.database}.transactions)")  # noqa: S608
        return dict.fromkeys(sorted(stray), "") if cursor.fetchone()[0] else {}


def forget_topics(settings: Settings) -> None:
    """Forgets which topics there were, before they are deleted on purpose; harmless if there is no database."""
    with connect(settings, "root", autocommit=True) as connection:
        database.remember_topics(connection, settings.names, {})


def partitions_note(settings: Settings) -> str | None:
    """A sentence if topics do not have as many partitions as the settings say: a topic keeps what it has, and readers follow it."""
    with contextlib.closing(kafka(settings).admin()) as admin:
        counts = {one["name"]: len(one["partitions"]) for one in admin.describe_topics(list(settings.names.topics))}
    others = {name: count for name, count in counts.items() if count != settings.partitions}
    if not others:
        return None
    found = ", ".join(f"{name} {count}" for name, count in sorted(others.items()))
    return (
        f"FRAUDLAB_PARTITIONS is {settings.partitions}, which applies only to topics that are created from now on; the topics here "
        f"keep their partitions: {found}"
    )


def create_database(settings: Settings) -> None:
    """Creates the database and its accounts, where they are missing. Raises UserError where the server cannot be used for CDC."""
    secrets = Stack(settings).secrets
    with _administrator(settings) as connection:
        _require_own_server_ids(connection, settings.names)
        try:
            database.create(
                connection,
                settings.names,
                {role: secrets.secret(secret_name(settings, role)) for role in database.ROLES},
                clients=settings.mysql_clients,
            )
        except database.UnusableServerError as error:
            raise UserError(
                f"This MySQL does not write the binlog that change data capture reads, so payments would be missed: {error}.",
                "Change its option file (my.cnf, section [mysqld]), restart the server, and run the command again.",
            ) from error
        except database.WrongTablesError as error:
            raise _wrong_tables(error.advice, str(error)) from error


@contextlib.contextmanager
def _administrator(settings: Settings) -> Iterator[Any]:
    """A connection as `root` that changes tables. Raises UserError, which names them, when other sessions do not let go of one."""
    with connect(settings, "root") as connection:
        try:
            yield connection
        except mysql.connector.Error as error:
            if error.errno != errorcode.ER_LOCK_WAIT_TIMEOUT:
                raise
            holders = database.long_transactions(connection, LOCK_PATIENCE_S)
            raise UserError(
                f"Other sessions with MySQL have used the tables of {settings.names.database} for over {LOCK_PATIENCE_S} s, "
                f"so they cannot be changed. Open transactions: {', '.join(holders) or 'none any more'}.",
                "Commit or close them where they were begun (a notebook, a terminal), or end one with `KILL <number>` as root; "
                "then run the command again.",
            ) from error


def _wrong_tables(advice: str, what: str) -> UserError:
    return UserError(f"Changes of the tables cannot be captured as they are now: {what}.", advice)


def _require_own_server_ids(connection: Any, names: Names) -> None:
    """Raises UserError if another learner's CDC job, or a replica, has ids of this one's: they would disconnect each other."""
    mine = set(server_ids(names))
    with connection.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '%\\_payment'")
        learners = [str(name).removesuffix("_payment") for (name,) in cursor.fetchall()]
        cursor.execute("SELECT @@server_id")
        others = {int(number): "the MySQL server itself" for (number,) in cursor.fetchall()}
        cursor.execute("SHOW SLAVE HOSTS")  # CDC jobs do not register there
        others |= {int(row[0]): f"the replica {row[1] or 'of MySQL'}" for row in cursor.fetchall()}
    for learner in ("", *learners):
        if learner != names.learner:
            who = f"the learner {learner}" if learner else "the pipeline without a learner's name"
            others |= dict.fromkeys(server_ids(Names(learner)), who)
    taken = [number for number in others if number in mine]
    if taken:
        raise UserError(
            f"The replica id {taken[0]}, with which {names.job(CDC_JOB)} would read MySQL's binlog, belongs to {others[taken[0]]}.",
            "Choose another name: export FRAUDLAB_LEARNER=<name>.",
        )


def drop_database(settings: Settings) -> None:
    """Drops the database and its accounts; harmless where they are not there."""
    with _administrator(settings) as connection:
        database.drop(connection, settings.names, clients=settings.mysql_clients)


def erase_learner(settings: Settings) -> None:
    """Drops a learner's database, accounts and passwords; harmless where they are not there. Topics and jobs are to be gone already."""
    drop_database(settings)
    owner = kafka(settings)
    accounts = kafka_accounts.roles(settings.names)
    if owner.logs_in:
        kafka_accounts.remove(owner, settings.names)
    layout = Layout(settings.home)
    layout.kafka_accounts(settings.learner).unlink(missing_ok=True)
    passwords = {secret_name(settings, role) for role in database.ROLES}
    passwords |= {stack_kafka.secret_name(settings.names.group(role)) for role in accounts}
    Stack(settings).secrets.forget(lambda name: name in passwords)


@dataclass(frozen=True)
class Status:
    """How all of it is. `jobs` is empty where no part of the pipeline has been started, as in the labs."""

    programs: list[ServiceStatus]
    jobs: list[flink_jobs.JobStatus]
    disk: space.Space

    @property
    def unhealthy(self) -> list[str]:
        """The names of what is not ready or does not run."""
        programs = [one.name for one in self.programs if one.problem is not None]
        return programs + [one.name for one in self.jobs if one.problem is not None]


def status(settings: Settings) -> Status:
    """How each program, and each job of the pipeline, is. Takes some seconds at most."""
    programs, names = Stack(settings).status(services(settings)), settings.names
    wanted = [names.job(job) for job in JOBS]
    started = {one.name for one in programs} & {names.group(one) for one in ("flagger", "notifier", "analytics")}
    try:
        known = job_status(settings, wanted)
        begun = bool(started) or any(job.state != flink_jobs.ABSENT for job in known)
    except NoAnswer as error:
        problem = f"is not known: Flink does not answer ({error})"
        known = [flink_jobs.JobStatus(name, "UNKNOWN", 0, None, problem) for name in wanted]
        begun = bool(started)
    return Status(programs, known if begun else [], space.measure(Layout(settings.home).home))


def job_status(settings: Settings, wanted: Sequence[str]) -> list[flink_jobs.JobStatus]:
    """How the jobs of these full names are, judged by what Flink says and by what they have written. Raises as `flink_jobs.status` does."""
    known = flink_jobs.status(settings, wanted)
    return [_with_capture(settings, one) if one.name == settings.names.job(CDC_JOB) else one for one in known]


def _with_capture(settings: Settings, job: flink_jobs.JobStatus) -> flink_jobs.JobStatus:
    table = _table_problem(settings) if job.state != flink_jobs.ABSENT else None
    if table is not None:  # it comes first: it may be the cause of whatever else there is
        return dataclasses.replace(job, problem=f"cannot capture all changes: {table.what}", advice=table.advice)
    wrong = capture_problem(settings) if job.problem is None else None
    if wrong is None:
        return job
    return dataclasses.replace(job, problem=f"runs, but {wrong}", advice=flink_jobs.SNAPSHOT_ADVICE)


def _table_problem(settings: Settings) -> tables_check.TableProblem | None:
    """What is wrong with the captured tables; None if nothing is, or if MySQL does not answer now."""
    try:
        # The job's account sees only the two tables, but in containers not every program has root's password.
        role = "cdc" if settings.in_container else "root"
        with connect(settings, role, connection_timeout=3) as connection:
            return tables_check.problem(connection, settings.names.database, created=True)
    except mysql.connector.Error:
        return None


def capture_problem(settings: Settings) -> str | None:
    """What is wrong with what cdc-ingestion writes; None if nothing is, or if MySQL or Kafka does not answer now."""
    try:
        return _known_capture_problem(settings)
    except (mysql.connector.Error, KafkaError):
        return None


def _known_capture_problem(settings: Settings) -> str | None:
    """`capture_problem`, which raises what keeps it from being known."""
    name = settings.names.job(CDC_JOB)
    job = flink_jobs.newest(settings, [name]).get(name)
    if job is None:
        return None
    with connect(settings, "cdc", connection_timeout=3) as connection:
        return captured.problem(kafka(settings), settings.names, connection, job.started_ms)


def services(settings: Settings) -> list[Program]:
    """The inbox and the consumers, as programs for the supervisor."""
    return [
        Program(
            name="inbox",  # one for all learners, so it knows of none: another one's `up` must not replace it
            command=[sys.executable, "-m", "fraudlab.services.inbox"],
            environment=UNBUFFERED
            | settings.environment(("home", "in_container", "inbox_host", "inbox_smtp_port", "inbox_http_port")),
            ports={
                settings.inbox_smtp_port: "FRAUDLAB_INBOX_SMTP_PORT",
                settings.inbox_http_port: "FRAUDLAB_INBOX_HTTP_PORT",
            },
            problem=lambda: ports.page_problem(settings.inbox_host, settings.inbox_http_port),
        ),
        Program(
            name=settings.names.group("flagger"),
            command=[sys.executable, "-m", "fraudlab.services.flagger"],
            environment=UNBUFFERED | settings.environment(),
            problem=lambda: _consumer_problem(settings, "flagger"),
        ),
        Program(
            name=settings.names.group("notifier"),
            command=[sys.executable, "-m", "fraudlab.services.notifier"],
            environment=UNBUFFERED | settings.environment(),
            stop_wait_s=20,  # lets it record what is being sent
            problem=lambda: _consumer_problem(settings, "notifier"),
        ),
        Program(
            name=settings.names.group("analytics"),
            command=[sys.executable, "-m", "fraudlab.services.analytics"],
            environment=UNBUFFERED | settings.environment(),
            ports={settings.dashboard_port: "FRAUDLAB_DASHBOARD_PORT"},
            problem=lambda: ports.page_problem(settings.dashboard_host, settings.dashboard_port),
        ),
    ]


def program(settings: Settings, name: str) -> Program:
    """A program of the stack or one of the services, ready to be started. Raises UserError where there is none of this name."""
    stack = Stack(settings)
    return stack.prepared(name) if name in stack.services else _service(settings, name)


def wait_for_needs(settings: Settings, name: str, progress: Progress) -> None:
    """Waits until the programs serve without which one of the stack ends at once: nobody need start containers in order."""
    needed = flink.NEEDS.get(name, ())
    if needed:
        Stack(settings, progress).wait_healthy(NEIGHBOURS_DEADLINE_S, needed)


def problem(settings: Settings, name: str) -> str | None:
    """What keeps a program of the stack or a service from serving, None where it serves. Raises UserError as `program` does."""
    if name == BANK:
        return _bank_problem(settings)
    service = Stack(settings).services.get(name)
    ask = service.problem if service is not None else _service(settings, name).problem
    assert ask is not None, "every program can be asked"
    return ask()


def _service(settings: Settings, name: str) -> Program:
    known = {one.name: one for one in services(settings)}
    if name not in known:
        raise UserError(
            f"There is no program {name!r}.", f"Programs: {', '.join([*Stack(settings).services, *known])}."
        )
    return known[name]


def _bank_problem(settings: Settings) -> str | None:
    """None where the database takes or refuses a payment within seconds."""
    newest = (
        "SELECT (SELECT MAX(transaction_id) FROM transactions), (SELECT MAX(declined_id) FROM declined_transactions)"
    )
    options = {"database": settings.names.database, "connection_timeout": 3, "autocommit": True}
    try:
        with connect(settings, "generator", **options) as connection, connection.cursor() as cursor:

            def ids() -> Any:
                cursor.execute(newest)
                return cursor.fetchone()

            before = ids()
            came = waiting.until(lambda: ids() != before, PAYMENT_PATIENCE_S)
    except mysql.connector.Error as error:
        return f"the database cannot be asked for its payments ({error})"
    return None if came else f"no payment came within {PAYMENT_PATIENCE_S} s"


def _consumer_problem(settings: Settings, service: str) -> str | None:
    """None where a service can log in to MySQL and its consumer group gets on."""
    return login_problem(settings, service) or _group_problem(settings, service)


def login_problem(settings: Settings, role: str) -> str | None:
    """Why MySQL rejects the login of a role's account; None where it accepts it, or does not answer."""
    try:
        with connect(settings, role, database=settings.names.database, connection_timeout=3):
            return None
    except mysql.connector.Error as error:
        if error.errno in REJECTED:
            return f"MySQL rejects its login, and `fraudlab up` sets its password again ({error})"
    return None


def _group_problem(settings: Settings, service: str) -> str | None:
    """None where a service's group has members with partitions that get on: they have no record to read, or have just read one."""
    group = settings.names.group(service)
    try:
        with contextlib.closing(kafka(settings, service).admin(request_timeout_ms=3000)) as admin:
            state = admin.describe_groups([group])[group]["group_state"]
            if state != "Stable":
                return f"its consumer group {group} has no member that reads yet ({state})"
            before, unread = _reading(settings, admin, group)

            def gets_on() -> bool:
                nonlocal unread
                committed, unread = _reading(settings, admin, group)
                return not unread or committed != before

            if not unread or waiting.until(gets_on, STUCK_AFTER_S, 0.2):
                return None
    except (KafkaError, KeyError) as error:
        return f"Kafka cannot be asked for its consumer group {group} ({error!r})"
    return f"it is stuck: its consumer group {group} has {unread} activities to read and commits none"


def _reading(settings: Settings, admin: Any, group: str) -> tuple[dict[TopicPartition, int], int]:
    """The offsets of activities that a consumer group has committed, and how many activities there are after them."""
    topic = settings.names.suspicious_activities
    (described,) = admin.describe_topics([topic])
    there = [TopicPartition(topic, one["partition_index"]) for one in described["partitions"]]
    ends = admin.list_partition_offsets(dict.fromkeys(there, OffsetSpec.LATEST))
    offsets = admin.list_group_offsets(group).get(group, {})
    committed = {at: max(0, offsets[at].offset) if at in offsets else 0 for at in ends}
    return committed, sum(end.offset - committed[at] for at, end in ends.items())


def flink_cluster(settings: Settings, options: Mapping[str, str] | None = None) -> "FlinkCluster":
    """The running Flink cluster, for submitting jobs from this process; `options` is Flink configuration of these jobs."""
    from fraudlab.pipeline.flink import FlinkCluster

    stack = Stack(settings)
    os.environ.update(stack.client_environment())
    return FlinkCluster(settings.flink_url, stack.layout.flink, options or {})


def cdc_endpoint(settings: Settings) -> "MySqlEndpoint":
    """Where and as whom a job reads the binlog."""
    from fraudlab.pipeline.flink import TRUSTED_PASSWORD, MySqlEndpoint

    stack = Stack(settings)
    return MySqlEndpoint(
        settings.mysql_host,
        settings.mysql_port,
        settings.names.account("cdc"),
        stack.secrets.secret(secret_name(settings, "cdc")),
        settings.names.database,
        stack_mysql.authority_for_java(settings, stack.layout, TRUSTED_PASSWORD),
    )


def submit_jobs(settings: Settings, progress: Progress, only: Collection[str] | None = None) -> None:
    """Submits the jobs that are not there, and waits until all run. Jobs that Flink recovers by itself are left to it.

    `only` names some of the jobs, as `contracts.JOBS` does; without it all are meant.
    """
    began_ms = time.time_ns() // 1_000_000  # jobs that are there already may fail while PyFlink is imported
    names = settings.names
    wanted = [job for job in JOBS if only is None or job in only]
    known = flink.answered(lambda: flink_jobs.newest(settings, [names.job(job) for job in wanted]))
    missing = [job for job in wanted if names.job(job) not in known or known[names.job(job)].ended]
    if missing:
        submissions = _submissions(settings)
        for job in missing:
            submissions[job]()
            SkippedRecords(settings).submitted(names.job(job))
            progress(f"job {names.job(job)} submitted")
    wait_for_jobs(settings, [names.job(job) for job in wanted], since_ms=began_ms)
    if CDC_JOB in wanted:
        wait_for_binlog_reader(settings, since_ms=began_ms)
    if CDC_JOB in missing:
        _tell_of_deletions(settings, progress)


def resnapshot(settings: Settings, progress: Progress) -> None:
    """Makes cdc-ingestion forget its position in the binlog, and start with a new snapshot of both tables. Can be repeated at any time.

    The other jobs keep running: they tolerate duplicate rows. Raises UserError as `submit_jobs` does, and where the tables are not
    as the pipeline needs them.
    """
    with connect(settings, "root") as connection:
        if problem := tables_check.problem(connection, settings.names.database):
            raise _wrong_tables(problem.advice, problem.what)
    name = settings.names.job(CDC_JOB)
    for job in flink_jobs.cancel(settings, name):
        progress(f"job {job.name} cancelled")
    submit_jobs(settings, progress, only=(CDC_JOB,))


def skip_record(settings: Settings, place: str, progress: Progress) -> None:
    """Has the job that reads a record go on without it, from its last checkpoint; the record becomes a dead letter.

    A job that is submitted again later skips it, too. Can be repeated, and continues where it was interrupted.

    Args:
        settings: The environment.
        place: `topic-partition-offset`, as errors and dead letters name it.
        progress: Where progress goes.

    Raises:
        UserError: There is no such record, none of the pipeline's jobs reads its topic, or the job has read it without failing.
    """
    names = settings.names
    topic, partition, offset = _parsed(place)
    job = {names.user_profile: JOIN_JOB, names.transactions: JOIN_JOB, names.transaction_mid: DETECTOR_JOB}.get(topic)
    if job is None:
        raise UserError(
            f"No job skips records of {topic!r}.",
            f"A place is topic-partition-offset, as in {names.transaction_mid}-0-17. Topics: {names.user_profile},"
            f" {names.transactions}, {names.transaction_mid}.",
        )
    record = topics.read_record(kafka(settings), topic, partition, offset)
    if record is None:
        raise UserError(
            f"There is no record {place}.",
            "Kafka may have deleted it by now. `fraudlab status` names the one that fails.",
        )
    skipped, name = SkippedRecords(settings), names.job(job)
    running = flink_jobs.newest(settings, [name]).get(name)
    if skipped.holds(name, place) and running is not None and not running.ended and not skipped.checkpoint(name):
        progress(f"{name} skips {place} already")
        return
    checkpoint = skipped.checkpoint(name)
    if running is not None and not running.ended:
        if _has_passed(settings, running, names.group(job), place):
            raise UserError(
                f"The job {name} has read {place} already, and keeps running.",
                "What came of the record is in the topics, so skipping it changes nothing. `fraudlab status` names a record that fails.",
            )
        checkpoint = flink_jobs.latest_checkpoint(settings, running)
    topics.write_dead_letter(kafka(settings), names, topic, partition, offset, SKIPPED, record)
    beginning = joined_beginning(record) if job == DETECTOR_JOB else ""
    skipped.add(name, place, beginning, checkpoint)
    for one in flink_jobs.cancel(settings, name):
        progress(f"job {one.name} cancelled")
    submit_jobs(settings, progress, only=(job,))


def _has_passed(settings: Settings, job: Job, group: str, place: str) -> bool:
    """Whether a job runs, and has a checkpoint behind this record: with a checkpoint it commits the offsets of its group."""
    failed = flink_jobs.failures(settings, job)
    if place in {one.cause.record for one in failed} or not flink_jobs.has_settled(
        job, failed, time.time_ns() // 1_000_000
    ):
        return False
    topic, partition, offset = _parsed(place)
    with contextlib.closing(kafka(settings).admin()) as admin:
        committed = admin.list_group_offsets(group).get(group, {}).get(TopicPartition(topic, partition))
    return committed is not None and int(committed.offset) > offset


def _parsed(place: str) -> tuple[str, int, int]:
    topic, _, rest = place.rpartition("-")
    topic, _, partition = topic.rpartition("-")
    if not (topic and partition.isascii() and partition.isdigit() and rest.isascii() and rest.isdigit()):
        raise UserError(
            f"{place!r} is no place of a record.", "A place is topic-partition-offset: transaction_mid-0-17."
        )
    return topic, int(partition), int(rest)


def _tell_of_deletions(settings: Settings, progress: Progress) -> None:
    """After a snapshot, which only has existing rows: writes delete records for rows that were deleted while no job read the binlog."""
    with connect(settings, "root") as connection:
        written = deletions.write_missing(kafka(settings), settings.names, connection)
    for table, count in written.items():
        if count:
            progress(f"{count} rows of {table} were deleted in the meantime: the topic has their delete records now")


def _submissions(settings: Settings) -> dict[str, Callable[[], object]]:
    """How each job is submitted. Imports PyFlink, which a start that finds all jobs again does not need."""
    from fraudlab.pipeline import cdc, detector, join

    names = settings.names
    skipped = SkippedRecords(settings)

    def cluster(job: str) -> "FlinkCluster":
        checkpoint = skipped.checkpoint(names.job(job))
        return flink_cluster(settings, {"execution.state-recovery.path": checkpoint} if checkpoint else None)

    def skip(job: str) -> list[str]:
        return skipped.places(names.job(job))

    return {
        CDC_JOB: lambda: cdc.submit(cluster(CDC_JOB), cdc_endpoint(settings), kafka(settings, CDC_JOB), names),
        JOIN_JOB: lambda: join.submit(
            cluster(JOIN_JOB),
            kafka(settings, JOIN_JOB),
            names,
            transaction_ttl_s=settings.profile_patience_s,
            parallelism=settings.parallelism,
            skip=skip(JOIN_JOB),
        ),
        DETECTOR_JOB: lambda: detector.submit(
            cluster(DETECTOR_JOB),
            kafka(settings, DETECTOR_JOB),
            names,
            settings.rule,
            parallelism=settings.parallelism,
            skip=skip(DETECTOR_JOB),
        ),
    }


def wait_for_account(settings: Settings, role: str, progress: Progress, deadline_s: float = 600) -> None:
    """Waits until a role's account can use the database: where nobody starts programs in order, it may come later."""

    def log_in() -> None:
        try:
            connect(settings, role, database=settings.names.database, connection_timeout=3).close()
        except mysql.connector.Error as error:
            progress(f"waiting for the database {settings.names.database} and its account {role} ({error})")
            raise

    try:
        waiting.answered(log_in, mysql.connector.Error, deadline_s, 2)
    except mysql.connector.Error as error:
        raise UserError(
            f"The database {settings.names.database} has rejected the login of {role} for {deadline_s:.0f} s: {error}",
            "`fraudlab up` creates the database and its accounts.",
        ) from error


def wait_for_jobs(
    settings: Settings, names: list[str], deadline_s: float = JOBS_DEADLINE_S, *, since_ms: int | None = None
) -> None:
    """Waits until the jobs run. Raises UserError with the cause as soon as one of them has ended, or restarts in a loop.

    Failures before `since_ms`, or before this call, do not count: what a job needs may not have been there yet. A job without a task slot
    is waited for until the deadline: a TaskManager that was killed may be starting again.
    """
    since_ms = time.time_ns() // 1_000_000 if since_ms is None else since_ms

    def all_run() -> bool:
        known = flink_jobs.newest(settings, names)
        settled = [_has_settled(settings, job, since_ms) for job in known.values()]
        return len(settled) == len(names) and all(settled)

    try:  # a JobManager that is busy, or that was just killed, answers later
        if waiting.until(all_run, deadline_s, 0.2, despite=NoAnswer):
            return
        unhealthy = [one for one in flink_jobs.status(settings, names) if one.problem is not None]
        what = "; ".join(f"{one.name} {one.problem}" for one in unhealthy)
        advice = next((one.advice for one in unhealthy if one.advice), LOOK_AT_FLINK)
    except NoAnswer as error:
        what, advice = f"Flink does not answer ({error})", LOOK_AT_FLINK
    raise UserError(f"Not all jobs run after {deadline_s:.0f} s: {what}.", advice)


def _has_settled(settings: Settings, job: Job, since_ms: int) -> bool:
    """Whether a job runs and will go on. Raises UserError where it has ended, or restarts in a loop."""
    failed = flink_jobs.failures(settings, job)
    if job.ended:
        why = failed[0].cause.what if failed else f"its state is {job.state}"
        raise UserError(f"The job {job.name} has ended: {why}.", "`fraudlab up` submits it again.")
    cause = flink_jobs.loop_cause(failed, since_ms)
    if cause is not None and not cause.may_pass:
        raise UserError(f"The job {job.name} keeps failing: {cause.what}.", cause.advice)
    return flink_jobs.has_settled(job, failed, time.time_ns() // 1_000_000)


def wait_for_binlog_reader(
    settings: Settings, deadline_s: float = JOBS_DEADLINE_S, *, since_ms: int | None = None
) -> None:
    """Waits until the CDC job reads the binlog: from then on a payment is seen as it is committed. A snapshot of the tables comes first.

    Raises UserError when nothing has moved for `deadline_s`, and as `wait_for_jobs` does.
    """
    name = settings.names.job("cdc-ingestion")
    captured = (settings.names.user_profile, settings.names.transactions)
    deadline, length = time.monotonic() + deadline_s, 0
    while True:
        unknown: Exception | None = None  # what is not known is not fine: it is asked again
        try:
            reads = _reads_binlog(settings, name)
            wrong = _known_capture_problem(settings) if reads else None
        except (mysql.connector.Error, KafkaError, NoAnswer) as error:
            unknown, reads, wrong = error, False, None
        if wrong is not None:
            raise UserError(
                f"The job {name} runs, but what it captures is wrong: it {wrong}.", flink_jobs.SNAPSHOT_ADVICE
            )
        if reads:
            return
        wait_for_jobs(settings, [name], deadline_s, since_ms=since_ms)
        now_long = topics.length(kafka(settings), captured)
        if now_long > length:
            deadline, length = time.monotonic() + deadline_s, now_long
        if time.monotonic() > deadline and unknown is not None:
            raise unknown
        if time.monotonic() > deadline:
            raise UserError(
                f"The job {name} runs, but does not read MySQL's binlog after {deadline_s:.0f} s.",
                LOOK_AT_FLINK,
            )
        time.sleep(0.1)


def _reads_binlog(settings: Settings, name: str) -> bool:
    """Whether MySQL sends its binlog to the job that runs now.

    The session of an earlier attempt stays until MySQL writes to it; one that asks for a place that is gone is there until it is refused.
    """
    with connect(settings, "root", connection_timeout=3) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT MIN(time) FROM information_schema.processlist WHERE user = %s AND command LIKE 'Binlog Dump%'"
            " AND (state LIKE '% has sent all binlog%' OR state LIKE 'Sending binlog%')",
            (settings.names.account("cdc"),),
        )
        (age_s,) = cursor.fetchone()
    if age_s is None:
        return False
    job = flink_jobs.newest(settings, [name]).get(name)
    return job is not None and age_s <= flink_jobs.attempt_s(settings, job) + 1


def up(settings: Settings, progress: Progress) -> None:
    """Starts everything that does not run: the stack, the database and topics, the jobs, the services.

    A second one in the same home waits for the first, and finds its work done.
    """
    stack = Stack(settings, progress)
    programs = [] if settings.in_container else services(settings)  # there each has a container
    with stack.alone(progress):
        stack.install()
        if not settings.in_container:
            doctor.require_room(settings, programs, progress)
        stack.start()
        prepare(settings)
        progress(f"database {settings.names.database} and topics are there")
        if note := partitions_note(settings):
            progress(note)
        for program in programs:
            stack.add_program(program)
        submit_jobs(settings, progress)
        for program in programs:
            stack.wait_for_program(program)
            progress(f"{program.name} is ready")


def reinstate(settings: Settings, user_id: int) -> bool:
    """Clears the flag of an account. Returns whether it was set; raises UserError where there is no such user."""
    with connect(settings, "operator", database=settings.names.database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM user_profile WHERE user_id = %s", (user_id,))
        if cursor.fetchone()[0] == 0:
            raise UserError(f"There is no user {user_id}.", "`fraudlab generate --help` tells how to make users.")
        cursor.execute(
            "UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = %s AND suspicious_activities",
            (user_id,),
        )
        was_stopped: bool = cursor.rowcount == 1
        connection.commit()
    return was_stopped
