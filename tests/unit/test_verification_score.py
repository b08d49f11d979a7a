"""Scores against labels, and percentiles."""

from fraudlab.verification.score import Recall, TimeToDetect, score, time_to_detect


def test_a_case_is_found_when_an_activity_holds_one_of_its_payments() -> None:
    labels = {1: (7, "cloned_card"), 2: (7, "cloned_card"), 3: (7, "burst"), 4: (8, "burst")}
    result = score(labels, [(7, (90, 2)), (9, (91, 92))])
    assert result.by_scenario == {"burst": Recall(0, 2), "cloned_card": Recall(1, 1)}
    assert result.recall == Recall(1, 3)
    assert result.true_positives == 1
    assert result.false_positives == (9,)


def test_without_labels_and_activities_there_is_nothing_to_score() -> None:
    assert score({}, []).recall == Recall(0, 0)
    assert time_to_detect([]) is None


def test_percentiles_are_by_nearest_rank() -> None:
    assert time_to_detect(range(1, 201)) == TimeToDetect(p50_ms=100, p99_ms=198, max_ms=200)
    assert time_to_detect([5]) == TimeToDetect(5, 5, 5)
    assert time_to_detect([9, 1]) == TimeToDetect(1, 9, 9)
