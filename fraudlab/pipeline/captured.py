"""Whether what the job cdc-ingestion writes is what the tables hold: neither a binlog that was reset nor columns that moved end the job."""

import re
from contextlib import closing
from typing import Any

import orjson

from fraudlab.clients import topics
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import MOVED, Names
from fraudlab.pipeline.records import Envelope, Source, read_envelope

LOOKED_AT = 3
"""How many of the newest records of each partition are checked."""
PATIENCE_S = 3
BEGAN_AGAIN = "reads a binlog that was reset, or another server's binlog: changes since then may be missing"
NOT_THE_ROW = "captures rows that differ from the table's: its columns have moved"

_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_SAME = ("user_id", "type", "merchant")
"""Columns of a payment, which never changes, that are the same text in the table and in an envelope."""


def problem(kafka: KafkaAccess, names: Names, connection: Any, since_ms: int) -> str | None:
    """What is wrong with what a job has captured, as the end of a line that begins with its name; None if no problem is seen.

    Args:
        kafka: Where Kafka is, and as whom to use it.
        names: Names of topics and database.
        connection: A `mysql.connector` connection that may read the tables and the binlog's position.
        since_ms: When the job was submitted. Earlier records, by Kafka's clock, are not its own.

    Raises:
        KafkaError, mysql.connector.Error: Kafka or MySQL does not answer.
    """
    with closing(kafka.consumer(enable_auto_commit=False)) as consumer:
        looked_at = (names.user_profile, names.transactions, names.dead_letters)
        newest = [
            (one.topic, one.value)
            for one in topics.read(consumer, looked_at, LOOKED_AT, PATIENCE_S)
            if one.timestamp >= since_ms
        ]
    if any(str(_json(value).get("reason")).startswith(MOVED) for topic, value in newest if topic == names.dead_letters):
        return NOT_THE_ROW
    envelopes = [
        (topic, envelope)
        for topic, value in newest
        if topic != names.dead_letters and (envelope := read_envelope(value)) is not None
    ]
    if _began_again(connection, [envelope for _, envelope in envelopes]):
        return BEGAN_AGAIN
    payments = [envelope.after for topic, envelope in envelopes if topic == names.transactions]
    if _differ(connection, names.database, [row for row in payments if row is not None]):
        return NOT_THE_ROW
    return None


def _began_again(connection: Any, envelopes: list[Envelope]) -> bool:
    """Whether a change was read at a position that the server's binlog has not reached, or from another server."""
    sources = [one.source for one in envelopes if one.source is not None]
    with closing(connection.cursor()) as cursor:
        cursor.execute("SHOW MASTER STATUS")
        row = cursor.fetchone()
        cursor.execute("SELECT @@server_uuid")
        ((uuid,),) = cursor.fetchall()
    if row is None:
        return False
    now = _position(Source(file=row[0], pos=row[1]))
    for source in sources:
        position = _position(source)
        if position is not None and now is not None and position > now:
            return True
        if source.gtid and source.gtid.partition(":")[0] != uuid:
            return True
    return False


def _position(source: Source) -> tuple[int, int] | None:
    number = _NUMBER.search(source.file or "")
    return (int(number[0]), source.pos) if number is not None and source.pos and source.pos > 0 else None


def _differ(connection: Any, database: str, payments: list[dict[str, Any]]) -> bool:
    """Whether one of these payments is in the table with the same id but other contents."""
    captured = {row["transaction_id"]: row for row in payments if type(row.get("transaction_id")) is int}
    if not captured:
        return False
    ids = ", ".join(map(str, captured))
    with closing(connection.cursor()) as cursor:
        cursor.execute(
            f"SELECT transaction_id, {', '.join(_SAME)}, COALESCE(UNIX_TIMESTAMP(transaction_time), 0) = 0, created_at"  # noqa: S608 - our own names and integers
            f" FROM {database}.transactions WHERE transaction_id IN ({ids})"
        )
        rows = cursor.fetchall()
    for transaction_id, *same, no_time, created_at in rows:
        row = captured[transaction_id]
        if created_at is None:
            continue  # '0000-00-00': a row that cannot be judged
        seconds = created_at.isoformat(timespec="seconds")
        if [row.get(name) for name in _SAME] != same or (row.get("transaction_time") is None) is not bool(no_time):
            return True
        if not str(row.get("created_at")).startswith(seconds):
            return True
    return False


def _json(value: bytes | None) -> dict[str, Any]:
    try:
        record = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}
