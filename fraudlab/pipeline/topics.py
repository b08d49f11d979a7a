"""The Kafka topics of the pipeline."""

from collections.abc import Iterable
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition
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


def length(bootstrap_servers: str, names: Iterable[str]) -> int:
    """How many records were ever written to these topics. Raises KafkaError where Kafka does not answer."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap_servers)) as consumer:
        partitions = [TopicPartition(name, each) for name in names for each in consumer.partitions_for_topic(name) or ()]
        return sum(consumer.end_offsets(partitions).values()) if partitions else 0


def _topic(name: str, names: Names, partitions: int) -> NewTopic:
    configs = {}
    if name == names.dead_letters:
        configs["max.message.bytes"] = str(MAX_DEAD_LETTER_BYTES)
    if name == names.suspicious_activities:
        # The broker's clock on arrival: latency is measured to here, not to when a producer meant to send.
        configs["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(name, partitions, 1, topic_configs=configs)
