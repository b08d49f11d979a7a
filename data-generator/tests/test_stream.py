"""The stream: the same for the same seed, scenarios of the promised shape, honest users clean."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice, pairwise

import pytest
from data_generator import Bank, Payment, StreamOptions
from data_generator.countries import EUR_PER_UNIT, to_eur_cents
from data_generator.scenarios import HOUR_MS, SCENARIOS, THRESHOLD_EUR_CENTS

EPISODE_MS = 300_000  # longer than any scenario but the traveller's
SMALL = {"seed": 7, "users": 2000}
MINUTES = StreamOptions(event_rate=Fraction(10))
LATE = StreamOptions(event_rate=Fraction(10), late=0.05, too_late=0.01)


def take(count: int, options: StreamOptions = MINUTES) -> list[Payment]:
    return list(islice(Bank(**SMALL).payments(options), count))


def digest(payments: Iterable[Payment]) -> str:
    return hashlib.sha256(json.dumps([[str(value) for value in payment] for payment in payments]).encode()).hexdigest()


def suspicious(payments: Iterable[Payment]) -> set[int]:
    """Sequence numbers of the payments whose hour meets the rule, by brute force over each user's payments."""
    by_user: dict[int, list[Payment]] = defaultdict(list)
    for payment in payments:
        by_user[payment.user_id].append(payment)
    found = set()
    for mine in by_user.values():
        for last in mine:
            hour = [other for other in mine if last.event_ms - HOUR_MS < other.event_ms <= last.event_ms]
            total = sum(to_eur_cents(other.amount, other.currency) for other in hour)
            if len({other.country for other in hour}) >= 2 and total >= THRESHOLD_EUR_CENTS:
                found.add(last.sequence)
    return found


def episodes(payments: Iterable[Payment], scenario: str) -> list[list[Payment]]:
    """The payments of each scenario of that name, the owner's included, in order of arrival."""
    by_episode: dict[int, list[Payment]] = defaultdict(list)
    for payment in payments:
        if payment.episode is not None:
            by_episode[payment.episode].append(payment)
    return [steps for steps in by_episode.values() if any(step.scenario == scenario for step in steps)]


def only(scenario: str, count: int = 20_000, **options: object) -> list[Payment]:
    return take(count, StreamOptions(event_rate=Fraction(10), mix={scenario: 1.0}, **options))  # type: ignore[arg-type]


def finished(payments: list[Payment], scenario: str, within_ms: int) -> list[list[Payment]]:
    """Episodes that began early enough to have ended before the end of the list."""
    end_ms = payments[-1].arrival_ms
    found = [steps for steps in episodes(payments, scenario) if steps[0].arrival_ms + within_ms < end_ms]
    assert found
    return found


def test_the_same_seed_gives_the_same_payments() -> None:
    assert digest(take(5000, LATE)) == digest(take(5000, LATE))


def test_the_same_seed_gives_the_same_bank_in_another_process() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_stream as t;"
        "print(t.digest(t.take(3000, t.LATE)), hash('a'))"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, here],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert outputs[0][1] != outputs[1][1]
    assert outputs[0][0] == outputs[1][0] == digest(take(3000, LATE))


def test_another_seed_gives_other_payments() -> None:
    other = list(islice(Bank(seed=8, users=2000).payments(MINUTES), 100))
    assert digest(other) != digest(take(100))


def test_how_many_are_taken_at_once_changes_nothing() -> None:
    stream = Bank(**SMALL).payments(MINUTES)
    in_parts = [payment for size in (1, 7, 500, 492) for payment in islice(stream, size)]
    assert in_parts == take(1000)


def test_the_share_of_late_payments_changes_neither_users_nor_amounts() -> None:
    def what(payments: Iterable[Payment]) -> list[tuple[object, ...]]:
        return [(payment.user_id, payment.amount, payment.merchant) for payment in payments]

    options = StreamOptions(event_rate=Fraction(10), mix={"burst": 1.0})
    late = StreamOptions(event_rate=Fraction(10), mix={"burst": 1.0}, late=0.2)
    assert what(take(3000, options)) == what(take(3000, late))


def test_payments_arrive_in_order_and_never_before_they_happened() -> None:
    payments = take(20_000, LATE)
    arrivals = [payment.arrival_ms for payment in payments]
    assert arrivals == sorted(arrivals)
    assert all(payment.event_ms <= payment.arrival_ms for payment in payments)


def test_late_payments_are_as_many_and_as_late_as_asked_for() -> None:
    payments = take(20_000, LATE)
    late = [payment for payment in payments if payment.lateness == "late"]
    too_late = [payment for payment in payments if payment.lateness == "too_late"]
    # 5 % and 1 % of 20,000 are 1,000 and 200; four standard deviations are 123 and 56.
    assert 877 <= len(late) <= 1123
    assert 144 <= len(too_late) <= 256
    assert all(0 < payment.arrival_ms - payment.event_ms <= 600_000 for payment in late)
    assert all(payment.arrival_ms - payment.event_ms > 1_800_000 for payment in too_late)
    assert all(
        payment.arrival_ms == payment.event_ms for payment in payments if payment.lateness not in ("late", "too_late")
    )


@pytest.mark.parametrize("options", [MINUTES, LATE], ids=["in order", "late"])
def test_nothing_is_suspicious_but_what_a_thief_did(options: StreamOptions) -> None:
    payments = take(40_000, options)
    meets_rule = suspicious(payments)
    assert len(meets_rule) > 200
    assert [payments[number] for number in meets_rule if not payments[number].by_thief] == []


@pytest.mark.parametrize("options", [MINUTES, LATE], ids=["in order", "late"])
@pytest.mark.parametrize("scenario", ["cloned_card", "impossible_travel"])
def test_these_frauds_meet_the_rule_and_the_thief_tries_again(scenario: str, options: StreamOptions) -> None:
    payments = only(scenario, late=options.late, too_late=options.too_late)
    meets_rule = suspicious(payments)
    thefts = finished(payments, scenario, within_ms=EPISODE_MS)
    assert len(thefts) >= 20
    for theft in thefts:
        caught = [step.sequence in meets_rule for step in theft]
        assert any(caught)
        if not options.late:
            assert any(caught[:-1]), "the last payment comes after the account should have been stopped"
            assert theft[-1].event_ms - theft[0].event_ms < HOUR_MS


def test_a_cloned_card_pays_abroad_well_above_the_threshold() -> None:
    for owner, first, *others in finished(only("cloned_card"), "cloned_card", within_ms=EPISODE_MS):
        assert (owner.by_thief, owner.scenario) == (False, None)
        assert first.country != owner.country
        assert to_eur_cents(first.amount, first.currency) >= 150_000 - 1
        assert others
        assert all(step.by_thief for step in (first, *others))


def test_no_payment_of_impossible_travel_stands_out() -> None:
    for _, *steps in finished(only("impossible_travel"), "impossible_travel", within_ms=EPISODE_MS):
        assert len({step.country for step in steps}) >= 4
        assert all(to_eur_cents(step.amount, step.currency) < THRESHOLD_EUR_CENTS for step in steps)


def test_a_burst_is_fraud_that_the_rule_does_not_see() -> None:
    payments = only("burst")
    assert suspicious(payments) == set()
    for burst in finished(payments, "burst", within_ms=EPISODE_MS):
        assert len(burst) >= 8
        assert len({step.country for step in burst}) == 1
        assert all(step.by_thief for step in burst)


@pytest.mark.parametrize("scenario", ["traveller", "border_shopper", "family"])
@pytest.mark.parametrize("late", [0.0, 0.1])
def test_hard_negatives_are_never_suspicious_nor_labelled(scenario: str, late: float) -> None:
    payments = only(scenario, count=100_000, late=late)
    assert len(finished(payments, scenario, within_ms=0)) >= 30
    assert suspicious(payments) == set()
    assert not any(payment.by_thief for payment in payments)


def test_a_traveller_spends_more_than_the_threshold_in_several_countries() -> None:
    for trip in finished(only("traveller", count=150_000), "traveller", within_ms=4 * HOUR_MS):
        assert len({step.country for step in trip}) == 3
        assert sum(to_eur_cents(step.amount, step.currency) for step in trip) > THRESHOLD_EUR_CENTS
        assert all(later.event_ms - earlier.event_ms > HOUR_MS for earlier, later in pairwise(trip))


def test_a_border_shopper_pays_in_two_countries_within_the_hour() -> None:
    payments = only("border_shopper")
    for trip in finished(payments, "border_shopper", within_ms=EPISODE_MS):
        assert len({step.country for step in trip}) == 2
        assert trip[-1].event_ms - trip[0].event_ms < HOUR_MS


def test_a_family_spends_at_home() -> None:
    for steps in finished(only("family"), "family", within_ms=EPISODE_MS):
        assert len(steps) >= 6
        assert len({step.country for step in steps}) == 1


def test_a_user_is_in_one_scenario_at_a_time() -> None:
    open_until: dict[int, tuple[int, int]] = {}
    for payment in take(60_000):
        if payment.episode is None:
            continue
        episode, _ = open_until.setdefault(payment.user_id, (payment.episode, 0))
        assert payment.episode >= episode, "an earlier scenario goes on after a later one began"
        open_until[payment.user_id] = (payment.episode, payment.event_ms)


def test_with_default_options_a_fraud_begins_each_second_or_two_at_200_payments_a_second() -> None:
    payments = list(islice(Bank(seed=1).payments(), 200 * 120))
    thefts = {payment.episode for payment in payments if payment.by_thief}
    # 120 s; the last ones to begin have not reached the thief's first payment.
    assert 50 <= len(thefts) <= 120


def test_faster_time_stretches_a_fraud_but_keeps_it_within_the_hour() -> None:
    for scenario in ("cloned_card", "impossible_travel"):
        payments = only(scenario, count=40_000, gap_scale=10)
        meets_rule = suspicious(payments)
        for theft in finished(payments, scenario, within_ms=10 * EPISODE_MS):
            assert any(step.sequence in meets_rule for step in theft[:-1])


@pytest.mark.parametrize("users", [1, 2, 10, 11, 50])
def test_a_small_bank_never_runs_dry(users: int) -> None:
    payments = list(islice(Bank(seed=1, users=users).payments(), 5000))
    assert len(payments) == 5000
    assert len(list(islice(Bank(seed=1, users=1, first_user=10).payments(), 100))) == 100


def test_amounts_are_positive_with_two_decimals_in_the_currency_of_the_country() -> None:
    for payment in take(20_000):
        assert payment.amount > 0
        assert payment.amount.as_tuple().exponent == -2
        assert payment.amount < 10**10
        assert payment.currency in EUR_PER_UNIT


def test_without_scenarios_there_are_everyday_payments_only() -> None:
    options = StreamOptions(event_rate=Fraction(10), fraud_every_s=Fraction(0))
    assert {payment.episode for payment in take(3000, options)} == {None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mix": {"heist": 1.0}}, "unknown scenario"),
        ({"mix": {"burst": 0.0}}, "weight above 0"),
        ({"late": 0.7, "too_late": 0.7}, "between 0 and 1"),
        ({"event_rate": Fraction(0)}, "above 0"),
        ({"event_rate": Fraction(1), "fraud_every_s": Fraction(1)}, "raise the time between frauds"),
        ({"gap_scale": 11}, "gap scale"),
    ],
)
def test_impossible_options_are_refused_with_advice(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("mix", [{"burst": 1.0}, {"burst": 1.0, "traveller": 2.0}])
def test_the_advised_time_between_frauds_is_the_shortest_that_is_taken(mix: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="raise the time") as refused:
        StreamOptions(event_rate=Fraction(1), fraud_every_s=Fraction(1), mix=mix)
    advised_s = Fraction(re.findall(r"to ([\d.]+) s or more", str(refused.value))[0])
    StreamOptions(event_rate=Fraction(1), fraud_every_s=advised_s, mix=mix)
    with pytest.raises(ValueError, match="raise the time"):
        StreamOptions(event_rate=Fraction(1), fraud_every_s=advised_s - Fraction(1, 10), mix=mix)


def test_every_scenario_begins_with_its_first_step() -> None:
    for name in SCENARIOS:
        for steps in episodes(only(name, count=5000), name):
            assert [step.step for step in steps] == list(range(len(steps)))
