"""CDC ingestion: the binlog of `user_profile` and `transactions`, as Debezium envelopes keyed by user, in two Kafka topics."""

import functools
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import orjson
from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.common.job_client import JobClient
from pyflink.datastream import FlatMapFunction

from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import CDC_JOB, MOVED, Names, dead_letter
from fraudlab.pipeline.contracts import server_ids as server_ids  # notebooks import it from here
from fraudlab.pipeline.flink import FlinkCluster, MySqlEndpoint, kafka_values, mysql_cdc_source
from fraudlab.pipeline.records import Envelope, Source
from fraudlab.pipeline.statements import statements

JOB = CDC_JOB
TABLES = ("user_profile", "transactions")
RECORD = Types.ROW_NAMED(["topic", "message_key", "message"], [Types.STRING(), Types.STRING(), Types.STRING()])

_decode = msgspec.json.Decoder(Envelope).decode
_AMOUNT = re.compile(r"-?[0-9]{1,10}\.[0-9]{2}")


class RouteByTable(FlatMapFunction):  # type: ignore[misc] # PyFlink is untyped
    """Gives each envelope the topic of its table and the key `user_id`, so that one user's changes keep their order."""

    def __init__(self, topics: dict[str, str]) -> None:
        self._topics = topics

    def flat_map(self, value: str) -> Iterator[Row]:
        """One row `(topic, message_key, message)` an envelope; the envelope itself is passed on unchanged."""
        envelope = orjson.loads(value)
        row = envelope["after"] or envelope["before"]
        yield Row(self._topics[envelope["source"]["table"]], str(row["user_id"]), value)


def _without_strangers(
    flat_map: Callable[["RouteByTable", str], Iterator[Row]],
) -> Callable[["RouteByTable", str], Iterator[Row]]:
    """Turns what cannot be a row of its table into a dead letter.

    The connector skips DDL that it cannot parse. If that DDL moved columns, each value gets its neighbour's name from then on.
    """

    @functools.wraps(flat_map)
    def checked(self: RouteByTable, value: str) -> Iterator[Row]:
        envelope = _decode(value)
        source, row = envelope.source or Source(), envelope.row or {}
        table = source.table or ""
        wrong = wrong_column(table, row)
        if wrong is None:
            yield from flat_map(self, value)
            return
        topic = self._topics[table]
        letter = dead_letter(
            topic,
            -1,
            -1,
            reason=_reason(wrong, row),
            payload=value,
            letter_id=f"binlog-{table}-{source.file}-{source.pos}-{source.row}",
        )
        dead_letters = f"{topic.removesuffix(table)}{Names().dead_letters}"
        yield Row(dead_letters, letter["dead_letter_id"], orjson.dumps(letter).decode())

    return checked


# Not a decorator: the method is a learner's exercise.
RouteByTable.flat_map = _without_strangers(RouteByTable.flat_map)  # type: ignore[method-assign, assignment]


def _reason(wrong: str, row: dict[str, Any]) -> str:
    if wrong == "created_at" and row.get(wrong, 0) is None:
        return "created_at is no time, such as '0000-00-00'. DELETE the row; the database accepts none like it today."
    return (
        f"{MOVED}, or are not the expected ones: {wrong} cannot be {row.get(wrong)!r:.80}."
        " `fraudlab resnapshot` reads the table again."
    )


def wrong_column(table: str, row: dict[str, Any]) -> str | None:
    """Which column of a row in an envelope has a value that the table's own definition rules out; None if all values are possible."""
    if type(row.get("user_id")) is not int:
        return "user_id"
    if table == "user_profile":
        if row.get("suspicious_activities") not in range(-128, 128):
            return "suspicious_activities"
        return _too_long(row, home_country=2) or _no_time(row, "created_at")
    if type(row.get("transaction_id")) is not int:
        return "transaction_id"
    amount = row.get("amount", 0)
    if amount is not None and not (type(amount) is str and _AMOUNT.fullmatch(amount)):
        return "amount"
    wrong = _too_long(row, currency=3, type=32, country=2, merchant=120) or _no_time(row, "created_at")
    if wrong is None and row.get("transaction_time", 0) is not None:
        wrong = _no_time(row, "transaction_time")
    return wrong


def _too_long(row: dict[str, Any], **widths: int) -> str | None:
    for name, width in widths.items():
        value = row.get(name, 0)
        if value is not None and not (type(value) is str and len(value) <= width):
            return name
    return None


def _no_time(row: dict[str, Any], name: str) -> str | None:
    try:
        datetime.fromisoformat(row.get(name, 0))
    except (TypeError, ValueError):
        return name
    return None


def submit(cluster: FlinkCluster, endpoint: MySqlEndpoint, kafka: KafkaAccess, names: Names) -> JobClient:
    """Submits the job: a snapshot of both tables, then their binlog; restarted from its checkpoint it continues where it was."""
    environment, tables = cluster.table_environment()
    environment.set_parallelism(1)
    source = mysql_cdc_source(endpoint, list(TABLES), server_ids(names))
    changes = environment.from_source(source, WatermarkStrategy.no_watermarks(), "MySQL binlog", Types.STRING())
    topics = {table: getattr(names, table) for table in TABLES}
    records = changes.flat_map(RouteByTable(topics), RECORD).name("route by table")
    values = kafka_values(kafka, names, JOB) | {"sink_topics": ";".join(topics.values())}
    for statement in statements("records.sql", values):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(records))
    inserts.attach_as_datastream()
    return environment.execute_async(names.job(JOB))
