"""The topic that all contestants read: joined payments, the same ones each time."""

import random
import time
from collections.abc import Iterator

from kafka.admin import NewTopic
from rich.console import Console
from rich.progress import track

from bench.load import COUNTRIES
from fraudlab import system
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.records import JoinedTransaction, encode, iso
from fraudlab.pipeline.topics import length
from fraudlab.settings import Settings

NAMES = Names("bench")
CURRENCIES = ("EUR", "PLN", "GBP", "USD")
ABROAD = 0.01
PER_HOUR = 5.0
"""Payments of a user in an hour."""


def transactions(count: int, users: int, per_hour: float = PER_HOUR) -> Iterator[tuple[bytes, bytes]]:
    """Records of `transaction_mid` in order of event time: key and value."""
    chance = random.Random(1)
    home = [chance.choice(COUNTRIES) for _ in range(users)]
    gap_ms = 3_600_000 / (users * per_hour)
    start_ms = (time.time_ns() // 1_000_000) - round(count * gap_ms) - 60_000
    for number in range(1, count + 1):
        user = chance.randrange(users)
        time_ms = start_ms + round(number * gap_ms)
        record = JoinedTransaction(
            transaction_id=number,
            user_id=user,
            user_first_name="Anna Maria",
            user_last_name="Kowalska",
            user_email=f"user{user}@example.com",
            user_phone_number="+48 601 222 333",
            user_home_country=home[user],
            user_suspicious_activity=False,
            transaction_amount=f"{chance.randrange(1, 600)}.{chance.randrange(100):02}",
            transaction_currency=chance.choice(CURRENCIES),
            transaction_type="card_present",
            transaction_country=home[user] if chance.random() > ABROAD else chance.choice(COUNTRIES),
            transaction_merchant="Corner Shop Ltd",
            transaction_time=iso(time_ms),
            created_at=iso(time_ms + 5),
        )
        yield str(user).encode(), encode(record)


def fill_topic(settings: Settings, console: Console, count: int, users: int, per_hour: float = PER_HOUR) -> str:
    """Writes the payments to a topic, unless an earlier run did. Returns its name."""
    topic = f"{NAMES.transaction_mid}.{count}.{users}.{per_hour:g}"
    if length(system.kafka(settings), [topic]) != count:
        recreate(settings, [topic])
        producer = system.kafka(settings).producer(linger_ms=50, batch_size=2**18)
        for key, value in track(
            transactions(count, users, per_hour), f"writing {count:,} payments", total=count, console=console
        ):
            producer.send(topic, value, key=key)
        producer.flush()
        producer.close()
    return topic


def recreate(settings: Settings, topics: list[str]) -> None:
    """Makes the topics again, empty."""
    admin = system.kafka(settings).admin()
    old = [topic for topic in topics if topic in admin.list_topics()]
    if old:
        admin.delete_topics(old)
    if not until(lambda: not set(old) & set(admin.list_topics()), 60):
        raise UserError(f"Kafka did not delete {old} within a minute.", "Run `fraudlab reset` and try again.")
    admin.create_topics([NewTopic(topic, settings.partitions, 1) for topic in topics])
    admin.close()
