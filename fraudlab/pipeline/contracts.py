"""What the pieces of the pipeline agree on: names, dead letters, countries and exchange rates. The other records are in records.py."""

import csv
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pycountry

CDC_JOB, JOIN_JOB, DETECTOR_JOB = JOBS = ("cdc-ingestion", "transaction-join", "fraud-detector")
"""What the jobs are called, of which the modules that submit them need Flink to be imported."""

EUR_RATE_SCALE = 10**8
"""`eur_rates()` gives EUR per unit of a currency times this, as an integer."""

FUTURE_TOLERANCE_MS = 60_000
"""How far a payment's event time may lie after the moment the database took it, before it counts as malformed."""

SERVER_IDS = range(1_000_000_000, 2**31)
"""Replica ids of CDC jobs: above those that people choose, and those that other tools pick at random (5400 and up). MySQL accepts
higher ones, the connector does not."""
PARALLEL_READERS = 4
"""How many replica ids a CDC job has: one for each reader, of which there is one today."""

MAX_DEAD_LETTER_PAYLOAD = 65_536
"""So many characters of a record go into its dead letter, which must itself fit into a record. dead_letters.sql has it, too."""

SKIPPED = "skipped by hand"
"""The reason in the dead letter of a record that `fraudlab skip` made a job skip."""
_JOINED = re.compile(rb'(\{"transaction_id":[1-9][0-9]{0,18}),')
MOVED = "the columns of the table have moved"
"""The beginning of the reason in a dead letter that cdc-ingestion writes for what cannot be a row of its table."""


def joined_beginning(message: bytes) -> str:
    """How the join's record of a payment begins, up to its id. The same payment comes again with each change of its user's profile.

    "" of a record that the join has not written.
    """
    found = _JOINED.match(message)
    return found[1].decode() if found else ""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of everything that two learners on one stack must not share.

    `Names("learner7").transactions` is `learner7.transactions`; without a learner the names are those of the contract.
    """

    learner: str = ""

    def _topic(self, name: str) -> str:
        return f"{self.learner}.{name}" if self.learner else name

    @property
    def database(self) -> str:
        return f"{self.learner}_payment" if self.learner else "payment"

    def account(self, role: str) -> str:
        """The MySQL account of a role (`generator`, `cdc`, `flagger`, `notifier`, `analytics`, `operator`, `learner`)."""
        return f"{self.learner}_{role}" if self.learner else role

    @property
    def user_profile(self) -> str:
        return self._topic("user_profile")

    @property
    def transactions(self) -> str:
        return self._topic("transactions")

    @property
    def transaction_mid(self) -> str:
        return self._topic("transaction_mid")

    @property
    def suspicious_activities(self) -> str:
        return self._topic("suspicious_activities")

    @property
    def dead_letters(self) -> str:
        return self._topic("dead_letters")

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics, in the order in which records flow."""
        return (
            self.user_profile,
            self.transactions,
            self.transaction_mid,
            self.suspicious_activities,
            self.dead_letters,
        )

    def group(self, service: str) -> str:
        """The consumer group of a service."""
        return self._topic(service)

    def job(self, name: str) -> str:
        """The Flink job name of `cdc-ingestion`, `transaction-join` or `fraud-detector`."""
        return self._topic(name)


def server_ids(names: Names) -> range:
    """The replica ids of a learner's CDC job, a function of the name alone: a job that is restored or submitted again keeps them.

    Among n names, two share their ids with a probability of n² in 570 million; `system.create_database` refuses the second one.
    """
    digest = hashlib.sha256(names.learner.encode()).digest()
    first = SERVER_IDS[int.from_bytes(digest[:8]) % (len(SERVER_IDS) // PARALLEL_READERS) * PARALLEL_READERS]
    return range(first, first + PARALLEL_READERS)


def dead_letter(
    topic: str,
    partition: int,
    offset: int,
    *,
    reason: str,
    payload: str,
    letter_id: str | None = None,
    transaction_id: int | None = None,
) -> dict[str, object]:
    """A record of `dead_letters`: what could not be used, where it lies, and why.

    `letter_id` is the same for the same trouble met again, so that it counts once; without one it is the record's place.
    """
    return {
        "dead_letter_id": letter_id or f"{topic}-{partition}-{offset}",
        "reason": reason,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "transaction_id": transaction_id,
        "payload": payload[:MAX_DEAD_LETTER_PAYLOAD],
    }


@cache
def eur_rates() -> dict[str, int]:
    """Currency code to EUR per unit, times `EUR_RATE_SCALE`, from the table that ships with the project."""
    lines = resources.files("fraudlab.pipeline").joinpath("eur_rates.csv").read_text(encoding="utf-8").splitlines()
    return {row["currency"]: _scaled(row["eur_per_unit"]) for row in csv.DictReader(lines)}


def _scaled(decimal: str) -> int:
    whole, _, fraction = decimal.partition(".")
    return int(whole) * EUR_RATE_SCALE + int(fraction.ljust(8, "0")[:8] or 0)


@cache
def countries() -> frozenset[str]:
    """The country codes of ISO 3166-1 alpha-2."""
    return frozenset(country.alpha_2 for country in pycountry.countries)
