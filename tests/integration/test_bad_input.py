"""Records that nobody should have written end in `dead_letters` or in the result stated here; nothing restarts."""

import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import mysql.connector
import pytest
from kafka.errors import MessageSizeTooLargeError
from rich.console import Console

from fraudlab import system
from fraudlab.pipeline.contracts import MAX_DEAD_LETTER_PAYLOAD
from fraudlab.pipeline.detector import NO_PROFILE
from fraudlab.pipeline.records import JoinedTransaction, example, iso
from fraudlab.settings import Settings
from fraudlab.verification.report import render
from fraudlab.verification.verify import verify
from tests.support import flink
from tests.support.kafka import Record
from tests.support.lab import LearnerLab, learner_lab
from tests.support.waiting import eventually

DEADLINE_S = 20.0
PATIENCE_S = 10
"""How long a user's profile is waited for; by default for minutes."""

MIB = 2**20
ARABIC = "\N{ARABIC-INDIC DIGIT THREE}.\N{ARABIC-INDIC DIGIT ZERO}\N{ARABIC-INDIC DIGIT ZERO}"
NOW = datetime.now(UTC)

DEAD_LETTER = {"dead_letter_id", "reason", "topic", "partition", "offset", "transaction_id", "payload"}
"""The fields of every dead letter, whoever wrote it."""

GARBAGE = {
    "truncated JSON": b'{"op": "c", "after": {"transaction_id": 1, "user',
    "another schema": b'{"hello": "world"}',
    "an empty string": b"",
    "a JSON array": b"[1, 2]",
    "a JSON number": b"7",
    "a JSON string": b'"payment"',
    "a JSON null": b"null",
    "an empty object": b"{}",
    "nested objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "nested arrays": b"[" * 100_000 + b"]" * 100_000,
    "invalid UTF-8": b"\xff\xfe\xfa",
    "invalid UTF-8 in an object": b'{"op": "\xff"}',
    "poison-01, cut inside a character": b"\xe4",
    "poison-01, cut inside a character of an envelope": b'{"op":"c","after":{"user_id":1,"first_name":"Jos\xc3',
    "poison-02, half a surrogate pair": b'{"user_id":"\\ud800"}',
    "half a surrogate pair in bytes": b'{"user_id":"\xed\xa0\x80"}',
    "a character in too many bytes": b'{"op":"\xc0\x80"}',
    "UTF-16": '{"op": "c"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"op": "x"}',
    "a number of many digits": b'{"user_id": ' + b"9" * 900_000 + b"}",
    "a NUL": b"\x00",
    "a separator of ours": b"0:0:0:{}",
    "nearly 1 MiB": b"x" * (MIB - 200),
}
"""What no topic can make sense of."""
REPLACED = re.compile("�+")


@pytest.fixture(scope="module")
def hostile(settings: Settings) -> Iterator[LearnerLab]:
    """A learner whose topics anybody writes to."""
    patient = settings.model_copy(update={"profile_patience_s": PATIENCE_S})
    with learner_lab(patient, "hostile") as lab:
        lab.submit_jobs()
        lab.start_flagger()
        lab.fraud_is_caught()
        yield lab


@pytest.fixture(autouse=True)
def unharmed(hostile: LearnerLab) -> Iterator[None]:
    """No test makes a job fail, or ends the flagger."""
    before = {job.name: (job.id, job.failures) for job in flink.jobs_of(hostile.settings)}
    yield
    after = flink.jobs_of(hostile.settings)
    assert {job.name: (job.id, job.failures) for job in after} == before
    assert {job.state for job in after} == {"RUNNING"}
    assert hostile.flagger_runs


def assert_letter(lab: LearnerLab, record: Record, reason: str = "") -> None:
    letter = eventually(lambda: lab.letter_of(record), f"dead letter of {record.place}", DEADLINE_S)
    assert reason in letter["reason"]
    assert letter["reason"]
    assert letter.keys() == DEAD_LETTER
    assert len(letter["payload"]) <= MAX_DEAD_LETTER_PAYLOAD
    # Java and Python replace invalid bytes by different numbers of U+FFFD.
    payload, value = (
        REPLACED.sub("�", text) for text in (letter["payload"], (record.value or b"").decode(errors="replace"))
    )
    assert payload == value[:MAX_DEAD_LETTER_PAYLOAD]


# Written to the tables, as a careless client of the bank does

ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown currency", {"currency": "XXX"}, "unknown currency: 'XXX'"),
    ("a currency in lower case", {"currency": "eur"}, "unknown currency: 'eur'"),
    ("no currency", {"currency": None}, "unknown currency: None"),
    ("an unknown country", {"country": "ZZ"}, "unknown country: 'ZZ'"),
    ("no country", {"country": None}, "unknown country: None"),
    ("no amount", {"amount": None}, "transaction_amount is not"),
    ("a negative amount", {"amount": "-600.00"}, "transaction_amount is not"),
    ("an amount of zero", {"amount": "0.00"}, "transaction_amount is not"),
    ("no time", {"transaction_time": None}, "transaction_time is not an ISO 8601 time"),
    ("a time in a minute", {"transaction_time": NOW + timedelta(minutes=10)}, "lies after created_at"),
    ("a time far in the future", {"transaction_time": datetime(2038, 1, 1, tzinfo=UTC)}, "lies after created_at"),
    ("a time far in the past", {"transaction_time": datetime(1970, 1, 2, tzinfo=UTC)}, "after it happened"),
]


@pytest.mark.parametrize(("fields", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_payment_that_cannot_count_is_a_dead_letter(hostile: LearnerLab, fields: dict[str, Any], reason: str) -> None:
    user = hostile.add_user()
    amount, country = fields.pop("amount", "600.00"), fields.pop("country", "FR")
    payment = hostile.pay(user, amount, country, **fields)
    letter = eventually(lambda: hostile.letter_of_payment(payment), f"dead letter of payment {payment}", DEADLINE_S)
    assert reason in letter["reason"]
    assert letter["topic"] == hostile.names.transaction_mid
    # Joined twice when the payment overtakes the profile: a letter of the same id each time.
    (joined,) = [record for record in hostile.joined(user) if record.offset == letter["offset"]]
    assert letter["partition"] == joined.partition
    assert json.loads(letter["payload"]) == joined.json

    second = hostile.commit_fraud(user)
    (activity,) = hostile.await_activities(user, [second[1]])
    assert activity["transaction_ids"] == list(second), "it does not count, and does not hide the ones that do"


@pytest.mark.parametrize("amount", ["10000000000.00", "99999999999999999999"])
def test_an_amount_too_large_for_the_table_is_refused_by_mysql(hostile: LearnerLab, amount: str) -> None:
    user = hostile.add_user()
    with pytest.raises(mysql.connector.DataError, match="Out of range value for column 'amount'"):
        hostile.pay(user, amount, "DE")


@pytest.mark.parametrize("column", ["merchant", "type", "currency", "country"])
def test_a_text_of_2_mb_is_refused_by_mysql(hostile: LearnerLab, column: str) -> None:
    user = hostile.add_user()
    fields: dict[str, Any] = {"amount": "600.00", "country": "DE", column: "x" * 2 * MIB}
    with pytest.raises(mysql.connector.DataError, match=f"Data too long for column '{column}'"):
        hostile.pay(user, **fields)


def test_a_name_of_2_mb_is_refused_by_mysql(hostile: LearnerLab) -> None:
    with pytest.raises(mysql.connector.DataError, match="Data too long for column 'first_name'"):
        hostile.add_user(first_name="x" * 2 * MIB)


@pytest.mark.parametrize(
    "name",
    [
        'O\'Brien "the" \\ `quoted`; DROP TABLE user_profile; --',
        "😀👩‍👩‍👧‍👦",
        "<script>alert(1)</script>&amp;",
        "عائشة محمد",
        "\u202eevil\u202c",
        "line\nbreak\tand tab",
        "{{ template }} ${variable} %s %(x)s",
        "",
    ],
)
def test_a_name_arrives_as_it_was_written(hostile: LearnerLab, name: str) -> None:
    user = hostile.add_user(first_name=name, last_name=name)
    _, second = hostile.commit_fraud(user)
    (activity,) = hostile.await_activities(user, [second])
    assert (activity["user_first_name"], activity["user_last_name"]) == (name, name)
    hostile.await_stopped(user)


def test_what_is_found_about_a_user_whose_profile_never_comes_is_given_up_and_not_kept_for_ever(
    hostile: LearnerLab,
) -> None:
    user = hostile.new_user_id()
    first, second = hostile.commit_fraud(user)
    later: list[int] = []

    def given_up() -> dict[str, Any] | None:
        later.append(hostile.pay(user, "1.00", "DE"))  # it is noticed when the user pays again
        return next((one for one in hostile.dead_letters() if one["dead_letter_id"] == f"activity-{second}"), None)

    letter = eventually(given_up, "the activity is a dead letter", PATIENCE_S + DEADLINE_S)
    assert letter.keys() == DEAD_LETTER
    assert letter["reason"] == NO_PROFILE
    assert letter["transaction_id"] == second
    assert json.loads(letter["payload"])["transaction_ids"] == [first, second]
    place = (letter["topic"], letter["partition"], letter["offset"])
    (found_with,) = [one for one in hostile.joined(user) if (one.topic, one.partition, one.offset) == place]
    assert found_with.json["transaction_id"] == second

    hostile.add_user(user)
    activities = {one["transaction_id"]: one for one in hostile.await_activities(user, later[-1:])}
    assert {first, second}.isdisjoint(activities), "given up for good"
    assert {first, second} < set(activities[later[-1]]["transaction_ids"]), "yet its payments count"


# Written to the topics, as no program of ours does


@pytest.mark.parametrize("topic", ["user_profile", "transactions", "transaction_mid", "suspicious_activities"])
@pytest.mark.parametrize("value", list(GARBAGE.values()), ids=list(GARBAGE))
def test_garbage_in_a_topic_is_a_dead_letter_that_tells_its_place(
    hostile: LearnerLab, topic: str, value: bytes
) -> None:
    """poison-01 and poison-02 are among them."""
    record = hostile.topics.publish(getattr(hostile.names, topic), "1", value)
    assert_letter(hostile, record)


@pytest.mark.parametrize("topic", ["user_profile", "transactions", "transaction_mid"])
def test_a_record_without_a_value_is_a_tombstone_and_says_nothing(hostile: LearnerLab, topic: str) -> None:
    user = hostile.add_user()
    record = hostile.topics.publish(getattr(hostile.names, topic), str(user), None)
    hostile.settle(user)
    assert hostile.letter_of(record) is None


def test_an_activity_without_a_value_is_a_dead_letter(hostile: LearnerLab) -> None:
    """Nothing deletes activities, so that here it is no tombstone."""
    assert_letter(hostile, hostile.topics.publish(hostile.names.suspicious_activities, "1", None))


@pytest.mark.parametrize("topic", ["user_profile", "transactions", "transaction_mid", "suspicious_activities"])
def test_the_broker_refuses_a_record_above_its_limit_of_1_mib(hostile: LearnerLab, topic: str) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        hostile.topics.publish(getattr(hostile.names, topic), "1", b"x" * 2 * MIB)


def each_of(wrong: dict[str, list[Any]]) -> list[Any]:
    """A test's parameters: field and value."""
    return [pytest.param(name, value, id=f"{name}-{value!r:.30}") for name, values in wrong.items() for value in values]


def envelope(**fields: object) -> bytes:
    """A Debezium envelope of a payment, with changes."""
    payment: dict[str, object] = {
        "transaction_id": 10**15,
        "user_id": 1,
        "amount": "600.00",
        "currency": "EUR",
        "type": "online",
        "country": "DE",
        "merchant": "Books and more",
        "transaction_time": NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "created_at": NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return json.dumps({"op": "c", "before": None, "after": payment | fields}).encode()


WRONG_IDS: dict[str, list[Any]] = {
    "user_id": [2**31, -(2**31) - 1, 2**63, 10**400, 7.5, "7.5", "seven", "", True, [7], {"id": 7}, None],
    "transaction_id": [2**63, -(2**63) - 1, 2**64, 10**400, 7.5, "7.5", "seven", "", True, [7], {"id": 7}, None],
}


@pytest.mark.parametrize(("field", "value"), each_of(WRONG_IDS))
def test_an_envelope_with_a_wrong_id_is_a_dead_letter(hostile: LearnerLab, field: str, value: Any) -> None:
    record = hostile.topics.publish(hostile.names.transactions, "1", envelope(**{field: value}))
    assert_letter(hostile, record, f"after has no integer {field}")


@pytest.mark.parametrize("op", ["u", "d"])
@pytest.mark.parametrize("value", [None, "seven", 7.5, 2**63], ids=repr)
def test_an_envelope_that_takes_back_no_payment_in_particular_is_a_dead_letter(
    hostile: LearnerLab, op: str, value: Any
) -> None:
    after = json.loads(envelope())["after"]
    whole = {"op": op, "before": after | {"transaction_id": value}, "after": None if op == "d" else after}
    record = hostile.topics.publish(hostile.names.transactions, "1", json.dumps(whole).encode())
    assert_letter(hostile, record, "before has no integer transaction_id")


def profile_envelope(user_id: int, **fields: object) -> bytes:
    """A Debezium envelope of a user's profile, with changes."""
    profile: dict[str, object] = {
        "user_id": user_id,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.com",
        "phone_number": "+49 30 1234567",
        "home_country": "DE",
        "suspicious_activities": 0,
    }
    return json.dumps({"op": "c", "before": None, "after": profile | fields}).encode()


@pytest.mark.parametrize("value", [None, "", "yes", True, 0.5, 300, [0], {"is": 0}], ids=repr)
def test_a_profile_that_does_not_say_whether_the_account_is_stopped_is_a_dead_letter(
    hostile: LearnerLab, value: Any
) -> None:
    user = hostile.new_user_id()
    content = profile_envelope(user, suspicious_activities=value)
    record = hostile.topics.publish(hostile.names.user_profile, str(user), content)
    assert_letter(hostile, record, "after has no integer suspicious_activities")


ODD_NAMES: list[tuple[object, str | None]] = [
    (None, None),
    (7, "7"),
    (True, "true"),
    (["Ada"], '["Ada"]'),  # what Flink's JSON format makes of a container where it wants a string
    ("\x00", "\x00"),
    ("x" * 10_000, "x" * 10_000),
]


@pytest.mark.parametrize(("name", "read"), ODD_NAMES, ids=[f"{one[0]!r:.20}" for one in ODD_NAMES])
def test_a_profile_with_an_odd_name_gives_activities_with_what_it_is_read_as(
    hostile: LearnerLab, name: object, read: str | None
) -> None:
    """Only Debezium writes envelopes, and it writes what a VARCHAR(100) holds."""
    user = hostile.new_user_id()
    record = hostile.topics.publish(hostile.names.user_profile, str(user), profile_envelope(user, first_name=name))
    _, second = hostile.commit_fraud(user)
    (activity,) = hostile.await_activities(user, [second])
    assert activity["user_first_name"] == read
    assert hostile.letter_of(record) is None


@pytest.mark.parametrize(("topic", "field"), [("user_profile", "first_name"), ("transactions", "merchant")])
def test_a_text_that_no_column_holds_is_a_dead_letter(hostile: LearnerLab, topic: str, field: str) -> None:
    """A profile and a payment of 600 KB each made a joined record that Kafka refuses: the join restarted indefinitely."""
    user = hostile.add_user()
    large = {field: "x" * 600_000}
    content = profile_envelope(user, **large) if topic == "user_profile" else envelope(user_id=user, **large)
    record = hostile.topics.publish(getattr(hostile.names, topic), str(user), content)
    assert_letter(hostile, record, f"{field} has more than 10000 characters")


def test_a_payment_whose_activity_would_not_fit_into_a_record_is_a_dead_letter(hostile: LearnerLab) -> None:
    user = hostile.new_user_id()
    for number, country in enumerate(("DE", "FR")):
        large = joined_payment(
            transaction_id=7 * 10**15 + 2 * user + number,
            user_id=user,
            transaction_amount="600.00",
            transaction_country=country,
            user_first_name="x" * (MIB - 1500),
        )
        record = hostile.topics.publish(hostile.names.transaction_mid, str(user), json.dumps(large).encode())
        assert_letter(hostile, record, "longer than 200000 characters")


TIMES_IN_ENVELOPES: list[Any] = [
    *("", "yesterday", "2024-01-01", "2024-01-01 00:00:00", "24:00:00", 1_700_000_000_000, True, [], {}),
    *("10000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "+999999999-12-31T23:59:59Z", "-999999999-01-01T00:00:00Z"),
    *("2999-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "1000-01-01T00:00:00Z", "2024-02-30T00:00:00Z", None),
]


@pytest.mark.parametrize("field", ["transaction_time", "created_at"])
@pytest.mark.parametrize("value", TIMES_IN_ENVELOPES, ids=repr)
def test_an_envelope_with_a_time_that_cannot_be_is_a_dead_letter(hostile: LearnerLab, field: str, value: Any) -> None:
    user = hostile.new_user_id()
    payment = 4 * 10**15 + user
    content = envelope(user_id=user, transaction_id=payment, **{field: value})
    hostile.topics.publish(hostile.names.transactions, str(user), content)
    letter = eventually(lambda: hostile.letter_of_payment(payment), "it is a dead letter", DEADLINE_S)
    assert letter["topic"] == hostile.names.transaction_mid


def test_an_envelope_without_a_key_counts_as_what_it_says(hostile: LearnerLab) -> None:
    """The join reads the value only, and gives its own records the key that they need."""
    user = hostile.new_user_id()
    hostile.topics.publish(hostile.names.user_profile, None, profile_envelope(user))
    first, second = 5 * 10**15 + user, 6 * 10**15 + user
    hostile.topics.publish(hostile.names.transactions, None, envelope(user_id=user, transaction_id=first))
    eventually(lambda: hostile.joined(user), "the payment is joined", DEADLINE_S)
    content = envelope(user_id=user, transaction_id=second, country="FR")
    hostile.topics.publish(hostile.names.transactions, None, content)
    (_, activity) = sorted(hostile.await_activities(user, [first, second]), key=lambda one: one["transaction_id"])
    assert activity["transaction_ids"] == [first, second]


def test_an_envelope_with_an_id_in_quotes_is_read_as_its_number(hostile: LearnerLab) -> None:
    user = hostile.add_user()
    value = envelope(user_id=str(user), transaction_id=str(10**15 + user))
    record = hostile.topics.publish(hostile.names.transactions, str(user), value)
    eventually(lambda: hostile.joined(user), "the payment is joined", DEADLINE_S)
    hostile.settle(user)
    assert hostile.letter_of(record) is None


@pytest.mark.parametrize("after", [None, 7, "x", [], {}], ids=repr)
@pytest.mark.parametrize("op", ["c", "r", "u", "d", "x", None, 7])
def test_an_envelope_that_says_nothing_is_a_dead_letter(hostile: LearnerLab, op: Any, after: Any) -> None:
    value = json.dumps({"op": op, "before": after, "after": after}).encode()
    assert_letter(hostile, hostile.topics.publish(hostile.names.transactions, "1", value))


AMOUNTS_IN_ENVELOPES: list[tuple[object, str | None]] = [
    ("NaN", None),
    ("Infinity", None),
    ("", None),
    ("abc", None),
    (" 5.00", None),
    ("1e5", "100000.00"),  # what follows is what Java's BigDecimal and a DECIMAL(12,2) make of it
    ("12.345", "12.35"),
    (ARABIC, "3.00"),
    (5.0, "5.00"),
    (True, None),
    ("10000000000", None),
    ("1e999999999", None),
]


@pytest.mark.parametrize(("amount", "read"), AMOUNTS_IN_ENVELOPES, ids=[repr(one[0]) for one in AMOUNTS_IN_ENVELOPES])
def test_an_envelope_with_an_odd_amount_counts_as_what_it_is_read_as_or_not_at_all(
    hostile: LearnerLab, amount: object, read: str | None
) -> None:
    """Only Debezium writes envelopes, and it writes what a DECIMAL(12,2) holds."""
    user = hostile.add_user()
    payment = 2 * 10**15 + user
    value = envelope(user_id=user, transaction_id=payment, amount=amount)
    hostile.topics.publish(hostile.names.transactions, str(user), value)
    joined = eventually(lambda: hostile.joined(user), "the payment is joined", DEADLINE_S)[0]
    assert joined.json["transaction_amount"] == read
    if read is None:
        letter = eventually(lambda: hostile.letter_of_payment(payment), "it is a dead letter", DEADLINE_S)
        assert "transaction_amount is not" in letter["reason"]


def joined_payment(**fields: object) -> dict[str, object]:
    """A record of `transaction_mid`, with changes."""
    now = iso(round(NOW.timestamp() * 1000))
    record = example(
        JoinedTransaction,
        transaction_id=3 * 10**15,
        user_id=1,
        transaction_country="DE",
        transaction_time=now,
        created_at=now,
    )
    return {**msgspec.to_builtins(record), **fields}


WRONG_FIELDS: dict[str, list[Any]] = {
    "transaction_id": [2**63, 2**64, 10**400, 0, -1, 7.5, "7", True, None, [7]],
    "user_id": [2**31, -(2**31) - 1, 2**63, 10**400, 7.5, "7", True, None, [7]],
    "transaction_amount": [
        *("NaN", "Infinity", "-Infinity", "1e5", "12.345", " 5.00", ARABIC, "", "+5.00", "5", "5.00\n"),
        *("-5.00", "0.00", "10000000000.00", 5.0, 5, True, None, ["5.00"]),
    ],
    "transaction_currency": ["XXX", "eur", "", "EUR ", None, 978, ["EUR"], {"EUR": 1}],
    "transaction_country": ["ZZ", "de", "", "DEU", None, 49, ["DE"], {"DE": 1}],
    "transaction_time": [
        *("", "yesterday", "2024-01-01T00:00:00", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
        *("2999-01-01T00:00:00Z", None, 1_700_000_000, True, []),
    ],
    "created_at": ["", "1000-01-01T00:00:00Z", "2999-01-01T00:00:00Z", None, 0],
}


@pytest.mark.parametrize(("field", "value"), each_of(WRONG_FIELDS))
def test_a_joined_payment_with_a_wrong_field_is_a_dead_letter(hostile: LearnerLab, field: str, value: Any) -> None:
    payload = json.dumps(joined_payment(**{field: value}), ensure_ascii=False).encode()
    assert_letter(hostile, hostile.topics.publish(hostile.names.transaction_mid, "1", payload))


def test_poison_02_half_a_surrogate_pair_in_a_key_or_a_field_is_a_dead_letter(hostile: LearnerLab) -> None:
    """poison-02: valid JSON in plain ASCII that no UTF-8 string can hold."""
    user = hostile.add_user()
    for field in ("user_id", "transaction_country", "transaction_time", "user_first_name"):
        content = json.dumps(joined_payment(**{field: "\ud800"})).encode()
        assert_letter(hostile, hostile.topics.publish(hostile.names.transaction_mid, str(user), content))


def test_poison_03_payments_at_the_beginning_of_time_are_dead_letters(hostile: LearnerLab) -> None:
    """poison-03: the hour of such a payment would begin before the year 1."""
    user = hostile.add_user()
    for moment, country in (("0001-01-01T00:00:00Z", "DE"), ("0001-01-01T00:30:00Z", "JP")):
        times = {"transaction_time": moment, "created_at": moment}
        payment = joined_payment(user_id=user, transaction_amount="2000.00", transaction_country=country, **times)
        record = hostile.topics.publish(hostile.names.transaction_mid, str(user), json.dumps(payment).encode())
        assert_letter(hostile, record, "is no time that a TIMESTAMP of MySQL holds")


@pytest.mark.parametrize("field", ["transaction_id", "user_id"])
def test_poison_04_true_for_an_integer_is_exactly_one_dead_letter(hostile: LearnerLab, field: str) -> None:
    """poison-04: there were three dead letters."""
    user = hostile.add_user()
    payment = 8 * 10**15 + user
    content = envelope(**{"user_id": user, "transaction_id": payment, field: True})
    record = hostile.topics.publish(hostile.names.transactions, str(user), content)
    assert_letter(hostile, record, f"after has no integer {field}")
    hostile.settle(user)
    assert len([one for one in hostile.dead_letters() if str(user) in one["payload"]]) == 1
    assert hostile.joined(user) == []
    found = verify(hostile.settings, settle_s=0).findings
    assert {record.place, f"transaction-{payment}"}.isdisjoint(
        one.id for one in (*found.extra_dead_letters, *found.wrong)
    )


def test_a_payment_is_joined_or_a_dead_letter_and_not_both(hostile: LearnerLab) -> None:
    """Flink's format turns 7.5 into 7: such a payment was both."""
    user = hostile.add_user()
    record = hostile.topics.publish(hostile.names.transactions, str(user), envelope(user_id=user + 0.5))
    assert_letter(hostile, record, "after has no integer user_id")
    hostile.settle(user)
    assert hostile.joined(user) == []


@pytest.mark.parametrize("amount", ["1e99999999", "1e-99999999", "9" * 1_500], ids=lambda text: f"{text:.12}")
def test_an_amount_that_takes_minutes_to_round_is_no_amount(hostile: LearnerLab, amount: str) -> None:
    user = hostile.new_user_id()
    payment = 9 * 10**15 + user
    hostile.topics.publish(
        hostile.names.transactions, str(user), envelope(user_id=user, transaction_id=payment, amount=amount)
    )
    letter = eventually(lambda: hostile.letter_of_payment(payment), "it is a dead letter", DEADLINE_S)
    assert "transaction_amount is not" in letter["reason"]


def test_a_number_that_keeps_the_parser_busy_is_a_dead_letter(hostile: LearnerLab) -> None:
    user = hostile.new_user_id()
    value = envelope(user_id=user, transaction_id=9 * 10**15 + user, amount="9" * 500_000)
    assert_letter(
        hostile, hostile.topics.publish(hostile.names.transactions, str(user), value), "more than 2000 digits"
    )


def test_a_joined_payment_without_most_of_its_fields_is_a_dead_letter(hostile: LearnerLab) -> None:
    for field in ("transaction_id", "user_id", "transaction_amount", "transaction_currency", "transaction_country"):
        record = joined_payment()
        del record[field]
        assert_letter(hostile, hostile.topics.publish(hostile.names.transaction_mid, "1", json.dumps(record).encode()))


@pytest.mark.parametrize("key", [None, "1", "not a user"], ids=repr)
def test_a_joined_payment_with_another_key_counts_for_the_user_that_it_names(
    hostile: LearnerLab, key: str | None
) -> None:
    user = hostile.add_user()
    first = 7 * 10**15 + user
    content = json.dumps(joined_payment(user_id=user, transaction_id=first)).encode()
    record = hostile.topics.publish(hostile.names.transaction_mid, key, content)
    second = hostile.pay(user, "600.00", "FR")
    activities = {one["transaction_id"]: one for one in hostile.await_activities(user, [second])}
    assert activities[second]["transaction_ids"] == [first, second]
    assert hostile.letter_of(record) is None


WRONG_ACTIVITIES: dict[str, list[Any]] = {
    "user_id": ["7", 7.5, True, None, 10**400, [7]],
    "created_at": ["", "yesterday", "2024-01-01T00:00:00", "0001-01-01T00:00:00+23:59", None, 0, []],
}


@pytest.mark.parametrize(("field", "value"), each_of(WRONG_ACTIVITIES))
def test_an_activity_with_a_wrong_field_is_a_dead_letter(hostile: LearnerLab, field: str, value: Any) -> None:
    activity = {"user_id": 1, "created_at": "2024-01-01T00:00:00Z", field: value}
    payload = json.dumps(activity).encode()
    assert_letter(hostile, hostile.topics.publish(hostile.names.suspicious_activities, "1", payload))


@pytest.mark.parametrize("user", [-(2**31) - 1, 2**31, 2**63, 2**64 - 1], ids=str)
def test_an_activity_of_a_user_whom_no_database_can_have_is_a_dead_letter(hostile: LearnerLab, user: int) -> None:
    activity = json.dumps({"user_id": user, "created_at": "2024-01-01T00:00:00Z"}).encode()
    assert_letter(hostile, hostile.topics.publish(hostile.names.suspicious_activities, "1", activity))


@pytest.mark.parametrize("user", [-1, 0, 2**31 - 1], ids=str)
def test_an_activity_of_nobody_does_nothing(hostile: LearnerLab, user: int) -> None:
    activity = {"user_id": user, "created_at": "2024-01-01T00:00:00Z"}
    record = hostile.topics.publish(hostile.names.suspicious_activities, "1", json.dumps(activity).encode())
    hostile.fraud_is_caught()
    assert hostile.letter_of(record) is None


def test_the_marker_of_an_aborted_transaction_is_nothing_to_read(hostile: LearnerLab) -> None:
    """No consumer ever gets it as a record; status called the flagger stuck until the next activity."""
    topic = hostile.names.suspicious_activities
    producer = system.kafka(hostile.settings).producer(transactional_id=f"aborts-{time.time_ns()}")
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for partition in range(hostile.topics.partitions(topic)):
            content = json.dumps({"user_id": -1, "created_at": "2024-01-01T00:00:00Z"}).encode()
            producer.send(topic, content, b"1", partition=partition)
        producer.flush()
        producer.abort_transaction()
    finally:
        producer.close()
    flagger = hostile.names.group("flagger")
    eventually(lambda: system.problem(hostile.settings, flagger) is None, "the flagger has nothing to read")


def test_after_all_of_it_the_verification_finds_what_is_wrong_and_reads_on(hostile: LearnerLab) -> None:
    """No notifier runs here, and strangers have written activities and payments that nobody made."""
    nested = hostile.topics.publish(hostile.names.suspicious_activities, "1", GARBAGE["nested arrays"])
    verification = verify(hostile.settings, settle_s=2)
    assert not verification.exact
    assert nested.place in {finding.id for finding in verification.findings.wrong}
    assert verification.findings.missing == ()
    assert verification.findings.lost_payments == ()
    assert not [one.id for one in verification.findings.extra_dead_letters if one.id.startswith("activity-")]
    json.dumps(verification.as_dict())
    render(verification, Console(file=io.StringIO()))
    assert_letter(hostile, nested)


def test_after_all_of_it_fraud_is_caught_in_every_partition_and_nothing_has_restarted(hostile: LearnerLab) -> None:
    caught: set[int] = set()
    while len(caught) < hostile.topics.partitions(hostile.names.transactions):
        user = hostile.add_user()
        _, second = hostile.commit_fraud(user)
        hostile.await_activities(user, [second])
        hostile.await_stopped(user)
        caught.add(hostile.partition(user))
    assert [one for one in hostile.dead_letters() if one["reason"].startswith(("unexpected", "cannot be read"))] == []
    jobs = flink.jobs_of(hostile.settings)
    assert [(job.restarts, job.failures, job.state) for job in jobs] == [(0, 0, "RUNNING")] * 3
