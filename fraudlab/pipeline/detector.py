"""The detector: each user's exact sliding hour over `transaction_mid`, as a Flink DataStream job that writes `suspicious_activities`."""

import functools
import gc
import logging
import re
import struct
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
from fraudlab.pipeline.contracts import DETECTOR_JOB, Names, dead_letter
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.history import forget_payments, has_payments, quiet_since_ms
from fraudlab.pipeline.rule import Arrival, Rule, SuspiciousHour, judge
from fraudlab.pipeline.statements import statements
from fraudlab.pipeline.transaction import MalformedRecordError, iso, read_payment

JOB = DETECTOR_JOB
PROFILE_FIELDS = ("user_first_name", "user_last_name", "user_email", "user_phone_number")

NO_PROFILE = "nobody can be told of this activity: its user has no profile"

SKIPPED_BY_HAND = "skipped by hand"

OF_THE_RECORD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, struct.error)
"""What a record that nobody thought of may raise. Flink's own failures, as of its state, are none of these: they end the attempt."""

CLOCK_SKEW_MS = 86_400_000
"""How far apart, on the bank's clock, two partitions of a topic may be read at the same moment."""


Waiting = tuple[int, str, str, dict[str, Any]]
"""An activity that waits for its user's profile: since when (processing time, ms), partition and offset of the record with which it
became known, and what is to be raised."""


def _spares_the_job(
    process: Callable[["FraudDetector", str, Any], Iterator[Row]],
) -> Callable[["FraudDetector", str, Any], Iterator[Row]]:
    """Makes a dead letter of a record that raises, instead of a job that restarts with the same record for ever.

    State is as it was: it is written last. It is a fault of ours all the same: the reason begins with "unexpected", and the
    TaskManager's output has the traceback.
    """

    @functools.wraps(process)
    def process_element(self: "FraudDetector", value: str, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        partition, offset, text = value.split(":", 2)
        if text == SKIPPED_BY_HAND:
            yield self._dead_letter(SKIPPED_BY_HAND, None, partition, offset, "")
            return
        try:
            rows = list(process(self, value, ctx))
        except OF_THE_RECORD as error:
            logging.getLogger(__name__).exception("unexpected, with the record %s-%s", partition, offset)
            reason = f"unexpected {type(error).__name__}: {error}".encode("utf-8", "replace").decode()
            rows = [self._dead_letter(f"{reason:.200}", None, partition, offset, text)]
        yield from rows

    return process_element


class FraudDetector(KeyedProcessFunction):  # type: ignore[misc] # PyFlink is untyped
    """Shows every payment of a user to the rule, in the order in which the bank took them.

    Input, keyed by user: strings `partition:offset:value`, where value is a record of `transaction_mid`.
    Output: rows `(topic, message_key, message)` for `suspicious_activities` and `dead_letters`.
    """

    def __init__(self, rule: Rule, names: Names) -> None:
        self._rule = rule
        self._names = names
        self._bank_clock_ms = 0

    def open(self, runtime_context: RuntimeContext) -> None:
        """Gets the state of a user: the history as the rule packs it, and the activities that wait for the user's profile."""
        gc.collect()
        gc.freeze()  # PyFlink's half a million objects need not be looked through again and again
        self._user = runtime_context.get_state(ValueStateDescriptor("user", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Shows one payment to the rule."""
        partition, offset, text = value.split(":", 2)
        try:
            payment, created_ms = read_payment(text, self._rule.max_age_ms)
        except MalformedRecordError as error:
            yield self._dead_letter(str(error), error.transaction_id, partition, offset, text)
            return
        if created_ms > self._bank_clock_ms:
            self._bank_clock_ms = created_ms
        history, waiting = self._user.value() or (b"", ())
        verdict = judge(self._rule, history, payment)
        if verdict.arrival is Arrival.TOO_LATE:
            yield self._dead_letter("later than the allowed lateness", payment.transaction_id, partition, offset, text)
        activities = waiting
        if waiting or verdict.hours:
            record, now_ms = orjson.loads(text), ctx.timer_service().current_processing_time()
            found = ((now_ms, partition, offset, self._activity(hour, record)) for hour in verdict.hours)
            activities = (*waiting, *found)
            if record.get("user_suspicious_activity") is not None:
                yield from self._raise(activities, record)
                activities = ()
            else:
                overdue = self._overdue(waiting, now_ms)
                yield from self._give_up(activities[:overdue])
                activities = activities[overdue:]
        if verdict.history is not history or len(activities) != len(waiting):
            self._user.update((verdict.history, activities))
        if not has_payments(history) and has_payments(verdict.history):
            self._wake_up(ctx)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Forgets the payments of a user who has been quiet for so long that none still to come can reach back to them.

        How long is asked of the bank's clock, `created_at`; the timer, in processing time, only wakes up to look. An event-time
        timer would trust the watermark, which one wrong time, or a fast replay after a long stop, moves too far.
        """
        history, waiting = self._user.value()
        if self._bank_clock_ms > quiet_since_ms(history) + self._rule.quiet_ms + CLOCK_SKEW_MS:
            yield from self._give_up(waiting)
            self._user.update((forget_payments(history), ()))
        else:
            self._wake_up(ctx)

    def _wake_up(self, ctx: KeyedProcessFunction.Context) -> None:
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + self._rule.quiet_ms + CLOCK_SKEW_MS)

    def _overdue(self, waiting: Sequence[Waiting], now_ms: int) -> int:
        """How many of them, which stand in order, have waited too long. The join has then forgotten their payments, too."""
        return sum(since_ms + self._rule.profile_patience_ms < now_ms for since_ms, *_ in waiting)

    def _give_up(self, waiting: Iterable[Waiting]) -> Iterator[Row]:
        """Dead letters instead of activities, so that what waits for a profile that never comes does not grow for ever."""
        for _, partition, offset, activity in waiting:
            yield self._dead_letter(
                NO_PROFILE,
                activity["transaction_id"],
                partition,
                offset,
                orjson.dumps(activity).decode(),
                activity["activity_id"],
            )

    def _raise(self, activities: Iterable[Waiting], record: dict[str, Any]) -> Iterator[Row]:
        """The rows of activities, now that a record brings the user's profile. Where it was unknown they have waited for it."""
        profile = {field: record.get(field) for field in PROFILE_FIELDS}
        for *_, activity in activities:
            raised = activity | profile | {"detected_at": iso(time.time_ns() // 1_000_000)}
            yield Row(self._names.suspicious_activities, str(raised["user_id"]), orjson.dumps(raised).decode())

    def _activity(self, hour: SuspiciousHour, record: dict[str, Any]) -> dict[str, Any]:
        """One hour as an activity; `record` is the transaction that made it known. The user's profile is still to be added."""
        return {
            "activity_id": f"activity-{hour.transaction_id}",
            "user_id": record["user_id"],
            "user_suspicious_activity": True,
            "rule": f"{self._rule.min_countries}-countries-in-{self._rule.window_ms // 1000}-s",
            "window_start": iso(hour.start_ms),
            "window_end": iso(hour.end_ms),
            "total_amount_eur": f"{hour.total_eur_cents // 100}.{hour.total_eur_cents % 100:02}",
            "transaction_count": len(hour.transaction_ids),
            "countries": [country.decode() for country in hour.countries],
            "transaction_ids": list(hour.transaction_ids),
            "transaction_id": hour.transaction_id,
            "known_by": record["transaction_id"],
            "created_at": record["created_at"],
        }

    def _dead_letter(
        self,
        reason: str,
        transaction_id: int | None,
        partition: str,
        offset: str,
        text: str,
        letter_id: str | None = None,
    ) -> Row:
        if letter_id is None and transaction_id is not None:
            letter_id = f"transaction-{transaction_id}"
        letter = dead_letter(
            self._names.transaction_mid,
            int(partition),
            int(offset),
            reason=reason,
            payload=text,
            letter_id=letter_id,
            transaction_id=transaction_id,
        )
        return Row(self._names.dead_letters, letter["dead_letter_id"], orjson.dumps(letter).decode())


# Not a decorator: the method is a learner's exercise, whose mistakes should be seen.
setattr(FraudDetector, "process_element", _spares_the_job(FraudDetector.process_element))  # noqa: B010


def keyed_transactions(
    tables: StreamTableEnvironment, values: dict[str, object], skip: Collection[str] = ()
) -> KeyedStream:
    """`transaction_mid` as strings `partition:offset:value`, keyed by the record's key.

    The key is taken in the JVM, from the record's own: `DataStream.key_by` would call Python once more for every record.
    The text of records at a place in `skip` (`topic-partition-offset`) is SKIPPED_BY_HAND: it need not even reach Python.
    """
    places = [place.removeprefix(f"{values['transaction_mid']}-") for place in skip]
    skipped = ", ".join(f"'{place}'" for place in places if re.fullmatch("[0-9]+-[0-9]+", place)) or "''"
    own = values | {"skipped": skipped, "skipped_by_hand": SKIPPED_BY_HAND}
    for statement in statements("transaction_mid_source.sql", own):
        tables.execute_sql(statement)
    rows = tables.to_append_stream(tables.from_path("keyed_transactions"), Types.ROW([Types.STRING(), Types.STRING()]))
    key = Types.ROW([Types.STRING()]).get_java_type_info()
    keyed = rows._j_data_stream.keyBy(get_gateway().jvm.KeyByKeySelector(), key)
    return KeyedStream(keyed, Types.STRING(), rows)


def detect(transactions: KeyedStream, rule: Rule, names: Names) -> DataStream:
    """The detector's output over keyed transactions: rows `(topic, message_key, message)`."""
    return transactions.process(FraudDetector(rule, names), RECORD).name("fraud detector").uid("fraud-detector")


def submit(
    cluster: FlinkCluster,
    bootstrap_servers: str,
    names: Names,
    rule: Rule,
    *,
    parallelism: int = 1,
    source: str | None = None,
    bounded: bool = False,
    skip: Collection[str] = (),
) -> JobClient:
    """Submits the job.

    Args:
        cluster: Where to run it.
        bootstrap_servers: Kafka's address.
        names: Names of topics, group and job.
        rule: The rule to apply.
        parallelism: Parallelism of the job.
        source: A topic to read instead of `transaction_mid`.
        bounded: Whether the job ends with what is in the topic when it starts: for replays and measurements.
        skip: Places of records, `topic-partition-offset`, that become dead letters whatever they hold. The topology does not depend
            on them: the job can go on from its savepoint with other ones.
    """
    environment, tables = cluster.table_environment()
    environment.set_parallelism(parallelism)
    values = kafka_values(bootstrap_servers, names, JOB)
    values["sink_topics"] = f"{names.suspicious_activities};{names.dead_letters}"
    values["transaction_mid"] = source or names.transaction_mid
    values["bounded_mode"] = "latest-offset" if bounded else "unbounded"
    findings = detect(keyed_transactions(tables, values, skip), rule, names)
    for statement in statements("records.sql", values):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(findings))
    inserts.attach_as_datastream()
    return environment.execute_async(names.job(JOB))
