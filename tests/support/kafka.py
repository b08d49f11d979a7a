"""Kafka topics from outside: every record read once and kept, records written as a stranger would."""

from dataclasses import dataclass
from typing import Any

import orjson

from fraudlab import system
from fraudlab.clients.topics import SILENCE_S, follow, length, partitions, read_to
from fraudlab.settings import Settings
from tests.support.waiting import patient

MAX_REQUEST_BYTES = 8 * 2**20
"""Larger than what the broker takes, so that it is the broker who refuses."""


@dataclass(frozen=True)
class Record:
    """A record as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def json(self) -> Any:
        """The value read as JSON; None of a tombstone."""
        return None if self.value is None else orjson.loads(self.value)

    @property
    def place(self) -> str:
        """`topic-partition-offset`."""
        return f"{self.topic}-{self.partition}-{self.offset}"


class Topics:
    """All topics of one learner."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = system.kafka(settings).consumer(enable_auto_commit=False, auto_offset_reset="earliest")
        self._topics = settings.names.topics
        follow(self._consumer, self._topics)
        self._producer = system.kafka(settings).producer(
            acks="all",
            max_request_size=MAX_REQUEST_BYTES,
            enable_idempotence=False,
        )
        self._records: dict[str, list[Record]] = {topic: [] for topic in settings.names.topics}

    def close(self) -> None:
        """Ends the connections."""
        self._consumer.close()
        self._producer.close()

    def length(self, topic: str) -> int:
        """How many records were written to a topic."""
        return length(self._consumer, [topic])

    def read(self, topic: str) -> list[Record]:
        """Every record of a topic up to its present end, in the order in which they were read."""
        mine = [partition for partition in follow(self._consumer, self._topics) if partition.topic == topic]
        for one in read_to(self._consumer, self._consumer.end_offsets(mine), patient(SILENCE_S)):
            record = Record(one.topic, one.partition, one.offset, one.key, one.value)
            self._records[one.topic].append(record)
        return list(self._records[topic])

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(partitions(self._consumer, [topic]))

    def publish(self, topic: str, key: str | None, value: bytes | None, partition: int | None = None) -> Record:
        """Writes a record. Raises what the broker refuses it with."""
        encoded = None if key is None else key.encode()
        sent = self._producer.send(topic, key=encoded, value=value, partition=partition).get(timeout=patient(30))
        return Record(topic, sent.partition, sent.offset, encoded, value)
