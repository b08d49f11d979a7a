"""The rule against a recomputation from scratch, over generated sequences of one user's payments."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudlab.pipeline import rule as rule_module
from fraudlab.pipeline.history import History, Payment, forget_payments
from fraudlab.pipeline.history_layout import ELSEWHERE, HEADER, ROW
from fraudlab.pipeline.rule import Arrival, Rule, SuspiciousHour, judge

MINUTE = 60_000
REPRODUCIBLE = settings(derandomize=True, deadline=None, max_examples=300)

# Round distances meet every edge of window and lateness; one millisecond either side misses it.
START_MS = 10**9
TIMES_MS = [START_MS + tens * 10 * MINUTE + ms for tens in range(25) for ms in (-1, 0, 0, 0, 1)]
AMOUNTS = (1, 20_000, 40_000, 50_000, 60_000, 99_999, 100_000)
COUNTRIES = (b"FR", b"DE", b"IT")
rules = st.builds(
    Rule,
    window_ms=st.sampled_from((60 * MINUTE, 60 * MINUTE, 20 * MINUTE, 1)),
    min_countries=st.sampled_from((2, 2, 2, 1, 3)),
    threshold_eur_cents=st.sampled_from((100_000, 100_000, 60_001, 1)),
    allowed_lateness_ms=st.sampled_from((30 * MINUTE, 30 * MINUTE, 0, 10 * MINUTE, 240 * MINUTE)),
)


def payments_in_bank_order(most: int = 14) -> st.SearchStrategy[list[Payment]]:
    """Payments with ascending ids and any event times, equal ones among them."""
    rows = st.sampled_from(list(product(TIMES_MS, AMOUNTS, COUNTRIES)))
    # Of payments in any order, most are too late. Of those that are delayed by up to half an hour, few are.
    delayed = st.lists(st.tuples(rows, st.sampled_from((0, 0, 0, 10, 30))), min_size=1, max_size=most).map(
        lambda drawn: [row for row, _ in sorted(drawn, key=lambda one: one[0][0] + one[1] * MINUTE)]
    )
    return st.one_of(st.lists(rows, min_size=1, max_size=most), delayed).map(
        lambda drawn: [
            Payment(time_ms, number, cents, country) for number, (time_ms, cents, country) in enumerate(drawn, start=1)
        ]
    )


# The recomputation


def counted(rule: Rule, payments: Sequence[Payment]) -> list[Payment]:
    """Those that are not too late; `payments` in the bank's order, each once."""
    kept = []
    for index, payment in enumerate(payments):
        newest_ms = max((earlier.time_ms for earlier in payments[:index]), default=payment.time_ms)
        if payment.time_ms >= newest_ms - rule.allowed_lateness_ms:
            kept.append(payment)
    return kept


def window(rule: Rule, last: Payment, payments: Sequence[Payment]) -> list[Payment]:
    """The payments of `(t - window, t]`, where t is the time of `last`."""
    return [one for one in payments if last.time_ms - rule.window_ms < one.time_ms <= last.time_ms]


def suspicious(rule: Rule, payments: Sequence[Payment]) -> list[int]:
    """Ids, ascending, of the counted payments whose hour meets the rule."""
    return sorted(
        last.transaction_id
        for last in payments
        if len({one.country for one in window(rule, last, payments)}) >= rule.min_countries
        and sum(one.amount_eur_cents for one in window(rule, last, payments)) >= rule.threshold_eur_cents
    )


def listed(last: Payment, content: Sequence[Payment], most: int) -> tuple[int, ...]:
    """Ids of the payments of `content`, the hour of `last`, that it lists, where it lists at most so many."""
    in_order = sorted(content, key=lambda one: (one.time_ms, one.transaction_id))
    if len(in_order) > most:
        in_order = in_order[: in_order.index(last) + 1][-most:]
    return tuple(one.transaction_id for one in in_order)


def held(history: bytes) -> list[tuple[int, int, int, bytes]]:
    """The payments that a history holds: time, id, cents and country, by its layout."""
    *_, spent, _, countries = HEADER.unpack_from(history)
    rows = list(ROW.iter_unpack(history[HEADER.size + countries * ELSEWHERE.size :]))
    sums = [row[2] for row in rows] + [spent]
    return [(*row[:2], (sums[number + 1] - row[2]) % 2**64, row[3]) for number, row in enumerate(rows)]


# The properties


@REPRODUCIBLE
@given(rules, payments_in_bank_order(), st.sampled_from((1, 2, 3, 1_000)), st.data())
def test_what_is_raised_is_what_a_recomputation_finds_after_every_payment(
    rule: Rule, payments: list[Payment], most_listed: int, data: st.DataObject
) -> None:
    history, raised = b"", list[int]()
    for seen in range(1, len(payments) + 1):
        known = counted(rule, payments[:seen])
        with pytest.MonkeyPatch.context() as bounded:
            bounded.setattr(rule_module, "MOST_LISTED", most_listed)
            verdict = judge(rule, history, payments[seen - 1])
        assert verdict.arrival is (Arrival.COUNTED if payments[seen - 1] in known else Arrival.TOO_LATE)
        for hour in verdict.hours:
            last = next(one for one in payments if one.transaction_id == hour.transaction_id)
            content = window(rule, last, known)
            assert (hour.start_ms, hour.end_ms) == (last.time_ms - rule.window_ms, last.time_ms)
            assert hour.total_eur_cents == sum(one.amount_eur_cents for one in content)
            assert hour.countries == tuple(sorted({one.country for one in content}))
            assert hour.transaction_count == len(content)
            assert hour.transaction_ids == listed(last, content, most_listed)
        raised += [hour.transaction_id for hour in verdict.hours]
        history = verdict.history
        for replayed in data.draw(st.lists(st.sampled_from(payments[:seen]), max_size=2)):
            again = judge(rule, history, replayed)
            assert (again.arrival, again.hours) == (Arrival.DUPLICATE, ())
            history = again.history
        assert sorted(raised) == suspicious(rule, known)


@REPRODUCIBLE
@given(rules, payments_in_bank_order())
def test_a_replay_of_the_whole_stream_raises_nothing(rule: Rule, payments: list[Payment]) -> None:
    history = b""
    for payment in payments:
        history = judge(rule, history, payment).history
    for payment in payments:
        again = judge(rule, history, payment)
        assert (again.arrival, again.hours) == (Arrival.DUPLICATE, ())
        history = again.history


@REPRODUCIBLE
@given(rules, payments_in_bank_order(), st.data())
def test_an_order_within_the_allowed_lateness_raises_the_same_set(
    rule: Rule, payments: list[Payment], data: st.DataObject
) -> None:
    # Delayed by at most the lateness each, none arrives after one that happened more than the lateness after it.
    delays_ms = st.lists(st.integers(0, rule.allowed_lateness_ms), min_size=len(payments), max_size=len(payments))
    arrival_ms = {one: one.time_ms + delay_ms for one, delay_ms in zip(payments, data.draw(delays_ms), strict=True)}
    arrivals = sorted(payments, key=arrival_ms.__getitem__)
    history, raised = b"", list[int]()
    for payment in arrivals:
        verdict = judge(rule, history, payment)
        assert verdict.arrival is Arrival.COUNTED
        raised += [hour.transaction_id for hour in verdict.hours]
        history = verdict.history
    assert sorted(raised) == suspicious(rule, payments)


@REPRODUCIBLE
@given(rules, payments_in_bank_order(most=60), st.data())
def test_every_window_of_a_history_is_what_a_recomputation_finds(
    rule: Rule, payments: list[Payment], data: st.DataObject
) -> None:
    """Also if a rule with another window wrote it, or the payments before were forgotten."""
    history = b""
    for seen, payment in enumerate(payments, start=1):
        history = judge(rule, history, payment).history
        if data.draw(st.integers(0, 29)) == 7:
            history = forget_payments(history)
        user, kept = History(history), [one for one in payments[:seen] if one[:2] in {row[:2] for row in held(history)}]
        assert user.country_count == len({one.country for one in kept})
        length_ms = data.draw(st.sampled_from((rule.window_ms, rule.window_ms, 20 * MINUTE, 1)))
        from_ms = data.draw(
            st.sampled_from((user.latest_ms, payment.time_ms, user.latest_ms - rule.allowed_lateness_ms))
        )
        moments = {one.time_ms for one in kept if from_ms <= one.time_ms < from_ms + length_ms}
        windows = list(user.windows(length_ms, from_ms, from_ms + length_ms))
        assert [each.end_ms for each in windows] == sorted(moments)
        for each in windows:
            content = [one for one in kept if each.end_ms - length_ms < one.time_ms <= each.end_ms]
            assert each.start_ms == each.end_ms - length_ms
            assert each.total_eur_cents == sum(one.amount_eur_cents for one in content)
            assert sorted(each.countries) == sorted({one.country for one in content})
            assert sorted(user.ids(each.first, each.end)) == sorted(one.transaction_id for one in content)


def test_totals_stay_true_where_the_sum_of_all_payments_wraps_around() -> None:
    *header, others = HEADER.unpack(forget_payments(judge(Rule(), b"", Payment(START_MS, 1, 1, b"DE")).history))
    header[3] = 2**64 - 60_000
    history, hours = HEADER.pack(*header, others), list[SuspiciousHour]()
    for number, (minute, country) in enumerate([(0, b"DE"), (10, b"FR"), (5, b"DE")], start=2):
        verdict = judge(Rule(), history, Payment(START_MS + minute * MINUTE, number, 50_000, country))
        history = verdict.history
        hours += verdict.hours
    assert [(hour.transaction_id, hour.total_eur_cents) for hour in hours] == [(3, 100_000)]
    assert [cents for _, _, cents, _ in held(history)] == [50_000] * 3


@REPRODUCIBLE
@given(rules, payments_in_bank_order(), payments_in_bank_order(), st.data())
def test_forgetting_a_quiet_user_changes_nothing(
    rule: Rule, before: list[Payment], after: list[Payment], data: st.DataObject
) -> None:
    # None of the payments after the quiet time reaches back to one before it.
    quiet_ms = max(one.time_ms for one in before) - min(one.time_ms for one in after) + rule.window_ms
    later = [
        one._replace(time_ms=one.time_ms + quiet_ms, transaction_id=one.transaction_id + len(before)) for one in after
    ]
    kept = forgetful = b""
    for payment in before:
        kept = forgetful = judge(rule, kept, payment).history
    forgetful = forget_payments(forgetful)
    for payment in later:
        for replayed in data.draw(st.lists(st.sampled_from(before), max_size=1)):
            assert judge(rule, forgetful, replayed).arrival is Arrival.DUPLICATE
        one, other = judge(rule, kept, payment), judge(rule, forgetful, payment)
        assert (one.arrival, one.hours) == (other.arrival, other.hours)
        kept, forgetful = one.history, other.history


@REPRODUCIBLE
@given(rules, payments_in_bank_order())
def test_the_history_holds_the_payments_of_the_retention_and_no_others(rule: Rule, payments: list[Payment]) -> None:
    history = b""
    for payment in payments:
        history = judge(rule, history, payment).history
    newest_ms = max(one.time_ms for one in payments)
    kept = [one for one in counted(rule, payments) if one.time_ms > newest_ms - rule.retention_ms]
    assert held(history) == sorted(kept, key=lambda one: one[:2])
