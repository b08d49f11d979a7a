"""Topics with other partitions than the settings say, or with more partitions later: every reader asks the broker."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kafka import TopicPartition

from fraudlab import demo, system
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.contracts import DETECTOR_JOB, JOIN_JOB
from fraudlab.pipeline.records import Activity, encode, example, iso
from fraudlab.services.analytics.kafka_reader import ProgressReader, RecordReader
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.reader import Reader
from fraudlab.settings import Settings
from fraudlab.verification.topic_reader import TopicReader
from tests.support import flink
from tests.support.kafka import Topics
from tests.support.lab import LearnerLab, assert_exact, drop, learner_lab
from tests.support.waiting import eventually, patient

THERE, MORE = 4, 8


def grow(settings: Settings, topics: tuple[str, ...]) -> None:
    """As an administrator does with Kafka's own tools."""
    with closing(system.kafka(settings).admin()) as admin:
        admin.create_partitions(dict.fromkeys(topics, MORE))


def activity(number: int) -> bytes:
    now = iso(time.time_ns() // 1_000_000)
    ids = {"transaction_id": number, "transaction_ids": [number], "known_by": number, "user_id": number}
    return encode(example(Activity, activity_id=f"activity-{number}", **ids, created_at=now, detected_at=now))


@pytest.fixture(params=[2, MORE], ids=["the setting says 2", "the setting says 8"])
def other(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A learner whose topics have 4 partitions, and whose settings say something else."""
    own = settings.model_copy(update={"learner": "grown", "partitions": THERE})
    drop(own)
    system.prepare(own)
    try:
        yield own.model_copy(update={"partitions": request.param})
    finally:
        drop(own)


@contextmanager
def running(*readers: Reader) -> Iterator[None]:
    threads = [reader.start() for reader in readers]
    try:
        yield
    finally:
        for reader in readers:
            reader.stop()
        for thread in threads:
            thread.join(patient(10))


@pytest.mark.slow
def test_readers_follow_the_topics_and_not_the_setting(other: Settings) -> None:
    """Case kafka-01."""
    names, model, lock = other.names, Model(), threading.Lock()

    def feed(change: Callable[[Model], None]) -> None:
        with lock:
            change(model)

    note = system.partitions_note(other)
    assert note is not None
    assert f"FRAUDLAB_PARTITIONS is {other.partitions}" in note
    assert f"{names.transactions} {THERE}" in note
    assert Workspace(other).partitions("transactions") == THERE
    with (
        closing(demo.Watcher(other)) as watcher,
        closing(TopicReader(system.kafka(other), [names.suspicious_activities])) as reader,
        running(RecordReader(other, feed), ProgressReader(other, feed)),
    ):
        written = 0
        for partitions in (THERE, MORE):
            if partitions == MORE:
                grow(other, names.topics)
            with closing(Topics(other)) as topics:
                for partition in range(partitions):
                    written += 1
                    topics.publish(names.suspicious_activities, str(written), activity(written), partition)
                assert len(topics.read(names.suspicious_activities)) == written
            eventually(lambda: model.activity_count == written, "the dashboard has all of them", 20)  # noqa: B023
            eventually(lambda: waiting(model) == written, "and knows that nobody has handled them", 20)  # noqa: B023
            assert sum(1 for _ in reader.read_to(reader.end_offsets())) == partitions
            for _ in range(3):
                watcher.poll()
            assert watcher.view.trouble == ""
            counts = watcher.counts()
            assert counts[f"{names.suspicious_activities}_records"] == counts["activities"] == written
        assert model.waiting_for.get("Kafka") is None
    assert Workspace(other).partitions("transactions") == MORE
    assert (system.partitions_note(other) is None) == (other.partitions == MORE)


def waiting(model: Model) -> int | None:
    """How many activities the flagger has not handled, as the dashboard counts them."""
    reading = model.stages["flags"].reading
    return reading.lag if reading else None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pipeline_stays_exact_while_its_topics_grow(settings: Settings, tmp_path: Path) -> None:
    """Case kafka-01: a bank pays, every topic grows, and users move to other partitions.

    The jobs read new partitions within seconds. Producers take up to five minutes to notice; new ones, after their TaskManager was killed,
    use the new partitions at once.
    """
    with learner_lab(settings, "growing") as lab:
        lab.submit_jobs()
        lab.start_flagger()
        lab.start_notifier()
        bank = system.start_generator(
            lab.settings, rate=100, users=1000, seed=7, report=tmp_path / "report.json", options=("--late", "0.1")
        )
        try:
            eventually(lambda: len(lab.topics.read(lab.names.suspicious_activities)) > 5, "activities before it")
            flink.await_something_to_restore(lab.settings)
            grow(lab.settings, lab.names.topics)
            with closing(Topics(lab.settings)) as stranger:
                for topic in (lab.names.transactions, lab.names.transaction_mid):
                    again = next(one for one in lab.topics.read(topic) if one.value)
                    stranger.publish(topic, (again.key or b"").decode(), again.value, MORE - 1)
            for job, topic in ((JOIN_JOB, lab.names.transactions), (DETECTOR_JOB, lab.names.transaction_mid)):
                eventually(lambda job=job, topic=topic: done(lab, job, topic) > 0, f"{job} reads on", 40)  # type: ignore[misc]
            lab.stack.kill("taskmanager")
            for topic in lab.names.topics[:-1]:
                eventually(lambda topic=topic: used(lab, topic) == set(range(MORE)), f"{topic} is in {MORE}", 120)  # type: ignore[misc]
            assert system.end_generator(bank, patient(60)) == 0
        finally:
            system.end_generator(bank, 0)
        fresh = lab.new_user_id(like=next(each for each in range(10**6) if lab.partition(each) == MORE - 1))
        began = time.monotonic()
        _, second = lab.commit_fraud(lab.add_user(fresh))
        lab.await_activities(fresh, [second])
        lab.await_stopped(fresh)
        print(f"caught and stopped after {time.monotonic() - began:.1f} s")
        assert_exact(lab.settings)


def done(lab: LearnerLab, job: str, topic: str) -> int:
    """How many records of a topic's last partition a job has read, by its last checkpoint."""
    group = lab.names.group(job)
    with closing(system.kafka(lab.settings).admin()) as admin:
        committed = admin.list_group_offsets(group).get(group, {})
    return next((int(one.offset) for at, one in committed.items() if at == TopicPartition(topic, MORE - 1)), 0)


def used(lab: LearnerLab, topic: str) -> set[int]:
    """The partitions of a topic that hold records."""
    return {record.partition for record in lab.topics.read(topic)}
