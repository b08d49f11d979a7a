"""What the dashboard knows: figures, reduced from records and rows as they come. It reads nothing itself and knows no clock."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from fraudlab.services.analytics.counting import IdSet, Newest, PerSecond
from fraudlab.services.analytics.episodes import Episodes
from fraudlab.services.analytics.records import Activity, DeadLetter
from fraudlab.services.analytics.stages import Reading, Stage
from fraudlab.services.staged_fraud import Evidence, StagedFraud
from fraudlab.verification.score import Score, TimeToDetect, tally, time_to_detect

LATEST_KEPT = 40
LATENCIES_KEPT = 1_000
LETTERS_KEPT = 12
LETTER_IDS_KEPT = 100_000
COUNTRIES_OF_AN_ACTIVITY = 8
"""Pairs grow with the square of the countries: of an hour in more than these, the first few are drawn."""

STAGES = (
    "mysql",
    "user_profile",
    "transactions",
    "transaction_mid",
    "suspicious_activities",
    "flags",
    "notifications",
    "refused",
    "dead_letters",
)
SOURCES = ("Kafka", "MySQL", "Flink")


@dataclass(frozen=True)
class FlagChange:
    """A row of `flag_changes`, time in ms since the epoch."""

    user_id: int
    is_set: bool
    changed_ms: int


@dataclass(frozen=True)
class Refusal:
    """A row of `declined_transactions`, time in ms since the epoch."""

    user_id: int
    refused_ms: int


@dataclass(frozen=True)
class Label:
    """A row of `fraud_labels`, with the user whose payment it was."""

    transaction_id: int
    user_id: int
    scenario: str


@dataclass(frozen=True)
class StoppedAccount:
    """An account that is stopped, as a person looks for it."""

    user_id: int
    name: str
    home_country: str
    since_ms: int


@dataclass(frozen=True)
class DueStop:
    """A stop that cannot be set yet, time in ms since the epoch."""

    user_id: int
    reason: str
    since_ms: int


@dataclass(frozen=True)
class Undeliverable:
    """A notification that could not be delivered after all, time in ms since the epoch."""

    user_id: int
    channel: str
    reason: str
    created_ms: int


@dataclass(frozen=True)
class JobProblem:
    """A job or service that has a problem: its name, what is wrong, and what to do."""

    name: str
    problem: str
    advice: str


class Model:
    """All figures. Used from one thread; `revision` grows with every change.

    Whatever is handed over a second time is known by its id and counted once, so that a replay changes nothing.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.topic_lengths = {"user_profile": 0, "transactions": 0}
        self.waiting_for: dict[str, str] = dict.fromkeys(SOURCES, "connecting")
        """Sources that do not answer, with what was heard last."""
        self.activity_count = 0
        self.latest: Newest[Activity] = Newest(LATEST_KEPT)
        self.payments = 0
        self.payments_per_second = PerSecond()
        self.activities_per_second = PerSecond()
        self.pairs: Counter[tuple[str, str]] = Counter()
        """Pairs of countries, in alphabetical order, with how many activities hold both."""
        self.stages = {name: Stage() for name in STAGES}
        self.episodes = Episodes()
        self.stopped_accounts: tuple[StoppedAccount, ...] = ()
        self.refused_count = 0
        self.letter_count = 0
        self.letters: Newest[DeadLetter] = Newest(LETTERS_KEPT)
        self.notifications: Mapping[tuple[str, str], int] = {}
        """How many by channel and status."""
        self.undeliverable: tuple[Undeliverable, ...] = ()
        self.due_stop_count = 0
        self.due_stops: tuple[DueStop, ...] = ()
        """Stops that wait, the longest-waiting first."""
        self.job_problems: tuple[JobProblem, ...] = ()
        self.staged: StagedFraud | None = None
        self._seen = IdSet()
        self._members = IdSet()
        self._labels: dict[int, tuple[int, str]] = {}
        self._cases: set[tuple[int, str]] = set()
        self._found: set[tuple[int, str]] = set()
        self._users: set[int] = set()
        self._score: Score | None = None
        self._latencies_ms: Newest[int] = Newest(LATENCIES_KEPT)
        self._refusal_latencies_ms: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self._letter_ids: set[str] = set()

    # What comes in

    def answers(self, source: str) -> None:
        """A source answers."""
        if self.waiting_for.pop(source, None) is not None:
            self.revision += 1

    def does_not_answer(self, source: str, why: str) -> None:
        """A source does not answer."""
        if self.waiting_for.get(source) != why:
            self.waiting_for[source] = why
            self.revision += 1

    def take_activities(self, activities: Iterable[Activity]) -> None:
        """Takes in records of `suspicious_activities`."""
        for activity in activities:
            if not self._seen.add(activity.transaction_id):
                continue
            self.activity_count += 1
            self.latest.add(activity.arrived_ms, activity)
            self.activities_per_second.add(activity.arrived_ms)
            self._latencies_ms.add(activity.arrived_ms, activity.latency_ms)
            self._users.add(activity.user_id)
            countries = sorted(set(activity.countries))[:COUNTRIES_OF_AN_ACTIVITY]
            self.pairs.update(combinations(countries, 2))
            for transaction_id in activity.transaction_ids:
                self._members.add(transaction_id)
                if transaction_id in self._labels:
                    self._found.add(self._labels[transaction_id])
            self.episodes.activity(activity.user_id, activity.committed_ms)
            self._follow(activity)
        self._take_refusal_latencies()
        self._score = None
        self.revision += 1

    def take_labels(self, labels: Iterable[Label]) -> None:
        """Takes in the generator's truth, which decides nothing and only scores."""
        for label in labels:
            case = (label.user_id, label.scenario)
            self._labels[label.transaction_id] = case
            self._cases.add(case)
            if label.transaction_id in self._members:
                self._found.add(case)
        self._score = None
        self.revision += 1

    def take_flag_changes(self, changes: Iterable[FlagChange]) -> None:
        """Takes in rows of `flag_changes`, those of one user in their order, each once."""
        for change in changes:
            self.episodes.flag(change.user_id, change.is_set, change.changed_ms)
        self.revision += 1

    def take_refusals(self, refusals: Iterable[Refusal]) -> None:
        """Takes in rows of `declined_transactions`, each once, after the flags that they come from."""
        for refusal in refusals:
            self.refused_count += 1
            self.episodes.refusal(refusal.user_id, refusal.refused_ms)
        self._take_refusal_latencies()
        self.revision += 1

    def take_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Takes in records of `dead_letters`. The newest 100,000 ids are known again."""
        for letter in letters:
            if letter.dead_letter_id in self._letter_ids:
                continue
            if len(self._letter_ids) >= LETTER_IDS_KEPT:
                self._letter_ids.clear()
            self._letter_ids.add(letter.dead_letter_id)
            self.letter_count += 1
            self.letters.add(letter.arrived_ms, letter)
        self.revision += 1

    def take_payments(self, total: int, new_by_second: Iterable[tuple[int, int]]) -> None:
        """Takes in how many payments there are in all, and how many new ones by second (its start in ms)."""
        self.payments = total
        for second_ms, count in new_by_second:
            self.payments_per_second.add(second_ms, count)
        self.revision += 1

    def take_notifications(self, counts: Mapping[tuple[str, str], int], undeliverable: Iterable[Undeliverable]) -> None:
        """Takes in how many notifications there are by channel and status, and the newest that failed for good."""
        self.notifications = dict(counts)
        self.undeliverable = tuple(undeliverable)
        self.revision += 1

    def take_due_stops(self, count: int, stops: Iterable[DueStop]) -> None:
        """Takes in how many stops wait, and the first of them."""
        self.due_stop_count, self.due_stops = count, tuple(stops)
        self.revision += 1

    def take_stopped_accounts(self, accounts: Iterable[StoppedAccount]) -> None:
        """Takes in the names that belong to the newest stopped accounts."""
        self.stopped_accounts = tuple(accounts)
        self.revision += 1

    def take_jobs(self, problems: Iterable[JobProblem]) -> None:
        """Takes in the jobs that have a problem."""
        self.job_problems = tuple(problems)
        self.revision += 1

    def observe(self, stage: str, reading: Reading, now_ms: int) -> None:
        """Takes in a look at a stage of the flow."""
        self.stages[stage].observe(reading, now_ms)
        self.revision += 1

    def stage_fraud(self, fraud: StagedFraud) -> None:
        """The fraud that is on stage, or what is new of it."""
        self.staged = fraud
        self.revision += 1

    # What people see

    @property
    def latencies_ms(self) -> tuple[int, ...]:
        """Commit to alert, of the newest 1,000 activities."""
        return tuple(self._latencies_ms)

    @property
    def time_to_alert(self) -> TimeToDetect | None:
        """Commit to alert, of the newest 1,000 activities; None before the first."""
        return time_to_detect(self._latencies_ms)

    @property
    def time_to_refusal(self) -> TimeToDetect | None:
        """The fraud's commit to the first refusal, of the newest 1,000 episodes in which a further payment was tried."""
        return time_to_detect(self._refusal_latencies_ms)

    @property
    def score(self) -> Score:
        """Precision and recall against the labels, counted again only after something came: each open page asks for it."""
        if self._score is None:
            self._score = tally(self._cases, self._found, self._users)
        return self._score

    def sent(self, status: str) -> int:
        """How many notifications have this status."""
        return sum(count for (_, each), count in self.notifications.items() if each == status)

    def _take_refusal_latencies(self) -> None:
        self._refusal_latencies_ms.extend(self.episodes.resolved)
        self.episodes.resolved.clear()

    def _follow(self, activity: Activity) -> None:
        fraud = self.staged
        if fraud is None or fraud.user_id != activity.user_id or fraud.evidence.activity_ms is not None:
            return
        if activity.committed_ms >= fraud.began_ms:
            seen = Evidence(payment_ms=activity.committed_ms, activity_ms=activity.arrived_ms)
            self.staged = fraud.with_evidence(seen)
