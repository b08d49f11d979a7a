"""How good the detector is against the generator's labels: recall, precision, time to detect."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Recall:
    """How many of the cases of a scenario were found."""

    found: int
    cases: int


@dataclass(frozen=True)
class Score:
    """The detector against the labels.

    A case is a user in a scenario, found when an activity holds one of its labelled payments.

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
    fraudulent = {user_id for user_id, _ in cases}
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
    return TimeToDetect(_percentile(ordered, 50), _percentile(ordered, 99), ordered[-1])


def _percentile(ordered: list[int], percent: int) -> int:
    return ordered[-(-len(ordered) * percent // 100) - 1]
