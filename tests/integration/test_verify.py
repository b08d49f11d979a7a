"""The verification against a real MySQL and Kafka: it says EXACT of what is right, and of nothing that is wrong.

No job runs here: each test has a database and topics of its own and writes the records itself.
"""

import io
import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from time import monotonic, time_ns
from typing import Any

import pytest
from kafka import TopicPartition
from rich.console import Console

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.pipeline import contracts, topics
from fraudlab.settings import Settings
from fraudlab.verification import truth as truth_module
from fraudlab.verification.judge import OVERTAKEN, TOO_LATE
from fraudlab.verification.records import Records
from fraudlab.verification.report import last_line, render
from fraudlab.verification.truth import Expected, Truth, recompute
from fraudlab.verification.verify import Verification, _Observer, verify
from tests.support.activity import ACTIVITY
from tests.support.waiting import eventually, patient

pytestmark = pytest.mark.slow

T0 = datetime(2024, 1, 5, 12, tzinfo=UTC)
LEARNERS = count(1)


def iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


class World:
    """A bank and what a pipeline made of it, both written by the test."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.names = settings, settings.names
        self.root = system.connect(settings, "root", database=self.names.database, autocommit=True)
        self._producer = system.kafka(settings).producer(acks="all")
        self._binlog_pos = count(1000)
        self._joined: dict[int, Any] = {}

    def close(self) -> None:
        self._producer.close()
        self.root.close()

    def rows(self, statement: str) -> list[Any]:
        with self.root.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def execute(self, statement: str, *values: object) -> int:
        with self.root.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.lastrowid or 0)

    def user(self, user_id: int, created_at: datetime = T0 - timedelta(days=1)) -> None:
        self.execute(
            "INSERT INTO user_profile (user_id, first_name, created_at) VALUES (%s, 'Ada', %s)", user_id, created_at
        )

    def pay(
        self,
        user_id: int,
        amount: str | None,
        country: str | None,
        minutes: float | None,
        *,
        currency: str | None = "EUR",
        created: float | None = None,
        captured: bool = True,
    ) -> int:
        """A payment in MySQL and the topics: made `minutes` after T0, taken 5 ms later or `created`"""
        time = None if minutes is None else at(minutes)
        created_at = at(created) if created is not None else (time or T0) + timedelta(milliseconds=5)
        transaction_id = self.execute(
            "INSERT INTO transactions (user_id, amount, currency, country, transaction_time, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            user_id,
            amount,
            currency,
            country,
            time,
            created_at,
        )
        if captured:
            self.captured(transaction_id, user_id)
        return transaction_id

    def captured(self, transaction_id: int, user_id: int = 8) -> None:
        after = {"transaction_id": transaction_id, "user_id": user_id}
        source = {"file": "binlog.000001", "pos": next(self._binlog_pos), "row": 0}
        self.publish(self.names.transactions, {"op": "c", "before": None, "after": after, "source": source})
        self.join(transaction_id, user_id)

    def join(self, transaction_id: int, user_id: int) -> None:
        """The payment in `transaction_mid`."""
        record = {"transaction_id": transaction_id, "user_id": user_id}
        self._joined[transaction_id] = self.publish(self.names.transaction_mid, record)

    def publish(self, topic: str, record: dict[str, Any]) -> Any:
        return self._producer.send(topic, key=b"7", value=json.dumps(record).encode())

    def skip_joined(self, transaction_id: int) -> None:
        """Skips the payment's newest record in `transaction_mid`."""
        where = self._joined[transaction_id].get(timeout=10)
        content = {"transaction_id": transaction_id, "user_id": 8}
        self._skipped(where.topic, where.partition, where.offset, json.dumps(content).encode())

    def skip_captured(self, transaction_id: int, user_id: int) -> None:
        after = {"transaction_id": transaction_id, "user_id": user_id}
        self.skip(self.names.transactions, json.dumps({"op": "c", "before": None, "after": after}).encode())

    def skip(self, topic: str, value: bytes) -> None:
        """Publishes a record, and has it skipped."""
        where = self._producer.send(topic, key=b"7", value=value).get(timeout=10)
        self._skipped(topic, where.partition, where.offset, value)

    def _skipped(self, topic: str, partition: int, offset: int, value: bytes) -> None:
        topics.write_dead_letter(
            system.kafka(self.settings), self.names, topic, partition, offset, contracts.SKIPPED, value
        )

    def activity(self, **changes: object) -> dict[str, Any]:
        """The one activity of the world that `make_world` makes, with changes."""
        return (
            ACTIVITY
            | {
                "activity_id": "activity-2",
                "user_id": 7,
                "window_start": iso(at(-50)),
                "window_end": iso(at(10)),
                "total_amount_eur": "1060.00",
                "transaction_ids": [1, 2],
                "transaction_id": 2,
                "known_by": 2,
                "created_at": iso(at(10) + timedelta(milliseconds=5)),
                "detected_at": iso(at(10) + timedelta(milliseconds=35)),
            }
            | changes
        )

    def publish_activity(self, **changes: object) -> None:
        self.publish(self.names.suspicious_activities, self.activity(**changes))

    def publish_letter(self, transaction_id: int, reason: str) -> None:
        letter = {"dead_letter_id": f"transaction-{transaction_id}", "reason": reason, "transaction_id": transaction_id}
        self.publish(self.names.dead_letters, letter)

    def stop_account(self, user_id: int, stopped: bool = True) -> None:
        self.execute("UPDATE user_profile SET suspicious_activities = %s WHERE user_id = %s", stopped, user_id)

    def tell(self, user_id: int, channel: str, status: str = "sent", episode: int = 0) -> None:
        """A row of the notifier's table."""
        self.execute(
            "INSERT INTO notifications (user_id, episode, channel, activity_id, activity, source_partition, source_offset,"
            " message_id, status, reason) VALUES (%s, %s, %s, 'activity-2', '{}', 0, 0, '', %s, 'no such user')",
            user_id,
            episode,
            channel,
            status,
        )

    def services_have_handled_all(self) -> None:
        for service in ("flagger", "notifier"):
            self.has_handled_all(service)

    def has_handled_all(self, service: str) -> None:
        self._producer.flush()
        topic = self.names.suspicious_activities
        with closing(
            system.kafka(self.settings).consumer(
                group_id=self.names.group(service),
                enable_auto_commit=False,
            )
        ) as consumer:
            partitions = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            consumer.seek_to_end(*partitions)
            for partition in partitions:
                consumer.position(partition)
            consumer.commit()

    def verify(self) -> Verification:
        self.services_have_handled_all()
        return verify(self.settings, settle_s=0)  # all of it is there

    def recompute(self, **known: Any) -> Truth:
        with closing(system.connect(self.settings, "operator", database=self.names.database)) as connection:
            return recompute(connection, self.settings, **known)


@pytest.fixture
def bank(settings: Settings) -> Iterator[World]:
    """An empty bank with empty topics."""
    own = settings.model_copy(update={"learner": f"judge{next(LEARNERS)}"})
    system.prepare(own)
    with closing(World(own)) as world:
        # The triggers would refuse the times that the tests write, which rows of an earlier version can have.
        for trigger in ("refuse_flagged", "keep_stop", "refuse_uncaptured_deletion"):
            world.execute(f"DROP TRIGGER {trigger}")
        yield world
        system.drop_database(own)
    with closing(system.kafka(own).admin()) as admin:
        admin.delete_topics(list(own.names.topics))


@pytest.fixture
def world(bank: World) -> World:
    """User 7 must have one activity and is stopped; user 8 has a payment that counts and one that does not."""
    bank.user(7)
    bank.user(8)
    assert bank.pay(7, "600.00", "DE", 0) == 1
    assert bank.pay(7, "500.00", "FR", 10, currency="USD") == 2
    bank.pay(8, "20.00", "DE", 11)
    assert bank.pay(8, "2000.00", "FR", 12, currency="eur") == 4
    bank.stop_account(7)
    bank.tell(7, "email")
    bank.tell(7, "push")
    return bank


def found(verification: Verification) -> dict[str, list[str]]:
    assert verification.unsettled is None
    assert verification.exact is not any(verification.by_kind.values())
    return {kind: [one.id for one in findings] for kind, findings in verification.by_kind.items() if findings}


def test_what_is_right_is_exact(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("INSERT INTO fraud_labels VALUES (2, 'cloned_card')")
    verification = world.verify()
    assert found(verification) == {}
    assert verification.exact
    assert verification.as_dict()["exact"] is True
    assert verification.time_to_detect is not None
    assert verification.time_to_detect.p50_ms == 30
    assert (verification.score.recall.found, verification.score.recall.cases) == (1, 1)
    json.dumps(verification.as_dict())


def test_a_server_that_chains_transactions_gets_the_same_verdict(world: World) -> None:
    """It begins the next transaction with each COMMIT: verify said that MySQL did not answer."""
    with closing(system.connect(world.settings, "root", autocommit=True)) as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL completion_type = 'CHAIN'")
        try:
            world.publish_activity()
            world.publish_letter(4, "currency")
            assert found(world.verify()) == {}
        finally:
            cursor.execute("SET GLOBAL completion_type = DEFAULT")


def test_a_record_delivered_again_is_harmless_and_counted(world: World) -> None:
    world.publish_activity()
    world.publish_activity(detected_at=iso(at(20)))
    world.publish_letter(4, "currency")
    world.publish_letter(4, "currency")
    verification = world.verify()
    assert verification.exact
    assert verification.redelivered == 2


def test_a_missing_activity_and_a_missing_dead_letter_are_found(world: World) -> None:
    assert found(world.verify()) == {"missing": ["activity-2"], "missing_dead_letters": ["transaction-4"]}


def test_an_extra_activity_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.publish_activity(
        activity_id="activity-1",
        transaction_id=1,
        window_start=iso(at(-60)),
        window_end=iso(at(0)),
        created_at=iso(at(0) + timedelta(milliseconds=5)),
    )
    assert found(world.verify()) == {"extra": ["activity-1"], "wrong": ["activity-1"]}


def test_a_doubled_activity_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_activity(user_first_name="Grace")
    world.publish_letter(4, "currency")
    assert found(world.verify()) == {"duplicate": ["activity-2"]}


@pytest.mark.parametrize(
    "change",
    [{"total_amount_eur": "1060.01"}, {"created_at": iso(at(10))}, {"transaction_ids": [2], "transaction_count": 1}],
)
def test_a_wrong_claim_is_found(world: World, change: dict[str, Any]) -> None:
    world.publish_activity(**change)
    world.publish_letter(4, "currency")
    assert found(world.verify()) == {"wrong": ["activity-2"]}


def test_a_dead_letter_of_a_payment_that_counts_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.publish_letter(3, TOO_LATE)
    assert found(world.verify()) == {"extra_dead_letters": ["transaction-3"]}


# Records that a person had a job skip


def test_a_payment_whose_record_was_skipped_does_not_count_and_is_named(world: World) -> None:
    """Without payment 2, user 7 would owe nothing; so here it is of user 8, who has other payments."""
    world.publish_activity()
    world.publish_letter(4, "currency")
    payment = world.pay(8, "2000.00", "FR", 13)
    world.skip_joined(payment)
    world.pay(8, "30.00", "DE", 14)
    verification = world.verify()
    assert found(verification) == {}
    assert [one.consequence for one in verification.skipped] == [f"payment {payment} does not count"]
    assert (verification.counts.skipped, verification.counts.payments) == (1, 6)
    assert "1 record skipped on purpose" in last_line(verification)


def test_a_payment_that_was_skipped_before_the_join_is_not_lost(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    payment = world.pay(8, "2000.00", "FR", 13, captured=False)
    world.skip_captured(payment, 8)
    verification = world.verify()
    assert found(verification) == {}
    assert [one.consequence for one in verification.skipped] == [f"payment {payment} does not count"]


def test_the_same_without_a_skip_is_found(world: World) -> None:
    """The payment of the tests above would have given an activity."""
    world.publish_activity()
    world.publish_letter(4, "currency")
    payment = world.pay(8, "2000.00", "FR", 13)
    assert found(world.verify())["missing"] == [f"activity-{payment}"]


def test_an_activity_with_a_payment_that_was_skipped_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.skip_joined(2)
    wrong = found(world.verify())
    assert (wrong["extra"], wrong["wrong"], wrong["wrong_flags"]) == (["activity-2"], ["activity-2"], ["7"])


def test_a_payment_that_came_again_counts_from_when_it_came_again(world: World) -> None:
    """Of payments 5, 6 and 7 of user 8, which are 5 minutes apart, 5 is skipped, and comes again after 7."""
    world.publish_activity()
    world.publish_letter(4, "currency")
    skipped = world.pay(8, "600.00", "DE", 20)
    world.skip_joined(skipped)
    second = world.pay(8, "600.00", "FR", 25)
    third = world.pay(8, "1.00", "DE", 30)
    world.join(skipped, 8)
    verification = world.verify()
    assert found(verification)["missing"] == [f"activity-{second}", f"activity-{third}"]
    assert [one.consequence for one in verification.skipped] == [
        f"payment {skipped} counts, because another record has it, too"
    ]
    truth = world.recompute(overtaken={skipped: (third, 8)})
    assert {one.known_by for one in truth.expected.values()} == {2, skipped}


def test_a_skipped_record_that_holds_nothing_is_named_and_changes_nothing(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.skip(world.names.transactions, b"\xff{")
    verification = world.verify()
    assert found(verification) == {}
    assert [one.consequence for one in verification.skipped] == ["it holds no payment and no profile"]


@pytest.mark.parametrize("raised", [True, False])
def test_activities_of_a_user_whose_profile_was_skipped_may_be_missing(world: World, raised: bool) -> None:
    if raised:
        world.publish_activity()
    else:
        world.stop_account(7, stopped=False)
        world.execute("DELETE FROM flag_changes")
        world.execute("DELETE FROM notifications")
    world.publish_letter(4, "currency")
    profile = {"op": "c", "before": None, "after": {"user_id": 7, "suspicious_activities": 0}}
    world.skip(world.names.user_profile, json.dumps(profile).encode())
    verification = world.verify()
    assert found(verification) == {}
    assert "user 7 may have no profile" in verification.skipped[0].consequence


def test_a_record_that_is_skipped_while_verify_reads_is_taken_into_account(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    payment = world.pay(8, "2000.00", "FR", 13)
    world.services_have_handled_all()
    with closing(_Observer(world.settings)) as observer:
        observer.wait_until_settled(monotonic() + patient(5))
        assert observer.judge(None, 0).findings.missing
        world.skip_joined(payment)
        world.services_have_handled_all()
        observer.wait_until_settled(monotonic() + patient(5))
        assert observer.judge(None, 0).exact


def test_wrong_flags_are_found_both_ways(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.stop_account(8)
    with world.root.cursor() as cursor:  # a flag that was never set: the trigger's note goes, too
        cursor.execute("UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = 7")
        cursor.execute("DELETE FROM flag_changes WHERE user_id = 7")
    assert found(world.verify()) == {"wrong_flags": ["7", "8"]}


def test_a_reinstated_account_is_free_until_its_next_activity(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.stop_account(7, stopped=False)
    assert found(world.verify()) == {}


def test_a_payment_accepted_while_the_account_was_stopped_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    tomorrow = (datetime.now(UTC) + timedelta(days=1) - T0) / timedelta(minutes=1)
    world.pay(7, "1.00", "DE", tomorrow)
    assert found(world.verify()) == {"accepted_while_stopped": ["5"]}


def test_a_refusal_without_a_stop_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    refuse = "INSERT INTO declined_transactions (user_id, reason) VALUES (%s, 'stopped')"
    world.execute(refuse, 7)
    unfounded = world.execute(refuse, 8)
    assert found(world.verify()) == {"declined_without_stop": [f"declined-{unfounded}"]}


def test_a_payment_that_never_reached_the_topics_is_not_called_settled(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    lost = world.pay(8, "1.00", "DE", 13, captured=False)
    world.services_have_handled_all()
    verification = verify(world.settings, settle_s=2)
    assert verification.unsettled == f"payment {lost} is not in the topic {world.names.transactions}"
    assert not verification.exact
    assert {one.id for one in verification.findings.lost_payments} == {str(lost)}


def test_records_behind_an_open_kafka_transaction_are_said_to_be_unreadable_and_not_lost(world: World) -> None:
    """A stranger's producer has a transaction open in each partition before the payments come."""
    topic = world.names.transactions
    producer = system.kafka(world.settings).producer(transactional_id=f"open-{time_ns()}")
    with closing(producer):
        producer.init_transactions()
        producer.begin_transaction()
        for partition in range(world.settings.partitions):
            producer.send(topic, b"{}", b"1", partition=partition)
        producer.flush()
        world.pay(8, "1.00", "DE", 13)
        world.publish_activity()
        world.publish_letter(4, "currency")
        world.services_have_handled_all()
        verification = verify(world.settings, settle_s=2)
        assert not verification.exact
        places = ", ".join(f"{topic}-{partition}" for partition in range(world.settings.partitions))
        assert f"because a Kafka transaction is open in {places}" in str(verification.unsettled)
        assert not any(verification.by_kind.values()), "what cannot be read is not lost"
        producer.abort_transaction()
    assert found(world.verify()) == {}


def test_without_labels_the_report_says_that_there_are_none(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    page = io.StringIO()
    render(world.verify(), Console(file=page, width=200))
    assert "no labels" in page.getvalue()
    assert "Precision" not in page.getvalue()


@pytest.mark.parametrize(("late", "title"), [("flagger", "account flagger"), ("notifier", "notifier")])
def test_an_activity_that_a_service_has_not_handled_is_not_called_settled(world: World, late: str, title: str) -> None:
    world.publish_letter(4, "currency")
    world.services_have_handled_all()
    world.publish_activity()
    for service in {"flagger", "notifier"} - {late}:
        world.has_handled_all(service)
    verification = verify(world.settings, settle_s=2)
    assert verification.unsettled == f"1 activities are not handled by the {title}"
    assert not verification.exact


def test_a_person_told_without_reason_or_not_at_all_is_found(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("DELETE FROM notifications WHERE channel = 'push'")
    world.tell(8, "email")
    world.tell(7, "email", episode=1)
    wrong = ["notification-7-0-push", "notification-7-1-email", "notification-8-0-email"]
    assert found(world.verify()) == {"wrong_notifications": wrong}


def test_a_message_that_is_not_sent_yet_is_not_called_settled(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("UPDATE notifications SET status = 'pending' WHERE channel = 'push'")
    verification = world.verify()
    assert verification.unsettled == "1 notifications are not sent yet"
    assert [one.id for one in verification.findings.wrong_notifications] == ["notification-7-0-push"]


def test_a_message_that_was_given_up_belongs_in_the_dead_letters(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("UPDATE notifications SET status = 'undeliverable' WHERE channel = 'push'")
    assert found(world.verify()) == {"wrong_notifications": ["notification-7-0-push"]}
    world.publish(world.names.dead_letters, {"dead_letter_id": "notification-7-0-push", "reason": "no such user"})
    assert found(world.verify()) == {}


def test_a_reinstated_account_is_told_again_of_its_next_episode(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.stop_account(7, stopped=False)
    ((episode,),) = world.rows("SELECT MAX(change_id) FROM flag_changes WHERE user_id = 7")
    world.execute("INSERT INTO payment_episodes VALUES (2, %s)", episode)
    assert found(world.verify())["wrong_notifications"] == [
        "notification-7-0-email", "notification-7-0-push", f"notification-7-{episode}-email", f"notification-7-{episode}-push",
    ]  # fmt: skip
    world.execute("UPDATE notifications SET episode = %s", episode)
    assert "wrong_notifications" not in found(world.verify())


def test_a_deleted_payment_counts_if_it_was_captured(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("DELETE FROM transactions WHERE transaction_id IN (1, 4)")
    assert found(world.verify()) == {}


def test_a_deleted_payment_that_nobody_saw_does_not_count(world: World) -> None:
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.pay(8, "990.00", "FR", 13, captured=False)
    world.execute("DELETE FROM transactions WHERE amount = 990")
    assert found(world.verify()) == {}


@pytest.mark.parametrize("column", ["transaction_time", "created_at"])
def test_mysql_01_a_row_with_a_date_that_is_none_is_judged_and_can_be_deleted(world: World, column: str) -> None:
    """mysql-01: with no `transaction_time` it belongs in `dead_letters`; with no `created_at` it can't be judged."""
    world.publish_activity()
    world.publish_letter(4, "currency")
    world.execute("SET SESSION sql_mode = ''")
    times = {"transaction_time": at(20), "created_at": at(20)} | {column: "0000-00-00"}
    broken = world.execute(
        "INSERT INTO transactions (user_id, amount, currency, country, transaction_time, created_at)"
        " VALUES (8, 1, 'EUR', 'DE', %s, %s)",
        *times.values(),
    )
    world.captured(broken)
    if column == "transaction_time":
        assert found(world.verify()) == {"missing_dead_letters": [f"transaction-{broken}"]}
    world.publish_letter(broken, "transaction_time")
    assert found(world.verify()) == ({} if column == "transaction_time" else {"impossible_rows": [str(broken)]})
    world.execute("SET SESSION sql_mode = DEFAULT")
    world.execute("DELETE FROM transactions WHERE transaction_id = %s", broken)
    assert found(world.verify()) == {}


def test_mysql_12_an_id_that_comes_twice_is_found(world: World) -> None:
    """mysql-12: where root resets AUTO_INCREMENT all the same."""
    world.publish_activity()
    world.publish_letter(4, "currency")
    last = world.pay(8, "1.00", "DE", 13)
    world.execute("DELETE FROM transactions WHERE transaction_id = %s", last)
    world.execute("ALTER TABLE transactions AUTO_INCREMENT = 1")
    assert world.pay(8, "1.00", "DE", 13) == last
    assert found(world.verify())["impossible_rows"] == [str(last)]


def test_course_20_over_nothing_there_is_nothing_to_verify(bank: World) -> None:
    """course-20: after a reset the verdict is not EXACT."""
    bank.user(7)
    verification = bank.verify()
    assert verification.nothing
    assert not verification.exact
    assert {one: verification.as_dict()[one] for one in ("exact", "nothing_to_verify")} == {
        "exact": False,
        "nothing_to_verify": True,
    }
    assert "NOTHING TO VERIFY" in last_line(verification)
    bank.pay(7, "1.00", "DE", 0)
    verification = bank.verify()
    assert (verification.exact, verification.nothing) == (True, False)


def test_disk_03_topics_that_are_gone_are_named_with_the_way_back(world: World) -> None:
    """disk-03: verify names the lost topics instead of advising `fraudlab demo`."""
    gone = [world.names.suspicious_activities, world.names.transaction_mid]
    with closing(system.kafka(world.settings).admin()) as admin:
        admin.delete_topics(gone)
    with pytest.raises(UserError, match="lost, so nothing can be verified") as refusal:
        eventually(lambda: verify(world.settings, settle_s=0).nothing, "Kafka has deleted the topics")
    assert all(topic in str(refusal.value) for topic in gone)
    assert world.names.transactions not in str(refusal.value).split(".")[0].split(": ")[1].split(", ")
    assert "fraudlab reset" in refusal.value.advice
    topics.create(system.kafka(world.settings), world.names, world.settings.partitions, {})


def test_a_payment_that_comes_late_makes_older_windows_known(bank: World) -> None:
    bank.user(7)
    first, second = bank.pay(7, "900.00", "DE", 20), bank.pay(7, "50.00", "DE", 30)
    late = bank.pay(7, "100.00", "FR", 10, created=31)
    known_ms = int(at(31).timestamp() * 1000)
    # The late payment's own window, (-50, 10], holds nothing else; those of the other two now hold 1,000 EUR and more.
    assert bank.recompute().expected == {
        first: Expected(first, 7, late, known_ms, (first, late), 2, Decimal("1000.00"), ("DE", "FR")),
        second: Expected(second, 7, late, known_ms, (first, second, late), 3, Decimal("1050.00"), ("DE", "FR")),
    }


def test_the_window_is_open_at_its_start_and_closed_at_its_end(bank: World) -> None:
    for user_id in (7, 8):
        bank.user(user_id)
    bank.pay(7, "500.00", "DE", 0)
    bank.pay(7, "500.00", "FR", 60)
    start = bank.pay(8, "500.00", "DE", 1 / 60_000)
    end, same_time = bank.pay(8, "250.00", "FR", 60), bank.pay(8, "250.00", "FR", 60)
    expected = bank.recompute().expected
    assert {each: one.transaction_ids for each, one in expected.items()} == {
        end: (start, end, same_time),
        same_time: (start, end, same_time),
    }


def test_what_is_malformed_or_too_late_does_not_count(bank: World) -> None:
    bank.user(7)
    faults = {
        bank.pay(7, None, "DE", 0): "amount",
        bank.pay(7, "0.00", "DE", 0): "amount",
        bank.pay(7, "-5000.00", "DE", 0): "amount",
        bank.pay(7, "5000.00", "DE", 0, currency=None): "currency",
        bank.pay(7, "5000.00", "DE", 0, currency="usd"): "currency",
        bank.pay(7, "5000.00", "DE", 0, currency="XXX"): "currency",
        bank.pay(7, "5000.00", None, 0): "country",
        bank.pay(7, "5000.00", "fr", 0): "country",
        bank.pay(7, "5000.00", "ÉE", 0): "country",
        bank.pay(7, "5000.00", "XX", 0): "country",
        bank.pay(7, "5000.00", "FR", None): "transaction_time",
        bank.pay(7, "5000.00", "FR", 2, created=1 - 1 / 60_000): "transaction_time",
    }
    bank.pay(7, "1.00", "DE", 2, created=1)  # exactly at the tolerance: it counts
    bank.pay(7, "1.00", "DE", 2 - bank.settings.allowed_lateness_s / 60)
    faults[bank.pay(7, "5000.00", "FR", 2 - bank.settings.allowed_lateness_s / 60 - 1 / 60_000)] = "too late"
    truth = bank.recompute()
    assert {each: payment.fault for each, payment in truth.faulty.items()} == faults
    assert truth.expected == {}


def test_each_payment_is_rounded_to_cents_by_itself(bank: World) -> None:
    for user_id in (7, 8):
        bank.user(user_id)
    # 0.05 GBP are 0.0585 EUR, rounded 0.06: two of them make up 0.12, together they would be 0.117.
    for user_id, euros in ((7, "999.88"), (8, "999.87")):
        bank.pay(user_id, euros, "DE", 0)
        bank.pay(user_id, "0.05", "GB", 1, currency="GBP")
        bank.pay(user_id, "0.05", "GB", 2, currency="GBP")
    assert [one.user_id for one in bank.recompute().expected.values()] == [7]


def test_a_user_without_a_profile_raises_nothing_unless_it_was_deleted_later(bank: World) -> None:
    for user_id in (7, 8):
        bank.user(user_id)
    bank.execute("DELETE FROM user_profile WHERE user_id = 7")
    for user_id in (7, 8, 9):
        bank.pay(user_id, "600.00", "DE", 0)
        bank.pay(user_id, "600.00", "FR", 1)
    bank.execute("DELETE FROM user_profile WHERE user_id = 8")
    bank.execute("INSERT INTO user_profile (user_id) VALUES (10)")
    assert [one.user_id for one in bank.recompute().expected.values()] == [7, 8]


def test_a_user_whose_deletion_overtook_the_payment_may_have_an_activity_or_none(bank: World) -> None:
    """The join was behind: it read the deletion, in another topic, before the payment."""
    for user_id in (7, 8, 9):
        bank.user(user_id)
    for user_id in (7, 8, 9):
        bank.pay(user_id, "600.00", "DE", 0)
    known = {user_id: bank.pay(user_id, "600.00", "FR", 1) for user_id in (7, 8, 9)}
    for user_id in (7, 8):
        bank.execute("DELETE FROM user_profile WHERE user_id = %s", user_id)
    truth = bank.recompute(joined_alone={known[7], known[9]})
    assert ({one.user_id for one in truth.expected.values()}, set(truth.given_up)) == ({8, 9}, {known[7]})
    truth = bank.recompute(joined_alone={known[7]}, raised={known[7]})
    assert ({one.user_id for one in truth.expected.values()}, set(truth.given_up)) == ({7, 8, 9}, set())


def test_an_activity_whose_profile_comes_late_is_raised_or_given_up(bank: World) -> None:
    patience = timedelta(seconds=bank.settings.profile_patience_s)
    known = at(1) + timedelta(milliseconds=5)
    bank.user(7, known + patience / 2)
    bank.user(8, known + patience / 2 + timedelta(milliseconds=1))
    last = {}
    for user_id in (7, 8, 9):
        bank.pay(user_id, "600.00", "DE", 0)
        last[user_id] = bank.pay(user_id, "600.00", "FR", 1)
    in_time, late, never = last.values()
    truth = bank.recompute()
    assert (set(truth.expected), set(truth.given_up)) == ({in_time}, {late, never})
    truth = bank.recompute(raised={late, never})
    assert (set(truth.expected), set(truth.given_up)) == ({in_time, late}, {never}), (
        "nobody has told a user who is not there"
    )


def test_the_order_of_the_commits_decides_what_is_too_late_and_what_an_activity_became_known_with(bank: World) -> None:
    for user_id in (7, 8):
        bank.user(user_id)
    slow = bank.pay(7, "600.00", "DE", 0, created=1)
    quick = bank.pay(7, "600.00", "FR", 1, created=2)
    long_past = bank.pay(8, "600.00", "DE", -31, created=0)
    bank.pay(8, "600.00", "FR", 0)
    as_numbered = bank.recompute()
    assert as_numbered.expected[quick].known_ms == int(at(2).timestamp() * 1000)
    assert as_numbered.faulty == {}
    truth = bank.recompute(overtaken={slow: (quick, 1), long_past: (long_past + 1, 1)})
    known_ms = int(at(1).timestamp() * 1000)
    assert truth.expected == {
        quick: Expected(quick, 7, slow, known_ms, (slow, quick), 2, Decimal("1200.00"), ("DE", "FR"))
    }
    assert {each: payment.fault for each, payment in truth.faulty.items()} == {long_past: OVERTAKEN}


def test_an_hour_of_many_payments_lists_the_latest_that_end_with_its_own(
    bank: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth_module, "MOST_LISTED", 3)
    bank.user(7)
    first = bank.pay(7, "900.00", "FR", 0)
    later, earlier = bank.pay(7, "1.00", "DE", 20), bank.pay(7, "1.00", "DE", 10)
    one, other = bank.pay(7, "100.00", "DE", 30), bank.pay(7, "1.00", "DE", 30)
    listed = {each: expected.transaction_ids for each, expected in bank.recompute().expected.items()}
    # `one` became known with itself, when there were four payments; `other` is in the hour of `one`, yet came after that
    assert listed == {one: (later, earlier, one), other: (later, one, other)}
    whole = bank.recompute().expected[other]
    assert (whole.transaction_count, whole.total_eur, whole.countries) == (5, Decimal("1003.00"), ("DE", "FR"))
    assert first not in listed[other]


@pytest.mark.parametrize("most_listed", [1000, 3])
def test_the_sql_agrees_with_the_rule_written_out(
    bank: World, monkeypatch: pytest.MonkeyPatch, most_listed: int
) -> None:
    monkeypatch.setattr(truth_module, "MOST_LISTED", most_listed)
    seeded = random.Random(4)
    rows: list[tuple[int, int, Decimal, str, str, datetime, datetime]] = []
    for user_id in range(1, 6):
        bank.user(user_id)
    for transaction_id in range(1, 601):
        created_at = at(transaction_id * 0.5)
        time = created_at - timedelta(minutes=seeded.choice([0, 0, 0, 5, 20, 29, 40]), milliseconds=seeded.randrange(3))
        amount = Decimal(seeded.randrange(1, 40_000)).scaleb(-2)
        currency, country = seeded.choice(["EUR", "GBP", "JPY"]), seeded.choice(["DE", "DE", "DE", "FR"])
        rows.append((transaction_id, seeded.randrange(1, 6), amount, currency, country, time, created_at))
    with bank.root.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO transactions"
            " (transaction_id, user_id, amount, currency, country, transaction_time, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
    for in_bank_order, overtaken in (rows, {}), displaced(rows, seeded):
        truth = bank.recompute(overtaken=overtaken)
        expected, too_late = written_out(in_bank_order, bank.settings, most_listed)
        assert len(expected) > 100
        assert truth.expected == expected
        assert set(truth.faulty) == too_late
        assert len(too_late) > 10


def displaced(rows: list[Any], chance: random.Random) -> tuple[list[Any], dict[int, tuple[int, int]]]:
    """The rows in an order in which some come up to three places too late, and what `Records.overtaken` says of it."""
    order = sorted(rows, key=lambda row: row[0] + chance.choice([0, 0, 0, 1.5, 3.5]))
    records = Records(captured={row[0]: (1, place, 0) for place, row in enumerate(order)})
    return order, records.overtaken()


def written_out(rows: list[Any], settings: Settings, most_listed: int) -> tuple[dict[int, Expected], set[int]]:
    """The rule without any cleverness: after each payment, look at the windows of all payments of its user so far."""
    rates = {code: Decimal(rate) / contracts.EUR_RATE_SCALE for code, rate in contracts.eur_rates().items()}
    expected: dict[int, Expected] = {}
    too_late: set[int] = set()
    so_far: dict[int, list[tuple[int, datetime, str, Decimal]]] = {}
    for transaction_id, user_id, amount, currency, country, time, created_at in rows:
        mine = so_far.setdefault(user_id, [])
        if mine and time < max(one[1] for one in mine) - timedelta(seconds=settings.allowed_lateness_s):
            too_late.add(transaction_id)
            continue
        eur = (amount * rates[currency]).quantize(Decimal("0.01"), ROUND_HALF_UP)
        mine.append((transaction_id, time, country, eur))
        for end_id, end, _, _ in mine:
            window = [one for one in mine if end - timedelta(seconds=settings.window_s) < one[1] <= end]
            meets = sum(one[3] for one in window) >= settings.threshold_eur
            if end_id not in expected and meets and len({one[2] for one in window}) >= settings.min_countries:
                known_ms = (created_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
                listed = sorted((one[1], one[0]) for one in window)
                if len(listed) > most_listed:
                    listed = [one for one in listed if one <= (end, end_id)][-most_listed:]
                expected[end_id] = Expected(
                    end_id,
                    user_id,
                    transaction_id,
                    known_ms,
                    tuple(sorted(one[1] for one in listed)),
                    len(window),
                    sum((one[3] for one in window), Decimal()),
                    tuple(sorted({one[2] for one in window})),
                )
    return expected, too_late
