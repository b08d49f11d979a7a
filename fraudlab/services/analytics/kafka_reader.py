"""Reads the topics: every activity and dead letter from the beginning, and of all topics and groups how far they are."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

import orjson
from kafka import TopicPartition
from kafka.errors import KafkaError

from fraudlab import system
from fraudlab.clients.topics import follow, partitions
from fraudlab.services.analytics import records
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.reader import Feed, Reader
from fraudlab.services.analytics.stages import Reading
from fraudlab.settings import Settings

BATCH = 500
"""Records handed to the model at once: some milliseconds of its time."""
LOOK_EVERY_S = 1.0
CHECKPOINT_GRACE_S = 6
"""A job tells how far it is when a checkpoint is complete: so long after it began."""

Partitions = Mapping[TopicPartition, int]


class RecordReader(Reader):
    """Follows `suspicious_activities` and `dead_letters` from their beginning, without a consumer group."""

    source = "Kafka"
    errors = (KafkaError,)

    def __init__(self, settings: Settings, feed: Feed) -> None:
        super().__init__(feed)
        self._settings, self._names = settings, settings.names

    def read(self) -> None:
        topics = (self._names.suspicious_activities, self._names.dead_letters)
        with closing(_consumer(self._settings, BATCH)) as consumer:
            looked = 0.0
            while not self.stopped.is_set():
                if time.monotonic() - looked > LOOK_EVERY_S:
                    follow(consumer, topics)
                    looked = time.monotonic()
                if not consumer.assignment():  # no topic is there yet
                    self.stopped.wait(LOOK_EVERY_S)
                    continue
                batch = [one for some in consumer.poll(timeout_ms=500).values() for one in some]
                if batch:
                    self._take(batch)

    def _take(self, batch: list[Any]) -> None:
        activities, letters = [], []
        for one in batch:
            if one.topic == self._names.dead_letters:
                place = f"{one.topic}-{one.partition}-{one.offset}"
                letters.append(records.dead_letter(one.value, place, one.timestamp))
            elif (activity := records.activity(one.value, one.timestamp)) is not None:
                activities.append(activity)

        def take(model: Model) -> None:
            if activities:
                model.take_activities(activities)
            if letters:
                model.take_dead_letters(letters)

        self.feed(take)


class ProgressReader(Reader):
    """Looks every second how long the topics are and how far their readers have come."""

    source = "Kafka"
    errors = (KafkaError, KeyError)  # kafka-python looks up offsets that a broker in trouble did not tell

    def __init__(self, settings: Settings, feed: Feed) -> None:
        super().__init__(feed)
        self._settings, self._names = settings, settings.names
        self._newest_ids = {self._names.transactions: 0, self._names.transaction_mid: 0}
        self._due_after_s = settings.checkpoint_interval_s + CHECKPOINT_GRACE_S
        self._ends_seen: deque[tuple[float, Partitions]] = deque()
        self.captured_id = 0
        """The newest payment in `transactions`; read by the reader of MySQL, which knows the newest one there is."""

    def read(self) -> None:
        names = self._names
        with (
            closing(_consumer(self._settings, 1)) as consumer,
            closing(system.kafka(self._settings, "analytics").admin()) as admin,
        ):
            ends: Partitions = {}
            while not self.stopped.is_set():
                there = partitions(consumer, names.topics)
                ids = [one for one in there if one.topic in self._newest_ids]
                consumer.assign(ids)
                before, ends = ends, dict(consumer.end_offsets(there))
                begins: Partitions = consumer.beginning_offsets(there)
                self._read_newest(consumer, [one for one in ids if ends[one] != before.get(one, 0)], ends)
                self._tell(ends, begins, self._committed(admin))
                self.answers()
                self.stopped.wait(LOOK_EVERY_S)

    def _read_newest(self, consumer: Any, grown: Iterable[TopicPartition], ends: Partitions) -> None:
        """Reads the last record of each partition that has grown: which payment it is of."""
        grown = [one for one in grown if ends[one] > 0]
        consumer.pause(*consumer.assignment())
        for one in grown:
            consumer.seek(one, max(0, ends[one] - 3))  # the very last one may be a tombstone
            consumer.resume(one)
        deadline = time.monotonic() + 2
        waiting = set(grown)
        while waiting and time.monotonic() < deadline:
            for partition, some in consumer.poll(timeout_ms=200, max_records=50).items():
                for one in some:
                    newest = _transaction_id(one.value)
                    self._newest_ids[partition.topic] = max(self._newest_ids[partition.topic], newest)
                if (consumer.position(partition) or 0) >= ends[partition]:
                    waiting.discard(partition)
                    consumer.pause(partition)
        self.captured_id = self._newest_ids[self._names.transactions]

    def _committed(self, admin: Any) -> dict[str, dict[TopicPartition, int]]:
        groups = (self._names.job("fraud-detector"), self._names.group("flagger"), self._names.group("notifier"))
        return {
            group: {
                partition: max(0, one.offset)
                for partition, one in admin.list_group_offsets(group).get(group, {}).items()
            }
            for group in groups
        }

    def _tell(self, ends: Partitions, begins: Partitions, committed: Mapping[str, Partitions]) -> None:
        names, now_ms = self._names, time.time_ns() // 1_000_000
        lengths = dict.fromkeys(names.topics, 0)
        for one, end in ends.items():
            lengths[one.topic] += end - begins.get(one, 0)
        captured, joined = (self._newest_ids[topic] for topic in (names.transactions, names.transaction_mid))
        detector = committed[names.job("fraud-detector")]
        flagger, notifier = committed[names.group("flagger")], committed[names.group("notifier")]
        due = self._ends_due(ends)
        mid = [one for one in ends if one.topic == names.transaction_mid]
        found = [one for one in ends if one.topic == names.suspicious_activities]

        def tell(model: Model) -> None:
            count = lengths[names.transaction_mid]
            model.observe("transaction_mid", Reading(count, joined, max(0, captured - joined)), now_ms)
            lag = sum(max(0, due.get(one, 0) - detector.get(one, 0)) for one in mid)
            reading = Reading(
                model.activity_count, sum(detector.values()), lag, overdue_ms=round(self._due_after_s * 1000)
            )
            model.observe("suspicious_activities", reading, now_ms)
            lag = sum(max(0, ends[one] - flagger.get(one, 0)) for one in found)
            model.observe("flags", Reading(model.episodes.times_stopped, sum(flagger.values()), lag), now_ms)
            lag = sum(max(0, ends[one] - notifier.get(one, 0)) for one in found) + model.sent("pending")
            done = sum(notifier.values()) + sum(model.notifications.values()) - model.sent("pending")
            model.observe("notifications", Reading(model.sent("sent"), done, lag), now_ms)
            model.observe("dead_letters", Reading(model.letter_count, model.letter_count, None), now_ms)
            for topic in ("user_profile", "transactions"):
                model.topic_lengths[topic] = lengths[getattr(names, topic)]

        self.feed(tell)

    def _ends_due(self, ends: Partitions) -> Partitions:
        """The ends as they were so long ago that a checkpoint must hold them."""
        now = time.monotonic()
        self._ends_seen.append((now, ends))
        while len(self._ends_seen) > 1 and self._ends_seen[1][0] <= now - self._due_after_s:
            self._ends_seen.popleft()
        seen_at, due = self._ends_seen[0]
        return due if seen_at <= now - self._due_after_s else {}


def _consumer(settings: Settings, most: int) -> Any:
    return system.kafka(settings, "analytics").consumer(
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=most,
    )


def _transaction_id(value: bytes | None) -> int:
    """The payment's id in a record of `transactions` or `transaction_mid`; 0 in what has none."""
    try:
        record = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return 0
    record = (record.get("after") or record) if isinstance(record, dict) else {}
    found = record.get("transaction_id") if isinstance(record, dict) else None
    return found if type(found) is int else 0
