"""Event time: late and too late payments, equal times, records delivered twice."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from tests.support.lab import Lab, assert_exact
from tests.support.waiting import eventually

TOO_LATE = "later than the allowed lateness"


def test_a_late_payment_raises_every_hour_that_it_makes_suspicious(lab: Lab) -> None:
    """700 EUR in Germany at 12:00 and at 12:10; 600 EUR in France at 11:55, told last, make both hours suspicious."""
    user = lab.add_user()
    noon = datetime.now(UTC) - timedelta(hours=1)
    first = lab.pay(user, "700.00", "DE", noon)
    second = lab.pay(user, "700.00", "DE", noon + timedelta(minutes=10))
    late = lab.pay(user, "600.00", "FR", noon - timedelta(minutes=5))
    activities = {one["transaction_id"]: one for one in lab.await_activities(user, [first, second])}
    assert activities.keys() == {first, second}
    assert activities[first]["transaction_ids"] == [late, first]
    assert activities[second]["transaction_ids"] == [late, first, second]
    assert activities[first]["created_at"] == activities[second]["created_at"], "both became known with the late one"


def test_payments_of_the_very_same_time_belong_to_each_others_hour(lab: Lab) -> None:
    user = lab.add_user()
    moment = datetime.now(UTC)
    first = lab.pay(user, "600.00", "DE", moment)
    second = lab.pay(user, "600.00", "FR", moment)
    activities = lab.await_activities(user, [first, second])
    assert sorted(one["transaction_id"] for one in activities) == [first, second]
    assert {tuple(one["transaction_ids"]) for one in activities} == {(first, second)}


def test_a_payment_as_late_as_is_allowed_counts_and_a_later_one_is_a_dead_letter(lab: Lab) -> None:
    user = lab.add_user()
    newest = datetime.now(UTC).replace(microsecond=0)
    allowed = timedelta(seconds=lab.settings.allowed_lateness_s)
    last = lab.pay(user, "1.00", "DE", newest)
    too_late = lab.pay(user, "5000.00", "FR", newest - allowed - timedelta(milliseconds=1))
    letter = eventually(lambda: lab.letter_of_payment(too_late), "the payment is a dead letter")
    assert letter["reason"] == TOO_LATE
    assert letter["topic"] == lab.names.transaction_mid
    assert lab.activities(user) == []
    just_in_time = lab.pay(user, "5000.00", "FR", newest - allowed)
    (activity,) = lab.await_activities(user, [last])
    assert activity["transaction_ids"] == [just_in_time, last]
    assert lab.letter_of_payment(just_in_time) is None


def test_payments_count_in_the_order_of_their_commits_not_of_their_ids(lab: Lab) -> None:
    """A slow client has its payment's id first and commits last: its payment is what makes the hour suspicious."""
    user = lab.add_user()
    now = datetime.now(UTC)
    with closing(lab.connect("generator")) as slow, closing(slow.cursor()) as cursor:
        cursor.execute(
            "INSERT INTO transactions (user_id, amount, currency, country, transaction_time)"
            " VALUES (%s, 600, 'EUR', 'DE', %s)",
            (user, (now - timedelta(seconds=1)).replace(tzinfo=None)),
        )
        first = cursor.lastrowid
        second = lab.pay(user, "600.00", "FR", now)
        eventually(lambda: lab.joined(user), "the second payment is joined")
        assert lab.activities(user) == []
        slow.commit()
    (activity,) = lab.await_activities(user, [second])
    assert first < second
    assert activity["transaction_ids"] == [first, second]
    arrived = dict.fromkeys(one.json["transaction_id"] for one in lab.joined(user) if one.value is not None)
    assert list(arrived) == [second, first]


def test_an_envelope_delivered_twice_counts_once(lab: Lab) -> None:
    user = lab.add_user()
    now = datetime.now(UTC)
    first = lab.pay(user, "400.00", "DE", now - timedelta(seconds=2))
    lab.pay(user, "199.99", "FR", now - timedelta(seconds=1))  # 400.00 + 199.99, and 400.00 once more would be 999.99
    envelopes = eventually(lambda: lab.records(lab.names.transactions, user)[:2], "the payments are captured")
    for envelope in envelopes * 2:
        lab.topics.publish(envelope.topic, str(user), envelope.value)
    third = lab.pay(user, "400.01", "DE", now)  # 1000.00 exactly
    (activity,) = lab.await_activities(user, [third])
    assert (activity["transaction_count"], activity["total_amount_eur"]) == (3, "1000.00")
    assert activity["transaction_ids"][0] == first
    for envelope in lab.records(lab.names.transactions, user):
        lab.topics.publish(envelope.topic, str(user), envelope.value)
    lab.settle(user)
    assert lab.activity_ids(user) == [third]


def test_all_of_this_was_exact(lab: Lab) -> None:
    assert_exact(lab.settings)
