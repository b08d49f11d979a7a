"""The rule, with time moved by hand. W = 60 min, lateness 30 min, two countries, 1,000.00 EUR."""

import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from fraudlab.pipeline import rule as rule_module
from fraudlab.pipeline.history import Payment, forget_payments, has_payments, quiet_since_ms
from fraudlab.pipeline.rule import MOST_LISTED, Arrival, Rule, SuspiciousHour, Verdict, judge

RULE = Rule()
MS, SECOND, MINUTE, HOUR = 1, 1_000, 60_000, 3_600_000
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z


class User:
    """One user's history, and what the rule said about each of the payments shown."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.rule = rule
        self.history = b""

    def pays(self, transaction_id: int, after_ms: int, eur: int, country: str) -> Verdict:
        """Shows a payment of `eur` whole euros, `after_ms` after noon."""
        return self.pays_cents(transaction_id, after_ms, eur * 100, country)

    def pays_cents(self, transaction_id: int, after_ms: int, cents: int, country: str) -> Verdict:
        payment = Payment(NOON + after_ms, transaction_id, cents, country.encode())
        verdict = judge(self.rule, self.history, payment)
        self.history = verdict.history
        return verdict


def raised(verdict: Verdict) -> list[int]:
    return [hour.transaction_id for hour in verdict.hours]


@pytest.fixture
def user() -> User:
    return User()


# What makes an hour suspicious


def test_two_countries_and_the_threshold_within_the_hour_are_suspicious(user: User) -> None:
    assert raised(user.pays(1, 0, 400, "FR")) == []
    # FR 400 + DE 600 = 1,000 EUR in 10 minutes
    verdict = user.pays(2, 10 * MINUTE, 600, "DE")
    assert verdict.arrival is Arrival.COUNTED
    assert verdict.hours == (
        SuspiciousHour(
            transaction_id=2,
            start_ms=NOON + 10 * MINUTE - HOUR,
            end_ms=NOON + 10 * MINUTE,
            total_eur_cents=100_000,
            countries=(b"DE", b"FR"),
            transaction_count=2,
            transaction_ids=(1, 2),
        ),
    )


def test_the_threshold_is_met_by_its_exact_amount(user: User) -> None:
    user.pays_cents(1, 0, 99_999, "FR")
    # 999.99 + 0.01 = 1,000.00
    assert raised(user.pays_cents(2, SECOND, 1, "DE")) == [2]


def test_one_cent_below_the_threshold_is_not_suspicious(user: User) -> None:
    user.pays_cents(1, 0, 99_998, "FR")
    # 999.98 + 0.01 = 999.99
    assert raised(user.pays_cents(2, SECOND, 1, "DE")) == []


def test_one_country_is_never_suspicious_whatever_the_amount(user: User) -> None:
    for transaction_id in range(1, 50):
        assert raised(user.pays(transaction_id, transaction_id * SECOND, 1_000_000, "FR")) == []


def test_every_further_payment_of_a_suspicious_hour_is_raised_too(user: User) -> None:
    user.pays(1, 0, 900, "FR")
    assert raised(user.pays(2, 1 * MINUTE, 100, "DE")) == [2]
    # its hour holds 900 + 100 + 1 = 1,001 EUR from FR and DE
    verdict = user.pays(3, 2 * MINUTE, 1, "FR")
    assert raised(verdict) == [3]
    assert verdict.hours[0].total_eur_cents == 100_100


def test_countries_are_sorted_and_named_once(user: User) -> None:
    user.pays(1, 0, 1, "IT")
    user.pays(2, 1, 1, "DE")
    user.pays(3, 2, 1, "IT")
    assert user.pays(4, 3, 5000, "AT").hours[0].countries == (b"AT", b"DE", b"IT")


def test_the_number_of_countries_is_configuration() -> None:
    user = User(Rule(min_countries=3))
    user.pays(1, 0, 5000, "FR")
    assert raised(user.pays(2, 1, 5000, "DE")) == []
    assert raised(user.pays(3, 2, 1, "IT")) == [3]


# The window's edges: (t - 1 h, t]


def test_a_payment_one_millisecond_less_than_an_hour_before_is_inside_the_window(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    # t - 1 h = 12:00:00.000 - 1 ms, which lies before the first payment
    assert raised(user.pays(2, HOUR - MS, 600, "DE")) == [2]


def test_a_payment_exactly_one_hour_before_is_outside_the_window(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    # t - 1 h = 12:00:00.000, and the window is open there
    assert raised(user.pays(2, HOUR, 600, "DE")) == []


def test_a_payment_one_millisecond_more_than_an_hour_before_is_outside_the_window(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    assert raised(user.pays(2, HOUR + MS, 600, "DE")) == []


def test_the_window_slides_with_each_payment_not_by_the_clock(user: User) -> None:
    # 12:50 and 13:10 share no hour of the clock, but the hour (12:10, 13:10]
    user.pays(1, 50 * MINUTE, 600, "FR")
    assert raised(user.pays(2, 70 * MINUTE, 600, "DE")) == [2]


@pytest.mark.parametrize(("first", "second"), [("FR", "DE"), ("DE", "FR")])
def test_payments_at_the_same_moment_are_in_each_others_hour(user: User, first: str, second: str) -> None:
    assert raised(user.pays(1, 0, 600, first)) == []
    # each one's hour now holds both: 1,200 EUR from two countries
    assert raised(user.pays(2, 0, 600, second)) == [1, 2]


def test_payments_at_the_same_moment_whose_ids_arrive_in_reverse_are_in_each_others_hour(user: User) -> None:
    assert raised(user.pays(2, 0, 600, "FR")) == []
    assert raised(user.pays(1, 0, 600, "DE")) == [1, 2]


# Which payments an hour lists


def test_an_hour_of_as_many_payments_as_may_be_listed_lists_all_of_them(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_module, "MOST_LISTED", 3)
    user.pays(1, 0, 1, "FR")
    user.pays(2, SECOND, 1, "FR")
    (hour,) = user.pays(3, 2 * SECOND, 5_000, "DE").hours
    assert (hour.transaction_count, hour.transaction_ids) == (3, (1, 2, 3))


def test_an_hour_of_more_payments_lists_the_latest_that_end_with_its_own(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_module, "MOST_LISTED", 3)
    user.pays(1, 0, 5_000, "FR")
    user.pays(5, 10 * SECOND, 1, "FR")
    user.pays(2, 20 * SECOND, 1, "FR")
    # three at the same moment: each is in the hour of the others, and lists none with a higher id than its own
    user.pays(3, 30 * SECOND, 1, "FR")
    user.pays(6, 30 * SECOND, 1, "FR")
    hours = user.pays(4, 30 * SECOND, 1, "DE").hours
    assert {hour.transaction_id: hour.transaction_ids for hour in hours} == {3: (5, 2, 3), 4: (2, 3, 4), 6: (3, 4, 6)}
    assert {(hour.transaction_count, hour.total_eur_cents, hour.countries) for hour in hours} == {
        (6, 500_500, (b"DE", b"FR"))
    }


def test_an_hour_never_lists_a_payment_before_it(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule_module, "MOST_LISTED", 2)
    user.pays(1, 0, 1, "FR")
    user.pays(2, 61 * MINUTE, 5_000, "FR")
    user.pays(3, 61 * MINUTE, 1, "FR")
    hours = user.pays(4, 61 * MINUTE, 1, "DE").hours
    assert {hour.transaction_id: hour.transaction_ids for hour in hours} == {2: (2,), 3: (2, 3), 4: (3, 4)}


# Late payments


def test_a_late_payment_makes_the_hour_of_an_earlier_seen_one_suspicious(user: User) -> None:
    assert raised(user.pays(1, 10 * MINUTE, 600, "FR")) == []
    # 12:05 arrives after 12:10: its own hour holds only itself, that of payment 1 holds both
    verdict = user.pays(2, 5 * MINUTE, 600, "DE")
    assert raised(verdict) == [1]
    assert verdict.hours[0].transaction_ids == (2, 1)


def test_a_late_payment_and_one_already_seen_are_both_raised_each_once(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    assert raised(user.pays(2, 20 * MINUTE, 300, "FR")) == []
    # at 12:10: its hour holds 600 FR + 500 DE = 1,100; that of 12:20 holds 1,400
    assert raised(user.pays(3, 10 * MINUTE, 500, "DE")) == [3, 2]
    assert raised(user.pays(3, 10 * MINUTE, 500, "DE")) == []
    assert raised(user.pays(2, 20 * MINUTE, 300, "FR")) == []


def test_a_late_payment_hides_no_later_one_from_its_country(user: User) -> None:
    user.pays(1, 50 * MINUTE, 300, "DE")
    user.pays(2, 60 * MINUTE, 300, "FR")
    user.pays(3, 35 * MINUTE, 300, "DE")
    # (12:40, 13:40] holds the payment of 12:50, and not the one of 12:35
    assert raised(user.pays(4, 100 * MINUTE, 400, "FR")) == [4]


def test_a_late_payment_does_not_raise_an_hour_again(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    assert raised(user.pays(2, 20 * MINUTE, 600, "DE")) == [2]
    # 12:10 is in the hour of payment 2, which was raised; its own hour holds 601 EUR
    assert raised(user.pays(3, 10 * MINUTE, 1, "FR")) == []


def test_a_late_payment_changes_hours_up_to_one_millisecond_before_an_hour_after_it() -> None:
    user = User(Rule(allowed_lateness_ms=2 * HOUR))
    user.pays(1, HOUR - MS, 600, "FR")
    user.pays(2, HOUR, 600, "FR")
    # 12:00 lies in (11:59:59.999, 12:59:59.999] but not in (12:00, 13:00]
    assert raised(user.pays(3, 0, 600, "DE")) == [1]


def test_a_payment_exactly_as_late_as_allowed_counts(user: User) -> None:
    user.pays(1, 30 * MINUTE, 600, "FR")
    verdict = user.pays(2, 0, 600, "DE")
    assert (verdict.arrival, raised(verdict)) == (Arrival.COUNTED, [1])


def test_a_payment_one_millisecond_later_than_allowed_does_not_count(user: User) -> None:
    user.pays(1, 30 * MINUTE + MS, 600, "FR")
    verdict = user.pays(2, 0, 600, "DE")
    assert (verdict.arrival, raised(verdict)) == (Arrival.TOO_LATE, [])
    # nor does it count for those that follow: 600 FR + 100 FR
    assert raised(user.pays(3, 31 * MINUTE, 100, "FR")) == []


def test_lateness_is_measured_from_the_newest_payment_not_from_the_last_one(user: User) -> None:
    user.pays(1, 40 * MINUTE, 1, "FR")
    user.pays(2, 15 * MINUTE, 1, "FR")
    # 10 minutes before payment 2, but 35 before payment 1
    assert user.pays(3, 5 * MINUTE, 600, "DE").arrival is Arrival.TOO_LATE


def test_a_payment_that_is_too_late_moves_no_limit(user: User) -> None:
    user.pays(1, 60 * MINUTE, 600, "FR")
    user.pays(2, 0, 600, "DE")
    assert user.pays(3, 30 * MINUTE, 600, "IT").arrival is Arrival.COUNTED


# Duplicates and replays


def test_a_payment_shown_twice_counts_once(user: User) -> None:
    user.pays(1, 0, 500, "FR")
    again = user.pays(1, 0, 500, "FR")
    assert (again.arrival, again.hours) == (Arrival.DUPLICATE, ())
    # 500 + 499 = 999 EUR; counted twice it would be 1,499
    assert raised(user.pays(2, MINUTE, 499, "DE")) == []


def test_a_payment_shown_again_with_another_time_counts_once(user: User) -> None:
    user.pays(1, 0, 500, "FR")
    user.pays(2, 20 * MINUTE, 1, "FR")
    for after_ms in (10 * MINUTE, 20 * MINUTE, 30 * MINUTE):
        assert user.pays(1, after_ms, 500, "DE").arrival is Arrival.DUPLICATE


def test_a_raised_payment_shown_again_is_not_raised_again(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    assert raised(user.pays(2, MINUTE, 600, "DE")) == [2]
    assert raised(user.pays(1, 0, 600, "FR")) == []
    assert raised(user.pays(2, MINUTE, 600, "DE")) == []


def test_a_duplicate_leaves_the_history_as_it_was(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    before = user.pays(2, MINUTE, 600, "DE").history
    assert user.pays(1, 0, 600, "FR").history == before


def test_a_payment_that_was_too_late_is_a_duplicate_when_shown_again(user: User) -> None:
    user.pays(1, HOUR, 600, "FR")
    assert user.pays(2, 0, 600, "DE").arrival is Arrival.TOO_LATE
    assert user.pays(2, 0, 600, "DE").arrival is Arrival.DUPLICATE


def test_a_replay_of_a_pruned_payment_is_a_duplicate(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    user.pays(2, 3 * HOUR, 600, "DE")
    again = user.pays(1, 0, 600, "FR")
    assert (again.arrival, again.hours) == (Arrival.DUPLICATE, ())


def test_a_replay_of_everything_raises_nothing(user: User) -> None:
    payments = [(1, 0, "FR"), (2, 10 * MINUTE, "DE"), (3, 5 * MINUTE, "IT"), (4, 2 * HOUR, "FR"), (5, 2 * HOUR, "DE")]
    first = [raised(user.pays(number, after_ms, 600, country)) for number, after_ms, country in payments]
    assert first == [[], [2], [3], [], [4, 5]]
    replay = [raised(user.pays(number, after_ms, 600, country)) for number, after_ms, country in payments]
    assert replay == [[], [], [], [], []]


def test_ids_may_arrive_out_of_order(user: User) -> None:
    user.pays(7, 10 * MINUTE, 600, "FR")
    verdict = user.pays(3, 5 * MINUTE, 600, "DE")
    assert (verdict.arrival, raised(verdict)) == (Arrival.COUNTED, [7])
    assert user.pays(3, 5 * MINUTE, 600, "DE").arrival is Arrival.DUPLICATE


# The history


def test_the_history_does_not_grow_with_the_number_of_payments(user: User) -> None:
    sizes = [len(user.pays(minute, minute * MINUTE, 1, "FR").history) for minute in range(1, 2_000)]
    # one a minute, kept for 60 + 30 minutes: it is full after 90
    assert len(set(sizes[90:])) == 1
    assert max(sizes) == sizes[-1]


def test_pruning_keeps_what_the_latest_possible_payment_needs(user: User) -> None:
    user.pays(1, MS, 600, "FR")
    user.pays(2, 90 * MINUTE, 1, "FR")
    # 13:00 is exactly 30 minutes late; its hour (12:00, 13:00] still holds payment 1
    verdict = user.pays(3, 60 * MINUTE, 600, "DE")
    assert raised(verdict) == [3]
    assert verdict.hours[0].transaction_ids == (1, 3)


def test_histories_of_two_users_have_nothing_to_do_with_each_other() -> None:
    one, other = User(), User()
    one.pays(1, 0, 600, "FR")
    assert raised(other.pays(2, MINUTE, 600, "DE")) == []


# Forgetting a user who has been quiet


def test_what_was_seen_before_forgetting_is_a_duplicate_afterwards(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    assert raised(user.pays(2, MINUTE, 600, "DE")) == [2]
    user.history = forget_payments(user.history)
    assert not has_payments(user.history)
    for transaction_id, country in ((1, "FR"), (2, "DE")):
        again = user.pays(transaction_id, (transaction_id - 1) * MINUTE, 600, country)
        assert (again.arrival, again.hours) == (Arrival.DUPLICATE, ())
    # also once a new payment has filled the history again
    user.pays(3, 2 * MINUTE, 600, "IT")
    assert user.pays(2, MINUTE, 600, "DE").arrival is Arrival.DUPLICATE


def test_what_is_too_late_is_too_late_after_forgetting(user: User) -> None:
    user.pays(1, HOUR, 600, "FR")
    user.history = forget_payments(user.history)
    assert quiet_since_ms(user.history) == NOON + HOUR
    assert user.pays(2, 30 * MINUTE - MS, 600, "DE").arrival is Arrival.TOO_LATE
    assert user.pays(3, 30 * MINUTE, 600, "DE").arrival is Arrival.COUNTED


def test_a_user_is_quiet_once_no_payment_that_is_still_to_come_can_reach_back() -> None:
    rule = Rule(max_age_ms=24 * HOUR)
    # stored at s, a payment happened at s - 24 h at the earliest; its hour begins at s - 25 h
    assert rule.quiet_ms == 25 * HOUR


def test_forgetting_twice_is_forgetting_once(user: User) -> None:
    forgotten = forget_payments(user.pays(1, 0, 600, "FR").history)
    assert forget_payments(forgotten) == forgotten


# One user's many payments. The limits are far above what it takes (0.03 and 0.05 ms) and far below what it took.


def many(number: int, countries: str, cents: int) -> User:
    """A user with so many payments within 50 minutes."""
    user = User()
    for each in range(1, number + 1):
        user.pays_cents(each, each * 50 * MINUTE // number, cents, countries.split()[each % len(countries.split())])
    return user


def least_ms(attempt: Callable[[], object], times: int = 5) -> float:
    """The shortest of some attempts, in ms: the machine may be busy."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        attempt()
        seconds.append(time.perf_counter() - began)
    return min(seconds) * 1000


def test_rule_01_a_late_payment_among_10_000_of_one_country_takes_no_time() -> None:
    """rule-01: it took 5.5 s."""
    user = many(10_000, "DE", 100)
    late = Payment(NOON + 22 * MINUTE, 10_001, 100, b"DE")
    assert judge(RULE, user.history, late).arrival is Arrival.COUNTED
    assert least_ms(lambda: judge(RULE, user.history, late)) < 1.5


def test_rule_01_a_late_payment_among_10_000_of_two_countries_is_linear() -> None:
    """rule-01, the worst case: every hour after it changes."""
    user = many(10_000, "DE FR", 1)
    late = Payment(NOON + 22 * MINUTE, 10_001, 1, b"DE")
    assert least_ms(lambda: judge(RULE, user.history, late)) < 500


def test_rule_01_a_payment_sent_again_among_10_000_takes_no_time() -> None:
    """rule-01, a duplicate: a changed profile makes the join send every payment again."""
    user = many(10_000, "DE FR", 1)
    again = Payment(NOON + 5_000 * 50 * MINUTE // 10_000, 5_000, 1, b"DE")
    assert judge(RULE, user.history, again).arrival is Arrival.DUPLICATE
    assert least_ms(lambda: judge(RULE, user.history, again)) < 0.4


@pytest.mark.parametrize("countries", ["DE FR", "DE FR IT PL"])
def test_rule_02_payments_of_a_user_with_10_000_in_several_countries_take_no_time(countries: str) -> None:
    """rule-02: each took 9 ms."""
    user = many(10_000, countries, 1)
    next_one = Payment(NOON + 50 * MINUTE + SECOND, 10_001, 1, b"FR")
    same_moment = Payment(NOON + 50 * MINUTE, 10_001, 1, b"FR")
    assert least_ms(lambda: judge(RULE, user.history, next_one)) < 1
    assert least_ms(lambda: judge(RULE, user.history, same_moment)) < 1


def test_rule_02_a_suspicious_hour_of_10_000_payments_costs_little_more_than_its_list_of_ids() -> None:
    """rule-02, where the hour is suspicious. Of its payments it lists the latest."""
    user = many(10_000, "DE FR", 1)
    large = Payment(NOON + 50 * MINUTE + SECOND, 10_001, 100_000, b"FR")
    (hour,) = judge(RULE, user.history, large).hours
    assert hour.transaction_count == 10_001
    assert hour.transaction_ids == tuple(range(10_002 - MOST_LISTED, 10_002))
    assert least_ms(lambda: judge(RULE, user.history, large)) < 5


def steps(attempt: Callable[[], object]) -> int:
    """How many bytecode instructions of the pipeline an attempt runs. One that copies bytes, however many, counts once."""
    instructions = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal instructions
        if "/fraudlab/pipeline/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        instructions += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        attempt()
    finally:
        sys.settrace(before)
    return instructions


@pytest.mark.parametrize("countries", ["DE", "DE FR"])
def test_a_payment_in_order_takes_the_same_steps_whatever_the_user_has_paid(countries: str) -> None:
    few, many_more = many(MOST_LISTED, countries, 1), many(10_000, countries, 1)

    def pay(user: User, number: int, cents: int) -> Callable[[], object]:
        return lambda: judge(RULE, user.history, Payment(NOON + 51 * MINUTE, number, cents, b"DE"))

    for cents in (1, 100_000):  # with the second the hour of the user with two countries is suspicious
        assert steps(pay(many_more, 10_001, cents)) == steps(pay(few, MOST_LISTED + 1, cents)) < 1_000


@pytest.mark.parametrize("countries", ["DE", "DE FR"])
def test_a_late_payment_takes_steps_in_proportion_to_what_the_user_has_paid(countries: str) -> None:
    """The worst case: every hour after it is raised. Among 10,000 it took 5.5 s."""
    for number in (1_000, 10_000):
        user = many(number, countries, 1)
        late = Payment(NOON + 22 * MINUTE, number + 1, 100_000, b"DE")
        for rule in (RULE, Rule(window_ms=10 * MINUTE)):  # the second's window slides on, too
            assert steps(partial(judge, rule, user.history, late)) < 500 * number
        hours = judge(RULE, user.history, late).hours
        assert len(hours) == (0 if countries == "DE" else number * 28 // 50 + 2)
        assert all(len(hour.transaction_ids) == min(hour.transaction_count, MOST_LISTED) for hour in hours)


def test_a_history_goes_on_under_a_rule_with_another_window(user: User) -> None:
    user.pays(1, 0, 600, "FR")
    user.pays(2, 40 * MINUTE, 1, "DE")
    user.rule = Rule(window_ms=80 * MINUTE)
    assert user.pays(3, 70 * MINUTE, 600, "DE").hours[0].transaction_ids == (1, 2, 3)
    user.rule = Rule(window_ms=20 * MINUTE)
    assert raised(user.pays(4, 71 * MINUTE, 600, "DE")) == []
