"""The stream of payments: everyday life with scenarios woven in, a pure function of seed and options, no clock."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import NamedTuple

from data_generator.countries import COUNTRIES
from data_generator.scenarios import DEFAULT_MIX, HOUR_MS, MAX_GAP_SCALE, MEAN_STEPS, SCENARIOS, Scenario, Step
from data_generator.spending import MERCHANT_TYPES, amount_worth, draw_amount, pick_merchant_type

PAYMENTS_PER_FRAUD = 300
"""Without another wish, one fraud begins in so many payments: at 200 payments a second, one each 1.5 s."""

TOO_LATE_SPREAD_MS = 600_000
RESERVED_EVERY = 10
MAX_VICTIM_TRIES = 50


class Payment(NamedTuple):
    """A payment of the stream.

    `event_ms` and `arrival_ms` are offsets from the start of the stream, in milliseconds of event time: when it
    happened and when the bank hears of it. They differ for late payments only, which may lie before the start.
    `scenario` is None for everyday payments and for the owner's own payment that opens a theft.
    `by_thief` payments are labelled. `episode` numbers the scenario that the payment belongs to (None for everyday
    ones), `step` counts the payments in it from 0. `lateness` is `late`, `too_late` or empty.
    """

    sequence: int
    user_id: int
    amount: Decimal
    currency: str
    type: str
    country: str
    merchant: str
    event_ms: int
    arrival_ms: int
    scenario: str | None
    by_thief: bool
    episode: int | None
    step: int
    lateness: str


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the stream is like.

    Args:
        event_rate: payments per second of event time.
        fraud_every_s: seconds of event time between the beginnings of two frauds, on average; None for one fraud in
            `PAYMENTS_PER_FRAUD` payments; 0 for no scenarios at all.
        mix: weight of each scenario (see `scenarios.SCENARIOS`); any positive numbers.
        late: share of payments that arrive late, by up to `late_max_s` of event time.
        too_late: share of everyday payments that arrive later than `allowed_lateness_s`.
        gap_scale: factor for the gaps between a scenario's payments, 1 to 10.

    Raises:
        ValueError: a value out of range, with what to do.
    """

    event_rate: Fraction = Fraction(200)
    fraud_every_s: Fraction | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MIX))
    late: float = 0.0
    late_max_s: int = 600
    too_late: float = 0.0
    allowed_lateness_s: int = 1800
    gap_scale: int = 1

    def __post_init__(self) -> None:
        if self.event_rate <= 0:
            raise ValueError(f"the rate of payments must be above 0, got {self.event_rate}")
        if min(self.late, self.too_late) < 0 or self.late + self.too_late > 1:
            raise ValueError("the shares of late and of too late payments must be between 0 and 1, also together")
        if unknown := set(self.mix) - set(SCENARIOS):
            raise ValueError(f"unknown scenario {sorted(unknown)}; choose from {', '.join(SCENARIOS)}")
        if not any(self.mix.values()) or min(self.mix.values()) < 0:
            raise ValueError("the mix needs a weight above 0 for at least one scenario, and none below 0")
        if self.late_max_s < 1 or self.allowed_lateness_s < 0 or not 1 <= self.gap_scale <= MAX_GAP_SCALE:
            raise ValueError("lateness must be at least 1 s, allowed lateness at least 0 s, gap scale 1 to 10")
        every_ms = self.scenario_every_ms
        if every_ms is not None and every_ms * self.event_rate < 2 * MEAN_STEPS * 1000:
            least_s = 2 * MEAN_STEPS / self.event_rate / self._fraud_share
            raise ValueError(
                "scenarios would be more than half of all payments and fall behind; raise the time between frauds to "
                f"{math.ceil(least_s * 10) / 10:.1f} s or more, or raise the rate"
            )

    @property
    def _fraud_share(self) -> Fraction:
        weights = {name: Fraction(str(weight)) for name, weight in self.mix.items()}
        fraud = sum((weight for name, weight in weights.items() if SCENARIOS[name].fraud), Fraction(0))
        return fraud / sum(weights.values()) or Fraction(1)

    @property
    def scenario_every_ms(self) -> Fraction | None:
        """Milliseconds of event time between two scenarios of any kind, on average; None without scenarios."""
        if self.fraud_every_s == 0:
            return None
        every_s = self.fraud_every_s if self.fraud_every_s is not None else PAYMENTS_PER_FRAUD / self.event_rate
        return every_s * 1000 * self._fraud_share

    @property
    def guard_ms(self) -> int:
        """How long a scenario's user makes no everyday payment afterwards: not even a late one may share an hour."""
        longest_ms = self.late_max_s * 1000 if self.late else 0
        if self.too_late:
            longest_ms = max(longest_ms, self.allowed_lateness_s * 1000 + TOO_LATE_SPREAD_MS)
        return HOUR_MS + longest_ms + 60_000


def payments(
    seed: int,
    user_ids: range,
    homes: Sequence[str],
    habits: Sequence[tuple[int, int]],
    merchants: Mapping[str, Sequence[Sequence[str]]],
    options: StreamOptions,
) -> Iterator[Payment]:
    """The endless stream, in order of arrival; `homes` and `habits` go by position in `user_ids`.

    Payments have a fixed place in event time, `1 / event_rate` seconds apart. Each place takes the payment of a
    scenario if one is due, and an everyday payment otherwise.
    """
    return iter(_Stream(seed, user_ids, homes, habits, merchants, options))


class _Stream:
    def __init__(
        self,
        seed: int,
        user_ids: range,
        homes: Sequence[str],
        habits: Sequence[tuple[int, int]],
        merchants: Mapping[str, Sequence[Sequence[str]]],
        options: StreamOptions,
    ) -> None:
        self._user_ids = user_ids
        self._homes = homes
        self._habits = habits
        self._merchants = merchants
        self._options = options
        # Streams of chance of their own: another share of late payments leaves the payments themselves as they are.
        self._everyday_chance = Random(f"{seed}/everyday")
        self._scenario_chance = Random(f"{seed}/scenarios")
        self._late_chance = Random(f"{seed}/late")
        # Some users pay in hard negatives alone, so that one who has rested for an hour can be had at any time. They go
        # by user id, not by seed: a second run with another seed leaves the same ones at rest.
        reserved = [index for index, user_id in enumerate(user_ids) if user_id % RESERVED_EVERY == 0]
        self._active = [index for index, user_id in enumerate(user_ids) if user_id % RESERVED_EVERY]
        if not self._active:
            self._active, reserved = reserved, []
        self._reserved = _Turns(reserved, self._scenario_chance)
        self._victims = _Turns(self._active, self._scenario_chance)
        self._busy_until: list[tuple[int, int]] = []
        self._busy: set[int] = set()
        self._episodes = 0
        self._due: list[tuple[int, int, int]] = []
        self._plans: dict[int, _OpenScenario] = {}

    def __iter__(self) -> Iterator[Payment]:
        period_ms = 1000 / self._options.event_rate
        numerator, denominator = period_ms.numerator, period_ms.denominator
        every_ms = self._options.scenario_every_ms
        next_scenario_ms = self._gap_ms(every_ms) if every_ms is not None else None
        sequence = 0
        while True:
            now_ms = sequence * numerator // denominator
            while self._busy_until and self._busy_until[0][0] <= now_ms:
                self._busy.discard(heapq.heappop(self._busy_until)[1])
            while every_ms is not None and next_scenario_ms is not None and next_scenario_ms <= now_ms:
                self._open_scenario(now_ms)
                next_scenario_ms += self._gap_ms(every_ms)
            if self._due and self._due[0][0] <= now_ms:
                yield self._next_step(sequence, now_ms)
            else:
                yield self._everyday(sequence, now_ms)
            sequence += 1

    def _gap_ms(self, mean_ms: Fraction) -> int:
        return max(1, int(mean_ms * Fraction(500 + int(self._scenario_chance.random() * 1001), 1000)))

    def _everyday(self, sequence: int, now_ms: int) -> Payment:
        chance = self._everyday_chance
        index = self._active[int(chance.random() * len(self._active))]
        while index in self._busy:
            index = self._active[int(chance.random() * len(self._active))]
        habit, level_percent = self._habits[index]
        home = self._homes[index]
        merchant_type = pick_merchant_type(chance, habit)
        shops = self._merchants[home][merchant_type]
        amount = draw_amount(chance, merchant_type, home, level_percent)
        event_ms, lateness = self._event_time(now_ms, None)
        return Payment(
            sequence=sequence,
            user_id=self._user_ids[index],
            amount=amount,
            currency=COUNTRIES[home].currency,
            type=MERCHANT_TYPES[merchant_type].payment_type,
            country=home,
            merchant=shops[int(chance.random() * len(shops))],
            event_ms=event_ms,
            arrival_ms=now_ms,
            scenario=None,
            by_thief=False,
            episode=None,
            step=0,
            lateness=lateness,
        )

    def _event_time(self, now_ms: int, opened_ms: int | None) -> tuple[int, str]:
        """When a payment that arrives now happened: in a scenario after the opening payment, and never too late."""
        options = self._options
        if not options.late and not options.too_late:
            return now_ms, ""
        drawn = self._late_chance.random()
        if drawn < options.late:
            event_ms = now_ms - 1 - int(self._late_chance.random() * options.late_max_s * 1000)
            if opened_ms is not None:
                event_ms = min(max(event_ms, opened_ms + 1), now_ms)
            return event_ms, "late" if event_ms < now_ms else ""
        if drawn < options.late + options.too_late and opened_ms is None:
            beyond_ms = 60_000 + int(self._late_chance.random() * (TOO_LATE_SPREAD_MS - 60_000))
            return now_ms - options.allowed_lateness_s * 1000 - beyond_ms, "too_late"
        return now_ms, ""

    def _open_scenario(self, now_ms: int) -> None:
        """Plan a scenario for a user who has none open; there is none when too many users are in one already."""
        chance = self._scenario_chance
        (name,) = chance.choices(list(self._options.mix), list(self._options.mix.values()))
        scenario = SCENARIOS[name]
        begins_ms = now_ms
        index = self._reserved.take(self._busy) if scenario.rested else None
        if index is None:
            if 2 * (len(self._busy) + 1) > len(self._active):
                return
            index = self._victims.take(self._busy)
            if index is None:
                return
            if scenario.rested:
                begins_ms += self._options.guard_ms
        steps = scenario.plan(chance, self._homes[index], self._options.gap_scale)
        if name == "traveller":
            late_ms = self._options.guard_ms - HOUR_MS
            steps = [_later(step, late_ms) if number else step for number, step in enumerate(steps)]
        ends_ms = begins_ms + sum(step.after_ms for step in steps)
        # Places are taken one by one: a step can be a little later than planned.
        heapq.heappush(self._busy_until, (ends_ms + self._options.guard_ms + 300_000, index))
        self._busy.add(index)
        self._plans[self._episodes] = _OpenScenario(scenario, index, steps)
        heapq.heappush(self._due, (begins_ms, self._episodes, 0))
        self._episodes += 1

    def _next_step(self, sequence: int, now_ms: int) -> Payment:
        _, episode, number = heapq.heappop(self._due)
        plan = self._plans[episode]
        step = plan.steps[number]
        if number == 0:
            plan.opened_ms = now_ms
        if number + 1 < len(plan.steps):
            heapq.heappush(self._due, (now_ms + plan.steps[number + 1].after_ms, episode, number + 1))
        else:
            del self._plans[episode]
        shops = self._merchants[step.country][step.merchant_type]
        event_ms, lateness = self._event_time(now_ms, plan.opened_ms)
        return Payment(
            sequence=sequence,
            user_id=self._user_ids[plan.index],
            amount=amount_worth(step.eur_cents, step.country),
            currency=COUNTRIES[step.country].currency,
            type=MERCHANT_TYPES[step.merchant_type].payment_type,
            country=step.country,
            merchant=shops[int(self._scenario_chance.random() * len(shops))],
            event_ms=event_ms,
            arrival_ms=now_ms,
            scenario=scenario_of(plan.scenario, step),
            by_thief=step.by_thief,
            episode=episode,
            step=number,
            lateness=lateness,
        )


@dataclass(slots=True)
class _OpenScenario:
    scenario: Scenario
    index: int
    steps: list[Step]
    opened_ms: int = 0


class _Turns:
    """Users in an order of chance, again and again, so that nobody's second turn comes before everybody's first."""

    def __init__(self, indexes: Sequence[int], chance: Random) -> None:
        self._order = list(indexes)
        chance.shuffle(self._order)
        self._next = 0

    def take(self, busy: set[int]) -> int | None:
        """The next user who is not busy, or None when there is none among the next few."""
        for _ in range(min(MAX_VICTIM_TRIES, len(self._order))):
            index = self._order[self._next % len(self._order)]
            self._next += 1
            if index not in busy:
                return index
        return None


def scenario_of(scenario: Scenario, step: Step) -> str | None:
    """The scenario's name, unless the step is the owner's own payment in a theft."""
    return scenario.name if step.by_thief or not scenario.fraud else None


def _later(step: Step, by_ms: int) -> Step:
    return Step(step.after_ms + by_ms, step.country, step.eur_cents, step.merchant_type, step.by_thief)
