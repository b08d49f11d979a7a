"""A payment's way from MySQL through every topic to the flag and the refusal, with the fields agreed on."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import mysql.connector
import pytest

from fraudlab import system
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates
from fraudlab.pipeline.records import Activity, JoinedTransaction, read_activity
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import marked_processes
from tests.support.kafka import Record
from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

REFUSAL = "payment refused: the account is stopped because of suspicious activities"

PAYMENT = (
    "INSERT INTO transactions (user_id, amount, currency, country, transaction_time) VALUES (%s, 1, 'EUR', 'DE', NOW())"
)

ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")


def test_a_payment_reaches_transaction_mid_with_exactly_the_fields_agreed_on(lab: Lab) -> None:
    user = lab.add_user(first_name="Grace", last_name="Hopper", home_country="US")
    at = datetime.now(UTC).replace(microsecond=123_000) - timedelta(seconds=1)
    payment = lab.pay(user, "12.30", "US", at, currency="USD", type="card_present", merchant="Corner Shop")
    (record,) = eventually(lambda: with_profile(lab.joined(user)), "the payment is joined with its profile")
    assert list(record.json) == list(JoinedTransaction.__struct_fields__)
    msgspec.convert(record.json, JoinedTransaction)
    assert ISO_UTC.fullmatch(record.json["created_at"])
    assert record.json | {"created_at": ""} == {
        "transaction_id": payment,
        "user_id": user,
        "user_first_name": "Grace",
        "user_last_name": "Hopper",
        "user_email": f"user{user}@example.com",
        "user_phone_number": "+49 30 1234567",
        "user_home_country": "US",
        "user_suspicious_activity": False,
        "transaction_amount": "12.30",
        "transaction_currency": "USD",
        "transaction_type": "card_present",
        "transaction_country": "US",
        "transaction_merchant": "Corner Shop",
        "transaction_time": at.strftime("%Y-%m-%dT%H:%M:%S.123Z"),
        "created_at": "",
    }


def test_an_activity_has_exactly_the_fields_agreed_on(lab: Lab) -> None:
    user = lab.add_user(first_name="Grace", last_name="Hopper")
    now = datetime.now(UTC).replace(microsecond=0)
    home = lab.pay(user, "400.00", "DE", now - timedelta(minutes=59))
    abroad = lab.pay(user, "600.00", "FR", now)
    (activity,) = lab.await_activities(user, [abroad])
    assert list(activity) == list(Activity.__struct_fields__)
    read_activity(activity)
    created, detected = (datetime.fromisoformat(activity[name]) for name in ("created_at", "detected_at"))
    ((stored,),) = lab.query("SELECT created_at FROM transactions WHERE transaction_id = %s", abroad)
    assert created == stored.replace(tzinfo=UTC)
    assert created <= detected
    assert activity | {"created_at": "", "detected_at": ""} == {
        "activity_id": f"activity-{abroad}",
        "user_id": user,
        "user_first_name": "Grace",
        "user_last_name": "Hopper",
        "user_email": f"user{user}@example.com",
        "user_phone_number": "+49 30 1234567",
        "window_start": (now - timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "window_end": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "total_amount_eur": "1000.00",  # 400.00 + 600.00: the threshold itself is reached
        "transaction_count": 2,
        "countries": ["DE", "FR"],
        "transaction_ids": [home, abroad],
        "transaction_id": abroad,
        "user_suspicious_activity": True,
        "rule": "2-countries-in-3600-s",
        "known_by": abroad,
        "created_at": "",
        "detected_at": "",
    }


def test_a_users_records_have_the_same_key_and_partition_in_every_topic(lab: Lab) -> None:
    users = [lab.add_user() for _ in range(12)]
    for user in users:
        lab.commit_fraud(user)
    for user in users:
        lab.await_stopped(user)
    followed = [topic for topic in lab.names.topics if topic != lab.names.dead_letters]
    # Setting the flags changed the profiles, so that each has an insertion and an update.
    eventually(
        lambda: all(len(lab.records(lab.names.user_profile, user)) == 2 for user in users),
        "the set flags are captured",
    )
    for topic in followed:
        records = [one for one in lab.topics.read(topic) if one.key in {b"%d" % user for user in users}]
        assert {int(one.key or b"") for one in records} == set(users)
        assert all(one.partition == lab.partition(int(one.key or b"")) for one in records)
    assert len({lab.partition(user) for user in users}) > 1


def test_debezium_envelopes_carry_exact_amounts_and_the_binlog_position(lab: Lab) -> None:
    user = lab.add_user()
    payment = lab.pay(user, "9999999999.98", "DE", currency="JPY")
    (record,) = eventually(lambda: lab.records(lab.names.transactions, user), "the payment is captured")
    envelope = record.json
    assert (envelope["op"], envelope["before"], envelope["source"]["table"]) == ("c", None, "transactions")
    assert {"file", "pos"} <= envelope["source"].keys()
    assert (envelope["after"]["transaction_id"], envelope["after"]["amount"]) == (payment, "9999999999.98")


def test_what_only_the_generator_knows_is_captured_nowhere(lab: Lab) -> None:
    user = lab.add_user()
    payment = lab.pay(user, "1.00", "DE")
    lab.execute("INSERT INTO fraud_labels (transaction_id, scenario) VALUES (%s, 'a_secret_label')", payment)
    lab.settle(user)
    for topic in lab.names.topics:
        assert not [one.place for one in lab.topics.read(topic) if b"a_secret_label" in (one.value or b"")]


@pytest.mark.parametrize("role", ["generator", "root"])
def test_the_next_payment_of_a_stopped_account_is_refused_whoever_asks(lab: Lab, role: str) -> None:
    user = lab.add_user()
    lab.commit_fraud(user)
    lab.await_stopped(user)
    with pytest.raises(mysql.connector.Error, match=REFUSAL) as refusal:
        lab.execute(PAYMENT, user, role=role)
    assert refusal.value.sqlstate == "45000"
    assert lab.query("SELECT COUNT(*) FROM transactions WHERE user_id = %s", user) == [(2,)]


def test_a_payment_is_refused_also_inside_a_transaction_whose_snapshot_is_older_than_the_flag(lab: Lab) -> None:
    user = lab.add_user()
    with closing(lab.connect("generator")) as client, closing(client.cursor()) as cursor:
        client.start_transaction(isolation_level="REPEATABLE READ", consistent_snapshot=True)
        cursor.execute("SELECT suspicious_activities FROM user_profile WHERE user_id = %s", (user,))
        assert cursor.fetchall() == [(0,)]
        lab.commit_fraud(user)
        lab.await_stopped(user)
        cursor.execute("SELECT suspicious_activities FROM user_profile WHERE user_id = %s", (user,))
        assert cursor.fetchall() == [(0,)], "the snapshot does not show the flag"
        with pytest.raises(mysql.connector.Error, match=REFUSAL):
            cursor.execute(PAYMENT, (user,))
        client.rollback()


def test_a_reinstated_account_pays_again_and_its_next_fraud_stops_it_again(lab: Lab) -> None:
    user = lab.add_user()
    _, first = lab.commit_fraud(user)
    lab.await_stopped(user)
    assert system.reinstate(lab.settings, user)
    assert not lab.is_stopped(user)
    again = lab.pay(user, "1.00", "DE")  # its hour holds the first fraud as well
    lab.await_activities(user, [first, again])
    eventually(lambda: lab.times_stopped(user) == 2, "the account is stopped a second time")
    with pytest.raises(mysql.connector.Error, match=REFUSAL):
        lab.pay(user, "1.00", "DE")


def test_reinstating_says_whether_the_account_was_stopped(lab: Lab) -> None:
    user = lab.add_user()
    assert system.reinstate(lab.settings, user) is False
    with pytest.raises(UserError, match="There is no user"):
        system.reinstate(lab.settings, lab.new_user_id())


def test_setting_the_flag_raises_no_activity_and_repeats_none(lab: Lab) -> None:
    honest, thief = lab.add_user(), lab.add_user()
    lab.pay(honest, "600.00", "DE")
    lab.pay(honest, "300.00", "FR")
    _, second = lab.commit_fraud(thief)
    lab.await_stopped(thief)
    lab.execute("UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s", honest)
    lab.settle(honest)
    lab.settle(thief)
    assert lab.activity_ids(honest) == []
    assert lab.activity_ids(thief) == [second]
    lab.execute("UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = %s", honest)


def test_the_python_inside_the_taskmanager_has_not_imported_apache_beam(lab: Lab) -> None:
    home = Layout(lab.settings.home).home
    (taskmanager,) = [one for one in marked_processes(home) if "TaskManagerRunner" in " ".join(one.cmdline())]
    libraries = {Path(one.path).name.partition(".")[0] for one in taskmanager.memory_maps()}
    assert "orjson" in libraries, "it has imported the detector"
    assert libraries.isdisjoint({"coder_impl", "coder_impl_row_encoders"}), "Beam's"


def test_an_hour_just_below_the_threshold_or_in_one_country_is_not_suspicious(lab: Lab) -> None:
    poor, local, slow = (lab.add_user() for _ in range(3))
    now = datetime.now(UTC)
    lab.pay(poor, "499.99", "DE", now)
    lab.pay(poor, "500.00", "FR", now)  # 999.99
    lab.pay(local, "5000.00", "DE", now)
    lab.pay(local, "5000.00", "DE", now)
    lab.pay(slow, "5000.00", "DE", now - timedelta(hours=1))  # the window is open at its start
    lab.pay(slow, "5000.00", "FR", now)
    for user in (poor, local, slow):
        lab.settle(user)
        assert lab.activities(user) == []
        assert not lab.is_stopped(user)


def test_amounts_are_converted_by_the_table(lab: Lab) -> None:
    user = lab.add_user()
    now = datetime.now(UTC)
    lab.pay(user, "100000.00", "JP", now - timedelta(seconds=1), currency="JPY")
    second = lab.pay(user, "1000.00", "US", now, currency="USD")
    (activity,) = lab.await_activities(user, [second])
    yen, dollar = (Decimal(eur_rates()[code]) / EUR_RATE_SCALE for code in ("JPY", "USD"))
    expected = (100_000 * yen).quantize(Decimal("0.01")) + (1_000 * dollar).quantize(Decimal("0.01"))
    assert Decimal(activity["total_amount_eur"]) == expected


def with_profile(joined: list[Record]) -> list[Record]:
    """Without those that were joined before the profile came, and the tombstones that take them back."""
    return [record for record in joined if record.value and record.json["user_suspicious_activity"] is not None]


def test_all_of_this_was_exact(lab: Lab) -> None:
    assert_exact(lab.settings)
