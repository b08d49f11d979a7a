"""The detector: each user's exact sliding hour over `transaction_mid`, as a Flink DataStream job that writes `suspicious_activities`."""

import time
from collections.abc import Iterator
from typing import Any

import orjson
from pyflink.common import Row, Types
from pyflink.common.job_client import JobClient
from pyflink.datastream import DataStream, KeyedProcessFunction, RuntimeContext
from pyflink.datastream.data_stream import KeyedStream
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from fraudlab.pipeline.cdc import RECORD
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.rule import Arrival, Rule, SuspiciousHour, expires_at_ms, judge, without_payments
from fraudlab.pipeline.transaction import MalformedRecordError, iso, parse
from fraudlab.pipeline.statements import statements

JOB = "fraud-detector"
MAX_PAYLOAD = 65_536


class FraudDetector(KeyedProcessFunction):
    """Shows every payment of a user to the rule, in the order in which the bank took them.

    Input, keyed by user: strings `partition:offset:value`, where value is a record of `transaction_mid`.
    Output: rows `(topic, message_key, message)` for `suspicious_activities` and `dead_letters`.
    """

    def __init__(self, rule: Rule, names: Names) -> None:
        self._rule = rule
        self._names = names
        self._clock_ms = 0

    def open(self, runtime_context: RuntimeContext) -> None:
        self._history = runtime_context.get_state(ValueStateDescriptor("history", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        partition, offset, text = value.split(":", 2)
        try:
            payment, record = parse(text)
        except MalformedRecordError as error:
            yield self._dead_letter(str(error), error.transaction_id, partition, offset, text)
            return
        self._clock_ms = max(self._clock_ms, payment.time_ms)
        history = self._history.value() or b""
        verdict = judge(self._rule, history, payment, raisable=record["user_suspicious_activity"] is not None)
        if verdict.history is not history:
            self._history.update(verdict.history)
            if len(history) <= len(without_payments(history)):
                self._wake_up(ctx)
        if verdict.arrival is Arrival.TOO_LATE:
            yield self._dead_letter("later than the allowed lateness", payment.transaction_id, partition, offset, text)
        for hour in verdict.hours:
            yield self._activity(hour, record)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Drops the payments of a user who has been quiet for so long that they cannot matter any more.

        Whether they can is asked of event time: the timer, in processing time, only wakes up to look. A watermark would do
        the same until one record with a wrong time, or a stream replayed after a long stop, moved it too far.
        """
        history = self._history.value()
        if self._clock_ms >= expires_at_ms(self._rule, history):
            self._history.update(without_payments(history))
        else:
            self._wake_up(ctx)
        yield from ()

    def _wake_up(self, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + self._rule.retention_ms)

    def _activity(self, hour: SuspiciousHour, record: dict[str, Any]) -> Row:
        """The record of `suspicious_activities` for one hour; `record` is the transaction that made it known."""
        key = str(record["user_id"])
        activity = {
            "activity_id": f"activity-{hour.transaction_id}",
            "user_id": record["user_id"],
            "user_first_name": record["user_first_name"],
            "user_last_name": record["user_last_name"],
            "user_email": record["user_email"],
            "user_phone_number": record["user_phone_number"],
            "user_suspicious_activity": True,
            "rule": f"{self._rule.min_countries}-countries-in-{self._rule.window_ms // 1000}-s",
            "window_start": iso(hour.start_ms),
            "window_end": iso(hour.end_ms),
            "total_amount_eur": f"{hour.total_eur_cents // 100}.{hour.total_eur_cents % 100:02}",
            "transaction_count": len(hour.transaction_ids),
            "countries": [country.decode() for country in hour.countries],
            "transaction_ids": hour.transaction_ids,
            "transaction_id": hour.transaction_id,
            "created_at": record["created_at"],
            "detected_at": iso(time.time_ns() // 1_000_000),
        }
        return Row(self._names.suspicious_activities, key, orjson.dumps(activity).decode())

    def _dead_letter(self, reason: str, transaction_id: int | None, partition: str, offset: str, text: str) -> Row:
        topic = self._names.transaction_mid
        letter_id = f"{topic}-{partition}-{offset}" if transaction_id is None else f"transaction-{transaction_id}"
        letter = {
            "dead_letter_id": letter_id,
            "reason": reason,
            "topic": topic,
            "partition": int(partition),
            "offset": int(offset),
            "transaction_id": transaction_id,
            "payload": text[:MAX_PAYLOAD],
        }
        return Row(self._names.dead_letters, letter_id, orjson.dumps(letter).decode())


def keyed_transactions(tables: StreamTableEnvironment, values: dict[str, object]) -> KeyedStream:
    """`transaction_mid` as strings `partition:offset:value`, keyed by the record's key.

    The key is taken in the JVM, from the record's own: `DataStream.key_by` would call Python once more for every record.
    """
    for statement in statements("transaction_mid_source.sql", values):
        tables.execute_sql(statement)
    rows = tables.to_append_stream(tables.from_path("keyed_transactions"), Types.ROW([Types.STRING(), Types.STRING()]))
    key = Types.ROW([Types.STRING()]).get_java_type_info()
    keyed = rows._j_data_stream.keyBy(get_gateway().jvm.KeyByKeySelector(), key)
    return KeyedStream(keyed, Types.STRING(), rows)


def detect(transactions: KeyedStream, rule: Rule, names: Names) -> DataStream:
    """The detector's output over keyed transactions: rows `(topic, message_key, message)`."""
    return transactions.process(FraudDetector(rule, names), RECORD).name("fraud detector").uid("fraud-detector")


def submit(
    cluster: FlinkCluster, bootstrap_servers: str, names: Names, rule: Rule, *, parallelism: int = 1
) -> JobClient:
    """Submits the job."""
    environment, tables = cluster.table_environment()
    environment.set_parallelism(parallelism)
    values = kafka_values(bootstrap_servers, names, JOB)
    values["sink_topics"] = f"{names.suspicious_activities};{names.dead_letters}"
    findings = detect(keyed_transactions(tables, values), rule, names)
    for statement in statements("records.sql", values):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(findings))
    inserts.attach_as_datastream()
    return environment.execute_async(names.job(JOB))
