"""The Kafka topics of the pipeline."""

import contextlib
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import orjson
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from fraudlab.clients import topics
from fraudlab.clients.waiting import until
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import Names, dead_letter

MAX_DEAD_LETTER_BYTES = 4 * 2**20
"""Enough for a record of the largest size that the other topics take (1 MiB), escaped, and for its reason."""
WRITE_DEADLINE_S = 30
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
        until(lambda: len(_ids(admin, names)) == len(names.topics), CREATED_WITHIN_S, 0.05)
        return _ids(admin, names)
    finally:
        admin.close()


def _ids(admin: KafkaAdminClient, names: Names) -> dict[str, str]:
    described: list[dict[str, Any]] = admin.describe_topics()
    return {one["name"]: str(one["topic_id"]) for one in described if one["name"] in names.topics}


def length(kafka: KafkaAccess, names: Collection[str]) -> int:
    """How many records were ever written to these topics. Raises KafkaError if Kafka does not answer."""
    with closing(kafka.consumer()) as consumer:
        return topics.length(consumer, names)


def read_record(kafka: KafkaAccess, topic: str, partition: int, offset: int) -> bytes | None:
    """The value of a record, b"" for a tombstone; None if there is no such record. Raises KafkaError if Kafka does not answer."""
    one = TopicPartition(topic, partition)
    with closing(kafka.consumer(enable_auto_commit=False)) as consumer:
        if not offset < topics.end_offsets(consumer, [topic]).get(one, 0):
            return None
        record = topics.read_one(consumer, one, offset)
        return None if record is None else record.value or b""


def write_dead_letter(
    kafka: KafkaAccess, names: Names, topic: str, partition: int, offset: int, reason: str, value: bytes
) -> None:
    """Writes the dead letter of a record; written again, it is the same one. Raises KafkaError if Kafka does not accept it."""
    text = value.decode("utf-8", "replace")
    letter = dead_letter(topic, partition, offset, reason=reason, payload=text)
    with closing(kafka.producer(acks="all")) as producer:
        key = str(letter["dead_letter_id"]).encode()
        producer.send(names.dead_letters, key=key, value=orjson.dumps(letter)).get(WRITE_DEADLINE_S)


def _topic(name: str, names: Names, partitions: int) -> NewTopic:
    configs = {}
    if name == names.dead_letters:
        configs["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    if name == names.suspicious_activities:
        # The broker's clock on arrival: latency is measured to here, not to when a producer meant to send.
        configs["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(name, partitions, 1, topic_configs=configs)
