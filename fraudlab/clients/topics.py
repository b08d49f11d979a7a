"""Topics of Kafka, read without a consumer group. This moves bytes and decides nothing, so the judge uses it as well as the judged.

Each function takes a `kafka.KafkaConsumer` that has no group (`KafkaAccess.consumer`).
"""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

SILENCE_S = 30
"""How long the broker may give nothing in the middle of a topic."""


def partitions(consumer: Any, topics: Collection[str]) -> list[TopicPartition]:
    """The partitions that topics have now. Asks the broker, because a topic may grow at any time; a missing topic has none."""
    there = consumer.topics()  # `partitions_for_topic` alone gives what the consumer knew some minutes ago
    return [
        TopicPartition(topic, number)
        for topic in topics
        if topic in there
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def end_offsets(consumer: Any, topics: Collection[str]) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition of topics."""
    here = partitions(consumer, topics)
    return dict(consumer.end_offsets(here)) if here else {}


def length(consumer: Any, topics: Collection[str]) -> int:
    """How many records were ever written to topics."""
    return sum(end_offsets(consumer, topics).values())


def follow(consumer: Any, topics: Collection[str]) -> list[TopicPartition]:
    """Makes a consumer read all partitions of topics: new ones from their beginning, the others from where it was. Returns them all."""
    here = partitions(consumer, topics)
    new = set(here) - consumer.assignment()
    if new:
        consumer.assign(here)
        consumer.seek_to_beginning(*new)
    return here


def read(
    consumer: Any, topics: Collection[str], last: int | None = None, silence_s: float = SILENCE_S
) -> Iterator[Any]:
    """The records of topics up to their present end; with `last` only so many of the newest of each partition."""
    ends = end_offsets(consumer, topics)
    begins = consumer.beginning_offsets(list(ends)) if ends else {}
    consumer.assign(list(ends))
    for one, end in ends.items():
        consumer.seek(one, begins[one] if last is None else max(begins[one], end - last))
    yield from read_to(consumer, ends, silence_s)


def read_to(
    consumer: Any, ends: Mapping[TopicPartition, int], silence_s: float = SILENCE_S, most: int | None = None
) -> Iterator[Any]:
    """What was not read yet, up to these offsets at least; `most` records at once.

    Raises KafkaTimeoutError when no record comes for `silence_s`.
    """
    heard = time.monotonic()
    while unread := [one for one, end in ends.items() if consumer.position(one) < end]:
        batch = consumer.poll(timeout_ms=200, max_records=most)
        if batch:
            heard = time.monotonic()
        elif time.monotonic() - heard > silence_s:
            where = ", ".join(f"{one.topic}-{one.partition}" for one in unread)
            raise KafkaTimeoutError(f"Kafka gave no record for {silence_s:.0f} s, though more are in {where}")
        for records in batch.values():
            yield from records


def read_one(consumer: Any, partition: TopicPartition, offset: int) -> Any:
    """The record at an offset before the partition's end; None if Kafka has deleted it."""
    consumer.assign([partition])
    consumer.seek(partition, offset)
    record = next(read_to(consumer, {partition: offset + 1}, most=1), None)
    return record if record is not None and record.offset == offset else None
