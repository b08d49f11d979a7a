"""What the measurements of the whole pipeline share: accounts, payments, and topics whose records carry the broker's clock."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from kafka.admin import ConfigResource, ConfigResourceType

from fraudlab import system
from fraudlab.clients.bank import open_account, pay
from fraudlab.clients.topics import end_offsets, length, read_to
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.settings import Settings

COUNTRIES = ("DE", "FR", "PL", "GB", "US", "BR")
ABROAD = 0.001
"""So many of the payments are made abroad; a few of them make an hour suspicious."""
BATCH = 1_000
"""Payments in one INSERT statement."""
CAPTURED_WITHIN_S, LOOK_EVERY_S = 120, 0.5
Ends = Mapping[Any, int]


def keep_arrival_times(settings: Settings) -> None:
    """Has the broker stamp the records of `transactions` and `transaction_mid` on arrival, as those of `suspicious_activities` are.

    Otherwise a record carries the time at which its producer took it, before it was sent.
    """
    names = settings.names
    with closing(system.kafka(settings).admin()) as admin:
        admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, topic, {"message.timestamp.type": "LogAppendTime"})
                for topic in (names.transactions, names.transaction_mid)
            ]
        )


def ends(settings: Settings, topic: str) -> Ends:
    """Where each partition of a topic ends now."""
    with closing(system.kafka(settings).consumer(enable_auto_commit=False)) as consumer:
        return end_offsets(consumer, [topic])


@contextmanager
def reader(settings: Settings, begins: Ends) -> Iterator[Any]:
    """A consumer of partitions from these offsets on; offsets and partitions are named as `ends` does."""
    with closing(system.kafka(settings).consumer(enable_auto_commit=False)) as consumer:
        consumer.assign(list(begins))
        for partition, offset in begins.items():
            consumer.seek(partition, offset)
        yield consumer


def await_length(settings: Settings, topic: str, count: int, within_s: float) -> None:
    """Waits until that many records were ever written to a topic. Raises UserError if they are not in time."""
    with reader(settings, ends(settings, topic)) as consumer:
        if not until(lambda: length(consumer, [topic]) >= count, within_s, LOOK_EVERY_S):
            raise UserError(
                f"{topic} did not get {count:,} records within {within_s:.0f} s.",
                "`fraudlab status` says which job or service makes no progress.",
            )


def records_since(settings: Settings, begins: Ends) -> Iterator[Any]:
    """The records of a topic from these offsets to its present end."""
    with reader(settings, begins) as consumer:
        yield from read_to(consumer, end_offsets(consumer, {one.topic for one in begins}))


def arrivals(settings: Settings, begins: Ends, ids: range) -> dict[int, int]:
    """When each of these payments first arrived in a topic, in ms since the epoch by the broker's clock."""
    found: dict[int, int] = {}
    for record in records_since(settings, begins):
        number = transaction_id(record)
        if number is not None and number in ids:
            found.setdefault(number, record.timestamp)
    return found


def first_free_user(settings: Settings) -> int:
    """The first id after those of all accounts there are."""
    options = {"database": settings.names.database}
    with closing(system.connect(settings, "learner", **options)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SELECT COALESCE(MAX(user_id), 0) FROM user_profile")
        return int(cursor.fetchone()[0]) + 1


class Bank:
    """Accounts of its own in the payment database, and what they pay. The same payments each time, apart from ids and times."""

    def __init__(self, settings: Settings, users: int, *, captured: bool = True) -> None:
        """Opens the accounts; with `captured` they are in Kafka then."""
        self._settings = settings
        self._chance = random.Random(1)
        self._connection = system.connect(settings, "learner", database=settings.names.database)
        first = first_free_user(settings)
        self.users = range(first, first + users)
        self._home = {user: self._chance.choice(COUNTRIES) for user in self.users}
        profiles = settings.names.user_profile
        before = ends(settings, profiles)
        self._insert(
            "INSERT INTO user_profile (user_id, first_name, last_name, email, phone_number, home_country) VALUES ",
            [
                (user, "Anna Maria", "Kowalska", f"user{user}@example.com", "+48 601 222 333", self._home[user])
                for user in self.users
            ],
        )
        self._connection.commit()
        if captured:
            await_length(settings, profiles, sum(before.values()) + users, CAPTURED_WITHIN_S)

    def __enter__(self) -> "Bank":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def pay(self, count: int, *, at_once: bool) -> range:
        """Pays as fast as the database takes it, and returns the ids of the payments.

        `at_once` commits one transaction at the end: all payments are in the binlog at the same moment. Otherwise each statement is a
        transaction.
        """
        self._connection.autocommit = not at_once
        first = 0
        for begin in range(0, count, BATCH):
            ids = self._insert(
                "INSERT INTO transactions (user_id, amount, currency, type, country, merchant, transaction_time) VALUES ",
                [self._payment() for _ in range(begin, min(begin + BATCH, count))],
            )
            first = first or ids
        self._connection.commit()
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM transactions WHERE transaction_id BETWEEN %s AND %s", (first, first + count - 1)
            )
            (found,) = cursor.fetchone()
        if found != count:
            raise RuntimeError("Another client pays, too: end it, then measure again.")
        return range(first, first + count)

    def mark_end(self) -> dict[int, int]:
        """Pays so that an activity must follow, on a new account for each partition: user to the payment that makes its hour suspicious.

        A partition keeps its order, so the detector has judged whatever came before when the activity is there.
        """
        self._connection.autocommit = True
        partitions = len(ends(self._settings, self._settings.names.transaction_mid))
        marks: dict[int, int] = {}
        for user in marking_users(self.users.stop, partitions):
            open_account(self._connection, user)
            pay(self._connection, user, "600.00", "EUR", "DE")
            marks[user] = pay(self._connection, user, "600.00", "EUR", "FR")
        return marks

    def _payment(self) -> tuple[object, ...]:
        user = self._chance.choice(self.users)
        country = self._home[user] if self._chance.random() > ABROAD else self._chance.choice(COUNTRIES)
        amount = f"{self._chance.randrange(1, 600)}.{self._chance.randrange(100):02}"
        now = datetime.now(UTC).replace(tzinfo=None)
        return (user, amount, "EUR", "card_present", country, "Corner Shop Ltd", now)

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> int:
        """The id of the first row."""
        first = 0
        with closing(self._connection.cursor()) as cursor:
            for begin in range(0, len(rows), BATCH):
                part = rows[begin : begin + BATCH]
                places = ",".join([f"({','.join(['%s'] * len(part[0]))})"] * len(part))
                cursor.execute(statement + places, [value for row in part for value in row])
                first = first or int(cursor.lastrowid or 0)
        return first


def marking_users(first: int, partitions: int) -> list[int]:
    """For each partition, the first user from `first` on whose records Kafka puts there."""
    found: dict[int, int] = {}
    user = first
    while len(found) < partitions:
        found.setdefault(partition_of(user, partitions), user)
        user += 1
    return [found[partition] for partition in sorted(found)]


def partition_of(user: int, partitions: int) -> int:
    """Where Kafka's default partitioner puts a record whose key is the user's id."""
    from kafka.partitioner.default import murmur2

    return int((murmur2(str(user).encode()) & 0x7FFFFFFF) % partitions)


def transaction_id(record: Any) -> int | None:
    """The payment in a record of `transactions` or `transaction_mid`; None for a tombstone or a deletion."""
    value = orjson.loads(record.value or b"null")
    if value is None or "transaction_id" in value:
        return None if value is None else int(value["transaction_id"])
    return int(value["after"]["transaction_id"]) if value["after"] else None
