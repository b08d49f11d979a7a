"""What the demo says of the fraud that it commits itself, and when it calls it caught."""

import time
from dataclasses import replace

import pytest

from fraudlab.demo_fraud import DemoFraud
from fraudlab.pipeline.records import Activity, example, iso
from fraudlab.services.staged_fraud import Evidence, StagedFraud, Try
from fraudlab.settings import Settings

BEGAN_MS = 1_800_000_000_000
OWNER = Try(False, "12.00", "EUR", "DE", "Bakery")
THIEF = Try(True, "2,400.00", "PLN", "PL", "Elektro")
REFUSED = Try(True, "300.00", "PLN", "PL", "Elektro", "the account is stopped")
SEEN = Evidence(
    payment_ms=BEGAN_MS + 100,
    activity_ms=BEGAN_MS + 113,
    flag_ms=BEGAN_MS + 125,
    email_ms=BEGAN_MS + 160,
    push_ms=BEGAN_MS + 161,
    refusal_ms=BEGAN_MS + 700,
    refusal="the account is stopped",
)


def demo_fraud(fraud: StagedFraud | None) -> DemoFraud:
    demo = DemoFraud(Settings(), database=None)
    demo.fraud = fraud
    return demo


def staged(seen: Evidence = SEEN) -> StagedFraud:
    return StagedFraud(42, "Ada Lovelace", BEGAN_MS, (OWNER, THIEF, REFUSED), seen, played=True)


def test_a_caught_fraud_is_told_step_by_step_with_milliseconds() -> None:
    demo = demo_fraud(staged())
    assert demo.is_caught
    assert demo.is_complete
    assert demo.lines() == [
        "The demo commits a fraud itself: a thief has copied the card of Ada Lovelace (user 42).",
        "Payment: 2,400.00 PLN in PL, Elektro",
        "Activity after 13 ms: the rule is met: the alert is in Kafka",
        "Flag after 25 ms: the account is stopped",
        "E-mail after 60 ms: accepted by the mail server",
        "Push after 61 ms: accepted by the push server",
        "Refusal after 600 ms: the account is stopped",
    ]
    assert demo.report(BEGAN_MS / 1000 - 10) == {
        "user_id": 42,
        "after_ms": {"activity": 13, "flag": 25, "e-mail": 60, "push": 61, "refusal": 600},
        "caught_s": 10.7,
    }


def test_an_alert_that_is_quicker_than_the_banks_answer_to_the_thief_is_not_shown_with_the_owners_payment() -> None:
    demo = demo_fraud(replace(staged(), tries=(OWNER,)))
    assert not any(line.startswith("Payment") for line in demo.lines())
    demo._news.append(lambda now: now.tried(THIEF))
    assert demo.lines()[1] == "Payment: 2,400.00 PLN in PL, Elektro"


def test_news_is_what_was_not_said_yet() -> None:
    demo = demo_fraud(staged(Evidence()))
    assert len(demo.news()) == 1
    assert demo.news() == []
    demo.fraud = staged(replace(SEEN, refusal_ms=None))
    assert [line.split()[0] for line in demo.news()] == ["Payment:", "Activity", "Flag", "E-mail", "Push"]


@pytest.mark.parametrize(
    "seen", [replace(SEEN, activity_ms=None), replace(SEEN, flag_ms=None), replace(SEEN, refusal_ms=None)]
)
def test_a_fraud_is_not_caught_before_alert_stop_and_refusal_are_there(seen: Evidence) -> None:
    assert not demo_fraud(staged(seen)).is_caught


def test_a_message_that_could_not_be_sent_keeps_no_fraud_from_being_caught_and_is_told() -> None:
    demo = demo_fraud(staged(replace(SEEN, email_ms=None, email_problem="undeliverable: no such mailbox")))
    assert demo.is_caught
    assert demo.is_complete
    assert "E-mail not sent: undeliverable: no such mailbox" in demo.lines()


def test_an_activity_from_before_the_fraud_or_of_another_user_is_not_taken_for_it() -> None:
    demo = demo_fraud(staged(Evidence()))
    for user_id, created_ms in ((42, BEGAN_MS - 1), (43, BEGAN_MS + 100)):
        demo.take(example(Activity, user_id=user_id, created_at=iso(created_ms)), BEGAN_MS + 113)
        assert demo.fraud is not None
        assert demo.fraud.evidence == Evidence()
    demo.take(example(Activity, user_id=42, created_at=iso(BEGAN_MS + 100)), BEGAN_MS + 113)
    assert demo.fraud is not None
    assert demo.fraud.evidence == Evidence(payment_ms=BEGAN_MS + 100, activity_ms=BEGAN_MS + 113)


def test_where_no_payment_comes_through_nothing_is_committed_and_the_wait_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = demo_fraud(None)
    demo.look(payments=0)
    assert (demo.fraud, demo.is_complete) == (None, False)
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 61)
    assert (demo.is_hopeless, demo.is_complete, demo.is_caught) == (True, True, False)
    assert (demo.lines(), demo.report(0)) == ([], {})
    monkeypatch.setattr(demo, "_unhealthy", lambda: ["fraud-detector is RESTARTING", "flagger does not run"])
    assert demo.why_not_caught() == (
        "no payment of the bank came through within 60 s (fraud-detector is RESTARTING; flagger does not run)"
    )


def test_what_did_not_come_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = demo_fraud(staged(replace(SEEN, flag_ms=None, refusal_ms=None)))
    monkeypatch.setattr(demo, "_unhealthy", lambda: [])
    assert demo.why_not_caught() == "no flag, no refusal within 60 s"


def test_what_stopped_the_thief_is_the_reason() -> None:
    demo = demo_fraud(replace(staged(Evidence()), error="MySQL did not answer within 5 s"))
    assert demo.is_complete
    assert demo.why_not_caught() == "MySQL did not answer within 5 s"
    assert demo.lines()[-1] == "The thief could not go on: MySQL did not answer within 5 s"
