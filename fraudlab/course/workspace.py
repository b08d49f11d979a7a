"""A learner's workspace: their database, topics, consumer groups, jobs and services, and nobody else's."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import mysql.connector
import orjson
from kafka.admin import MemberToRemove
from kafka.errors import KafkaError, NonEmptyGroupError
from kafka.partitioner.default import murmur2
from mysql.connector import errorcode

from fraudlab import system
from fraudlab.clients import bank, flink_rest, topics, waiting
from fraudlab.clients.flink_rest import FlinkRest
from fraudlab.errors import UserError
from fraudlab.pipeline.transaction import eur_cents
from fraudlab.settings import Settings
from fraudlab.skipped_records import SkippedRecords
from fraudlab.stack import flink, flink_jobs
from fraudlab.stack.supervisor import Stack

if TYPE_CHECKING:
    from fraudlab.pipeline.flink import FlinkCluster

DEFAULT_LEARNER = "lab"
"""Without a name you work under this one, so that labs and `make demo` share no table, topic or job."""
GRADER = "grade"
"""The name under which `fraudlab course grade` runs what learners hand in; no learner has it."""

SLOTS_PER_LEARNER = 6
"""Task slots: three for the pipeline's jobs, and up to three for a learner's own."""

OUTAGES = (mysql.connector.Error, KafkaError, OSError, UserError)
"""What an access raises when a part of the stack is away (and, some of them, for other reasons)."""

OWN = "from-a-notebook"
"""Stands in the configuration of jobs that a notebook starts, so that a check can tell them from those that `catch_up` starts."""
WRITTEN_WITHIN_S = 60
FIRST_OWN_USER = 1_000_000
"""Ids of accounts that a learner opens; the generator's are below."""

T = TypeVar("T")


def learner_settings() -> Settings:
    """The settings of the learner who works here."""
    settings = Settings()
    return settings if settings.learner else settings.model_copy(update={"learner": DEFAULT_LEARNER})


class Late(Exception):  # noqa: N818 - learners read this name
    """Something did not happen before its deadline; the message says what. A notebook shows it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def wait_until(probe: Callable[[], T | None], what: str, deadline_s: float = 90.0) -> T:
    """The first true value that `probe` gives. Raises Late, naming `what`, when none comes in time."""
    value = waiting.until(probe, deadline_s)
    if not value:
        raise Late(f"This did not happen within {deadline_s:.0f} s: {what}.")
    return value


@dataclass(frozen=True, slots=True)
class Job:
    """A job in Flink. `name` is without the learner's prefix."""

    id: str
    name: str
    state: str
    started: datetime

    @property
    def started_ms(self) -> int:
        """When it began, in ms since the epoch."""
        return round(self.started.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class JobState:
    """Whether there is a job, and in words why it fails; "" where it runs, starts, or may recover."""

    known: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies in Kafka; key and value as text, None where there is none; when it was written, in ms since the epoch."""

    partition: int
    offset: int
    key: str | None
    value: str | None
    written_ms: int

    @property
    def json(self) -> Any:
        """The value read as JSON; None of a tombstone."""
        return None if self.value is None else orjson.loads(self.value)


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """What the bank answered: the payment's id, or why it was refused."""

    transaction_id: int | None
    refused: str = ""

    def __repr__(self) -> str:
        return f"refused: {self.refused}" if self.refused else f"payment {self.transaction_id} is stored"


class Workspace:
    """MySQL, Kafka and Flink as one learner sees them. Every name in it carries the learner's prefix."""

    def __init__(self, settings: Settings) -> None:
        if not settings.learner:
            raise ValueError("a workspace needs a learner's name: the default names belong to the demo")
        self.settings, self.names, self.stack = settings, settings.names, Stack(settings)
        self.kafka = system.kafka(settings, "learner")

    # MySQL

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a query, column name to value."""
        with closing(self._connect("learner")) as connection, closing(connection.cursor(dictionary=True)) as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def value(self, query: str, *values: object) -> Any:
        """The one value of a query that gives one row of one column."""
        ((value,),) = (row.values() for row in self.rows(query, *values))
        return value

    def execute(self, statement: str, *values: object) -> int:
        """Runs an INSERT, UPDATE, DELETE or ALTER TABLE in MySQL and commits it. Each `%s` is replaced with one of the values.

        Returns:
            How many rows it changed.

        Example:
            lab.execute("UPDATE user_profile SET first_name = %s WHERE user_id = %s", "Grace", ada)
        """
        with closing(self._connect("learner")) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)

    def open_account(self, /, **fields: object) -> int:
        """Opens an account at the bank. `fields` are columns of `user_profile`; the rest is Ada Lovelace's.

        Returns:
            The new user's id.

        Example:
            ada = lab.open_account(first_name="Ada", home_country="DE")
        """
        user_id = max(FIRST_OWN_USER, int(self.value("SELECT COALESCE(MAX(user_id), 0) + 1 AS next FROM user_profile")))
        user_id = int(str(fields.pop("user_id", user_id)))
        with closing(self._connect("learner")) as connection:
            return bank.open_account(connection, user_id, **fields)

    def pay(
        self,
        user_id: int,
        amount: str,
        currency: str,
        country: str,
        *,
        minutes_ago: float = 0,
        merchant: str = "Books and more",
        kind: str = "online",
        at: datetime | None = None,
        key: str | None = None,
    ) -> PaymentResult:
        """Makes a payment.

        Args:
            user_id: Who pays.
            amount: As text, in units of the currency.
            currency: Its three letters.
            country: The country's two letters.
            minutes_ago: How long ago the payment happened; the bank stores it now.
            merchant: Who is paid.
            kind: `online`, `card_present` and so on.
            at: The time of the payment, instead of `minutes_ago`.
            key: Yours, of at most 36 letters and digits. A payment that is sent again with it is still one payment.

        Returns:
            The payment's id, or the reason why the bank refused it.

        Example:
            lab.pay(ada, "25.00", "EUR", "DE", minutes_ago=10)
        """
        at = at or datetime.now(UTC) - timedelta(minutes=minutes_ago)
        number = int(user_id)  # from a table it is a number of NumPy's
        try:
            with closing(self._connect("learner")) as connection:
                return PaymentResult(
                    bank.pay(
                        *(connection, number, amount, currency, country, at),
                        merchant=merchant,
                        type=kind,
                        payment_key=key,
                    )
                )
        except mysql.connector.Error as error:
            if error.errno == errorcode.ER_DUP_ENTRY and key is not None:
                return PaymentResult(self.value("SELECT transaction_id FROM transactions WHERE payment_key = %s", key))
            if error.sqlstate != bank.REFUSED:
                raise
            return PaymentResult(None, str(error.msg))

    def generate(
        self,
        *,
        payments: int,
        users: int,
        seed: int,
        rate: float = 0,
        hours: float | None = None,
        frauds: int | None = None,
        **options: Any,
    ) -> dict[str, object]:
        """Lets the synthetic bank pay; gives its counts.

        Args:
            payments: How many.
            users: How many customers the bank has. They are added where they are missing.
            seed: The same seed and options give the same payments.
            rate: Payments a second, at the present; 0 for as fast as possible: then a history that ends an hour ago.
            hours: How long that history is; without it 200 payments a second.
            frauds: About how many frauds begin in that time; without it one in 300 payments.
            options: Further fields of `data_generator.StreamOptions`.
        """
        from data_generator import Connection, RunConfig, StreamOptions, run

        event_rate = Fraction(payments) / Fraction(str(hours * 3600)) if hours else Fraction(str(rate or 200))
        if frauds:
            options["fraud_every_s"] = payments / event_rate / frauds
        config = RunConfig(
            seed=seed,
            users=users,
            transactions=payments,
            rate=Fraction(str(rate)),
            stream=StreamOptions(event_rate=event_rate, **options),
        )
        return run(config, Connection.from_environment(system.generator_environment(self.settings))).as_dict()

    def _connect(self, role: str) -> Any:
        return system.connect(self.settings, role, database=self.names.database, autocommit=True, connection_timeout=3)

    # Kafka

    def topic(self, name: str) -> str:
        """A topic's name with the learner's prefix; `name` is without it."""
        known = {getattr(self.names, one): one for one in ("user_profile", "transactions", "transaction_mid")}
        known |= {getattr(self.names, one): one for one in ("suspicious_activities", "dead_letters")}
        full = name if name in known else self.names.group(name)
        if full not in known and full not in self.other_topics():
            raise UserError(f"There is no topic {name!r}.", f"Topics: {', '.join(known.values())}.")
        return full

    def other_topics(self) -> list[str]:
        """Topics with the learner's prefix that are not the pipeline's own."""
        with closing(self.admin()) as admin:
            mine = [str(topic) for topic in admin.list_topics() if str(topic).startswith(f"{self.settings.learner}.")]
        return [topic for topic in mine if topic not in self.names.topics]

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        with closing(self.consumer()) as consumer:
            return len(topics.partitions(consumer, [self.topic(topic)]))

    def count(self, topic: str) -> int:
        """How many records were ever written to a topic."""
        with closing(self.consumer()) as consumer:
            return topics.length(consumer, [self.topic(topic)])

    def records(self, topic: str, last: int | None = None) -> list[Record]:
        """The records of a topic, by partition and offset; with `last` only so many of the newest of each partition."""
        with closing(self.consumer()) as consumer:
            found = [
                Record(one.partition, one.offset, _text(one.key), _text(one.value), one.timestamp)
                for one in topics.read(consumer, [self.topic(topic)], last)
            ]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def consumer(self) -> Any:
        """A `KafkaConsumer` without a group, as the learner. Close it."""
        return self.kafka.consumer(enable_auto_commit=False, auto_offset_reset="earliest")

    def admin(self) -> Any:
        """A `KafkaAdminClient`, as the learner. Close it."""
        return self.kafka.admin()

    # Flink

    @property
    def flink(self) -> FlinkRest:
        """Flink's REST API."""
        return flink.rest(self.settings)

    def cluster(self, /, **options: str) -> "FlinkCluster":
        """Returns the running Flink cluster, to which you submit jobs. In options of Flink, write `__` for `.` and `_` for `-`.

        Example:
            environment = lab.cluster().environment()
            environment, tables = lab.cluster(execution__checkpointing__interval="500 ms").table_environment()
        """
        given = {_option(name): value for name, value in options.items()}
        return system.flink_cluster(self.settings, {"pipeline.global-job-parameters": f"{OWN}:true"} | given)

    def jobs(self) -> list[Job]:
        """The learner's jobs that have not ended, in the order in which they began."""
        prefix = self.names.job("")
        return [
            Job(job.id, job.name.removeprefix(prefix), job.state, datetime.fromtimestamp(job.started_ms / 1000, UTC))
            for job in self._own_jobs()
        ]

    def job_troubles(self) -> dict[str, str]:
        """The ids of the learner's jobs that fail, each with the reason in words."""
        found = {job.id: flink_jobs.trouble(self.settings, job) for job in self._own_jobs()}
        return {id: str(trouble) for id, trouble in found.items() if trouble is not None}

    def _own_jobs(self) -> list[flink_rest.Job]:
        """`jobs`, as Flink lists them."""
        prefix = self.names.job("")
        return [job for job in self.flink.jobs() if job.name.startswith(prefix) and not job.ended]

    def job_state(self, name: str) -> "JobState":
        """Whether there is a job of this name, and why it keeps failing or has failed. One that may recover has no trouble."""
        full = self.names.job(name)
        known = [job for job in self.flink.jobs() if job.name == full and job.state != "CANCELED"]
        if not known:
            return JobState(known=False)
        if known[-1].state == "FINISHED":  # its last results may still be on their way
            return JobState(known=True)
        trouble = flink_jobs.trouble(self.settings, known[-1])
        if trouble is None or not (trouble.fails and trouble.advice):
            return JobState(known=True)
        return JobState(known=True, trouble=trouble.words)

    def slots(self) -> tuple[int, int]:
        """Free task slots, and all."""
        overview = self.flink.get("/overview")
        return int(overview["slots-available"]), int(overview["slots-total"])

    def wait_for_job(self, name: str, deadline_s: float = 90) -> Job:
        """Waits until a job of yours is running.

        Returns:
            The job, with its `id` and when it `started`.

        Raises:
            Late: It isn't running before the deadline, or it keeps failing.

        Example:
            lab.wait_for_job("my-detector")
        """

        def running() -> Job | None:
            found = next((job for job in self.jobs() if job.name == name and job.state == "RUNNING"), None)
            if found is None and (trouble := self.job_state(name).trouble):
                raise Late(f"The job {name!r} {trouble}.")
            return found

        return wait_until(running, f"job {name!r} runs", deadline_s)

    def watermarks(self, name: str) -> list[tuple[str, int, int]]:
        """Step, subtask and watermark (in ms; below 0 where there is none yet) of a job. Raises Late if the job doesn't run."""
        job = self.wait_for_job(name)
        return [
            (str(step["name"]).partition(" -> ")[0], int(one["id"].partition(".")[0]), int(one["value"]))
            for step in self.flink.get(f"/jobs/{job.id}")["vertices"]
            for one in self.flink.get(f"/jobs/{job.id}/vertices/{step['id']}/watermarks")
        ]

    def cancel(self, name: str | None = None) -> list[str]:
        """Cancels your jobs of this name, or all of yours, and waits until their task slots are free.

        Returns:
            The names of the cancelled jobs.

        Example:
            lab.cancel("my-detector")
        """
        ending = [job for job in self.jobs() if name is None or job.name == name]
        for job in ending:
            self.flink.cancel(job.id)
        ids = {job.id for job in ending}
        wait_until(lambda: not ids & {job.id for job in self.jobs()}, "the cancelled jobs end")
        return [job.name for job in ending]

    def checkpoint(self, name: str, deadline_s: float = 90) -> str:
        """Triggers a checkpoint of a job of yours and waits until it is complete.

        Returns:
            The checkpoint's folder, from which a job can be restored.

        Example:
            lab.checkpoint("cdc-ingestion")
        """
        job = self.wait_for_job(name, deadline_s)
        before = int(self.flink.checkpoints(job.id)["counts"]["completed"])
        self.flink.take_checkpoint(job.id)

        def place() -> str | None:
            found = self.flink.checkpoints(job.id)
            latest = found["latest"]["completed"]
            return str(latest["external_path"]) if latest and int(found["counts"]["completed"]) > before else None

        return wait_until(place, f"a checkpoint of {name!r} is complete", deadline_s)

    # All of it

    def problem(self) -> tuple[str, str] | None:
        """What of the stack is not ready, and what to do; None if all of it is ready."""
        unhealthy = [one for one in self.stack.status() if one.name in self.stack.services and not one.healthy]
        if not unhealthy:
            return None
        what = "; ".join(f"{one.name} {one.problem}" for one in unhealthy)
        return (
            f"{what[0].upper()}{what[1:]}.",
            "Run `lab.up()` here, or `make lab` in a terminal: it starts what is not running.",
        )

    def require_running(self) -> None:
        """Raises UserError if a part of the stack is not ready: which one, and what to do."""
        if problem := self.problem():
            raise UserError(*problem)

    def records_of_run(self, topic: str, job: Job) -> list[Record]:
        """The records of a topic since a job began: what an earlier one wrote is none of its doing.

        All of them, where the job goes on from a checkpoint or savepoint: then it wrote the earlier ones, too.
        """
        found = self.flink.checkpoints(job.id)
        since_ms = 0 if found["latest"]["restored"] else job.started_ms
        return [record for record in self.records(topic) if record.written_ms >= since_ms]

    def is_own(self, job: Job) -> bool:
        """Whether a job was started from a notebook, and not by `catch_up`, which starts the pipeline's own."""
        execution = self.flink.get(f"/jobs/{job.id}/config")["execution-config"]
        return OWN in execution["user-config"]

    def start_pipeline(self, *jobs: str) -> None:
        """Starts jobs of the pipeline (`cdc-ingestion`, `transaction-join`, `fraud-detector`), and waits until they run."""
        system.submit_jobs(self.settings, lambda line: None, only=jobs)

    def empty(self, topic: str) -> None:
        """Deletes the records of a topic of the pipeline."""
        with closing(self.admin()) as admin:
            system.forget_topics(self.settings)
            self._delete_topics(admin, [self.topic(topic)])
        system.prepare(self.settings)

    def take(self, topic: str) -> list[Any]:
        """Empties a topic of the pipeline, and gives its records for `put_back`."""
        with closing(self.consumer()) as consumer:
            records = list(topics.read(consumer, [self.topic(topic)]))
        self.empty(topic)
        return records

    def put_back(self, topic: str, records: list[Any]) -> None:
        """Writes records that `take` gave: where they were, in their order, and with their times."""
        with closing(self.kafka.producer()) as producer:
            sent = [
                producer.send(
                    self.topic(topic),
                    key=one.key,
                    value=one.value,
                    headers=list(one.headers),
                    partition=one.partition,
                    timestamp_ms=one.timestamp,
                )
                for one in records
            ]
            for one in sent:
                one.get(timeout=WRITTEN_WITHIN_S)

    def start_service(self, name: str) -> None:
        """Starts a service of the pipeline, `flagger` for instance, under the stack's supervisor."""
        (program,) = [one for one in system.services(self.settings) if one.name in (name, self.names.group(name))]
        self.stack.add_program(program)

    def stop_service(self, name: str) -> None:
        """Stops a service of the learner's; harmless where it does not run."""
        self.stack.remove_program(self.names.group(name))

    def reset(self) -> None:
        """Brings the workspace to its beginning: an empty database, empty topics, no offsets, no job, no service.

        Consumers that a notebook has left open are put out of their groups. Raises UserError where one comes back at once; then the
        database is as it was.
        """
        self._clear()
        try:
            system.drop_database(self.settings)
        finally:
            system.prepare(self.settings)

    def erase(self) -> None:
        """Deletes the workspace: all that `reset` empties, and the learner's accounts and passwords. Raises UserError as `reset` does."""
        self._clear()
        system.erase_learner(self.settings)

    def _clear(self) -> None:
        """Ends the learner's services and jobs, and deletes their consumer groups and topics."""
        system.create_kafka_accounts(self.settings)  # the first time this learner has none
        for program in system.services(self.settings):
            if program.name.startswith(self.names.group("")):  # others are shared
                self.stack.remove_program(program.name)
        self.cancel()
        with closing(self.admin()) as admin:
            self._delete_groups(admin)
            system.forget_topics(self.settings)
            prefix = f"{self.settings.learner}."
            self._delete_topics(admin, [topic for topic in admin.list_topics() if topic.startswith(prefix)])
        SkippedRecords(self.settings).forget(self.names.job(""))

    def _delete_groups(self, admin: Any) -> None:
        prefix = f"{self.settings.learner}."
        groups = [str(group["group_id"]) for group in admin.list_groups()]
        groups = [group for group in groups if group.startswith(prefix)]
        for _ in range(3):  # a consumer that is polled meanwhile joins again
            if not groups:
                return
            for group, described in admin.describe_groups(groups).items():
                if members := [MemberToRemove(member_id=member["member_id"]) for member in described["members"]]:
                    admin.remove_group_members(group, members)
            said = admin.delete_groups(groups)
            groups = [group for group in groups if said[group] == NonEmptyGroupError.__name__]
        raise UserError(
            f"Consumers in {', '.join(sorted(groups))} are still running, so their offsets cannot be deleted.",
            "Close them (`consumer.close()`, or restart the kernel of the notebook that made them), then try again.",
        )

    def _delete_topics(self, admin: Any, old: list[str]) -> None:
        if old:
            admin.delete_topics(old)
            wait_until(lambda: not set(old) & set(admin.list_topics()), "the old topics are gone")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def partition_of(key: str, partitions: int) -> int:
    """The partition in which a record with this key lies, as Kafka's own clients choose it."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def _option(name: str) -> str:
    return name.replace("__", ".").replace("_", "-")


def in_eur(amount: Decimal, currency: str) -> Decimal:
    """An amount's worth in EUR, to the cent, as the pipeline reckons it. Raises ValueError where it cannot."""
    return Decimal(eur_cents(f"{amount:.2f}", currency)) / 100
