"""What a fresh snapshot cannot tell: rows that are still in the topics but no longer in the tables."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import orjson
from kafka import TopicPartition

from fraudlab.clients import topics
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.records import read_change

KEYS = {"user_profile": "user_id", "transactions": "transaction_id"}
"""The tables that are captured, and their primary keys."""
IDS_A_QUERY = 1_000

Place = tuple[int, int]
"""Partition and offset of a row's newest envelope."""


def write_missing(kafka: KafkaAccess, names: Names, connection: Any) -> dict[str, int]:
    """Writes an envelope with `op` d for each row that is in a topic and not in its table. Idempotent.

    To be called after a fresh snapshot, when the binlog is read: later deletions are in the binlog. A deletion is written while
    a lock keeps the id free, so that it cannot follow the envelope of a row that was inserted meanwhile.

    Args:
        kafka: Where Kafka is, and as whom to use it.
        names: Names of the topics and of the database.
        connection: A `mysql.connector` connection that may lock rows of `user_profile`.

    Returns:
        Table to the number of deletions written.

    Raises:
        KafkaError, mysql.connector.Error: Kafka or MySQL went away; then some may have been written.
    """
    written = {}
    with (
        closing(kafka.consumer(enable_auto_commit=False)) as consumer,
        closing(kafka.producer(acks="all")) as producer,
    ):
        for table, key in KEYS.items():
            topic = getattr(names, table)
            held = _held(consumer, topic, key)
            gone = sorted(_absent(connection, f"{names.database}.{table}", key, held))
            written[table] = 0
            for row_id in gone:
                partition, offset = held[row_id]
                before = _row_at(consumer, TopicPartition(topic, partition), offset)
                if before is None or not _still_absent(connection, f"{names.database}.{table}", key, row_id):
                    continue
                envelope = _deletion(before, names.database, table)
                producer.send(topic, key=str(before["user_id"]).encode(), value=envelope, partition=partition).get(30)
                connection.rollback()
                written[table] += 1
            connection.rollback()
    return written


def _held(consumer: Any, topic: str, key: str) -> dict[int, Place]:
    """The rows that are in a topic, by its newest envelopes: id to place."""
    held: dict[int, Place] = {}
    for record in topics.read(consumer, [topic]):
        change = read_change(record.value)
        row = (change and change.row) or {}
        row_id = row.get(key)
        if change is None or type(row_id) is not int or type(row.get("user_id")) is not int:
            continue
        if change.op == "d":
            held.pop(row_id, None)
        else:
            held[row_id] = record.partition, record.offset
    return held


def _row_at(consumer: Any, partition: TopicPartition, offset: int) -> dict[str, Any] | None:
    """The row in the envelope at this place; None if the broker has deleted it."""
    record = topics.read_one(consumer, partition, offset)
    change = read_change(record.value) if record is not None else None
    return change.after if change else None


def _absent(connection: Any, table: str, key: str, held: dict[int, Place]) -> Iterator[int]:
    ids = list(held)
    for start in range(0, len(ids), IDS_A_QUERY):
        some = ids[start : start + IDS_A_QUERY]
        with closing(connection.cursor()) as cursor:
            cursor.execute(f"SELECT {key} FROM {table} WHERE {key} IN ({', '.join(map(str, some))})")  # noqa: S608 - our own names and integers
            there = {row[0] for row in cursor.fetchall()}
        connection.rollback()
        yield from (one for one in some if one not in there)


def _still_absent(connection: Any, table: str, key: str, row_id: int) -> bool:
    """Whether there is no such row; until the transaction ends, none can be inserted."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT {key} FROM {table} WHERE {key} = %s FOR UPDATE", (row_id,))  # noqa: S608 - our own names
        there = cursor.fetchone()
    if there:
        connection.rollback()
    return not there


def _deletion(before: dict[str, Any], database: str, table: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    source = {"connector": "mysql", "name": "fraudlab", "ts_ms": 0, "snapshot": "false", "db": database, "table": table}
    return orjson.dumps({"before": before, "after": None, "source": source, "op": "d", "ts_ms": now_ms})
