"""The dashboard's readers against the running system: what they tell the model is what Kafka and MySQL hold."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import mysql.connector
import pytest

from fraudlab import system
from fraudlab.services.analytics.bank import find_users, random_user
from fraudlab.services.analytics.database_reader import DatabaseReader
from fraudlab.services.analytics.job_reader import JobReader
from fraudlab.services.analytics.kafka_reader import ProgressReader, RecordReader
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.reader import feed_of
from fraudlab.services.analytics.stages import State
from fraudlab.settings import Settings
from fraudlab.stack.second_stack import free_ports
from tests.support.lab import Lab
from tests.support.waiting import eventually


@contextmanager
def followed(settings: Settings) -> Iterator[Model]:
    """A model and its readers, as the service has them, in a loop of their own."""
    model, loop = Model(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    feed = feed_of(model, loop)
    progress = ProgressReader(settings, feed)
    database = DatabaseReader(settings, feed, lambda: progress.captured_id)
    readers = (RecordReader(settings, feed), progress, database, JobReader(settings, feed))
    threads = [reader.start() for reader in readers]
    try:
        yield model
    finally:
        for reader in readers:
            reader.stop()
        for one in threads:
            one.join(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def knows_everything(model: Model, lab: Lab) -> bool:
    """Whether the model's figures are those of the database and the topic, now."""
    ((payments,),) = lab.query("SELECT COUNT(*) FROM transactions")
    ((refused,),) = lab.query("SELECT COUNT(*) FROM declined_transactions")
    ((stopped,),) = lab.query("SELECT COUNT(*) FROM user_profile WHERE suspicious_activities")
    ((set_flags,),) = lab.query("SELECT COUNT(*) FROM flag_changes WHERE suspicious_activities")
    activities = {one.json["activity_id"] for one in lab.topics.read(lab.names.suspicious_activities) if one.value}
    seen = (
        model.payments,
        model.refused_count,
        len(model.episodes.stopped),
        model.episodes.times_stopped,
        model.activity_count,
    )
    return seen == (payments, refused, stopped, set_flags, len(activities))


def test_a_model_that_begins_now_comes_to_the_figures_of_kafka_and_mysql(lab: Lab) -> None:
    user = lab.add_user(first_name="Grace", last_name="Hopper")
    _, second = lab.commit_fraud(user)
    lab.await_stopped(user)
    with followed(lab.settings) as model:
        eventually(lambda: knows_everything(model, lab), "the model knows everything")
        assert user in model.episodes.stopped
        eventually(lambda: model.stopped_accounts and model.stopped_accounts[0].user_id == user, "its name is known")
        assert model.stopped_accounts[0].name == "Grace Hopper"
        assert second in {one.transaction_id for one in model.latest}
        eventually(lambda: not model.waiting_for, "nothing is waited for")
        eventually(
            lambda: model.stages["suspicious_activities"].state(0) is not State.UNKNOWN, "every stage is looked at"
        )

        # … and what happens now comes by itself.
        other = lab.add_user()
        lab.commit_fraud(other)
        lab.await_stopped(other)
        with pytest.raises(mysql.connector.Error, match="refused"):
            lab.pay(other, "1.00", "DE")
        lab.execute(
            "INSERT INTO declined_transactions (user_id, amount, currency, reason) VALUES (%s, 1, 'EUR', 'refused')",
            other,
            role="generator",
        )
        eventually(lambda: knows_everything(model, lab), "the model follows")
        assert model.time_to_refusal is not None


def test_a_look_that_mysql_ends_halfway_loses_nothing_and_counts_nothing_twice(lab: Lab) -> None:
    killed: set[int] = set()
    with followed(lab.settings) as model, closing(system.connect(lab.settings, "root", autocommit=True)) as root:
        cursor = root.cursor()

        def held_up() -> list[int]:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE user = %s AND state LIKE 'Waiting for table%'",
                (lab.names.account("analytics"),),
            )
            return [row[0] for row in cursor.fetchall() if row[0] not in killed]

        def kill_held_up() -> None:
            eventually(lambda: len(held_up()) == 2, "the looks of this model and of the running dashboard are held up")
            for connection_id in held_up():
                cursor.execute(f"KILL {connection_id}")
                killed.add(connection_id)

        eventually(lambda: knows_everything(model, lab), "the model knows everything")
        # What the reader asks for last is held up: it has read everything else when its connection is killed.
        cursor.execute(f"LOCK TABLES {lab.names.database}.notifications WRITE")
        try:
            kill_held_up()
            user = lab.add_user()
            lab.commit_fraud(user)
            lab.await_stopped(user)
            lab.execute(
                "INSERT INTO declined_transactions (user_id, amount, currency, reason) VALUES (%s, 1, 'EUR', 'refused')",
                user,
                role="generator",
            )
            kill_held_up()
        finally:
            cursor.execute("UNLOCK TABLES")
        eventually(lambda: knows_everything(model, lab), "the model knows everything again")


def test_a_label_that_belongs_to_an_activity_is_a_case_found(lab: Lab) -> None:
    robbed, unseen = lab.add_user(), lab.add_user()
    _, second = lab.commit_fraud(robbed)
    small = lab.pay(unseen, "1.00", "DE")
    for payment, scenario in ((second, "cloned_card"), (small, "burst")):
        lab.execute("INSERT INTO fraud_labels VALUES (%s, %s)", payment, scenario, role="generator")
    lab.await_stopped(robbed)
    ((cases,),) = lab.query(
        "SELECT COUNT(DISTINCT user_id, scenario) FROM fraud_labels JOIN transactions USING (transaction_id)"
    )
    with followed(lab.settings) as model:
        eventually(
            lambda: model.score.recall.cases == cases and robbed in model.episodes.stopped, "the labels are read"
        )
        eventually(lambda: model.score.by_scenario["cloned_card"].found >= 1, "the robbed one is found")
        burst = model.score.by_scenario["burst"]
        assert burst.found < burst.cases


def test_people_are_found_by_number_and_by_part_of_a_name_and_a_wildcard_is_a_letter(lab: Lab) -> None:
    user = lab.add_user(first_name="100%", last_name="Zuzanna'; --")
    assert find_users(lab.settings, str(user)) == [(user, "100% Zuzanna'; --", "DE", False)]
    assert user in [each[0] for each in find_users(lab.settings, "zuzanna';")]
    assert user in [each[0] for each in find_users(lab.settings, "100%")]
    assert find_users(lab.settings, "10%Zuz") == []
    chosen = random_user(lab.settings)
    assert chosen is not None
    ((stopped,),) = lab.query("SELECT suspicious_activities FROM user_profile WHERE user_id = %s", chosen)
    assert not stopped


@pytest.mark.slow  # half a minute: a Kafka client gives up no sooner
def test_sources_that_are_away_are_waited_for_and_named(settings: Settings) -> None:
    kafka_port, mysql_port = free_ports(2)
    away = settings.model_copy(update={"kafka_port": kafka_port, "mysql_port": mysql_port})
    with followed(away) as model:
        eventually(
            lambda: set(model.waiting_for) == {"Kafka", "MySQL"} and "connecting" not in model.waiting_for.values(),
            "both are waited for",
        )
