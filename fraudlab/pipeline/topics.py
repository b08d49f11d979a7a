"""The Kafka topics of the pipeline."""

from collections.abc import Collection
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from fraudlab.pipeline.contracts import Names

MAX_DEAD_LETTER_BYTES = 4 * 2**20
"""Room for a record of the largest size that the other topics take (1 MiB), escaped, and why it is here."""


def create(bootstrap_servers: str, names: Names, partitions: int) -> None:
    """Creates the topics that are missing, each with the same number of partitions, so that a user has the same one in all."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        existing = set(admin.list_topics())
        missing = [topic for topic in names.topics if topic not in existing]
        if missing:
            admin.create_topics([_topic(topic, names, partitions) for topic in missing])
    except TopicAlreadyExistsError:
        pass
    finally:
        admin.close()


def _topic(name: str, names: Names, partitions: int) -> NewTopic:
    configs = {}
    if name == names.dead_letters:
        configs["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    if name == names.suspicious_activities:
        # The broker's clock on arrival: latency is measured to here, not to when a producer meant to send.
        configs["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(name, partitions, 1, topic_configs=configs)


def partitions(consumer: Any, topics: Collection[str]) -> list[TopicPartition]:
    """The partitions that topics have now. Asks the broker, for a topic may grow at any time; one that is not there has none."""
    there = consumer.topics()  # `partitions_for_topic` alone gives what the consumer knew some minutes ago
    return [
        TopicPartition(topic, number)
        for topic in topics
        if topic in there
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def follow(consumer: Any, topics: Collection[str]) -> None:
    """Lets a consumer without a group read all partitions of topics: those that are new from their beginning, the others further on."""
    here = partitions(consumer, topics)
    new = set(here) - consumer.assignment()
    if new:
        consumer.assign(here)
        consumer.seek_to_beginning(*new)
