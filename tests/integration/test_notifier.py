"""People are told: a mail and a push message per episode, by the real protocols, and no second one whatever is repeated."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import default

import pytest

from fraudlab import system
from fraudlab.settings import Settings
from tests.support.inbox import messages, topic
from tests.support.lab import Lab
from tests.support.notifier_lab import NotifierLab, notifier_lab
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def told(settings: Settings) -> Iterator[NotifierLab]:
    with notifier_lab(settings) as told:
        told.lab.start_notifier()
        yield told


def both(told: NotifierLab, user_id: int, count: int = 1) -> bool:
    """Whether a user has so many notifications per channel, all of them done with."""
    rows = told.rows(user_id)
    return len(rows) == 2 * count and all(row["status"] != "pending" for row in rows)


def taken_in_episode(told: NotifierLab, payment: int, episode: int) -> None:
    """Records the episode in which the database took a payment, as its trigger does."""
    told.lab.execute("INSERT INTO payment_episodes (transaction_id, episode) VALUES (%s, %s)", payment, episode)


def address(told: NotifierLab, user_id: int) -> str:
    return f"user{user_id}@{told.lab.names.learner}.example.com"


def test_fraud_reaches_the_person_by_mail_and_push(lab: Lab) -> None:
    user = lab.add_user(first_name="Grace", last_name="Hopper", home_country="GB")
    at = datetime.now(UTC).replace(microsecond=0)
    lab.pay(user, "117.00", "GB", at - timedelta(minutes=1), currency="GBP", merchant="Tea & Sympathy")
    lab.pay(user, "1000.00", "FR", at, merchant="Café <b>")
    (mail,) = eventually(lambda: messages(lab.settings, f"user{user}@example.com"), "the mail is in the inbox")
    (push,) = eventually(lambda: messages(lab.settings, topic(lab.settings, user)), "the push message is on the phone")
    assert mail["addressee"] == f"Grace Hopper <user{user}@example.com>"
    assert mail["title"] == "We stopped your account: unusual payments in France and United Kingdom"
    # 117.00 GBP are 136.89 EUR; with 1000.00 that makes 1136.89 EUR, or 971.70 GBP
    assert "€1,136.89 (about £971.70) in France and United Kingdom" in mail["text"]
    assert "Tea & Sympathy, United Kingdom: £117.00" in mail["text"]
    assert "Tea &amp; Sympathy" in mail["html"]
    assert "Café &lt;b&gt;" in mail["html"]
    assert "(London time)" in mail["text"]
    assert push["title"] == "Your account is stopped"
    assert push["text"].startswith("Grace Hopper, payments of €1,136.89 (about £971.70)")
    ((mail_id,), (push_id,)) = lab.query(
        "SELECT message_id FROM notifications WHERE user_id = %s ORDER BY channel", user
    )
    assert (mail["message_id"], push["message_id"]) == (f"<{mail_id}@lab-bank.example>", push_id)


def test_an_episode_is_told_once_and_the_next_one_again(lab: Lab) -> None:
    user = lab.add_user()
    at = datetime.now(UTC)
    lab.pay(user, "600.00", "DE", at - timedelta(seconds=9))
    second = lab.pay(user, "600.00", "FR", at - timedelta(seconds=8))
    lab.await_stopped(user)
    lab.settle(user)
    eventually(
        lambda: len(lab.query("SELECT 1 FROM notifications WHERE user_id = %s AND status = 'sent'", user)) == 2, "told"
    )
    system.reinstate(lab.settings, user)
    again = lab.pay(user, "1.00", "DE", at)
    lab.await_activities(user, [second, again])
    told = "SELECT episode > 0, channel, status FROM notifications WHERE user_id = %s ORDER BY notification_id"
    each = [(0, "email", "sent"), (0, "push", "sent"), (1, "email", "sent"), (1, "push", "sent")]
    eventually(lambda: lab.query(told, user) == each, "told of the second episode")
    assert len(messages(lab.settings, f"user{user}@example.com")) == 2


def test_further_activities_of_an_episode_and_repeated_ones_tell_nobody_again(told: NotifierLab) -> None:
    user = told.lab.new_user_id()
    for _ in range(3):
        told.activity(user)
    told.activity(user, activity_id="activity-another")
    eventually(lambda: both(told, user), "told")
    witness = told.lab.new_user_id(like=user)
    told.activity(witness)
    eventually(lambda: both(told, witness), "the next one in the same partition is told")
    assert len(told.rows(user)) == 2
    assert [one["deliveries"] for one in messages(told.settings, address(told, user))] == [1]


def test_an_activity_belongs_to_the_episode_of_the_payment_that_made_it_known(told: NotifierLab) -> None:
    user, at = told.lab.new_user_id(), datetime.now(UTC)
    in_the_first, in_the_second = 10 * user, 10 * user + 1
    taken_in_episode(told, in_the_first, 7)
    taken_in_episode(told, in_the_second, 9)
    # Clocks decide nothing: the activity of the last episode is the oldest.
    told.activity(user, at, known_by=10 * user + 2)
    told.activity(user, at - timedelta(seconds=5), known_by=in_the_first)
    told.activity(user, at - timedelta(seconds=9), known_by=in_the_second)
    told.activity(user, at, known_by=in_the_second)
    told.activity(user, at, known_by=in_the_first)
    eventually(lambda: both(told, user, 3), "told of three episodes")
    assert {row["episode"] for row in told.rows(user)} == {0, 7, 9}


def test_nobody_is_told_more_often_within_an_hour_than_the_limit_allows(told: NotifierLab) -> None:
    user = told.lab.add_user()
    limit = told.settings.notify_limit_per_hour
    for number in range(limit + 3):
        taken_in_episode(told, 10 * user + number, number + 1)
    for number in range(limit + 2):
        told.activity(user, known_by=10 * user + number)
        eventually(lambda number=number: both(told, user, number + 1), "told or withheld")  # type: ignore[misc]
    states = [row["status"] for row in told.rows(user) if row["channel"] == "email"]
    assert states == ["sent"] * limit + ["withheld"] * 2
    assert {row["reason"] for row in told.rows(user)} == {None, f"told {limit} times within the hour"}
    assert len(messages(told.settings, address(told, user))) == limit

    told.lab.execute("UPDATE notifications SET created_at = NOW() - INTERVAL 61 MINUTE WHERE user_id = %s", user)
    told.activity(user, known_by=10 * user + limit + 2)
    eventually(lambda: both(told, user, limit + 3), "an hour later told again")
    assert told.rows(user)[-1]["status"] == "sent"


def test_a_hostile_name_reaches_only_its_owner_and_as_text(told: NotifierLab) -> None:
    user = told.lab.new_user_id()
    name = "Eve\r\nBcc: thief@example.com\r\nSubject: free money\u202e 😈 <script>alert(1)</script>"
    told.activity(user, user_first_name=name, user_last_name='"; DROP TABLE notifications; --')
    eventually(lambda: both(told, user), "told")
    (mail,) = messages(told.settings, address(told, user))
    parsed = message_from_string(mail["headers"] + "\n\n", policy=default)
    assert "Bcc" not in parsed
    assert parsed.get_all("Subject") == ["We stopped your account: unusual payments in Germany and France"]
    assert [one.addr_spec for one in parsed["To"].addresses] == [address(told, user)]
    assert "<script>" not in mail["html"]
    assert "Eve Bcc: thief@example.com Subject: free money 😈 <script>" in mail["text"]
    assert messages(told.settings, "thief@example.com") == []
    (push,) = messages(told.settings, topic(told.settings, user))
    assert "😈" in push["text"]


@pytest.mark.parametrize("email", [None, "", "nobody", "eve@example.com\r\nBcc: thief@example.com"])
def test_without_a_usable_address_the_mail_is_undeliverable_and_the_push_message_arrives(
    told: NotifierLab, email: str | None
) -> None:
    user = told.lab.new_user_id()
    record = told.activity(user, user_email=email)
    eventually(lambda: both(told, user), "done with")
    assert {row["channel"]: (row["status"], row["attempts"]) for row in told.rows(user)} == {
        "email": ("undeliverable", 1),
        "push": ("sent", 1),
    }
    (letter,) = [one for one in told.lab.dead_letters() if one["dead_letter_id"] == f"notification-{user}-0-email"]
    assert "the person has no usable e-mail address" in letter["reason"]
    assert (letter["topic"], letter["partition"], letter["offset"]) == (record.topic, record.partition, record.offset)
    assert f'"activity_id":"activity-{user}"' in letter["payload"]


def test_what_is_no_activity_goes_to_dead_letters_and_the_next_is_told(told: NotifierLab) -> None:
    user = told.lab.new_user_id()
    broken = told.activity(user, total_amount_eur="a lot")
    told.activity(user)
    eventually(lambda: both(told, user), "told")
    letter = eventually(lambda: told.lab.letter_of(broken), "the dead letter")
    assert "total_amount_eur" in letter["reason"] or "InvalidOperation" in letter["reason"]


@pytest.mark.slow
def test_a_second_notifier_stands_by_and_takes_over(told: NotifierLab) -> None:
    from tests.support.lab import Service

    second = Service(told.settings, "notifier")
    try:
        users = [told.lab.new_user_id() for _ in range(20)]
        for user in users:
            told.activity(user)
        eventually(lambda: all(both(told, user) for user in users), "told, with two notifiers")
        told.lab.kill_notifier()
        after = told.lab.new_user_id()
        told.activity(after)
        eventually(lambda: both(told, after), "told by the second")
    finally:
        second.stop()
        told.lab.start_notifier()
    for user in (*users, after):
        assert [one["deliveries"] for one in messages(told.settings, address(told, user))] == [1]
