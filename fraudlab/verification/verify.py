"""The verification: waits until nothing is on its way any more, recomputes, compares and scores."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import mysql.connector
from kafka import IsolationLevel, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.system import connect
from fraudlab.verification.judge import Finding, Findings, compare
from fraudlab.verification.records import Records, Skipped
from fraudlab.verification.score import Score, TimeToDetect, score, time_to_detect
from fraudlab.verification.topic_reader import TopicReader
from fraudlab.verification.truth import Truth, recompute

SETTLE_S = 60.0
QUIET_S = 1.0
POLL_S = 0.2
CONSUMERS = {"flagger": "account flagger", "notifier": "notifier"}


@dataclass(frozen=True)
class Counts:
    """How much was looked at."""

    payments: int
    """Rows of `transactions`."""
    expected_activities: int
    activities: int
    """Different ids in the topic."""
    redelivered: int
    """Identical records beyond the first, of activities and dead letters: at-least-once transport, harmless."""
    dead_letters: int
    """Different ids, of payments and of unreadable records."""
    declined_payments: int
    notifications: int
    """Sent ones, of all channels."""
    skipped: int
    """Records that a person had a job skip."""


@dataclass(frozen=True)
class Skipping:
    """A record that a person had a job skip (`topic-partition-offset`), and what follows for the verdict."""

    place: str
    consequence: str


@dataclass(frozen=True)
class Verification:
    """The verdict. `unsettled` says what was still on its way when the deadline came; None: nothing was.

    `nothing`: no payment was ever made, and the topics are empty. Nothing is wrong then, but nothing is shown to be exact.
    """

    counts: Counts
    findings: Findings
    unsettled: str | None
    score: Score
    time_to_detect: TimeToDetect | None
    took_s: float
    nothing: bool = False
    skipped: tuple[Skipping, ...] = ()

    @property
    def exact(self) -> bool:
        """Nothing missing, nothing extra, nothing twice, nothing wrong, and nothing still on its way."""
        return not self.nothing and self.unsettled is None and not any(self.by_kind.values())

    @property
    def by_kind(self) -> dict[str, tuple[Finding, ...]]:
        """The findings by the name of their kind."""
        return {kind: getattr(self.findings, kind) for kind in Findings.__dataclass_fields__}

    @property
    def redelivered(self) -> int:
        """Identical records beyond the first."""
        return self.counts.redelivered

    def as_dict(self) -> dict[str, Any]:
        """For JSON: `exact`, `nothing_to_verify`, `unsettled`, each kind of finding, `redelivered`, `skipped`, `counts`, scores."""
        return {
            "exact": self.exact,
            "nothing_to_verify": self.nothing,
            "unsettled": self.unsettled,
            **{kind: [asdict(finding) for finding in findings] for kind, findings in self.by_kind.items()},
            "redelivered": self.redelivered,
            "skipped": [asdict(one) for one in self.skipped],
            "counts": asdict(self.counts),
            "score": asdict(self.score),
            "time_to_detect": asdict(self.time_to_detect) if self.time_to_detect else None,
            "took_s": round(self.took_s, 1),
        }


def verify(settings: Settings, settle_s: float = SETTLE_S) -> Verification:
    """Compares what the system did with what it must have done, and scores it against the labels.

    First it waits until nothing moves. What does not agree then is looked at again until `settle_s` have passed, so
    that "not yet" is not reported as wrong.

    Args:
        settings: The environment, the learner and the rule's parameters.
        settle_s: How long to wait at most, in seconds; the verdict comes a few seconds later.

    Raises:
        UserError: MySQL or Kafka cannot be reached, or a topic is missing.
    """
    try:
        return _verify(settings, settle_s)
    except (KafkaError, mysql.connector.Error) as error:
        raise UserError(
            f"MySQL or Kafka did not answer, so nothing can be verified: {error}",
            "`fraudlab status` shows what runs, `fraudlab up` starts what does not.",
        ) from error


def _verify(settings: Settings, settle_s: float) -> Verification:
    started = time.monotonic()
    deadline = started + settle_s
    with closing(_Observer(settings)) as observer:
        while True:
            unsettled = observer.wait_until_settled(deadline)
            verification = observer.judge(unsettled, started)
            if verification.exact or verification.nothing or time.monotonic() >= deadline:
                return verification
            time.sleep(max(0.0, min(QUIET_S, deadline - time.monotonic())))


class _Observer:
    """The open connections and what was read so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = settings.names
        self._records = Records()
        self._ends: Mapping[TopicPartition, int] = {}
        self._held_back: Mapping[TopicPartition, int] = {}
        self._quiet_since = time.monotonic()
        self._reader = TopicReader(system.kafka(settings), self._names.topics)
        self._admin = system.kafka(settings).admin()

    def close(self) -> None:
        self._reader.close()
        self._admin.close()

    def wait_until_settled(self, deadline: float) -> str | None:
        """Reads until nothing moves for `QUIET_S`; None, or what still moved or was owed at the deadline."""
        first_look = True
        while True:
            asked = time.monotonic()
            ends = self._read()
            moved = ends != self._ends
            if moved:
                self._quiet_since, self._ends = asked, ends
            owed = self._owed(ends)
            if owed is None and not moved and time.monotonic() - self._quiet_since >= QUIET_S:
                return None
            if time.monotonic() >= deadline and (owed or (moved and not first_look)):
                return owed or "records were still coming in"
            first_look = False
            time.sleep(POLL_S)

    def judge(self, unsettled: str | None, started: float) -> Verification:
        """Recomputes and compares."""
        settings, records = self._settings, self._records
        activities = [one for same in records.activities.values() for one in same]
        claimed = {each for one in activities for each in (one.transaction_id, *one.transaction_ids)}
        with closing(self._connect()) as connection:
            truth = recompute(
                connection,
                settings,
                captured=records.captured.keys(),
                overtaken=records.overtaken(),
                raised={one.transaction_id for one in activities},
                claimed=claimed,
                uncounted=records.uncounted,
                without_profile=records.without_profile,
                joined_alone=records.joined_alone,
            )
        # Of records that cannot be read it is not known what they are, so neither what is missing.
        findings = (
            Findings()
            if self._held_back
            else compare(truth, records, settings.window_s * 1000, settings.min_countries, settings.threshold_eur)
        )
        firsts = [min(same, key=lambda one: one.detected_ms) for same in records.activities.values()]
        return Verification(
            nothing=not (unsettled or truth.payments or truth.deleted or records.captured or records.activities)
            and findings == Findings(),
            counts=_counts(truth, records),
            findings=findings,
            unsettled=unsettled,
            score=score(truth.labels, [(one.user_id, one.transaction_ids) for one in firsts]),
            time_to_detect=time_to_detect(
                one.detected_ms - truth.expected[one.transaction_id].known_ms
                for one in firsts
                if one.transaction_id in truth.expected
            ),
            took_s=time.monotonic() - started,
            skipped=tuple(
                Skipping(place, _consequence(one, records)) for place, one in sorted(records.passed_over.items())
            ),
        )

    def _connect(self) -> Any:
        # Otherwise INSERT ... SELECT would lock what it reads: a stop or a payment would wait for it, and it for any open transaction.
        # Nor does a transaction begin by itself where another has ended.
        quietly = "SET SESSION transaction_isolation = 'READ-COMMITTED', SESSION completion_type = 'NO_CHAIN'"
        return connect(self._settings, "operator", database=self._names.database, init_command=quietly)

    def _read(self) -> Mapping[TopicPartition, int]:
        written = self._admin.list_partition_offsets(
            dict.fromkeys(self._reader.partitions(), OffsetSpec.LATEST), IsolationLevel.READ_UNCOMMITTED
        )
        ends = self._reader.end_offsets()
        self._held_back = {
            partition: one.offset - ends[partition]
            for partition, one in written.items()
            if one.offset > ends.get(partition, one.offset)
        }
        self._take_in(ends)
        if self._records.skipped != self._records.passed_over:  # what was read before is taken in again, without them
            self._records = Records(passed_over=self._records.skipped)
            self._reader.rewind()
            self._take_in(ends)
        return ends

    def _take_in(self, ends: Mapping[TopicPartition, int]) -> None:
        for record in self._reader.read_to(ends):
            place = f"{record.topic}-{record.partition}-{record.offset}"
            self._records.add(self._names, record.topic, place, record.value)

    def _owed(self, ends: Mapping[TopicPartition, int]) -> str | None:
        if self._held_back:
            where = ", ".join(sorted(f"{one.topic}-{one.partition}" for one in self._held_back))
            return (
                f"{sum(self._held_back.values())} records cannot be read, because a Kafka transaction is open in {where};"
                " nothing was compared"
            )
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            skipped = ", ".join(map(str, self._records.skipped_payments)) or "0"
            cursor.execute(f"SELECT MAX(transaction_id) FROM transactions WHERE transaction_id NOT IN ({skipped})")  # noqa: S608
            newest: int | None = cursor.fetchone()[0]
            cursor.execute("SELECT COUNT(*) FROM notifications WHERE status = 'pending'")
            pending: int = cursor.fetchone()[0]
            cursor.execute("SELECT user_id, reason FROM due_stops ORDER BY since")
            due: list[tuple[int, str]] = cursor.fetchall()
        if newest is not None and newest not in self._records.captured:
            return f"payment {newest} is not in the topic {self._names.transactions}"
        if newest is not None and newest not in self._records.joined:
            return f"payment {newest} is not in the topic {self._names.transaction_mid}"
        for service, title in CONSUMERS.items():
            group = self._names.group(service)
            committed = self._admin.list_group_offsets(group).get(group, {})
            lag = sum(
                end - max(0, committed[partition].offset if partition in committed else 0)
                for partition, end in ends.items()
                if partition.topic == self._names.suspicious_activities
            )
            if lag > 0:
                return f"{lag} activities are not handled by the {title}"
        if due:
            return f"{len(due)} stops wait to be set, the first of user {due[0][0]}: {due[0][1]}"
        return f"{pending} notifications are not sent yet" if pending else None


def _counts(truth: Truth, records: Records) -> Counts:
    return Counts(
        payments=len(truth.payments),
        expected_activities=len(truth.expected),
        activities=len(records.activities),
        redelivered=sum(len(same) - len({one.content for one in same}) for same in records.activities.values())
        + sum(len(same) - 1 for same in records.dead_letters.values()),
        dead_letters=len(records.dead_letters),
        declined_payments=truth.declined,
        notifications=sum(one.status == "sent" for one in truth.notifications),
        skipped=len(records.passed_over),
    )


def _consequence(one: Skipped, records: Records) -> str:
    if one.payment is not None:
        if one.payment in records.uncounted:
            return f"payment {one.payment} does not count"
        return f"payment {one.payment} counts, because another record has it, too"
    if one.profile is not None:
        if one.profile in records.without_profile:
            return f"user {one.profile} may have no profile, and activities of this user may be missing"
        return f"this change of user {one.profile}'s profile is not in the joined records"
    return "it holds no payment and no profile"
