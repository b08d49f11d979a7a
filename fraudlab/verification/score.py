"""How good the detector is against the generator's labels: recall, precision, time to detect."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)

Case = tuple[int, str]
"""A user in a scenario."""


@dataclass(frozen=True)
class Recall:
    """How many of the cases of a scenario were found."""

    found: int
    cases: int


@dataclass(frozen=True)
class Score:
    """The detector against the labels.

    A case is a user in a scenario, found when an activity lists one of its labelled payments.

    A user with an activity is a true positive when any of the user's payments is labelled, otherwise a false positive.
    """

    recall: Recall
    by_scenario: dict[str, Recall]
    true_positives: int
    false_positives: tuple[int, ...]
    """Users."""


@dataclass(frozen=True)
class TimeToDetect:
    """From the moment the database took the payment that made an activity known to its detection, in milliseconds."""

    p50_ms: int
    p99_ms: int
    max_ms: int


def score(labels: Mapping[int, tuple[int, str]], activities: Iterable[tuple[int, Collection[int]]]) -> Score:
    """Scores activities, given as user and payment ids, against labels, given as payment id to user and scenario."""
    cases = set(labels.values())
    flagged, found = set(), set()
    for user_id, transaction_ids in activities:
        flagged.add(user_id)
        found |= {labels[each] for each in transaction_ids if each in labels}
    return tally(cases, found, flagged)


def tally(cases: Collection[Case], found: Collection[Case], flagged: Collection[int]) -> Score:
    """The score of what was counted already.

    Args:
        cases: Every case there is.
        found: Those of them that an activity holds a labelled payment of.
        flagged: The users with an activity.
    """
    fraudulent = {user_id for user_id, _ in cases}
    flagged = set(flagged)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for case in cases:
        counts[case[1]][0] += case in found
        counts[case[1]][1] += 1
    return Score(
        recall=Recall(len(found), len(cases)),
        by_scenario={scenario: Recall(*counts[scenario]) for scenario in sorted(counts)},
        true_positives=len(flagged & fraudulent),
        false_positives=tuple(sorted(flagged - fraudulent)),
    )


def time_to_detect(latencies_ms: Iterable[int]) -> TimeToDetect | None:
    """Percentiles by nearest rank; None without any latency."""
    ordered = sorted(latencies_ms)
    if not ordered:
        return None
    return TimeToDetect(percentile(ordered, 50), percentile(ordered, 99), ordered[-1])


def percentile(ordered: Sequence[Number], percent: int) -> Number:
    """The value of the nearest rank. `ordered` is sorted and not empty."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1]
