"""Case disk-01: a lost topic is not replaced by an empty one."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka.admin import NewTopic

from fraudlab import system
from fraudlab.errors import UserError
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
