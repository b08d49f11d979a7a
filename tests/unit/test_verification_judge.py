"""The judge's comparison, without MySQL and Kafka."""

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from fraudlab.pipeline.contracts import SKIPPED, Names
from fraudlab.verification import judge
from fraudlab.verification.judge import TOO_LATE, Findings, compare
from fraudlab.verification.records import Records, Skipped, binlog_position, epoch_ms, parse_activity
from fraudlab.verification.truth import Accepted, Expected, Notified, RecomputedPayment, Truth
from tests.support import activity as support

NAMES = Names()
HOUR_MS = 3_600_000
NOON_MS = epoch_ms("2026-01-05T12:00:00Z")
PAYMENTS = {
    1: RecomputedPayment(7, NOON_MS - 60_000, "DE", 60_000, None),
    2: RecomputedPayment(7, NOON_MS, "FR", 50_050, None),
}
TRUTH = Truth(
    payments={1: 7, 2: 7},
    faulty={},
    expected={2: Expected(2, 7, 2, NOON_MS + 5, (1, 2), 2, Decimal("1100.50"), ("DE", "FR"))},
    given_up=frozenset(),
    claimed=PAYMENTS,
    wrong_flags={},
    stopped_in_episode=(),
    declined_without_stop={},
    labels={},
    declined=0,
)
ACTIVITY = support.ACTIVITY | {
    "activity_id": "activity-2",
    "user_id": 7,
    "transaction_id": 2,
    "window_start": "2026-01-05T11:00:00.000Z",
    "window_end": "2026-01-05T12:00:00.000Z",
    "total_amount_eur": "1100.50",
    "transaction_ids": [1, 2],
    "known_by": 2,
    "created_at": "2026-01-05T12:00:00.005Z",
    "detected_at": "2026-01-05T12:00:00.030Z",
}


def payment_envelope(transaction_id: int, pos: int, op: str = "c") -> dict[str, Any]:
    after = {"transaction_id": transaction_id, "user_id": 7}
    return {"op": op, "after": after, "source": {"file": "binlog.000002", "pos": pos, "row": 0}}


def flag_envelope(pos: int, *, was: int, is_now: int) -> dict[str, Any]:
    before, after = ({"user_id": 7, "suspicious_activities": flag} for flag in (was, is_now))
    return {"op": "u", "before": before, "after": after, "source": {"file": "binlog.000002", "pos": pos, "row": 0}}


def records_of(*activities: dict[str, Any], letters: tuple[dict[str, Any], ...] = ()) -> Records:
    records = Records()
    for transaction_id in TRUTH.payments:
        add(records, NAMES.transactions, payment_envelope(transaction_id, 100 * transaction_id))
        add(records, NAMES.transaction_mid, {"transaction_id": transaction_id})
    for activity in activities:
        add(records, NAMES.suspicious_activities, activity)
    for letter in letters:
        add(records, NAMES.dead_letters, letter)
    return records


def add(records: Records, topic: str, record: dict[str, Any]) -> None:
    records.add(NAMES, topic, f"{topic}-0-0", json.dumps(record).encode())


def compared(records: Records, truth: Truth = TRUTH) -> Findings:
    return compare(truth, records, HOUR_MS, 2, Decimal("1000.00"))


def kinds(findings: Findings) -> dict[str, list[str]]:
    lists = {field.name: [one.id for one in getattr(findings, field.name)] for field in dataclasses.fields(findings)}
    return {kind: ids for kind, ids in lists.items() if ids}


def test_what_agrees_gives_no_findings() -> None:
    assert compared(records_of(ACTIVITY)) == Findings()


def test_each_episode_is_told_of_once_by_each_channel() -> None:
    email, push = Notified(7, 3, "email", "sent", None), Notified(7, 3, "push", "withheld", "5 within the hour")
    truth = dataclasses.replace(TRUTH, episodes=frozenset({(7, 3)}), notifications=(email, push))
    assert kinds(compared(records_of(ACTIVITY), truth)) == {}
    for notifications, problem in (
        ((email,), "0 notifications, not 1"),
        ((email, push, push), "2 notifications, not 1"),
        ((email, push._replace(status="pending", reason="no server")), "pending: no server"),
        ((email, push._replace(status="undeliverable")), "undeliverable and not in dead_letters: 5 within the hour"),
    ):
        truth = dataclasses.replace(TRUTH, episodes=frozenset({(7, 3)}), notifications=notifications)
        assert [one.problem for one in compared(records_of(ACTIVITY), truth).wrong_notifications] == [problem]
    truth = dataclasses.replace(TRUTH, notifications=(email,))
    assert kinds(compared(records_of(ACTIVITY), truth)) == {"wrong_notifications": ["notification-7-3-email"]}


def test_an_activity_that_is_not_there_is_missing() -> None:
    findings = compared(records_of())
    assert kinds(findings) == {"missing": ["activity-2"]}
    assert findings.missing[0].user_id == 7


def test_the_same_record_again_is_no_duplicate_but_other_content_is() -> None:
    again = ACTIVITY | {"detected_at": "2026-01-05T12:00:09.000Z"}
    assert kinds(compared(records_of(ACTIVITY, again))) == {}
    other = ACTIVITY | {"user_email": "someone@example.com"}
    assert kinds(compared(records_of(ACTIVITY, other))) == {"duplicate": ["activity-2"]}


def test_an_activity_that_must_not_be_is_extra_even_where_it_meets_the_rule() -> None:
    truth = dataclasses.replace(TRUTH, expected={})
    assert kinds(compared(records_of(ACTIVITY), truth)) == {"extra": ["activity-2"]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"total_amount_eur": "1100.51"}, "total_amount_eur is 1100.51, not 1100.50"),
        ({"countries": ["FR", "DE"]}, "countries are FR,DE, not DE,FR"),
        ({"transaction_count": 3}, "transaction_count is 3, not 2"),
        ({"window_end": "2026-01-05T12:00:00.001Z"}, "window_end is not its payment's transaction_time"),
        ({"window_start": "2026-01-05T10:59:59.999Z"}, "window_start is not a window's length before window_end"),
        ({"user_id": 8}, "payment 1 is of user 7"),
        ({"transaction_ids": [2, 2]}, "a payment twice in transaction_ids"),
        ({"transaction_ids": [1, 9]}, "there is no payment 9"),
        ({"transaction_id": 1}, "it is that of payment 1"),
        ({"created_at": "2026-01-05T12:00:00.004Z"}, "created_at is -1 ms from that of the payment that made it known"),
    ],
)
def test_each_claim_of_an_activity_is_checked(change: dict[str, Any], problem: str) -> None:
    findings = compared(records_of(ACTIVITY | change))
    assert kinds(findings) == {"wrong": ["activity-2"]}
    assert problem in findings.wrong[0].problem


def test_an_activity_that_does_not_list_all_its_payments_is_compared_with_the_recomputation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judge, "MOST_LISTED", 1)
    expected = dataclasses.replace(TRUTH.expected[2], transaction_ids=(2,))
    truth, listing = dataclasses.replace(TRUTH, expected={2: expected}), ACTIVITY | {"transaction_ids": [2]}
    assert kinds(compared(records_of(listing), truth)) == {}
    for change, problem in (
        ({"transaction_ids": [1]}, "transaction_ids are 1, not 2"),
        ({"transaction_ids": [1, 2]}, "transaction_ids are 1, 2, not 2"),
        ({"transaction_count": 3}, "transaction_count is 3, not 2"),
        ({"total_amount_eur": "500.50"}, "total_amount_eur is 500.50, not 1100.50"),
        ({"countries": ["FR"]}, "countries are FR, not DE,FR"),
    ):
        findings = compared(records_of(listing | change), truth)
        assert kinds(findings) == {"wrong": ["activity-2"]}
        assert problem in findings.wrong[0].problem.split("; ")


def test_a_payment_at_the_very_start_of_the_window_is_not_in_it() -> None:
    start = PAYMENTS[1]._replace(event_ms=NOON_MS - HOUR_MS)
    findings = compared(records_of(ACTIVITY), dataclasses.replace(TRUTH, claimed=PAYMENTS | {1: start}))
    assert "payment 1 is not in its window" in findings.wrong[0].problem


def test_a_record_that_is_no_activity_is_wrong() -> None:
    findings = compared(records_of(ACTIVITY, {"activity_id": "activity-2"}))
    assert kinds(findings) == {"wrong": ["suspicious_activities-0-0"]}


@pytest.mark.parametrize(
    "change",
    [
        {"activity_id": "\ud800"},
        {"countries": ["\ud800"]},
        {"total_amount_eur": "sNaN"},
        {"total_amount_eur": "Infinity"},
        {"transaction_id": 10**400},
        {"transaction_ids": [1, 2**63]},
        {"transaction_ids": 7},
        {"user_id": [7]},
    ],
    ids=str,
)
def test_an_activity_with_a_field_that_cannot_be_is_wrong(change: dict[str, Any]) -> None:
    findings = compared(records_of(ACTIVITY, ACTIVITY | change))
    assert kinds(findings) == {"wrong": ["suspicious_activities-0-0"]}
    findings.wrong[0].problem.encode()


def test_an_activity_nested_too_deeply_to_be_read_is_wrong() -> None:
    records = records_of(ACTIVITY)
    records.add(NAMES, NAMES.suspicious_activities, "suspicious_activities-0-1", b"[" * 100_000 + b"]" * 100_000)
    assert kinds(compared(records)) == {"wrong": ["suspicious_activities-0-1"]}


def test_an_id_with_more_digits_than_a_number_may_have_is_a_name_like_any_other() -> None:
    records = records_of(ACTIVITY | {"activity_id": f"activity-{'9' * 5000}"})
    add(records, NAMES.dead_letters, {"dead_letter_id": f"transaction-{'9' * 5000}"})
    assert kinds(compared(records)).keys() == {"missing", "extra", "wrong", "extra_dead_letters"}


@pytest.mark.parametrize("user_id", [None, [7], {"id": 7}, "7"], ids=repr)
def test_a_change_of_nobodys_flag_proves_nothing(user_id: Any) -> None:
    records = records_of(ACTIVITY)
    for change in (flag_envelope(150, was=0, is_now=1), flag_envelope(150, was=0, is_now=1)):
        change["after"]["user_id"] = user_id
        add(records, NAMES.user_profile, change)
    assert kinds(compared(records)) == {}
    assert not records.flag_changes


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        {"file": "binlog.000001"},
        {"file": "binlog.000001", "pos": None},
        {"file": "binlog.000001", "pos": "4"},
        {"file": "binlog.000001", "pos": 4, "row": "first"},
        {"file": "binlog", "pos": 4},
        {"file": ["binlog.000001"], "pos": 4},
        {"file": f"binlog.{'9' * 5000}x", "pos": 4},
    ],
    ids=lambda source: repr(source)[:40],
)
def test_an_envelope_that_does_not_say_where_it_is_from_has_no_position(source: Any) -> None:
    assert binlog_position({"op": "c", "source": source}) is None


@pytest.mark.parametrize("transaction_id", [None, "5", True, 0, -1, 2**63, 10**30], ids=repr)
def test_an_envelope_of_a_payment_that_the_bank_cannot_have_proves_nothing(transaction_id: object) -> None:
    records = Records()
    add(records, NAMES.transactions, {"op": "c", "after": {"transaction_id": transaction_id}, "source": {}})
    assert records.captured == {}


@pytest.mark.parametrize("letter_id", [None, 7, [[]], {}], ids=repr)
def test_a_dead_letter_without_an_id_is_named_by_its_place(letter_id: Any) -> None:
    records = records_of(ACTIVITY, letters=({"dead_letter_id": letter_id, "reason": letter_id},))
    assert [letter.reason for letter in records.dead_letters["dead_letters-0-0"]] == [""]


def test_dead_letters_are_those_of_the_payments_that_do_not_count() -> None:
    late = RecomputedPayment(7, NOON_MS, "DE", 1_000, "too late")
    truth = dataclasses.replace(TRUTH, payments=TRUTH.payments | {3: 7}, faulty={3: late})
    letter = {"dead_letter_id": "transaction-3", "reason": TOO_LATE}
    for letters, expected in [
        ((), {"missing_dead_letters": ["transaction-3"]}),
        ((letter, letter), {}),
        ((letter, letter | {"dead_letter_id": "transaction-1"}), {"extra_dead_letters": ["transaction-1"]}),
        ((letter | {"reason": "amount"},), {"wrong": ["transaction-3"]}),
        ((letter, letter | {"dead_letter_id": "transactions-0-12"}), {}),
    ]:
        records = records_of(ACTIVITY, letters=letters)
        add(records, NAMES.transactions, payment_envelope(3, 300))
        add(records, NAMES.transaction_mid, {"transaction_id": 3})
        assert kinds(compared(records, truth)) == expected


def test_mysql_10_a_payment_that_was_captured_with_moved_columns_may_have_a_dead_letter_and_count_all_the_same() -> (
    None
):
    letter = {
        "dead_letter_id": "transaction-2",
        "reason": "transaction_time is not an ISO 8601 time with a time zone: None",
    }
    records = records_of(ACTIVITY, letters=(letter,))
    assert kinds(compared(records)) == {"extra_dead_letters": ["transaction-2"]}
    add(records, NAMES.transactions, payment_envelope(2, 200, op="r"))
    assert kinds(compared(records)) == {"extra_dead_letters": ["transaction-2"]}, "the same again proves nothing"
    moved = payment_envelope(2, 200, op="r")
    moved["after"]["transaction_time"] = "2026-01-05T12:00:00Z"
    add(records, NAMES.transactions, moved)
    assert kinds(compared(records)) == {}


def test_mysql_11_where_the_binlog_has_a_hole_it_does_not_tell_whether_an_account_was_stopped() -> None:
    records = records_of()
    add(records, NAMES.user_profile, flag_envelope(10, was=0, is_now=1))
    assert records.was_stopped_at(7, 1, otherwise=False)
    add(records, NAMES.user_profile, flag_envelope(150, was=0, is_now=1))  # its reinstatement was purged
    assert not records.was_stopped_at(7, 1, otherwise=False)
    assert records.was_stopped_at(7, 1, otherwise=True)
    assert records.was_stopped_at(7, 2, otherwise=False)


def test_a_payment_that_is_too_late_and_overtaken_has_no_dead_letter() -> None:
    late = RecomputedPayment(7, NOON_MS, "DE", 1_000, "too late and overtaken")
    truth = dataclasses.replace(TRUTH, faulty={3: late})
    assert kinds(compared(records_of(ACTIVITY), truth)) == {}
    letter = {"dead_letter_id": "transaction-3", "reason": TOO_LATE}
    assert kinds(compared(records_of(ACTIVITY, letters=(letter,)), truth)) == {"wrong": ["transaction-3"]}


def test_an_activity_is_given_up_in_dead_letters_only_where_nobody_could_be_told() -> None:
    letters = tuple({"dead_letter_id": f"activity-{number}", "reason": "no profile"} for number in (2, 3, 4))
    truth = dataclasses.replace(TRUTH, given_up=frozenset({4}))
    findings = compared(records_of(ACTIVITY, letters=letters), truth)
    assert kinds(findings) == {"extra_dead_letters": ["activity-2", "activity-3"]}


def test_payments_committed_in_another_order_than_that_of_their_ids_are_known_by_the_binlog() -> None:
    records = Records()
    for transaction_id, pos, op in [
        (1, 0, "r"),
        (3, 0, "r"),
        (5, 500, "c"),
        (4, 900, "c"),
        (2, 800, "c"),
        (6, 950, "c"),
    ]:
        add(records, NAMES.transactions, payment_envelope(transaction_id, pos, op))
    assert records.overtaken() == {2: (5, 1), 4: (5, 2)}


def test_a_payment_that_did_not_reach_a_topic_is_lost() -> None:
    records = records_of(ACTIVITY)
    records.joined.remove(1)
    assert [(one.id, one.problem) for one in compared(records).lost_payments] == [("1", "not in transaction_mid")]


@pytest.mark.parametrize("by_clock", [False, True])
@pytest.mark.parametrize(
    ("flag_changes", "is_a_finding"),
    [
        ([], None),  # nothing but the clock to go by
        ([flag_envelope(150, was=0, is_now=1)], True),
        ([flag_envelope(250, was=0, is_now=1)], False),
        ([flag_envelope(150, was=0, is_now=1), flag_envelope(180, was=1, is_now=0)], False),
    ],
)
def test_the_binlog_decides_whether_a_payment_was_accepted_while_stopped(
    flag_changes: list[dict[str, Any]], is_a_finding: bool | None, by_clock: bool
) -> None:
    """mysql-09: a clock that was set back or forward changes no order."""
    records = records_of(ACTIVITY)
    for change in flag_changes:
        add(records, NAMES.user_profile, change)
    accepted = Accepted(2, 7, "12:00:00.001", "12:00:00.000", after_by_clock=by_clock)
    truth = dataclasses.replace(TRUTH, stopped_in_episode=(accepted,))
    assert kinds(compared(records, truth)) == (
        {"accepted_while_stopped": ["2"]} if (by_clock if is_a_finding is None else is_a_finding) else {}
    )


@pytest.mark.parametrize("by_clock", [False, True])
def test_mysql_11_a_place_in_a_binlog_that_began_again_says_nothing_of_the_order(by_clock: bool) -> None:
    """mysql-11: after RESET MASTER and a snapshot, a stop was before the payments that came days earlier."""
    records = records_of(ACTIVITY)
    profile = {"user_id": 7, "suspicious_activities": 0}
    add(records, NAMES.user_profile, flag_envelope(160, was=0, is_now=0))
    add(records, NAMES.user_profile, {"op": "r", "before": None, "after": profile, "source": {"file": "", "pos": 0}})
    add(records, NAMES.user_profile, flag_envelope(150, was=0, is_now=1))
    accepted = Accepted(2, 7, "12:00:00.001", "12:00:00.000", after_by_clock=by_clock)
    truth = dataclasses.replace(TRUTH, stopped_in_episode=(accepted,))
    assert kinds(compared(records, truth)) == ({"accepted_while_stopped": ["2"]} if by_clock else {})


def test_a_binlog_file_of_more_digits_comes_later() -> None:
    def in_file(file: str, op: str = "c") -> Any:
        return binlog_position({"op": op, "source": {"file": file, "pos": 4, "row": 0}})

    assert in_file("binlog.999999") < in_file("binlog.1000000")
    assert in_file("binlog.000001", op="r") is None


def test_an_amount_that_is_a_json_number_is_read_without_loss() -> None:
    value = json.dumps(ACTIVITY).replace('"1100.50"', "1100.50").encode()
    assert parse_activity(value).total_eur == Decimal("1100.50")


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        epoch_ms("2026-01-05T12:00:00")


def test_mysql_03_a_payment_that_mysql_does_not_have_and_did_not_delete_is_found() -> None:
    """mysql-03: where XA could not be refused, verify finds what was rolled back."""
    records = records_of(ACTIVITY)
    add(records, NAMES.transactions, payment_envelope(9, 300))
    assert kinds(compared(records, TRUTH)) == {"unknown_payments": ["9"]}
    assert kinds(compared(records, dataclasses.replace(TRUTH, deleted=frozenset({9})))) == {}


def test_an_activity_that_names_another_payment_as_the_one_that_made_it_known_is_wrong() -> None:
    assert kinds(compared(records_of(ACTIVITY | {"known_by": 1}), TRUTH)) == {"wrong": ["activity-2"]}
    assert kinds(compared(records_of(ACTIVITY | {"known_by": 2}), TRUTH)) == {}


# Records that a person had a job skip


def skipped_letter(topic: str, payload: dict[str, Any], place: str = "") -> dict[str, Any]:
    return {
        "dead_letter_id": place or f"{topic}-0-9",
        "reason": SKIPPED,
        "topic": topic,
        "payload": json.dumps(payload),
    }


@pytest.mark.parametrize(
    ("topic", "payload", "payment", "profile"),
    [
        (NAMES.transactions, payment_envelope(5, 100), 5, None),
        (NAMES.transactions, {"op": "d", "before": {"transaction_id": 5}, "after": None}, None, None),
        (NAMES.transaction_mid, {"transaction_id": 5}, 5, None),
        (NAMES.transaction_mid, {"transaction_id": "poison"}, None, None),
        (NAMES.transaction_mid, {"after": {"transaction_id": 5}}, None, None),
        (NAMES.user_profile, flag_envelope(100, was=0, is_now=1), None, 7),
        (NAMES.user_profile, {"op": "d", "before": {"user_id": 7}, "after": None}, None, 7),
    ],
)
def test_a_skipped_record_is_known_by_its_dead_letter(
    topic: str, payload: dict[str, Any], payment: int | None, profile: int | None
) -> None:
    records = Records()
    add(records, NAMES.dead_letters, skipped_letter(topic, payload))
    assert records.skipped == {f"{topic}-0-9": Skipped(f"{topic}-0-9", payment, profile)}


def passing_over(topic: str, payload: dict[str, Any]) -> Records:
    """Nothing read yet; the record at offset 0 is passed over."""
    records = Records()
    add(records, NAMES.dead_letters, skipped_letter(topic, payload, f"{topic}-0-0"))
    return Records(passed_over=records.skipped)


def test_a_payment_that_was_passed_over_does_not_count_until_it_comes_again() -> None:
    records = passing_over(NAMES.transaction_mid, {"transaction_id": 5})
    add(records, NAMES.transaction_mid, {"transaction_id": 5})
    assert (records.joined, records.uncounted, records.overtaken()) == (set(), {5}, {})
    for offset, payment in enumerate((6, 8, 5, 9, 5), start=1):
        value = json.dumps({"transaction_id": payment}).encode()
        records.add(NAMES, NAMES.transaction_mid, f"{NAMES.transaction_mid}-0-{offset}", value)
    assert (records.uncounted, records.overtaken()) == (set(), {5: (8, 1)})


def test_the_detector_passes_over_a_payment_that_the_join_sends_again() -> None:
    joined = b'{"transaction_id":5,"user_id":7}'
    records = passing_over(NAMES.transaction_mid, {"transaction_id": 5})
    for offset, value in enumerate((joined, joined, b'{"transaction_id":55,"user_id":7}')):
        records.add(NAMES, NAMES.transaction_mid, f"{NAMES.transaction_mid}-0-{offset}", value)
    assert (records.joined, records.uncounted) == ({55}, {5})


def test_a_user_has_no_profile_while_the_first_one_was_passed_over() -> None:
    profile = {"op": "c", "before": None, "after": {"user_id": 7}}
    records = passing_over(NAMES.user_profile, profile)
    add(records, NAMES.user_profile, profile)
    assert records.without_profile == {7}
    records = passing_over(NAMES.user_profile, profile)
    records.add(NAMES, NAMES.user_profile, f"{NAMES.user_profile}-0-1", json.dumps(profile).encode())
    add(records, NAMES.user_profile, profile)
    assert records.without_profile == set(), "the one before holds"


@pytest.mark.parametrize("field", ["transaction_id", "user_id"])
def test_poison_04_true_for_an_integer_is_no_payment(field: str) -> None:
    """poison-04: the join makes one dead letter of it, and no payment is missing or unknown."""
    envelope = payment_envelope(99, 900)
    envelope["after"][field] = True
    records = records_of(ACTIVITY)
    add(records, NAMES.transactions, envelope)
    add(
        records,
        NAMES.dead_letters,
        {"dead_letter_id": f"{NAMES.transactions}-0-9", "reason": f"after has no integer {field}"},
    )
    assert compared(records) == Findings()
