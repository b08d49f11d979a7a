"""A learner of their own on the shared stack: the first start with a full database, and activities delivered again."""

from collections.abc import Iterator
from contextlib import closing

import orjson
import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaTimeoutError

from fraudlab import system
from fraudlab.clients.topics import partitions
from fraudlab.course.consumers import share
from fraudlab.course.labs import lab_of
from fraudlab.course.workspace import Workspace
from fraudlab.settings import Settings
from tests.support.lab import Lab, LearnerLab, assert_exact, drop, learner_lab
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def newcomer(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "newcomer") as lab:
        yield lab


def test_payments_from_before_the_first_start_are_found(newcomer: LearnerLab) -> None:
    thieves = [newcomer.add_user() for _ in range(20)]
    second = {thief: newcomer.commit_fraud(thief)[1] for thief in thieves}
    honest = newcomer.add_user()
    newcomer.pay(honest, "5000.00", "DE")

    newcomer.submit_jobs()
    newcomer.start_flagger()
    newcomer.start_notifier()
    for thief in thieves:
        newcomer.await_activities(thief, [second[thief]])
        newcomer.await_stopped(thief)
    newcomer.settle(honest)
    assert newcomer.activities(honest) == []
    operations = [record.json["op"] for record in newcomer.topics.read(newcomer.names.transactions)]
    assert operations.count("r") == 41, "the snapshot read 2 payments of each thief and 1 of an honest user"
    assert_exact(newcomer.settings)


def test_activities_of_an_earlier_episode_delivered_again_stop_no_reinstated_account(newcomer: LearnerLab) -> None:
    user = newcomer.add_user()
    newcomer.commit_fraud(user)
    newcomer.await_stopped(user)
    system.reinstate(newcomer.settings, user)

    newcomer.stop_flagger()
    before = newcomer.query("SELECT COUNT(*) FROM flag_changes")
    rewind(newcomer.settings)
    newcomer.start_flagger()
    eventually(lambda: lag(newcomer.settings) == 0, "the flagger has handled every activity once more")
    assert newcomer.query("SELECT COUNT(*) FROM flag_changes") == before
    assert not newcomer.is_stopped(user)

    newcomer.pay(user, "1.00", "FR")
    newcomer.await_stopped(user)
    assert newcomer.times_stopped(user) == 2
    assert_exact(newcomer.settings)


def test_what_a_learner_does_is_seen_by_nobody_else(newcomer: LearnerLab, lab: Lab) -> None:
    mine = newcomer.add_user(first_name="Nobody_elses")
    newcomer.commit_fraud(mine)
    newcomer.await_stopped(mine)
    lab.fraud_is_caught()
    for topic in lab.names.topics:
        assert not [record.place for record in lab.topics.read(topic) if b"Nobody_elses" in (record.value or b"")]


def test_a_payment_that_is_sent_again_with_its_key_is_one_payment(settings: Settings) -> None:
    with learner_lab(settings, "keyed") as keyed:
        workspace = Workspace(keyed.settings)
        user = workspace.open_account()
        first = workspace.pay(user, "12.00", "EUR", "DE", key="sent twice")
        keyed.execute("UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s", user)
        again = workspace.pay(user, "12.00", "EUR", "DE", key="sent twice")
        assert first.transaction_id is not None
        assert again == first, "also after the account was stopped"
        assert workspace.pay(user, "12.00", "EUR", "DE", key="another").refused


@pytest.fixture
def forgetful(settings: Settings) -> Iterator[Workspace]:
    """The world of a learner with an account in the bank, an activity, and two consumers that were never closed."""
    own = settings.model_copy(update={"learner": "forgetful"})
    drop(own)
    system.prepare(own)
    workspace = Workspace(own)
    workspace.open_account()
    topic = own.names.suspicious_activities
    with closing(system.kafka(own).producer()) as producer:
        producer.send(topic, b"{}").get(timeout=patient(10))
    group = own.names.group("office")
    consumers = [system.kafka(own).consumer(topic, group_id=group) for _ in range(2)]
    try:
        share(**dict(zip(("left", "right"), consumers, strict=True)))
        yield workspace
    finally:
        for consumer in consumers:
            consumer.close(autocommit=False)
        workspace.reset()
        drop(own)


def test_a_world_is_emptied_although_a_notebook_has_left_consumers_open(forgetful: Workspace) -> None:
    forgetful.reset()
    with closing(forgetful.admin()) as admin:
        groups = [str(group["group_id"]) for group in admin.list_groups()]
    assert not [group for group in groups if group.startswith("forgetful.")]
    assert forgetful.count("suspicious_activities") == 0
    assert forgetful.rows("SELECT user_id FROM user_profile") == []


def test_what_fails_while_a_world_is_emptied_leaves_the_learner_a_database(
    forgetful: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_workspace: Workspace, _admin: object, _old: list[str]) -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(Workspace, "_delete_topics", gone)
    with pytest.raises(KafkaTimeoutError):
        forgetful.reset()
    assert len(forgetful.rows("SELECT user_id FROM user_profile")) == 1
    monkeypatch.undo()


def test_a_join_that_read_a_payment_before_its_profile_begins_again(settings: Settings) -> None:
    own = settings.model_copy(update={"learner": "hasty"})
    drop(own)
    system.prepare(own)
    workspace = Workspace(own)
    try:
        for lab in ("01", "02"):
            lab_of(lab).outcome(workspace)
        with closing(system.kafka(own).producer()) as producer:
            too_early = {"transaction_id": 1, "user_id": 1, "user_home_country": None}
            producer.send(own.names.transaction_mid, orjson.dumps(too_early)).get(timeout=patient(10))
        lab_of("03").outcome(workspace)
        joined = [record.json for record in workspace.records("transaction_mid")]
        payments = [int(row["transaction_id"]) for row in workspace.rows("SELECT transaction_id FROM transactions")]
        assert sorted(payment["transaction_id"] for payment in joined) == sorted(payments)
        assert all(payment["user_home_country"] for payment in joined)
    finally:
        workspace.reset()
        drop(own)


def rewind(settings: Settings) -> None:
    """Puts the flagger's group, which has no member, back to the beginning of its topic."""
    with closing(_group(settings)) as consumer:
        consumer.seek_to_beginning()
        for partition in consumer.assignment():
            consumer.position(partition)
        consumer.commit()
    assert lag(settings) > 0


def lag(settings: Settings) -> int:
    """How many activities the flagger has not handled."""
    with closing(_group(settings)) as consumer:
        ends = consumer.end_offsets(list(consumer.assignment()))
        return sum(end - (consumer.committed(partition) or 0) for partition, end in ends.items())


def _group(settings: Settings) -> KafkaConsumer:
    consumer = system.kafka(settings).consumer(group_id=settings.names.group("flagger"), enable_auto_commit=False)
    topic = settings.names.suspicious_activities
    consumer.assign(partitions(consumer, [topic]))
    return consumer
