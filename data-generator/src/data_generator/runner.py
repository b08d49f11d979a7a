"""A run: the stream at its pace into MySQL, counting what happens; and a single fraud on demand."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random

from data_generator.bank import Bank
from data_generator.clock import SimulatedClock
from data_generator.connection import Connection
from data_generator.countries import COUNTRIES
from data_generator.report import Report
from data_generator.scenarios import HOUR_MS, SCENARIOS
from data_generator.sink import DatedPayment, GeneratorError, MySqlSink, Outcome, StopRequestedError
from data_generator.spending import MERCHANT_TYPES, amount_worth
from data_generator.stream import Payment, StreamOptions, scenario_of

TICK_S = 0.005
SINGLY_UP_TO_RATE = 200
MAX_BATCH_LIVE = 500
MAX_BATCH_SEEDING = 1000
CLOCK_SYNCHRONISED_EVERY_S = 30.0
DEFAULT_PAST_MS = 24 * HOUR_MS
LONGEST_GAP_S = 4.0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What to run.

    Args:
        seed, users, first_user: the bank (see `Bank`).
        transactions: how many payments to try before the run ends; None for endless.
        rate: payments per second of wall time; 0 for as fast as possible.
        speed: seconds of event time per second of wall time; when event time reaches the present it goes on at 1, with
            `rate / speed` payments a second. Of no effect when the rate is 0.
        start_ms: event time of the stream's start, ms since the epoch. None for now (speed 1), for the past that the
            run catches up with (speed above 1; 24 hours of it when endless), or for so long ago that the last payment
            happened an hour before now (rate 0).
        stream: the stream's options; `event_rate` holds for rate 0 only, and is `rate / speed` otherwise.

    Raises:
        ValueError: a value out of range.
    """

    seed: int = 1
    users: int = 10_000
    first_user: int = 1
    transactions: int | None = None
    rate: Fraction = Fraction(200)
    speed: Fraction = Fraction(1)
    start_ms: int | None = None
    stream: StreamOptions = field(default_factory=StreamOptions)

    def __post_init__(self) -> None:
        if self.rate < 0 or self.speed < 1:
            raise ValueError(f"rate must be at least 0 and speed at least 1, got {self.rate} and {self.speed}")
        if self.transactions is not None and self.transactions < 0:
            raise ValueError(f"the number of transactions must be at least 0, got {self.transactions}")
        if self.rate == 0 and self.transactions is None and self.start_ms is None:
            raise ValueError("as fast as possible needs an end: give the number of transactions, or a past start")
        if self.rate and self.stream.event_rate != self.rate / self.speed:
            raise ValueError(
                f"the stream's event_rate must be rate / speed = {self.rate / self.speed}, got {self.stream.event_rate}"
            )

    def start(self, present_ms: int) -> int:
        """Event time of the stream's start, ms since the epoch.

        Raises:
            ValueError: the start lies in the future.
        """
        if self.start_ms is not None:
            if self.start_ms > present_ms:
                raise ValueError("the start lies in the future of the database's clock; give one in the past")
            return self.start_ms
        if self.rate and self.speed == 1:
            return present_ms
        if self.transactions is None:
            return present_ms - DEFAULT_PAST_MS
        span_ms = int(self.transactions * 1000 / self.stream.event_rate)
        return present_ms - span_ms - (0 if self.rate else HOUR_MS)


def run(
    config: RunConfig,
    connection: Connection,
    stop: threading.Event | None = None,
    progress: Callable[[Report], None] | None = None,
    report: Report | None = None,
) -> Report:
    """Insert the users that are missing, then payments until the number is reached or `stop` is set.

    Args:
        stop: set it from another thread or a signal handler to end the run after the batch in hand.
        progress: called with the counts so far, a few times a second.
        report: filled while running, for those who need the counts even when the run fails.

    Returns:
        The counts; `interrupted` is true when `stop` ended the run.

    Raises:
        GeneratorError: MySQL did not answer within the deadline, or refused; nothing was inserted twice.
        ValueError: the start lies in the future.
    """
    stop = stop or threading.Event()
    report = report if report is not None else Report(config.seed, config.users)
    bank = Bank(config.seed, config.users, config.first_user)
    began_s = time.monotonic()
    try:
        with MySqlSink(connection, stop) as sink:
            try:
                if not sink.has_users(bank.user_ids):  # to make up five thousand people takes a second
                    sink.insert_users(bank.users)
                report.seconds_for_users = time.monotonic() - began_s
                _Run(config, bank, sink, stop, progress or _no_progress, report).go()
            finally:
                report.reconnects = sink.reconnects - 1
    except StopRequestedError:
        pass
    except GeneratorError as error:
        report.error = str(error)
        raise
    finally:
        report.interrupted = stop.is_set()
        report.elapsed_s = time.monotonic() - began_s
    return report


def _no_progress(_: Report) -> None:
    pass


class _Run:
    def __init__(
        self,
        config: RunConfig,
        bank: Bank,
        sink: MySqlSink,
        stop: threading.Event,
        progress: Callable[[Report], None],
        report: Report,
    ) -> None:
        self._config = config
        self._sink = sink
        self._stop = stop
        self._progress = progress
        self._report = report
        self._payments = _Peekable(bank.payments(config.stream))
        self._stopped_users: set[int] = set()
        self._skipped_episodes: dict[int, int] = {}

    def go(self) -> None:
        config = self._config
        batch_size, tick_s = MAX_BATCH_SEEDING, 0.0
        if config.rate:
            batch_size, tick_s = (1, 0.0) if config.rate <= SINGLY_UP_TO_RATE else (MAX_BATCH_LIVE, TICK_S)
        # Merchants are made at the first payment: not while the clock runs.
        self._payments.peek()
        self._sink.synchronise_clock()
        start_ms = config.start(self._sink.present_ms())
        speed = float(config.speed) if config.rate else None
        clock = SimulatedClock(start_ms, speed, time.monotonic, self._sink.present_ms)
        began_s = synchronised_s = told_s = batch_began_s = time.monotonic()
        while not self._stop.is_set() and (config.transactions is None or self._report.tried < config.transactions):
            due_ms = start_ms + self._payments.peek().arrival_ms
            wait_s = max(clock.wait_s(due_ms), batch_began_s + tick_s - time.monotonic())
            if wait_s > 0 and self._stop.wait(wait_s):
                break
            batch_began_s = time.monotonic()
            now_ms = clock.now_ms()
            if now_ms < due_ms:
                continue  # the database's clock was read again meanwhile, and is behind the estimate
            if speed is not None:
                behind_ms = int((now_ms - due_ms) / speed)
                self._report.max_behind_ms = max(self._report.max_behind_ms, behind_ms)
            left = batch_size if config.transactions is None else config.transactions - self._report.tried
            self._write(self._due(start_ms, now_ms, min(batch_size, left)))
            if batch_began_s - told_s > 0.25:
                told_s = batch_began_s
                self._report.elapsed_s = batch_began_s - began_s
                self._progress(self._report)
            if batch_began_s - synchronised_s > CLOCK_SYNCHRONISED_EVERY_S:
                synchronised_s = batch_began_s
                self._sink.synchronise_clock()

    def _due(self, start_ms: int, now_ms: int, limit: int) -> list[DatedPayment]:
        """The payments that are due by `now_ms`, `limit` at most, without those of scenarios that do not take place."""
        batch: list[DatedPayment] = []
        while len(batch) < limit:
            payment = self._payments.peek()
            if start_ms + payment.arrival_ms > now_ms:
                break
            if batch and payment.user_id in self._stopped_users:
                break  # to be refused again: by itself, so that it takes no batch apart
            self._payments.next()
            if payment.episode is not None and self._is_skipped(payment):
                self._report.count(payment, "skipped")
                continue
            batch.append(DatedPayment(payment, start_ms + payment.event_ms))
            if payment.user_id in self._stopped_users:
                break
        return batch

    def _is_skipped(self, payment: Payment) -> bool:
        """No new scenario for a user whose account is stopped; one that had begun before goes on, and is refused."""
        assert payment.episode is not None
        if payment.step == 0 and payment.user_id in self._stopped_users:
            self._skipped_episodes[payment.user_id] = payment.episode
        return self._skipped_episodes.get(payment.user_id) == payment.episode

    def _write(self, batch: list[DatedPayment]) -> None:
        if not batch:
            return
        try:
            outcomes = self._sink.write(batch)
        except (StopRequestedError, GeneratorError):
            if self._sink.in_doubt:
                for dated in batch:
                    self._report.count(dated.payment, "unknown")
            raise
        for dated, outcome in zip(batch, outcomes, strict=True):
            self._report.count(dated.payment, outcome.status)
            if outcome.status == "declined":
                self._stopped_users.add(dated.payment.user_id)
            elif outcome.status == "inserted":
                self._stopped_users.discard(dated.payment.user_id)


class _Peekable:
    """An endless iterator whose next element can be seen before it is taken."""

    def __init__(self, payments: Iterator[Payment]) -> None:
        self._payments = payments
        self._head: Payment | None = None

    def peek(self) -> Payment:
        if self._head is None:
            self._head = next(self._payments)
        return self._head

    def next(self) -> Payment:
        payment = self.peek()
        self._head = None
        return payment


def commit_fraud(
    connection: Connection,
    user_id: int,
    scenario: str = "cloned_card",
    seed: int | None = None,
    stop: threading.Event | None = None,
    tell: Callable[[str], None] = print,
    on_payment: Callable[[Payment, Outcome], None] | None = None,
    longest_gap_s: float = LONGEST_GAP_S,
) -> list[Outcome]:
    """Play one scenario for one user, now, against the running system; its payments some seconds apart.

    Args:
        seed: which amounts, countries and gaps; None for others each time.
        tell: called with a line for people about each payment.
        on_payment: called with each payment when its outcome is known.
        longest_gap_s: an audience does not wait for a minute; so long at most between two payments.

    Returns:
        One outcome for each payment made.

    Raises:
        ValueError: there is no such scenario, or it takes hours.
        GeneratorError: there is no such user, or MySQL did not answer.
    """
    if scenario not in SCENARIOS or scenario == "traveller":
        choices = ", ".join(name for name in SCENARIOS if name != "traveller")
        raise ValueError(f"cannot play {scenario!r} now (traveller takes hours); choose from {choices}")
    stop = stop or threading.Event()
    chance = Random(seed)
    bank = Bank(seed if seed is not None else 1, users=1)
    outcomes: list[Outcome] = []
    with MySqlSink(connection, stop) as sink:
        user = sink.find_user(user_id)
        if user is None:
            raise GeneratorError(f"there is no user {user_id}; run the generator first, or choose another user")
        first_name, last_name, home, stopped = user
        tell(f"{scenario} for {first_name} {last_name} (user {user_id}, home {home})")
        if stopped:
            tell("the account is stopped already: every payment will be refused; reinstate it to see it caught again")
        plan = SCENARIOS[scenario].plan(chance, home if home in COUNTRIES else "DE", 1)
        merchants = {country: bank.merchants_in(country) for country in {step.country for step in plan}}
        for number, step in enumerate(plan):
            if number and stop.wait(min(step.after_ms / 1000, longest_gap_s)):
                tell("interrupted")
                break
            present_ms = sink.present_ms()
            payment = Payment(
                sequence=number,
                user_id=user_id,
                amount=amount_worth(step.eur_cents, step.country),
                currency=COUNTRIES[step.country].currency,
                type=MERCHANT_TYPES[step.merchant_type].payment_type,
                country=step.country,
                merchant=chance.choice(merchants[step.country][step.merchant_type]),
                event_ms=0,
                arrival_ms=0,
                scenario=scenario_of(SCENARIOS[scenario], step),
                by_thief=step.by_thief,
                episode=0,
                step=number,
                lateness="",
            )
            try:
                (outcome,) = sink.write([DatedPayment(payment, present_ms)])
            except StopRequestedError:
                tell("interrupted while MySQL was away")
                break
            outcomes.append(outcome)
            if on_payment is not None:
                on_payment(payment, outcome)
            who = "the thief" if step.by_thief else "the owner"
            tell(
                f"{who} pays {payment.amount} {payment.currency} in {payment.country}"
                f" ({payment.type}, {payment.merchant}): "
                + (outcome.reason if outcome.status == "declined" else outcome.status)
            )
    return outcomes
