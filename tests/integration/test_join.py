"""The join of payments with profiles: what comes first, what changes, what is deleted, what is never there."""

from datetime import UTC, datetime, timedelta

from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually


def test_a_profile_that_comes_after_the_payments_raises_their_activity_once_with_its_names(lab: Lab) -> None:
    user = lab.new_user_id()
    first, second = lab.commit_fraud(user)
    eventually(lambda: len(lab.joined(user)) >= 2, "the payments are joined without a profile")
    assert {record.json["user_first_name"] for record in lab.joined(user)} == {None}
    lab.settle(user)
    assert lab.activities(user) == []
    lab.add_user(user, first_name="Latecomer")
    (activity,) = lab.await_activities(user, [second])
    assert activity["user_first_name"] == "Latecomer"
    assert activity["transaction_ids"] == [first, second]
    lab.await_stopped(user)
    lab.settle(user)
    assert lab.activity_ids(user) == [second]


def test_payments_of_a_user_who_never_gets_a_profile_raise_nothing_and_do_no_harm(lab: Lab) -> None:
    stranger = lab.new_user_id()
    lab.commit_fraud(stranger)
    lab.settle(stranger)
    assert lab.activities(stranger) == []
    assert [record.json["user_suspicious_activity"] for record in lab.joined(stranger)] == [None, None]


def test_a_changed_profile_raises_nothing_and_later_activities_have_the_new_name(lab: Lab) -> None:
    user = lab.add_user(last_name="Byron")
    now = datetime.now(UTC)
    lab.pay(user, "600.00", "DE", now - timedelta(seconds=2))
    eventually(lambda: lab.joined(user), "the payment is joined")
    lab.execute("UPDATE user_profile SET last_name = 'King' WHERE user_id = %s", user)
    lab.settle(user)
    assert lab.activities(user) == []
    second = lab.pay(user, "600.00", "FR", now)
    (activity,) = lab.await_activities(user, [second])
    assert activity["user_last_name"] == "King"
    lab.await_stopped(user)
    lab.execute("UPDATE user_profile SET last_name = 'Lovelace' WHERE user_id = %s", user)
    lab.settle(user)
    assert lab.activity_ids(user) == [second]


def test_a_deleted_user_raises_nothing_more_and_does_no_harm(lab: Lab) -> None:
    user = lab.add_user()
    now = datetime.now(UTC)
    lab.pay(user, "600.00", "DE", now - timedelta(seconds=1))
    eventually(lambda: lab.joined(user), "the payment is joined")
    lab.execute("DELETE FROM user_profile WHERE user_id = %s", user)
    lab.settle(user)
    lab.pay(user, "600.00", "FR", now)
    lab.settle(user)
    assert lab.activities(user) == []


def test_a_user_deleted_after_an_activity_is_not_raised_again(lab: Lab) -> None:
    user = lab.add_user()
    _, second = lab.commit_fraud(user)
    lab.await_stopped(user)
    lab.execute("DELETE FROM user_profile WHERE user_id = %s", user)
    lab.settle(user)
    assert lab.activity_ids(user) == [second]


def test_a_deleted_payment_was_made_all_the_same(lab: Lab) -> None:
    user = lab.add_user()
    now = datetime.now(UTC)
    first = lab.pay(user, "600.00", "DE", now - timedelta(seconds=1))
    eventually(lambda: lab.joined(user), "the payment is joined")
    lab.execute("DELETE FROM transactions WHERE transaction_id = %s", first)
    eventually(lambda: any(record.value is None for record in lab.joined(user)), "the deletion leaves a tombstone")
    second = lab.pay(user, "600.00", "FR", now)
    (activity,) = lab.await_activities(user, [second])
    assert activity["transaction_ids"] == [first, second]


def test_all_of_this_was_exact(lab: Lab) -> None:
    assert_exact(lab.settings)
