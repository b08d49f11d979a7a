"""Case disk-01: a lost topic is not replaced by an empty one."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError

from fraudlab import system
from fraudlab.clients import topics
from fraudlab.errors import UserError
from fraudlab.pipeline.topics import read_record
from fraudlab.settings import Settings
from fraudlab.stack import kafka_metadata
from tests.support.lab import LearnerLab, learner_lab
from tests.support.waiting import eventually


@pytest.fixture
def own(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "topics") as lab:
        yield lab


def delete(lab: LearnerLab, topic: str) -> None:
    with closing(system.kafka(lab.settings).admin()) as admin:
        admin.delete_topics([topic])
        eventually(lambda: topic not in admin.list_topics(), "it is deleted")


def make(lab: LearnerLab, topic: str) -> None:
    with closing(system.kafka(lab.settings).admin()) as admin:
        admin.create_topics([NewTopic(topic, lab.settings.partitions, 1)])
        eventually(lambda: topic in admin.list_topics(), "it is there")


def test_disk_01_a_topic_that_was_deleted_by_hand_is_named_and_not_made_again(own: LearnerLab) -> None:
    system.prepare(own.settings)  # all there: nothing happens
    topic = own.names.transaction_mid
    delete(own, topic)
    for _ in range(2):
        with pytest.raises(UserError, match=rf"Kafka has lost topics of topics_payment.*{topic} missing") as raised:
            system.prepare(own.settings)
        assert "fraudlab reset" in raised.value.advice
    make(own, topic)  # empty, and so another one
    with pytest.raises(UserError, match=f"{topic} created again, empty"):
        system.prepare(own.settings)

    system.forget_topics(own.settings)  # as a reset does
    delete(own, topic)
    system.prepare(own.settings)
    assert own.topics.read(topic) == []


def test_disk_01_topics_that_an_older_version_lost_to_a_full_disk_are_named(
    own: LearnerLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older version recorded no topics; only their folders are left, which Kafka has set aside."""
    topic = own.names.transactions
    system.forget_topics(own.settings)
    delete(own, topic)
    monkeypatch.setattr(kafka_metadata, "stray", lambda _: [f"{topic}-0", f"{topic}-1", "others.transactions-0"])
    own.pay(own.add_user(), "1.00", "DE")
    with pytest.raises(UserError, match=f"{topic} missing"):
        system.prepare(own.settings)
    own.execute("DELETE FROM transactions")  # without payments nothing can be missed
    system.prepare(own.settings)


def test_topics_are_read_to_their_end_or_the_newest_of_each_partition(own: LearnerLab) -> None:
    topic = own.names.transaction_mid
    written = [own.topics.publish(topic, None, str(number).encode(), partition=number % 2) for number in range(7)]
    with closing(system.kafka(own.settings).consumer(enable_auto_commit=False)) as consumer:
        assert topics.length(consumer, [topic, own.names.dead_letters]) == len(written)
        assert topics.length(consumer, ["no.such.topic"]) == 0
        assert list(topics.read(consumer, ["no.such.topic"])) == []
        assert {one.value for one in topics.read(consumer, [topic])} == {one.value for one in written}
        assert {one.value for one in topics.read(consumer, [topic], last=2)} == {b"3", b"5", b"4", b"6"}


def test_a_topic_whose_records_do_not_come_is_not_waited_for_indefinitely(own: LearnerLab) -> None:
    place = own.topics.publish(own.names.transaction_mid, None, b"the last one")
    one = TopicPartition(place.topic, place.partition)
    with closing(system.kafka(own.settings).consumer(enable_auto_commit=False)) as consumer:
        consumer.assign([one])
        consumer.seek_to_beginning()
        reading = topics.read_to(consumer, {one: place.offset + 2}, silence_s=0.5)
        assert next(reading).value == b"the last one"
        with pytest.raises(KafkaTimeoutError, match=f"more are in {one.topic}-{one.partition}"):
            next(reading)


def test_a_record_is_found_at_its_offset_and_a_deleted_one_is_none(own: LearnerLab) -> None:
    topic = own.names.transaction_mid
    old, tombstone, new = (own.topics.publish(topic, "1", value, partition=0) for value in (b"old", None, b"new"))
    kafka = system.kafka(own.settings)

    def read() -> list[bytes | None]:
        offsets = (old.offset, tombstone.offset, new.offset, new.offset + 1)
        return [read_record(kafka, topic, 0, offset) for offset in offsets]

    assert read() == [b"old", b"", b"new", None]
    assert read_record(kafka, topic, 99, 0) is None
    with closing(kafka.admin()) as admin:
        admin.delete_records({TopicPartition(topic, 0): new.offset})
    assert read() == [None, None, b"new", None]
