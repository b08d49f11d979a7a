"""One learner's database, topics, jobs and flagger, and what a test does with them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from kafka.partitioner.default import murmur2

from fraudlab import system
from fraudlab.clients import bank
from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack
from fraudlab.verification.verify import Verification, verify
from tests.support import flink
from tests.support.home import run
from tests.support.kafka import Record, Topics
from tests.support.waiting import eventually, patient

_user_ids = count(1_000_000 + int(time.time()) % 1_000_000 * 1_000)
"""Each test its own users, also when the system is kept from run to run; the generator's are below."""

Activity = dict[str, Any]


def assert_exact(settings: Settings, settle_s: float = 60) -> Verification:
    """Verifies, and fails with what was found wrong."""
    verification = verify(settings, patient(settle_s))
    found = {kind: findings for kind, findings in verification.by_kind.items() if findings}
    assert verification.exact, f"unsettled: {verification.unsettled}; {found}"
    return verification


class Lab:
    """A running pipeline, seen from outside."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.names = settings, settings.names
        self.stack = Stack(settings)
        self.topics = Topics(settings)
        self._connections: dict[str, Any] = {}

    def close(self) -> None:
        """Ends the connections."""
        self.topics.close()
        for connection in self._connections.values():
            connection.close()

    def connect(self, role: str, **options: Any) -> Any:
        """A `mysql.connector` connection to the payment database."""
        return system.connect(self.settings, role, database=self.names.database, **options)

    def execute(self, statement: str, *values: object, role: str = "root") -> int:
        """Runs and commits a statement; gives the id of the row that it made."""
        return _execute(self._connection(role), statement, values)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with closing(self._connection("root").cursor()) as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def _connection(self, role: str) -> Any:
        connection = self._connections.get(role)
        if connection is None or not connection.is_connected():
            connection = self._connections[role] = self.connect(role, autocommit=True)
        return connection

    # What people and banks do

    def new_user_id(self, like: int | None = None) -> int:
        """An id that no user has; in the same partition as user `like` where given."""
        wanted = None if like is None else self.partition(like)
        return next(each for each in _user_ids if wanted is None or self.partition(each) == wanted)

    def partition(self, user_id: int) -> int:
        """The partition of a user's records, in every topic."""
        return int(murmur2(str(user_id).encode()) & 0x7FFFFFFF) % self.topics.partitions(self.names.transactions)

    def add_user(self, user_id: int | None = None, **fields: object) -> int:
        """Opens an account; gives the user's id."""
        user_id = self.new_user_id() if user_id is None else user_id
        return bank.open_account(
            self._connection("generator"), user_id, **({"email": f"user{user_id}@example.com"} | fields)
        )

    def pay(
        self,
        user_id: int,
        amount: str | None,
        country: str | None,
        at: datetime | None = None,
        currency: str = "EUR",
        **fields: object,
    ) -> int:
        """Inserts a payment as the bank does; gives its `transaction_id`. `at` is the event time, now without it."""
        return bank.pay(self._connection("generator"), user_id, amount, currency, country, at, **fields)

    def commit_fraud(self, user_id: int, at: datetime | None = None) -> tuple[int, int]:
        """600.00 EUR each in Germany and, a second later in event time, in France; gives the payments' ids."""
        end = at or datetime.now(UTC)
        return self.pay(user_id, "600.00", "DE", end - timedelta(seconds=1)), self.pay(user_id, "600.00", "FR", end)

    # What came of it

    def is_stopped(self, user_id: int) -> bool:
        """Whether the account's flag is set."""
        ((flag,),) = self.query("SELECT suspicious_activities FROM user_profile WHERE user_id = %s", user_id)
        return bool(flag)

    def times_stopped(self, user_id: int) -> int:
        """How often the flag was set."""
        ((times,),) = self.query(
            "SELECT COUNT(*) FROM flag_changes WHERE user_id = %s AND suspicious_activities", user_id
        )
        return int(times)

    def records(self, topic: str, user_id: int) -> list[Record]:
        """The records of a user in a topic."""
        return [record for record in self.topics.read(topic) if record.key == str(user_id).encode()]

    def joined(self, user_id: int) -> list[Record]:
        """The records of `transaction_mid` of a user."""
        return self.records(self.names.transaction_mid, user_id)

    def activities(self, user_id: int) -> list[Activity]:
        """The activities of a user, as often as they were sent."""
        return [record.json for record in self.records(self.names.suspicious_activities, user_id)]

    def activity_ids(self, user_id: int) -> list[int]:
        """The ids of the payments whose hour was raised, in ascending order, twice where sent twice."""
        return sorted(activity["transaction_id"] for activity in self.activities(user_id))

    def dead_letters(self) -> list[dict[str, Any]]:
        """The records of `dead_letters`."""
        return [record.json for record in self.topics.read(self.names.dead_letters)]

    def letter_of(self, record: Record) -> dict[str, Any] | None:
        """The dead letter of a record."""
        where = (record.topic, record.partition, record.offset)
        letters = self.dead_letters()
        return next((one for one in letters if (one["topic"], one["partition"], one["offset"]) == where), None)

    def letter_of_payment(self, transaction_id: int) -> dict[str, Any] | None:
        """The dead letter of a payment."""
        return next((one for one in self.dead_letters() if one["transaction_id"] == transaction_id), None)

    def fraud_is_caught(self) -> None:
        """A fraud ends in an activity, and in a stopped account."""
        user = self.add_user()
        _, second = self.commit_fraud(user)
        self.await_activities(user, [second])
        self.await_stopped(user)

    def snapshot_records(self) -> int:
        """How many records the CDC job has written of rows that it read from the tables themselves."""
        records = self.topics.read(self.names.user_profile) + self.topics.read(self.names.transactions)
        return sum(record.value is not None and record.json["op"] == "r" for record in records)

    # Waiting

    def await_activities(self, user_id: int, transaction_ids: list[int]) -> list[Activity]:
        """Waits until each of these payments' hours is raised, and gives the user's activities."""
        eventually(
            lambda: set(transaction_ids) <= set(self.activity_ids(user_id)),
            f"activities of user {user_id} for the payments {transaction_ids}",
        )
        return self.activities(user_id)

    def await_stopped(self, user_id: int) -> None:
        """Waits until the flagger has stopped the account."""
        eventually(lambda: self.is_stopped(user_id), f"account {user_id} is stopped")

    def settle(self, user_id: int) -> None:
        """Returns when everything that happened to a user before has had its consequences.

        Another user, whose records follow in the same partition of every topic, commits a fraud and is stopped.
        """
        witness = self.add_user(self.new_user_id(like=user_id))
        self.commit_fraud(witness)
        self.await_stopped(witness)

    def await_jobs(self, since_ms: int | None = None) -> None:
        """Waits until the jobs run, as `system.wait_for_jobs` does."""
        names = [self.names.job(job) for job in ("cdc-ingestion", "transaction-join", "fraud-detector")]
        system.wait_for_jobs(self.settings, names, since_ms=since_ms)


def _execute(connection: Any, statement: str, values: tuple[object, ...]) -> int:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement, values)
        return int(cursor.lastrowid or 0)


class Service:
    """A learner's account flagger or notifier, as a process of the test's own."""

    def __init__(self, settings: Settings, service: str) -> None:
        (program,) = [one for one in system.services(settings) if one.name == settings.names.group(service)]
        log = (settings.home / "logs" / f"{program.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                program.command,
                env=os.environ | program.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends it at once, wherever it is."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends it, as the supervisor does; harmless where it has ended."""
        self._process.terminate()
        try:
            self._process.wait(timeout=patient(20))
        finally:
            self._process.kill()
            self._process.wait()


class LearnerLab(Lab):
    """The lab of a learner with a prefix, whose jobs and flagger a test starts and stops as it likes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._flagger: Service | None = None
        self._notifier: Service | None = None
        self._notifier_settings: dict[str, object] = {}

    def submit_jobs(self) -> None:
        """Starts the jobs and waits until they run."""
        code = "from fraudlab import settings, system; system.submit_jobs(settings.Settings(), print)"
        run([sys.executable, "-c", code], print, self.settings.environment())

    def start_flagger(self) -> None:
        """Starts the account flagger."""
        self.stop_flagger()
        self._flagger = Service(self.settings, "flagger")

    def stop_flagger(self) -> None:
        """Ends the account flagger."""
        if self._flagger is not None:
            self._flagger.stop()
            self._flagger = None

    @property
    def flagger_runs(self) -> bool:
        """Whether the flagger's process is alive."""
        return self._flagger is not None and self._flagger.is_running

    def start_notifier(self, **settings: object) -> None:
        """Starts the notifier, with other settings where given."""
        self.stop_notifier()
        self._notifier = Service(self.settings.model_copy(update=settings), "notifier")
        self._notifier_settings = settings

    def have_notifier(self, **settings: object) -> None:
        """Starts the notifier, unless it runs with these settings."""
        if not self.notifier_runs or self._notifier_settings != settings:
            self.start_notifier(**settings)

    def kill_notifier(self) -> None:
        """Kills the notifier (SIGKILL)."""
        assert self._notifier is not None
        self._notifier.kill()

    def stop_notifier(self) -> None:
        """Ends the notifier."""
        if self._notifier is not None:
            self._notifier.stop()
            self._notifier = None

    @property
    def notifier_runs(self) -> bool:
        """Whether the notifier's process is alive."""
        return self._notifier is not None and self._notifier.is_running

    def close(self) -> None:
        """Ends services and jobs, so that their task slots are free, and the connections."""
        self.stop_flagger()
        self.stop_notifier()
        flink.cancel(self.settings)
        super().close()


@contextmanager
def learner_lab(settings: Settings, learner: str) -> Iterator[LearnerLab]:
    """The lab of a learner, empty and with no job yet. Nothing of it is left afterwards."""
    own = settings.model_copy(update={"learner": learner})
    drop(own)
    try:
        system.prepare(own)
        with closing(LearnerLab(own)) as lab:
            yield lab
    finally:
        drop(own)


def drop(settings: Settings) -> None:
    """Removes a learner's database, accounts and topics, where they are there."""
    assert settings.learner, "the default names are shared by all tests"
    system.drop_database(settings)
    admin = system.kafka(settings).admin()
    try:
        there = [topic for topic in settings.names.topics if topic in admin.list_topics()]
        if there:
            admin.delete_topics(there)
            eventually(lambda: not set(there) & set(admin.list_topics()), f"topics {there} are deleted")
    finally:
        admin.close()
