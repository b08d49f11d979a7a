"""Reading topics from their beginning to their end, and from there on when they have grown."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka import TopicPartition

from fraudlab.clients import topics
from fraudlab.errors import UserError
from fraudlab.kafka_access import KafkaAccess


class TopicReader:
    """All partitions of some topics, without a consumer group."""

    def __init__(self, kafka: KafkaAccess, names: Iterable[str]) -> None:
        self._consumer = kafka.consumer(
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=False,  # in pure Python it takes longer than everything else
            max_poll_records=10_000,
        )
        self._topics = tuple(names)
        self.partitions()

    def partitions(self) -> list[TopicPartition]:
        """The partitions that the topics have now: one that has grown is read further, from its new partitions' beginning.

        Raises UserError where topics are gone.
        """
        here = topics.follow(self._consumer, self._topics)
        gone = [topic for topic in self._topics if topic not in {one.topic for one in here}]
        if gone:
            raise UserError(
                f"These topics are missing: {', '.join(gone)}. Their records are lost, so nothing can be verified.",
                "`fraudlab reset` wipes the rest, `fraudlab up` then starts from empty data; "
                "docs/troubleshooting.md, under Verifying, says more. If nothing was ever started here, `fraudlab up` is enough.",
            )
        return here

    def rewind(self) -> None:
        """Has the next reading begin at the beginning of every topic."""
        self._consumer.seek_to_beginning()

    def end_offsets(self) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition that can be read now: an open Kafka transaction holds back what follows."""
        return dict(self._consumer.end_offsets(self.partitions()))

    def read_to(self, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
        """What was not read yet, up to these offsets at least. Raises KafkaTimeoutError when the broker goes silent."""
        return topics.read_to(self._consumer, ends)

    def close(self) -> None:
        """Ends the connection."""
        self._consumer.close()
