"""The Kafka topics of the pipeline."""

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaTimeoutError, TopicAlreadyExistsError

from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import Names, dead_letter

MAX_DEAD_LETTER_BYTES = 4 * 2**20
"""Enough for a record of the largest size that the other topics take (1 MiB), escaped, and for its reason."""
READ_DEADLINE_S = 30
CREATED_WITHIN_S = 30
"""How long after its creation a topic may be missing from the broker's metadata."""


@dataclass(frozen=True)
class TopicsLostError(Exception):
    """Topics that were created before no longer exist, or are other topics of the same name."""

    missing: list[str]
    replaced: list[str]

    def __str__(self) -> str:
        words = [f"{', '.join(self.missing)} missing"] if self.missing else []
        return "; ".join(words + ([f"{', '.join(self.replaced)} created again, empty"] if self.replaced else []))


def create(kafka: KafkaAccess, names: Names, partitions: int, made: Mapping[str, str]) -> dict[str, str]:
    """Creates the topics that are missing, each with the same number of partitions, so that a user has the same one in all.

    Args:
        kafka: Where Kafka is, and as whom to use it.
        names: Of the topics.
        partitions: Of each.
        made: Topic to id (empty: not known) of those that were created before. None of these is created again: its
            records would silently be lost.

    Returns:
        Topic to id, of all of them.

    Raises:
        TopicsLostError: A topic that was created before is missing, or has another id. Nothing was created.
    """
    admin = kafka.admin()
    try:
        existing = _ids(admin, names)
        missing = [topic for topic in names.topics if topic not in existing]
        lost = [topic for topic in missing if topic in made]
        replaced = [topic for topic, number in existing.items() if made.get(topic) not in (None, "", number)]
        if lost or replaced:
            raise TopicsLostError(lost, replaced)
        if missing:
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics([_topic(topic, names, partitions) for topic in missing])
        deadline = time.monotonic() + CREATED_WITHIN_S
        while len(existing := _ids(admin, names)) < len(names.topics) and time.monotonic() < deadline:
            time.sleep(0.05)
        return existing
    finally:
        admin.close()


def _ids(admin: KafkaAdminClient, names: Names) -> dict[str, str]:
    described: list[dict[str, Any]] = admin.describe_topics()
    return {one["name"]: str(one["topic_id"]) for one in described if one["name"] in names.topics}


def length(kafka: KafkaAccess, names: Iterable[str]) -> int:
    """How many records were ever written to these topics. Raises KafkaError if Kafka does not answer."""
    with closing(kafka.consumer()) as consumer:
        partitions = [
            TopicPartition(name, each) for name in names for each in consumer.partitions_for_topic(name) or ()
        ]
        return sum(consumer.end_offsets(partitions).values()) if partitions else 0


def read_record(kafka: KafkaAccess, topic: str, partition: int, offset: int) -> bytes | None:
    """The value of a record, b"" for a tombstone; None if there is no such record. Raises KafkaError if Kafka does not answer."""
    one = TopicPartition(topic, partition)
    with closing(kafka.consumer(enable_auto_commit=False)) as consumer:
        if partition not in (consumer.partitions_for_topic(topic) or ()):
            return None
        consumer.assign([one])
        if not consumer.beginning_offsets([one])[one] <= offset < consumer.end_offsets([one])[one]:
            return None
        consumer.seek(one, offset)
        deadline = time.monotonic() + READ_DEADLINE_S
        while time.monotonic() < deadline:
            for some in consumer.poll(timeout_ms=500, max_records=1).values():
                return (some[0].value or b"") if some[0].offset == offset else None
    raise KafkaTimeoutError(f"the record {topic}-{partition}-{offset} did not come")


def write_dead_letter(
    kafka: KafkaAccess, names: Names, topic: str, partition: int, offset: int, reason: str, value: bytes
) -> None:
    """Writes the dead letter of a record; written again, it is the same one. Raises KafkaError if Kafka does not accept it."""
    text = value.decode("utf-8", "replace")
    letter = dead_letter(topic, partition, offset, reason=reason, payload=text)
    with closing(kafka.producer(acks="all")) as producer:
        key = str(letter["dead_letter_id"]).encode()
        producer.send(names.dead_letters, key=key, value=orjson.dumps(letter)).get(READ_DEADLINE_S)


def _topic(name: str, names: Names, partitions: int) -> NewTopic:
    configs = {}
    if name == names.dead_letters:
        configs["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    if name == names.suspicious_activities:
        # The broker's clock on arrival: latency is measured to here, not to when a producer meant to send.
        configs["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(name, partitions, 1, topic_configs=configs)


def partitions(consumer: Any, topics: Collection[str]) -> list[TopicPartition]:
    """The partitions that topics have now. Asks the broker, because a topic may grow at any time; a missing topic has none."""
    there = consumer.topics()  # `partitions_for_topic` alone gives what the consumer knew some minutes ago
    return [
        TopicPartition(topic, number)
        for topic in topics
        if topic in there
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def follow(consumer: Any, topics: Collection[str]) -> None:
    """Makes a consumer without a group read all partitions of topics: new ones from their beginning, the others from where it was."""
    here = partitions(consumer, topics)
    new = set(here) - consumer.assignment()
    if new:
        consumer.assign(here)
        consumer.seek_to_beginning(*new)
