"""One customer's trouble stays one customer's: locks, floods and rebalances delay no other stop or message by more than a second."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import mysql.connector
import orjson
import pytest

from fraudlab import system
from fraudlab.settings import Settings
from fraudlab.verification.verify import verify
from tests.support.lab import Lab, LearnerLab, Service, assert_exact, learner_lab
from tests.support.notifier_lab import NotifierLab, activity
from tests.support.waiting import eventually, patient

A_SECOND = 1.0
FLOOD = 25_000


@pytest.fixture
def own(settings: Settings) -> Iterator["Own"]:
    """A flagger without a pipeline: the test writes the activities."""
    with learner_lab(settings, "own") as lab:
        lab.start_flagger()
        one = Own(lab)
        one.stopped_within(lab.add_user())  # it reads
        yield one


class Own:
    """A learner's lab, and how long its flagger takes."""

    def __init__(self, lab: LearnerLab) -> None:
        self.lab = lab

    def activity(self, user_id: int, at: datetime | None = None) -> bytes:
        """An activity as the detector writes it."""
        return orjson.dumps(activity(user_id, self.lab.names.learner, at))

    def publish(self, user_id: int, at: datetime | None = None) -> None:
        """Writes an activity of a user."""
        self.lab.topics.publish(self.lab.names.suspicious_activities, str(user_id), self.activity(user_id, at))

    def stopped_within(self, user_id: int) -> float:
        """Writes an activity of a user; returns the seconds until the account is stopped."""
        began = time.monotonic()
        self.publish(user_id)
        eventually(lambda: self.lab.is_stopped(user_id), f"user {user_id} is stopped", every_s=0.01)
        return time.monotonic() - began

    def due(self) -> list[int]:
        """The users whose stops wait."""
        return [user_id for (user_id,) in self.lab.query("SELECT user_id FROM due_stops ORDER BY user_id")]

    def lag(self) -> int:
        """How many activities the flagger has not committed."""
        return NotifierLab(self.lab).lag("flagger")

    @contextmanager
    def session(self, *statements: str, role: str = "root") -> Iterator[Any]:
        """A session that has run these statements and has not committed."""
        with closing(self.lab.connect(role)) as connection, closing(connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
                if cursor.with_rows:
                    cursor.fetchall()
            yield connection
            connection.rollback()


def log_since(settings: Settings, name: str, offset: int) -> str:
    """What a service has logged since then."""
    return (settings.home / "logs" / f"{name}.log").read_bytes()[offset:].decode("utf-8", "replace")


def log_size(settings: Settings, name: str) -> int:
    path = settings.home / "logs" / f"{name}.log"
    return path.stat().st_size if path.exists() else 0


def pay(user_id: int) -> str:
    return (
        "INSERT INTO transactions (user_id, amount, currency, type, country, transaction_time)"
        f" VALUES ({user_id}, 1, 'EUR', 'online', 'DE', NOW(3))"
    )


def test_mysql_02_an_open_payment_keeps_its_own_stop_waiting_and_no_other(lab: Lab) -> None:
    """mysql-02, as the case describes it, on the whole pipeline."""
    held = lab.add_user()
    free = lab.add_user(lab.new_user_id(like=held))
    lab.commit_fraud(lab.add_user())
    flagger = next(one.pid for one in system.status(lab.settings).programs if one.name == "flagger")
    log_at = log_size(lab.settings, "flagger")
    with closing(lab.connect("generator")) as session, closing(session.cursor()) as cursor:
        cursor.execute(pay(held))
        _, second = lab.commit_fraud(held)
        lab.await_activities(held, [second])
        _, second = lab.commit_fraud(free)
        (activity,) = lab.await_activities(free, [second])
        lab.await_stopped(free)
        ((stopped_at,),) = lab.query("SELECT changed_at FROM flag_changes WHERE user_id = %s", free)
        waited = stopped_at.replace(tzinfo=UTC) - datetime.fromisoformat(activity["detected_at"])
        assert waited.total_seconds() < patient(A_SECOND)
        assert not lab.is_stopped(held)
        eventually(lambda: lab.query("SELECT 1 FROM due_stops WHERE user_id = %s", held), "the stop waits")
        ((reason,),) = lab.query("SELECT reason FROM due_stops WHERE user_id = %s", held)
        assert "another session holds a lock" in reason
        assert "stops wait to be set" in str(verify(lab.settings, 1).unsettled)
        session.commit()
    eventually(lambda: lab.is_stopped(held), "stopped when the session ends", 15)
    eventually(lambda: not lab.query("SELECT 1 FROM due_stops"), "nothing waits")
    assert "Traceback" not in log_since(lab.settings, "flagger", log_at)
    assert flagger == next(one.pid for one in system.status(lab.settings).programs if one.name == "flagger")
    assert_exact(lab.settings)


@pytest.mark.parametrize(
    "lock",
    [
        "INSERT INTO transactions (user_id, amount, currency, type, country, transaction_time) VALUES ({user}, 1, 'EUR', 'x', 'DE', NOW())",
        "UPDATE user_profile SET first_name = 'Grace' WHERE user_id = {user}",
        "SELECT * FROM user_profile WHERE user_id = {user} FOR SHARE",
    ],
    ids=["payment", "profile", "share"],
)
def test_mysql_02_locks_of_several_users_add_up_for_nobody_else(own: Own, lock: str) -> None:
    """mysql-02: five locked accounts, each locked in one of three ways."""
    lab = own.lab
    held = [lab.add_user() for _ in range(5)]
    others = [lab.add_user(lab.new_user_id(like=held[0])) for _ in range(10)]
    statements = [lock.format(user=user) for user in held]
    with own.session(*statements) as session:
        for user in held:
            own.publish(user)
        took = [own.stopped_within(user) for user in others]
        assert sorted(took)[len(took) // 2] < A_SECOND, took
        eventually(lambda: own.lag() == 0, "the offsets are committed all the same")
        assert [user for user in held if lab.is_stopped(user)] == []
        assert own.due() == sorted(held)
        session.rollback()
    began = time.monotonic()
    eventually(lambda: all(lab.is_stopped(user) for user in held), "stopped when the session ends")
    print(
        f"\n{lock[:20]}: others {max(took):.2f} s at most; all {time.monotonic() - began:.2f} s after the session ended"
    )
    eventually(lambda: own.due() == [], "nothing waits")
    assert [lab.times_stopped(user) for user in held] == [1] * len(held)


def test_mysql_02_a_waiting_stop_survives_its_flagger_and_an_earlier_episode_stops_nobody(own: Own) -> None:
    """mysql-02: the flagger is restarted while stops wait."""
    lab = own.lab
    still, cleared = lab.add_user(), lab.add_user()
    with own.session(pay(still), pay(cleared)):
        own.publish(still)
        own.publish(cleared)
        eventually(lambda: own.due() == sorted([still, cleared]), "both wait")
        eventually(lambda: own.lag() == 0, "committed: only the table knows of them")
        lab.stop_flagger()
    for flag in ("TRUE", "FALSE"):  # meanwhile a clerk stops and reinstates one of them
        lab.execute(f"UPDATE user_profile SET suspicious_activities = {flag} WHERE user_id = %s", cleared)
    lab.start_flagger()
    lab.await_stopped(still)
    eventually(lambda: own.due() == [], "nothing waits")
    assert not lab.is_stopped(cleared)


REPEATABLE_READ = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"
SERIALIZABLE = "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"


def test_mysql_02_a_gap_in_the_history_of_some_users_delays_nobody_else(own: Own) -> None:
    """mysql-02: a locking read of one user's history locks a gap, into which many other stops have to write. SKIP LOCKED skips no gap."""
    lab = own.lab
    others, fence = [lab.add_user() for _ in range(10)], lab.add_user()
    own.stopped_within(fence)
    held = [lab.add_user() for _ in range(10)]
    gap = f"SELECT * FROM flag_changes FORCE INDEX (user_changed) WHERE user_id = {held[0]} FOR UPDATE"
    with own.session(REPEATABLE_READ, gap) as session:
        took = []
        for user, other in zip(held, others, strict=True):
            own.publish(user)
            took.append(own.stopped_within(other))
        print(f"\nothers {', '.join(f'{one:.2f}' for one in took)} s")
        assert sorted(took)[len(took) // 2] < A_SECOND, took
        assert max(took) < patient(2 * A_SECOND), took
        eventually(lambda: own.due() == held, "the stops wait")
        eventually(lambda: own.lag() == 0, "the offsets are committed all the same")
        assert "flag_changes" in str(lab.query("SELECT DISTINCT reason FROM due_stops"))
        session.rollback()
    eventually(lambda: all(lab.is_stopped(user) for user in held), "stopped when the session ends", 10)
    eventually(lambda: own.due() == [], "nothing waits")
    assert [lab.times_stopped(user) for user in held] == [1] * len(held)


@pytest.mark.parametrize(
    "lock",
    [
        ["LOCK TABLES user_profile WRITE"],
        ["LOCK TABLES account_states WRITE"],
        ["LOCK TABLES flag_changes READ"],
        [REPEATABLE_READ, "SELECT * FROM flag_changes FOR UPDATE"],
        [SERIALIZABLE, "SELECT * FROM user_profile"],
        [SERIALIZABLE, "SELECT * FROM account_states"],
        ["FLUSH TABLES WITH READ LOCK"],
        ["SET GLOBAL read_only = ON", "SET GLOBAL super_read_only = ON"],
    ],
    ids=["profiles", "states", "history", "gap", "every profile", "every state", "server", "read-only"],
)
def test_mysql_02_a_lock_that_every_stop_needs_is_said_and_ends_no_flagger(own: Own, lock: list[str]) -> None:
    """mysql-02 with a lock on whole tables or on the server."""
    lab = own.lab
    users, log_at = [lab.add_user() for _ in range(20)], log_size(lab.settings, "own.flagger")
    with own.session(*lock):
        for user in users:
            own.publish(user)
        if lock[0].startswith(("FLUSH", "SET GLOBAL")):  # nothing can be written anywhere
            eventually(lambda: own.lag() == len(users), "nothing is committed")
        else:
            eventually(lambda: own.due() == users, "the stops wait")
            eventually(lambda: own.lag() == 0, "the offsets are committed")
    lab.execute("SET GLOBAL read_only = OFF")
    began = time.monotonic()
    eventually(lambda: all(lab.is_stopped(user) for user in users), "stopped afterwards", 10)
    print(f"\n{lock}: all stopped {time.monotonic() - began:.2f} s after the end")
    eventually(lambda: own.due() == [] and own.lag() == 0, "nothing waits")
    assert lab.flagger_runs
    assert "Traceback" not in log_since(lab.settings, "own.flagger", log_at)


def test_mysql_02_a_stop_that_can_not_even_be_noted_delays_nobody_else(own: Own) -> None:
    """mysql-02: one account is locked, and so is the table in which its stop would be noted: then its offset waits."""
    lab = own.lab
    held, others = lab.add_user(), [lab.add_user() for _ in range(10)]
    with own.session(pay(held)) as session, own.session(SERIALIZABLE, "SELECT * FROM due_stops"):
        own.publish(held)
        took = [own.stopped_within(user) for user in others]
        assert sorted(took)[len(took) // 2] < A_SECOND, took
        eventually(lambda: own.lag() > 0, "its offset is not committed")
        assert not lab.is_stopped(held)
        session.rollback()
        eventually(lambda: lab.is_stopped(held), "stopped when the account is free")
    eventually(lambda: own.lag() == 0, "all is done")
    assert own.due() == []


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("learner", "UPDATE user_profile SET first_name = 'Grace' WHERE last_name = 'Hopper'"),
        ("learner", "DELETE FROM transactions WHERE merchant = 'nowhere'"),
        ("operator", "CREATE TEMPORARY TABLE report SELECT * FROM flag_changes"),
        ("operator", "CREATE TEMPORARY TABLE report SELECT * FROM account_states"),
    ],
)
def test_mysql_02_what_clerks_do_to_many_rows_locks_none_that_they_do_not_change(
    own: Own, role: str, statement: str
) -> None:
    """mysql-02, in the isolation that the server gives to a session, in an open transaction."""
    lab = own.lab
    users = [lab.add_user() for _ in range(5)]
    with own.session(statement, role=role):
        took = [own.stopped_within(user) for user in users]
    assert sorted(took)[len(took) // 2] < A_SECOND, took
    assert own.due() == []


def test_mysql_05_a_profile_that_is_deleted_before_its_stop_comes_again_stopped(lab: Lab) -> None:
    """mysql-05, the whole pipeline: a fraud, the profile goes before the flagger could act, and comes again."""
    user = lab.add_user()
    lab.commit_fraud(lab.add_user())
    with closing(lab.connect("learner")) as clerk, closing(clerk.cursor()) as cursor:
        cursor.execute("UPDATE user_profile SET first_name = 'Grace' WHERE user_id = %s", (user,))
        _, second = lab.commit_fraud(user)
        lab.await_activities(user, [second])
        eventually(lambda: lab.query("SELECT 1 FROM due_stops WHERE user_id = %s", user), "the stop waits")
        cursor.execute("DELETE FROM user_profile WHERE user_id = %s", (user,))
        clerk.commit()
    eventually(lambda: lab.times_stopped(user) == 1, "stopped without a profile")
    eventually(lambda: not lab.query("SELECT 1 FROM due_stops"), "nothing waits")
    with pytest.raises(mysql.connector.Error, match="the account is stopped"):
        lab.pay(user, "1.00", "DE")
    assert_exact(lab.settings)
    lab.add_user(user)
    assert lab.is_stopped(user)
    assert_exact(lab.settings)


def test_mysql_05_a_closed_account_that_was_reinstated_meanwhile_stays_free(own: Own) -> None:
    """mysql-05: an activity of an earlier episode stops no closed account either."""
    lab = own.lab
    user, unknown = lab.add_user(), lab.new_user_id()
    lab.stop_flagger()
    own.publish(user)
    own.publish(unknown)
    for flag in ("TRUE", "FALSE"):
        lab.execute(f"UPDATE user_profile SET suspicious_activities = {flag} WHERE user_id = %s", user)
    lab.execute("DELETE FROM user_profile WHERE user_id = %s", user)
    lab.start_flagger()
    eventually(lambda: own.lag() == 0, "handled")
    assert lab.times_stopped(user) == 1
    assert lab.query("SELECT stopped FROM account_states WHERE user_id = %s", user) == [(0,)]
    assert lab.query("SELECT 1 FROM account_states WHERE user_id = %s", unknown) == [], "nobody is nobody"


def test_mysql_02_an_account_in_constant_use_is_stopped_all_the_same(own: Own) -> None:
    """mysql-02: the lock is never free, because each transaction begins before the previous one ends."""
    lab = own.lab
    hot = lab.add_user()
    with closing(lab.connect("root")) as one, closing(lab.connect("root")) as other:
        sessions = [one, other]

        def payment(session: Any) -> None:
            with closing(session.cursor()) as cursor:
                try:
                    cursor.execute(pay(hot))
                except mysql.connector.Error:  # refused, as the account is stopped now
                    session.rollback()

        payment(one)
        own.publish(hot)
        deadline = time.monotonic() + patient(60)
        while not lab.is_stopped(hot):
            assert time.monotonic() < deadline, "never stopped"
            sessions.reverse()
            next_one = Thread(target=payment, args=(sessions[0],))
            next_one.start()
            next_one.join(0.05)  # it waits for the previous one only if the stop also waits, and came first
            sessions[1].commit()
            next_one.join()


def test_mysql_02_locked_notifications_delay_nobody_elses_message(own: Own) -> None:
    """mysql-02 for the notifier's own table."""
    lab = own.lab
    lab.start_notifier()
    held, free = lab.new_user_id(), [lab.new_user_id() for _ in range(10)]

    def sent(user: int) -> bool:
        found = lab.query("SELECT status FROM notifications WHERE user_id = %s", user)
        return found == [("sent",)] * 2

    own.publish(free[0])
    eventually(lambda: sent(free[0]), "the notifier runs")
    row = (
        "INSERT INTO notifications (user_id, episode, channel, activity_id, activity, source_partition, source_offset, message_id)"
        f" VALUES ({held}, 0, 'email', 'x', '{{}}', 0, 0, 'x')"
    )
    with own.session("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", row):
        own.publish(held)
        took = []
        for user in free[1:]:
            began = time.monotonic()
            own.publish(user)
            eventually(lambda user=user: sent(user), "told")  # type: ignore[misc]
            took.append(time.monotonic() - began)
        assert sorted(took)[len(took) // 2] < A_SECOND, took
    eventually(lambda: sent(held), "told when the session ends")


def test_kafka_02_a_second_flagger_and_a_frozen_one_are_a_rebalance_and_no_error(lab: Lab, tmp_path: Path) -> None:
    """kafka-02: a second flagger comes and goes five times; the first is stopped for 15 s."""
    log_at = log_size(lab.settings, "flagger")
    first = next(one.pid for one in system.status(lab.settings).programs if one.name == "flagger")
    assert first is not None
    report = tmp_path / "report.json"
    options = ("--first-user", "500001")
    bank = system.start_generator(
        lab.settings, rate=500, users=2_000, seed=7, report=report, options=options, of_the_stack=False
    )
    try:
        for _ in range(5):
            second = Service(lab.settings, "flagger")
            lab.fraud_is_caught()
            second.stop()
            lab.fraud_is_caught()
        second = Service(lab.settings, "flagger")
        lab.fraud_is_caught()
        os.kill(first, signal.SIGSTOP)
        time.sleep(15)  # longer than its session timeout; the case says 15 s
        os.kill(first, signal.SIGCONT)
        lab.fraud_is_caught()
        second.stop()
        lab.fraud_is_caught()
    finally:
        system.end_generator(bank, patient(60))
    log = log_since(lab.settings, "flagger", log_at)
    assert "Traceback" not in log, log[log.find("Traceback") - 500 :][:2_000]
    assert first == next(one.pid for one in system.status(lab.settings).programs if one.name == "flagger")
    assert_exact(lab.settings, 120)


def flood(own: Own, value: bytes, key: str, count: int = FLOOD) -> float:
    """Writes a record this many times, as fast as Kafka accepts them; returns the seconds that took."""
    began = time.monotonic()
    producer = system.kafka(own.lab.settings).producer(linger_ms=20, acks=1)
    with closing(producer):
        for _ in range(count):
            producer.send(own.lab.names.suspicious_activities, key=key.encode(), value=value)
        producer.flush()
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["unreadable", "hot", "nobody"])
def test_poison_05_a_flood_of_activities_delays_no_other_stop(own: Own, kind: str) -> None:
    """poison-05: 25,000 activities that are unreadable, or of one user, or of a user that doesn't exist."""
    lab = own.lab
    lab.start_notifier()
    users = [lab.add_user() for _ in range(8)]
    flooded = lab.add_user() if kind == "hot" else lab.new_user_id()
    value = b"{not an activity" if kind == "unreadable" else own.activity(flooded)
    log_at = log_size(lab.settings, "own.flagger")
    wrote = flood(own, value, str(flooded))
    took = [own.stopped_within(user) for user in users]
    print(
        f"\n{kind}: {FLOOD} written in {wrote:.1f} s; the next stops took {', '.join(f'{one:.2f}' for one in took)} s"
    )
    eventually(lambda: own.lag() == 0, "all is handled", 120)
    if kind == "unreadable":
        letters = {one["dead_letter_id"] for one in lab.dead_letters()}
        assert len(letters) == FLOOD
        assert log_since(lab.settings, "own.flagger", log_at).count("dead letter") < 100
    if kind == "hot":
        assert lab.times_stopped(flooded) == 1
    assert max(took) < patient(A_SECOND), took


def test_mysql_02_a_transaction_of_fifty_thousand_payments_delays_nobody_until_it_is_committed(
    settings: Settings,
) -> None:
    """mysql-02's kind: one session adds 50,000 payments, another one deletes them; each stays open for a while.

    At its commit the binlog has 50,000 changes at once, and the next payment's comes after them.
    """
    with learner_lab(settings, "many") as lab:
        lab.submit_jobs()
        lab.start_flagger()
        lab.start_notifier()
        first_user = lab.new_user_id()
        for _ in range(500):
            lab.new_user_id()
        lab.fraud_is_caught()
        add = (
            "INSERT INTO transactions (user_id, amount, currency, type, country, transaction_time)"
            " WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)"
            f" SELECT /*+ SET_VAR(cte_max_recursion_depth = 50000) */ {first_user} + n MOD 500, 1, 'EUR', 'bulk', 'DE', NOW(3)"
            " FROM numbers"
        )
        for role, statement in (("root", add), ("learner", "DELETE FROM transactions WHERE type = 'bulk'")):
            with closing(lab.connect(role)) as session, closing(session.cursor()) as cursor:
                cursor.execute(statement)
                assert cursor.rowcount == 50_000
                open_s = [caught_within(lab) for _ in range(5)]
                session.commit()
            committed_s = caught_within(lab)
            print(
                f"\n{statement[:6]}: {', '.join(f'{one:.2f}' for one in open_s)} s; after its commit {committed_s:.1f} s"
            )
            assert sorted(open_s)[2] < patient(A_SECOND), open_s
            assert committed_s < patient(30)
        assert_exact(lab.settings, 120)


def caught_within(lab: Lab) -> float:
    """Seconds from a fraud's commit, of a new user, until the account is stopped."""
    user = lab.add_user()
    lab.commit_fraud(user)
    began = time.monotonic()
    eventually(lambda: lab.is_stopped(user), f"user {user} is stopped", every_s=0.01)
    return time.monotonic() - began
