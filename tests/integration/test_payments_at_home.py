"""The detector finds the same with the shortcut in Java (PaymentsAtHome.java) as Python alone does, for payments of every shape."""

import gc
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cloudpickle
import orjson
import pytest
from pyflink.common import Row

from fraudlab import system
from fraudlab.clients.flink_rest import ENDED
from fraudlab.pipeline import detector
from fraudlab.pipeline.records import JoinedTransaction, encode, example, iso
from fraudlab.pipeline.rule import Rule
from fraudlab.settings import Settings
from fraudlab.stack import flink
from tests.support.kafka import Record
from tests.support.lab import LearnerLab, learner_lab
from tests.support.waiting import eventually
from tests.unit.test_detector import OneUser

SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
START_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
USERS = 1_500
STEPS_MS = [
    *[step for step in (10 * SECOND, MINUTE, 10 * MINUTE, 20 * MINUTE) for _ in range(20)],
    *[edge + ms for edge in (0, 30 * MINUTE, 60 * MINUTE, 90 * MINUTE, 120 * MINUTE) for ms in (-1, 0, 1)],
    *[-edge - ms for edge in (0, 10 * MINUTE, 30 * MINUTE) for ms in (-1, 0, 1)],
    *[3 * DAY] * 4,
]
"""Between one payment of a user and the next: round distances meet every edge of windows, lateness and retention."""
NAMES = [*["Ada", "Łucja", "A\N{GRINNING FACE}", ""] * 5, 'A"B\\']
AMOUNTS = [*["0.01", "12.30", "399.99", "600.00"] * 5, "9999999.99", "10000000.00"]
SEEN = "a record that Python has seen"


class Telling(detector.GuardedDetector):
    """The detector, which also tells which records it gets."""

    def process_element(self, value: str, ctx: Any) -> Iterator[Row]:
        """A row for the record, and what the detector says of it."""
        partition, offset, _ = value.split(":", 2)
        yield Row(self._names.dead_letters, SEEN, f"[{partition},{offset}]")
        yield from super().process_element(value, ctx)


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the TaskManager has no tests


@dataclass
class Customer:
    """A user who pays mostly at home, and the record of each payment so far."""

    user_id: int
    home: str
    time_ms: int
    profile: bool
    records: list[bytes]


def pays(chance: random.Random, customer: Customer, number: int) -> bytes:
    """The record of the customer's next payment, which may have any fault."""
    customer.time_ms += chance.choice(STEPS_MS)
    customer.profile |= chance.random() < 0.1
    created_ms = customer.time_ms + chance.choice((0, 5, 5, 5, -MINUTE, -MINUTE - 1, 30 * DAY, 30 * DAY + 1))
    if chance.random() < 0.95:
        created_ms = customer.time_ms + 5
    record = example(
        JoinedTransaction,
        transaction_id=number,
        user_id=customer.user_id,
        user_first_name=chance.choice(NAMES),
        user_suspicious_activity=False if customer.profile else None,
        transaction_amount=chance.choice(AMOUNTS),
        transaction_currency=chance.choice(("EUR", "USD", "PLN", "JPY")),
        transaction_country=customer.home if chance.random() < 0.95 else chance.choice(("DE", "FR", "US")),
        transaction_time=iso(customer.time_ms),
        created_at=iso(created_ms),
    )
    text = encode(record)
    if chance.random() < 0.05:
        old, new = chance.choice(FAULTS)
        text = text.replace(old, new, 1)
    return text


FAULTS = [
    (b'"transaction_currency":"', b'"transaction_currency":"X'),
    (b'"transaction_country":"', b'"transaction_country":"\\u0044'),
    (b'"transaction_amount":"', b'"transaction_amount":"-'),
    (b'"transaction_amount":"', b'"transaction_amount":"0'),
    (b'"transaction_amount":"12.30"', b'"transaction_amount":"0.00"'),
    (b'"transaction_time":"2026-01-', b'"transaction_time":"2026-02-3'),
    (b'"transaction_time":"2026-', b'"transaction_time":"2061-'),
    (b'"transaction_time":"2026-', b'"transaction_time":"2016-'),
    (b'"created_at":"2026-', b'"created_at":"2036-'),
    (b'Z","created_at"', b'+00:00","created_at"'),
    (b'Z","created_at"', b'4Z","created_at"'),
    (b'0Z","created_at"', b'Z","created_at"'),
    (b'"user_last_name":"', b'"user_last_name":"\t'),
    (b'"user_last_name":"', b'"user_last_name":"\xff'),
    (b'"user_last_name":"', b'"user_last_name":"\\ud800'),
    (b'{"transaction_id":', b'{"transaction_id":-'),
    (b'{"transaction_id":', b'{"transaction_id":0'),
    (b'{"transaction_id":', b'{ "transaction_id": '),
    (b'{"transaction_id":', b'{"transaction_id":7000000000000000000'),
    (b"}", b',"another":1}'),
    (b"}", b',"transaction_country":"US"}'),
    (b"}", b""),
]
"""Other forms of a field, good and bad ones."""


def payments(seed: int, users: int = USERS) -> Iterator[tuple[int, bytes]]:
    """Users and their records: in the bank's order, a few ids in another one, a few records sent again, and at last one from abroad.

    The last one makes everybody's hour suspicious, and lists what is remembered.
    """
    chance = random.Random(seed)
    customers = [
        Customer(user, chance.choice(("DE", "FR", "PL")), START_MS + user, chance.random() < 0.6, [])
        for user in range(1, users + 1)
    ]
    number = 0
    for _ in range(16):
        for customer in customers:
            number += 1
            again = customer.records and chance.random() < 0.08
            swapped = number + chance.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, users * 2))
            record = chance.choice(customer.records) if again else pays(chance, customer, swapped)
            customer.records.append(record)
            yield customer.user_id, record
    for customer in customers:
        number += 1
        time = iso(customer.time_ms + MINUTE)
        abroad = {"transaction_amount": "1000.00", "transaction_currency": "EUR", "transaction_country": "US"}
        last = example(
            JoinedTransaction,
            transaction_id=number + 3 * users,
            user_id=customer.user_id,
            **abroad,
            transaction_time=time,
            created_at=time,
        )
        yield customer.user_id, encode(last)


def said_by_python(rule: Rule, records: list[Record]) -> list[tuple[str, dict[str, Any]]]:
    """What the detector's class alone says of one user's records: kind of output and content."""
    user = OneUser(rule)
    said = []
    for record in records:
        value = (record.value or b"").decode("utf-8", "replace")
        said += user._read(user._detector.process_element(f"{record.partition}:{record.offset}:{value}", user))
    return said


def comparable(output: dict[str, Any]) -> str:
    """An output without the moment at which it was made and the topics' names."""
    return orjson.dumps(
        {name: value for name, value in output.items() if name != "detected_at"}
        | {name: str(output[name]).rpartition(".")[2] for name in ("topic", "dead_letter_id") if name in output},
        option=orjson.OPT_SORT_KEYS,
    ).decode()


@pytest.fixture
def lab(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "home1") as lab:
        yield lab


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("rule", "seed"),
    [
        (Rule(), 1),
        (Rule(window_ms=20 * MINUTE, min_countries=3, threshold_eur_cents=1, allowed_lateness_ms=0), 2),
        (Rule(min_countries=1, threshold_eur_cents=30_000), 3),
    ],
    ids=["two countries", "three countries", "one country"],
)
def test_the_shortcut_finds_what_python_alone_finds(
    lab: LearnerLab, rule: Rule, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "GuardedDetector", Telling)
    for name in ("collect", "freeze"):
        monkeypatch.setattr(gc, name, lambda: None)  # the detector opens for each user here
    with system.kafka(lab.settings).producer(linger_ms=20) as producer:
        for user, text in payments(seed):
            producer.send(lab.names.transaction_mid, key=str(user).encode(), value=text)
    kafka = system.kafka(lab.settings, detector.JOB)
    job = detector.submit(system.flink_cluster(lab.settings), kafka, lab.names, rule, bounded=True)
    job_id = str(job.get_job_id())
    eventually(lambda: flink.rest(lab.settings).job(job_id)["state"] in ENDED, "the job ends", 120)
    assert flink.rest(lab.settings).job(job_id)["state"] == "FINISHED"

    written = lab.topics.read(lab.names.transaction_mid)
    by_user = defaultdict[bytes, list[Record]](list)
    for record in written:
        by_user[record.key or b""].append(record)
    expected = sorted(comparable(one) for records in by_user.values() for _, one in said_by_python(rule, records))
    outputs = [*lab.topics.read(lab.names.suspicious_activities), *lab.topics.read(lab.names.dead_letters)]
    seen = [record for record in outputs if record.key == SEEN.encode()]
    found = sorted(comparable(record.json) for record in outputs if record.key != SEEN.encode())
    assert len(found) > USERS
    assert found == expected
    if rule.min_countries > 1:
        assert USERS < len(seen) < 0.7 * len(written), "the shortcut is taken, and not by all"
    else:
        assert len(seen) == len(written), "a payment at home may be suspicious"
