"""The types of the records: what they read and refuse, and that the SQL join writes what they promise."""

import re
from typing import Any

import msgspec
import orjson
import pytest

from fraudlab.kafka_access import KafkaAccess, sql_options
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.records import (
    Activity,
    Change,
    Envelope,
    JoinedTransaction,
    MalformedRecordError,
    PendingActivity,
    Source,
    encode,
    epoch_ms,
    example,
    fields,
    iso,
    moment,
    read_activity,
    read_change,
    read_envelope,
)
from fraudlab.pipeline.statements import statements
from tests.support.activity import ACTIVITY

SQL_TYPES = {"BIGINT": int, "INT": int, "STRING": str, "BOOLEAN": bool, "TIMESTAMP_LTZ": str}
ENVELOPE: dict[str, Any] = {
    "before": None,
    "after": {"transaction_id": 3008, "user_id": 42, "amount": "600.00", "created_at": "2026-07-01T12:02:03.004Z"},
    "source": {
        "version": "1.9.8.Final",
        "connector": "mysql",
        "name": "mysql_binlog_source",
        "ts_ms": 1782907323000,
        "snapshot": "false",
        "db": "payment",
        "sequence": None,
        "table": "transactions",
        "server_id": 1,
        "gtid": None,
        "file": "binlog.000002",
        "pos": 4711,
        "row": 0,
        "thread": 12,
        "query": None,
    },
    "op": "c",
    "ts_ms": 1782907323050,
    "transaction": None,
}


def test_the_join_writes_the_fields_of_a_joined_transaction_in_this_order() -> None:
    names = Names()
    values = {topic: topic for topic in names.topics} | {
        "kafka_options": sql_options(KafkaAccess("127.0.0.1:9").table_options()),
        "group": "join",
        "transaction_ttl": "1s",
    }
    (table,) = [one for one in statements("join.sql", values) if "CREATE TABLE transaction_mid" in one]
    columns = re.findall(r"^  (\w+) (\w+)", table.split(") WITH (")[0], re.MULTILINE)
    written = [(name, SQL_TYPES[kind]) for name, kind in columns if name != "message_key" and kind in SQL_TYPES]
    agreed = [(name, plain(kind)) for name, kind, _ in fields(JoinedTransaction)]
    assert written == agreed


def plain(kind: Any) -> Any:
    """The type without `| None`."""
    (first, *_) = getattr(kind, "__args__", None) or (kind,)
    return getattr(first, "__origin__", first)


@pytest.mark.parametrize("kind", [Source, Change, Envelope, JoinedTransaction, PendingActivity, Activity])
def test_every_field_says_what_it_means_and_has_an_example_that_it_can_hold(kind: type[msgspec.Struct]) -> None:
    for name, _, said in fields(kind):
        assert said[-1].description, name
        assert any(one.extra for one in said), f"{name} has no format"
        assert said[-1].examples is not None, name
    assert kind.__doc__


@pytest.mark.parametrize("kind", [Envelope, JoinedTransaction, Activity])
def test_an_example_is_a_record(kind: Any) -> None:
    record = example(kind)
    assert msgspec.json.decode(encode(record), type=kind) == record
    with pytest.raises(msgspec.ValidationError):
        example(kind, **{next(iter(kind.__struct_fields__)): 0.5})


def test_an_activity_is_read_from_bytes_text_and_objects() -> None:
    expected = example(Activity)
    assert read_activity(orjson.dumps(ACTIVITY)) == expected
    assert read_activity(orjson.dumps(ACTIVITY).decode()) == expected
    assert read_activity(ACTIVITY | {"a_field_of_a_later_version": 1}) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not an activity: "),
        (b"\xff", "not an activity: "),
        (b'"\xff"', "not an activity: "),
        (b"[" * 100_000, "not an activity: "),
        (b"7", "not an activity: Expected `object`, got `int`"),
        ({}, "not an activity: Object missing required field `activity_id`"),
        (ACTIVITY | {"user_id": "42"}, "not an activity: Expected `int`, got `str` - at `$.user_id`"),
        (ACTIVITY | {"user_id": True}, "not an activity: Expected `int`, got `bool` - at `$.user_id`"),
        (ACTIVITY | {"transaction_ids": [4, 0]}, "at `$.transaction_ids[1]`"),
        (ACTIVITY | {"total_amount_eur": 1200.0}, "at `$.total_amount_eur`"),
        (ACTIVITY | {"activity_id": ""}, "at `$.activity_id`"),
        (ACTIVITY | {"user_email": ["a@example.com"]}, "at `$.user_email`"),
    ],
)
def test_the_reason_for_a_record_that_is_no_activity_names_the_field(value: Any, reason: str) -> None:
    with pytest.raises(MalformedRecordError) as caught:
        read_activity(value)
    assert reason in str(caught.value)
    assert str(caught.value).startswith("not an activity: ")


def test_an_envelope_is_read_as_debezium_writes_it() -> None:
    envelope = read_envelope(orjson.dumps(ENVELOPE))
    assert envelope is not None
    assert (envelope.op, envelope.row, envelope.ts_ms) == ("c", ENVELOPE["after"], ENVELOPE["ts_ms"])
    assert envelope.source == Source(
        table="transactions", ts_ms=1782907323000, gtid=None, file="binlog.000002", pos=4711, row=0
    )


def test_the_row_of_a_deletion_is_the_one_before() -> None:
    change = read_change(orjson.dumps({"op": "d", "before": {"user_id": 7}, "after": None}))
    assert change is not None
    assert change.row == {"user_id": 7}


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\xff", b"null", b"[]", b"{}", b'{"op":1}', b'{"op":"c","after":"a row"}', b"[" * 100_000],
)
def test_what_is_no_change_is_none(value: bytes | None) -> None:
    assert read_change(value) is None
    assert read_envelope(value) is None


def test_a_change_without_a_readable_source_is_a_change_for_the_join() -> None:
    value = orjson.dumps(ENVELOPE | {"source": "by hand"})
    change = read_change(value)
    assert change is not None
    assert change.after == ENVELOPE["after"]
    assert read_envelope(value) is None


def test_an_integer_of_more_than_64_bits_is_no_id() -> None:
    """It would become a part of a statement for MySQL."""
    change = read_change(b'{"op":"c","after":{"user_id":1%s}}' % (b"0" * 400))
    assert change is None or type((change.after or {})["user_id"]) is not int


def test_a_time_is_written_as_it_is_read() -> None:
    assert epoch_ms("2026-01-01T12:00:00.123Z") == epoch_ms("2026-01-01T13:00:00.123+01:00") == 1_767_268_800_123
    assert iso(1_767_268_800_123) == "2026-01-01T12:00:00.123Z"
    with pytest.raises(ValueError, match="without a time zone"):
        moment("2026-01-01T12:00:00")
