"""What thieves do, and what honest people do that looks like it: each scenario as a list of payments to come."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from data_generator.countries import CODES, COUNTRIES
from data_generator.spending import CASH, ELECTRONICS, GROCERIES, ONLINE, RESTAURANT, TRANSPORT, TRAVEL

HOUR_MS = 3_600_000
THRESHOLD_EUR_CENTS = 100_000
"""What the detector's rule calls suspicious: at least this much from two countries within an hour."""

MAX_GAP_SCALE = 10
"""Gaps longer than ten times those of speed 1 would stretch a fraud beyond the hour."""


@dataclass(frozen=True, slots=True)
class Step:
    """One payment of a scenario, `after_ms` of event time after the one before it."""

    after_ms: int
    country: str
    eur_cents: int
    merchant_type: int
    by_thief: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario: `plan(rng, home_country, gap_scale)` gives its steps, the first at `after_ms` 0.

    `fraud` is whether a thief pays in it. `rested` asks for a user without any payment in the hour before.
    """

    name: str
    fraud: bool
    rested: bool
    plan: Callable[[Random, str, int], list[Step]]


def _between(rng: Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _abroad(rng: Random, home: str, count: int) -> list[str]:
    """`count` different countries other than home."""
    return rng.sample([code for code in CODES if code != home], count)


def _cloned_card(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """The owner pays at home; a copy of the card pays well above the threshold in another country, and tries again."""
    (country,) = _abroad(rng, home, 1)
    steps = [Step(0, home, _between(rng, 500, 6_000), GROCERIES, by_thief=False)]
    first_ms = _between(rng, 2_000, 15_000) * gap_scale
    steps.append(Step(first_ms, country, _between(rng, 150_000, 450_000), ELECTRONICS, by_thief=True))
    for _ in range(_between(rng, 1, 3)):
        after_ms = _between(rng, 3_000, 12_000) * gap_scale
        merchant_type = rng.choice((ELECTRONICS, CASH, ONLINE))
        steps.append(Step(after_ms, country, _between(rng, 20_000, 200_000), merchant_type, by_thief=True))
    return steps


def _impossible_travel(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """Payments too small to stand out, in more countries than anyone visits in an hour; they add up, and go on."""
    spots = _abroad(rng, home, _between(rng, 4, 6))
    amounts = [_between(rng, 12_000, 45_000) for _ in spots[:-1]]
    # By construction the hour is suspicious before the last spot, where the thief tries once more.
    amounts[-1] += max(0, THRESHOLD_EUR_CENTS * 115 // 100 - sum(amounts))
    amounts.append(_between(rng, 12_000, 45_000))
    steps = [Step(0, home, _between(rng, 300, 3_000), TRANSPORT, by_thief=False)]
    for country, eur_cents in zip(spots, amounts, strict=True):
        after_ms = _between(rng, 4_000, 20_000) * gap_scale
        steps.append(Step(after_ms, country, eur_cents, rng.choice((ELECTRONICS, ONLINE, CASH)), by_thief=True))
    return steps


def _burst(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """A stolen card used again and again in the owner's own country: a rule that counts countries does not see it."""
    return [
        Step(
            _between(rng, 2_000, 8_000) * gap_scale if number else 0,
            home,
            _between(rng, 4_000, 25_000),
            rng.choice((ELECTRONICS, ONLINE, CASH)),
            by_thief=True,
        )
        for number in range(_between(rng, 8, 14))
    ]


def _traveller(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """Home, and then two countries, more than an hour apart: high amounts, but no two countries share an hour."""
    legs = [home, *_abroad(rng, home, 2)]
    return [
        Step(
            HOUR_MS + _between(rng, 60_000, 1_800_000) if number else 0,
            country,
            _between(rng, 40_000, 95_000),
            TRAVEL,
            by_thief=False,
        )
        for number, country in enumerate(legs)
    ]


def _border_shopper(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """Shops on both sides of a border within the hour, for less than the threshold."""
    country = rng.choice(COUNTRIES[home].nearby)
    steps = [Step(0, home, _between(rng, 1_000, 12_000), GROCERIES, by_thief=False)]
    for _ in range(_between(rng, 1, 3)):
        after_ms = _between(rng, 5_000, 60_000) * gap_scale
        merchant_type = rng.choice((GROCERIES, RESTAURANT, ONLINE))
        steps.append(Step(after_ms, country, _between(rng, 1_500, 11_000), merchant_type, by_thief=False))
    return steps


def _family(rng: Random, home: str, gap_scale: int) -> list[Step]:
    """Several people share an account and pay at once, at home: a lot of money, one country."""
    return [
        Step(
            _between(rng, 3_000, 30_000) * gap_scale if number else 0,
            home,
            _between(rng, 3_000, 40_000),
            rng.choice((GROCERIES, RESTAURANT, TRANSPORT, ELECTRONICS)),
            by_thief=False,
        )
        for number in range(_between(rng, 6, 10))
    ]


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("cloned_card", fraud=True, rested=False, plan=_cloned_card),
        Scenario("impossible_travel", fraud=True, rested=False, plan=_impossible_travel),
        Scenario("burst", fraud=True, rested=False, plan=_burst),
        Scenario("traveller", fraud=False, rested=False, plan=_traveller),
        Scenario("border_shopper", fraud=False, rested=True, plan=_border_shopper),
        Scenario("family", fraud=False, rested=False, plan=_family),
    )
}
"""Every scenario by its name, as in `fraud_labels.scenario`."""

MEAN_STEPS = 7
"""Payments of a scenario, on average and rounded up: for checking that scenarios leave room for everyday payments."""

DEFAULT_MIX: dict[str, float] = {
    "cloned_card": 0.35,
    "impossible_travel": 0.25,
    "burst": 0.10,
    "traveller": 0.10,
    "border_shopper": 0.10,
    "family": 0.10,
}
