"""Reading topics from their beginning to their end, and from there on when they have grown."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka import TopicPartition

from fraudlab.errors import UserError
from fraudlab.kafka_access import KafkaAccess

PATIENCE_S = 30
"""How long the broker may stay silent in the middle of a topic."""


class TopicReader:
    """All partitions of some topics, without a consumer group."""

    def __init__(self, kafka: KafkaAccess, topics: Iterable[str]) -> None:
        self._consumer = kafka.consumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=False,  # in pure Python it takes longer than everything else
            max_poll_records=10_000,
        )
        self._topics = tuple(topics)
        self._follow()

    def _follow(self) -> list[TopicPartition]:
        """The partitions that the topics have now: one that has grown is read further, from its new partitions' beginning.

        Raises UserError where topics are gone.
        """
        known = self._consumer.topics()  # asks the broker, of which `partitions_for_topic` knows what it once said
        there = {topic: self._consumer.partitions_for_topic(topic) for topic in self._topics if topic in known}
        gone = [topic for topic in self._topics if not there.get(topic)]
        if gone:
            raise UserError(
                f"These topics are missing: {', '.join(gone)}. Their records are lost, so nothing can be verified.",
                "`fraudlab reset` wipes the rest, `fraudlab up` then starts from empty data; "
                "docs/troubleshooting.md, under Verifying, says more. If nothing was ever started here, `fraudlab up` is enough.",
            )
        partitions = [
            TopicPartition(topic, partition) for topic in self._topics for partition in sorted(there[topic] or ())
        ]
        new = set(partitions) - self._consumer.assignment()
        if new:
            self._consumer.assign(partitions)
            self._consumer.seek_to_beginning(*new)
        return partitions

    def rewind(self) -> None:
        """Has the next reading begin at the beginning of every topic."""
        self._consumer.seek_to_beginning()

    def partitions(self) -> list[TopicPartition]:
        """The partitions that the topics have now. Raises UserError where topics are gone."""
        return self._follow()

    def end_offsets(self) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition that can be read now: an open Kafka transaction holds back what follows."""
        return dict(self._consumer.end_offsets(self._follow()))

    def read_to(self, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
        """What was not read yet, up to these offsets at least. Raises UserError when the broker goes silent."""
        deadline = time.monotonic() + PATIENCE_S
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            polled = self._consumer.poll(timeout_ms=200)
            for records in polled.values():
                yield from records
            if polled:
                deadline = time.monotonic() + PATIENCE_S
            elif time.monotonic() > deadline:
                raise UserError(
                    f"Kafka gave no record for {PATIENCE_S} s, though topics were not read to their end.",
                    "`fraudlab status` shows whether the broker is ready, `fraudlab logs kafka` why not.",
                )

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close()
