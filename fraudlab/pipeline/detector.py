"""The detector: each user's exact sliding hour over `transaction_mid`, as a Flink DataStream job that writes `suspicious_activities`."""

import gc
import logging
import struct
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

import orjson
from pyflink.common import Row, Types
from pyflink.common.job_client import JobClient
from pyflink.datastream import DataStream, KeyedProcessFunction, RuntimeContext
from pyflink.datastream.data_stream import KeyedStream
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.cdc import RECORD
from fraudlab.pipeline.contracts import (
    DETECTOR_JOB,
    EUR_RATE_SCALE,
    FUTURE_TOLERANCE_MS,
    Names,
    dead_letter,
    eur_rates,
)
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.history import forget_payments, has_payments, quiet_since_ms
from fraudlab.pipeline.java_operators import guard, processed
from fraudlab.pipeline.records import JoinedTransaction, MalformedRecordError, PendingActivity, encode, iso
from fraudlab.pipeline.rule import Arrival, Rule, SuspiciousHour, judge
from fraudlab.pipeline.state import USER, Bytes, UserState, Waiting
from fraudlab.pipeline.statements import statements
from fraudlab.pipeline.transaction import REGULAR, read_payment

JOB = DETECTOR_JOB
TITLE, UID = "fraud detector", "fraud-detector"

NO_PROFILE = "nobody can be told of this activity: its user has no profile"

OF_THE_RECORD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, struct.error)
"""What our code raises for a record that nobody thought of. Flink's own failures, such as reading its state, are none of these."""

CLOCK_SKEW_MS = 86_400_000
"""How far apart, on the bank's clock, two partitions of a topic may be read at the same moment."""


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
        self._user = UserState(runtime_context.get_state(ValueStateDescriptor(USER, Bytes())))

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Shows one payment to the rule."""
        partition, offset, text = value.split(":", 2)
        try:
            payment, created_ms, record = read_payment(text, self._rule.max_age_ms)
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
            now_ms = ctx.timer_service().current_processing_time()
            found = ((now_ms, partition, offset, self._activity(hour, record)) for hour in verdict.hours)
            activities = (*waiting, *found)
            if record.user_suspicious_activity is not None:
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
        """Dead letters instead of activities, so that activities whose profile never comes do not accumulate."""
        for _, partition, offset, activity in waiting:
            yield self._dead_letter(
                NO_PROFILE,
                activity.transaction_id,
                partition,
                offset,
                encode(activity).decode(),
                activity.activity_id,
            )

    def _raise(self, activities: Iterable[Waiting], record: JoinedTransaction) -> Iterator[Row]:
        """The rows of activities, now that a record brings the user's profile. Where it was unknown they have waited for it."""
        for *_, activity in activities:
            raised = activity.with_profile(record, iso(time.time_ns() // 1_000_000))
            yield Row(self._names.suspicious_activities, str(raised.user_id), encode(raised).decode())

    def _activity(self, hour: SuspiciousHour, record: JoinedTransaction) -> PendingActivity:
        """One hour as an activity; `record` is the transaction that made it known. The user's profile is still to be added."""
        return PendingActivity(
            activity_id=f"activity-{hour.transaction_id}",
            user_id=record.user_id,
            rule=f"{self._rule.min_countries}-countries-in-{self._rule.window_ms // 1000}-s",
            window_start=iso(hour.start_ms),
            window_end=iso(hour.end_ms),
            total_amount_eur=f"{hour.total_eur_cents // 100}.{hour.total_eur_cents % 100:02}",
            transaction_count=hour.transaction_count,
            countries=[country.decode() for country in hour.countries],
            transaction_ids=list(hour.transaction_ids),
            transaction_id=hour.transaction_id,
            known_by=record.transaction_id,
            created_at=record.created_at,
        )

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


class PoisonRecordError(Exception):
    """An exception that is not known to be the record's fault, with the record's place in its message."""


class GuardedDetector(FraudDetector):
    """The detector as the job runs it: no record that makes it raise has the job restart with the same record indefinitely.

    The learners' exercise is the class without this, so that they see their mistakes.
    """

    def process_element(self, value: str, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """As the detector does. A record that raises becomes a dead letter; what is not the record's fault ends the attempt.

        State is as it was: it is written last. It is a fault of ours all the same: the reason begins with "unexpected", and the
        TaskManager's output has the traceback.

        Raises:
            PoisonRecordError: Flink failed, or what else is not OF_THE_RECORD.
        """
        try:
            rows = list(super().process_element(value, ctx))
        except OF_THE_RECORD as error:
            partition, offset, text = value.split(":", 2)
            logging.getLogger(__name__).exception("unexpected, with the record %s-%s", partition, offset)
            reason = f"unexpected {type(error).__name__}: {error}".encode("utf-8", "replace").decode()
            rows = [self._dead_letter(f"{reason:.200}", None, partition, offset, text)]
        except Exception as error:
            partition, offset, _ = value.split(":", 2)
            place = f"{self._names.transaction_mid}-{partition}-{offset}"
            # In thread mode Flink shows the message of the outermost exception only.
            raise PoisonRecordError(f"while processing the record {place}: {type(error).__name__}: {error}") from error
        yield from rows


def keyed_transactions(
    tables: StreamTableEnvironment, values: dict[str, object], skip: Collection[str] = ()
) -> KeyedStream:
    """`transaction_mid` as strings `partition:offset:value`, keyed by the record's key.

    The key is taken in the JVM, from the record's own: `DataStream.key_by` would call Python once more for every record.
    Records in `skip` are passed over: by place, `topic-partition-offset`, or by how they begin (`contracts.joined_beginning`).
    """
    topic, view = statements("transaction_mid_source.sql", values)
    tables.execute_sql(topic)
    records = guard(tables.to_data_stream(tables.from_path("transaction_mid"))._j_data_stream, skip)
    tables.create_temporary_view("guarded_transaction_mid", tables.from_data_stream(DataStream(records)))
    tables.execute_sql(view)
    rows = tables.to_append_stream(tables.from_path("keyed_transactions"), Types.ROW([Types.STRING(), Types.STRING()]))
    return keyed(rows)


def keyed(rows: DataStream) -> KeyedStream:
    """Rows `(key, value)` as a stream of their values, keyed by key."""
    key = Types.ROW([Types.STRING()]).get_java_type_info()
    return KeyedStream(rows._j_data_stream.keyBy(get_gateway().jvm.KeyByKeySelector(), key), Types.STRING(), rows)


def detect(transactions: KeyedStream, rule: Rule, names: Names) -> DataStream:
    """The detector's output over keyed transactions: rows `(topic, message_key, message)`."""
    return transactions.process(FraudDetector(rule, names), RECORD).name(TITLE).uid(UID)


def detect_guarded(transactions: KeyedStream, rule: Rule, names: Names) -> DataStream:
    """The same as the job runs it: with the guard, and with a shortcut for payments that cannot make an hour suspicious.

    The shortcut (`java/PaymentsAtHome.java`) saves the way into Python and back, which costs several times what the rule does.
    """
    return sparing_python(transactions, GuardedDetector(rule, names), rule)


def sparing_python(transactions: KeyedStream, detector: FraudDetector, rule: Rule) -> DataStream:
    """The detector's output, where Python sees only the payments that may make an hour suspicious."""
    if rule.min_countries < 2:  # payments at home are suspicious, too
        return transactions.process(detector, RECORD).name(TITLE).uid(UID)
    rates = get_gateway().jvm.java.util.HashMap(eur_rates())
    references = [USER, REGULAR, rates, EUR_RATE_SCALE, rule.retention_ms, rule.max_age_ms, FUTURE_TOLERANCE_MS]
    return processed(transactions, detector, RECORD, "PaymentsAtHome", TITLE, UID, references)


def submit(
    cluster: FlinkCluster,
    kafka: KafkaAccess,
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
        kafka: Where Kafka is, and as whom to use it.
        names: Names of topics, group and job.
        rule: The rule to apply.
        parallelism: Parallelism of the job.
        source: A topic to read instead of `transaction_mid`.
        bounded: Whether the job ends with what is in the topic when it starts: for replays and measurements.
        skip: What is passed over, as `keyed_transactions` has it. The topology does not depend on them: the job can go
            on from its checkpoint with other ones.
    """
    environment, tables = cluster.table_environment()
    environment.set_parallelism(parallelism)
    values = kafka_values(kafka, names, JOB)
    values["sink_topics"] = f"{names.suspicious_activities};{names.dead_letters}"
    values["transaction_mid"] = source or names.transaction_mid
    values["bounded_mode"] = "latest-offset" if bounded else "unbounded"
    findings = detect_guarded(keyed_transactions(tables, values, skip), rule, names)
    for statement in statements("records.sql", values):
        tables.execute_sql(statement)
    inserts = tables.create_statement_set()
    inserts.add_insert("records", tables.from_data_stream(findings))
    inserts.attach_as_datastream()
    return environment.execute_async(names.job(JOB))
