"""The dashboard's figures, reduced from records and rows in any order, with time moved by hand."""

from dataclasses import replace
from decimal import Decimal

import orjson
import pytest

from fraudlab.services.analytics import database_reader, records
from fraudlab.services.analytics.counting import SETTLED_AFTER_MS, IdSet, PaymentCount, PerSecond, Tail
from fraudlab.services.analytics.database_reader import up_to_the_same_time
from fraudlab.services.analytics.model import LATEST_KEPT, FlagChange, Label, Model, Refusal
from fraudlab.services.analytics.records import Activity, DeadLetter
from fraudlab.services.analytics.stages import LOOKED_AT_WITHIN_MS, STALLED_AFTER_MS, Reading, Stage, State
from fraudlab.services.staged_fraud import Evidence, StagedFraud, Try
from fraudlab.verification.score import Recall
from tests.support.activity import ACTIVITY

NOW_MS = 1_800_000_000_000


def activity(transaction_id: int, user_id: int = 7, after_ms: int = 0, **fields: object) -> Activity:
    """An activity whose payment was committed `after_ms` after NOW_MS, caught 13 ms later."""
    values: dict[str, object] = {
        "activity_id": f"activity-{transaction_id}",
        "transaction_id": transaction_id,
        "user_id": user_id,
        "name": "Ada Lovelace",
        "countries": ("DE", "FR"),
        "total_eur": Decimal("1200.00"),
        "transaction_ids": (transaction_id - 1, transaction_id),
        "committed_ms": NOW_MS + after_ms,
        "arrived_ms": NOW_MS + after_ms + 13,
    }
    return Activity(**values | fields)  # type: ignore[arg-type]


# Activities


def test_an_activity_delivered_again_changes_nothing() -> None:
    model = Model()
    model.take_activities([activity(2), activity(4)])
    model.take_activities([activity(2)])
    assert model.activity_count == 2
    assert model.pairs == {("DE", "FR"): 2}
    assert model.latencies_ms == (13, 13)
    assert [one.transaction_id for one in model.latest] == [2, 4]


def test_an_hour_in_three_countries_has_three_pairs() -> None:
    model = Model()
    model.take_activities([activity(2, countries=("PL", "DE", "FR"))])
    assert model.pairs == {("DE", "FR"): 1, ("DE", "PL"): 1, ("FR", "PL"): 1}


def test_only_the_newest_activities_are_kept_and_all_are_counted() -> None:
    model = Model()
    model.take_activities(activity(2 * number) for number in range(1, 5_001))
    assert model.activity_count == 5_000
    assert len(model.latest) == LATEST_KEPT
    assert next(reversed(model.latest)).transaction_id == 10_000
    assert len(model.latencies_ms) == 1_000


def test_a_replay_that_brings_one_partition_after_the_other_keeps_the_newest_by_time() -> None:
    committed = [activity(number, after_ms=number) for number in range(1, 3_001)]
    partitions = [committed[start::4] for start in range(4)]
    in_order, replayed = Model(), Model()
    in_order.take_activities(committed)
    for partition in reversed(partitions):
        replayed.take_activities(partition)
    assert list(replayed.latest) == list(in_order.latest) == committed[-LATEST_KEPT:]
    assert replayed.latencies_ms == in_order.latencies_ms


def test_percentiles_are_of_the_newest_thousand() -> None:
    model = Model()
    model.take_activities(
        [activity(1, committed_ms=NOW_MS - 120_000, arrived_ms=NOW_MS - 60_000)]
    )  # a slow first one, long ago
    model.take_activities(activity(number, arrived_ms=NOW_MS + number % 100 + 1) for number in range(2, 1_002))
    latency = model.time_to_alert
    assert latency is not None
    assert (latency.p50_ms, latency.p99_ms, latency.max_ms) == (50, 99, 100)


# Precision and recall


def test_labels_and_activities_score_the_same_in_either_order() -> None:
    labels = [Label(2, 7, "cloned_card"), Label(3, 7, "cloned_card"), Label(9, 8, "burst")]
    activities = [activity(2, 7), activity(20, 99)]
    first, second = Model(), Model()
    first.take_labels(labels)
    first.take_activities(activities)
    second.take_activities(activities)
    second.take_labels(labels)
    assert first.score == second.score
    # User 7 was robbed and found, 8 robbed and not found, 99 accused and not robbed.
    assert first.score.recall == Recall(1, 2)
    assert first.score.by_scenario == {"burst": Recall(0, 1), "cloned_card": Recall(1, 1)}
    assert (first.score.true_positives, first.score.false_positives) == (1, (99,))


# Episodes


@pytest.mark.parametrize("kafka_first", [True, False])
def test_the_first_refusal_is_measured_from_the_frauds_commit_whichever_is_read_first(kafka_first: bool) -> None:
    model = Model()
    activities = [activity(2, 7, 0), activity(4, 7, 400)]
    if kafka_first:
        model.take_activities(activities)
    model.take_flag_changes([FlagChange(7, True, NOW_MS + 20)])
    model.take_refusals([Refusal(7, NOW_MS + 700), Refusal(7, NOW_MS + 900)])
    if not kafka_first:
        assert model.time_to_refusal is None
        model.take_activities(activities)
    latency = model.time_to_refusal
    assert latency is not None
    assert (latency.p50_ms, latency.max_ms) == (700, 700)
    assert model.refused_count == 2


def test_after_a_reinstatement_the_next_episode_is_measured_anew() -> None:
    model = Model()
    model.take_activities([activity(2, 7, 0), activity(8, 7, 10_000)])
    model.take_flag_changes([FlagChange(7, True, NOW_MS + 20)])
    model.take_refusals([Refusal(7, NOW_MS + 500)])
    model.take_flag_changes([FlagChange(7, False, NOW_MS + 5_000)])
    assert model.episodes.stopped == {}
    model.take_flag_changes([FlagChange(7, True, NOW_MS + 10_020)])
    model.take_refusals([Refusal(7, NOW_MS + 10_300)])
    assert model.episodes.stopped == {7: NOW_MS + 10_020}
    assert model.episodes.times_stopped == 2
    latency = model.time_to_refusal
    assert latency is not None
    assert (latency.p50_ms, latency.max_ms) == (300, 500)


def test_a_closed_account_is_not_stopped_any_more() -> None:
    model = Model()
    model.take_flag_changes([FlagChange(7, True, NOW_MS)])
    model.episodes.forget(7)
    model.episodes.forget(8)
    assert model.episodes.stopped == {}


# Dead letters


def test_a_dead_letter_counts_once() -> None:
    model = Model()
    letter = DeadLetter("late-1", "too late", "transaction_mid", NOW_MS)
    model.take_dead_letters([letter, letter, DeadLetter("late-2", "too late", "transaction_mid", NOW_MS)])
    assert model.letter_count == 2
    assert [one.dead_letter_id for one in model.letters] == ["late-1", "late-2"]


# Stages


def test_a_stage_that_owes_and_does_nothing_is_stalled_after_seconds() -> None:
    stage = Stage()
    assert stage.state(NOW_MS) is State.UNKNOWN
    stage.observe(Reading(count=10, progress=10, lag=0), NOW_MS)
    stage.observe(Reading(count=11, progress=11, lag=5), NOW_MS + 1_000)
    assert stage.state(NOW_MS + 1_000) is State.FLOWING
    for second in range(2, 7):
        stage.observe(Reading(count=11, progress=11, lag=5 * second), NOW_MS + second * 1_000)
    # It has owed something since the first second.
    assert stage.state(NOW_MS + 1_000 + STALLED_AFTER_MS - 1) is not State.STALLED
    assert stage.state(NOW_MS + 1_000 + STALLED_AFTER_MS) is State.STALLED
    stage.observe(Reading(count=12, progress=12, lag=60), NOW_MS + 8_000)
    assert stage.state(NOW_MS + 8_000) is State.BEHIND
    stage.observe(Reading(count=72, progress=72, lag=0), NOW_MS + 9_000)
    assert stage.state(NOW_MS + 9_000) is State.FLOWING


def test_a_stage_with_nothing_to_do_is_idle_not_stalled() -> None:
    stage = Stage()
    for second in range(60):
        stage.observe(Reading(count=10, progress=10, lag=0), NOW_MS + second * 1_000)
    assert stage.state(NOW_MS + 60_000) is State.IDLE


def test_a_stage_that_nobody_could_look_at_for_seconds_is_not_known() -> None:
    stage = Stage()
    stage.observe(Reading(count=10, progress=10, lag=0), NOW_MS)
    stage.observe(Reading(count=11, progress=11, lag=0), NOW_MS + 1_000)
    assert stage.state(NOW_MS + 1_000 + LOOKED_AT_WITHIN_MS) is State.FLOWING
    assert stage.state(NOW_MS + 1_001 + LOOKED_AT_WITHIN_MS) is State.UNKNOWN
    stage.observe(Reading(count=12, progress=12, lag=0), NOW_MS + 9_000)
    assert stage.state(NOW_MS + 9_000) is State.FLOWING


def detector(stage: Stage, second: int, progress: int, lag: int) -> State:
    """Looks at a stage that tells of its work every ten seconds: what it owes then is 16 s old."""
    now_ms = NOW_MS + second * 1_000
    stage.observe(Reading(0, progress, lag, overdue_ms=16_000), now_ms)
    return stage.state(now_ms)


def test_a_job_that_tells_of_its_work_with_a_checkpoint_is_stalled_when_what_it_owes_is_older() -> None:
    stage = Stage()
    for second in range(21):  # checkpoints at 0, 10 and 20; then it hangs
        assert detector(stage, second, progress=second // 10, lag=0) is not State.STALLED
    for second in range(21, 36):
        assert detector(stage, second, progress=2, lag=0) is not State.STALLED
    assert detector(stage, 36, progress=2, lag=100) is State.STALLED


def test_a_job_that_catches_up_from_checkpoint_to_checkpoint_is_not_stalled() -> None:
    stage = Stage()
    detector(stage, 0, progress=0, lag=0)
    assert {detector(stage, second, progress=second // 10, lag=10_000 - second) for second in range(10, 60)} == {
        State.BEHIND
    }


def test_what_is_on_its_way_at_the_usual_rate_is_no_backlog() -> None:
    stage = Stage()
    stage.observe(Reading(count=0, progress=0, lag=0), NOW_MS)
    stage.observe(Reading(count=200, progress=200, lag=200), NOW_MS + 1_000)  # 200/s, a second's worth
    assert stage.state(NOW_MS + 1_000) is State.FLOWING


# A fraud on stage


def test_steps_are_timed_from_the_frauds_commit() -> None:
    fraud = StagedFraud(7, "Ada", began_ms=NOW_MS)
    assert [step.after_ms for step in fraud.steps] == [None] * 6
    fraud = fraud.with_evidence(Evidence(flag_ms=NOW_MS + 130))
    assert [step.after_ms for step in fraud.steps] == [None] * 6, "without the commit there is nothing to count from"
    fraud = fraud.with_evidence(Evidence(payment_ms=NOW_MS + 100, activity_ms=NOW_MS + 113))
    fraud = fraud.with_evidence(Evidence(email_ms=NOW_MS + 180, push_problem="withheld: too many"))
    assert [step.after_ms for step in fraud.steps] == [0, 13, 30, 80, None, None]
    assert fraud.steps[4].problem == "withheld: too many"
    assert not fraud.is_complete
    fraud = fraud.tried(
        Try(by_thief=True, amount="1", currency="EUR", country="FR", merchant="Shop", refusal="refused: stopped")
    )
    fraud = fraud.with_evidence(Evidence(refusal_ms=NOW_MS + 700))
    assert fraud.steps[5].detail == "refused: stopped"
    assert not fraud.is_complete, "a payment may still be tried"
    assert StagedFraud(7, "Ada", NOW_MS, fraud.tries, fraud.evidence, played=True).is_complete


def test_the_payment_is_the_thiefs_or_where_none_of_his_was_accepted_the_owners() -> None:
    owner = Try(by_thief=False, amount="12.00", currency="EUR", country="DE", merchant="Baker")
    thief = Try(by_thief=True, amount="3,000.00", currency="USD", country="US", merchant="Shop")
    fraud = StagedFraud(7, "Ada", NOW_MS).tried(owner)
    assert fraud.tried(thief).steps[0].detail == "3,000.00 USD in US, Shop"
    assert fraud.tried(replace(thief, refusal="refused")).steps[0].detail == "12.00 EUR in DE, Baker"


def test_what_was_not_seen_within_a_minute_is_not_waited_for() -> None:
    fraud = StagedFraud(7, "Ada", NOW_MS, played=True).with_evidence(
        Evidence(payment_ms=NOW_MS, activity_ms=NOW_MS + 13, push_problem="withheld: too many")
    )
    assert [step.verdict for step in fraud.steps] == ["", "", "", "", "not sent", ""]
    assert not fraud.is_complete
    over = replace(fraud, is_over=True)
    assert over.is_complete
    assert [step.verdict for step in over.steps] == ["", "", "not seen", "not seen", "not sent", "not seen"]
    assert over.steps[2].problem == "not seen within 60 s"


def test_an_activity_of_the_staged_user_is_followed_and_an_older_one_is_not() -> None:
    model = Model()
    model.stage_fraud(StagedFraud(7, "Ada", began_ms=NOW_MS))
    model.take_activities([activity(2, 7, -5_000), activity(4, 8, 10)])
    assert model.staged is not None
    assert model.staged.evidence == Evidence()
    model.take_activities([activity(6, 7, 50)])
    assert model.staged.evidence == Evidence(payment_ms=NOW_MS + 50, activity_ms=NOW_MS + 63)


# What carries them


def test_payments_are_counted_once_while_they_settle() -> None:
    count = PaymentCount()
    assert count.take(floor=0, rows=[(0, 100, 3), (0, 101, 1)]) == [(100, 3), (101, 1)]
    # Two of second 100 are settled now, the third and a late one are not.
    assert count.take(floor=2, rows=[(1, 100, 2), (0, 100, 2), (0, 101, 1)]) == [(100, 1)]
    assert (count.total, count.floor) == (5, 2)
    assert count.take(floor=5, rows=[(1, 100, 2), (1, 101, 1)]) == []
    assert count.take(floor=5, rows=[]) == []
    assert count.total == 5


def test_where_a_batch_is_full_later_rows_of_other_tables_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_reader, "BATCH", 3)
    flags = [(1, 10), (2, 20), (3, 30)]  # full: there may be one of time 31
    refusals = [(1, 15), (2, 30), (3, 40), (4, 25)]
    assert up_to_the_same_time(flags, refusals) == [flags, [(1, 15), (2, 30)]], (
        "an id is never left out before a later one"
    )
    assert up_to_the_same_time(flags[:2], refusals[:2]) == [flags[:2], refusals[:2]]
    both_full = [(1, 5), (2, 12), (3, 7)]
    assert up_to_the_same_time(flags, both_full) == [[(1, 10)], both_full]


def test_an_id_set_knows_what_was_added() -> None:
    ids = IdSet()
    assert ids.add(3)
    assert not ids.add(3)
    assert ids.add(10**12)
    assert 3 in ids
    assert 4 not in ids
    assert 10**12 in ids
    assert len(ids) == 2


def test_a_rate_is_of_full_seconds() -> None:
    counts = PerSecond()
    for second in range(5):
        counts.add(NOW_MS + second * 1_000 + 999, 10)
    counts.add(NOW_MS + 5_000, 1_000)  # this second is not over
    assert counts.rate(NOW_MS + 5_500) == 10.0
    assert counts.series(NOW_MS + 5_500, span_s=10, step_s=5) == [(NOW_MS - 5_000, 0.0), (NOW_MS, 10.0)]


def test_a_row_committed_after_one_with_a_higher_id_is_seen_and_none_twice() -> None:
    tail = Tail()
    assert tail.fresh([(1, NOW_MS), (3, NOW_MS)], NOW_MS) == [(1, NOW_MS), (3, NOW_MS)]
    assert tail.floor == 0, "what is young may still have company"
    assert tail.fresh([(1, NOW_MS), (2, NOW_MS), (3, NOW_MS)], NOW_MS + 100) == [(2, NOW_MS)]
    later_ms = NOW_MS + SETTLED_AFTER_MS + 1
    assert tail.fresh([(1, NOW_MS), (2, NOW_MS), (3, NOW_MS)], later_ms) == []
    assert tail.floor == 3
    assert tail.fresh([(4, later_ms)], later_ms) == [(4, later_ms)]


RECORD = ACTIVITY | {
    "activity_id": "activity-2",
    "transaction_id": 2,
    "user_id": 7,
    "user_first_name": "<img src=x onerror=alert(1)>",
    "user_last_name": None,
    "transaction_ids": [1, 2],
    "created_at": "2027-01-15T08:00:00.000Z",
}


def test_a_record_is_read_as_it_is() -> None:
    one = records.activity(orjson.dumps(RECORD), NOW_MS + 13)
    assert one is not None
    assert one == activity(2, name="<img src=x onerror=alert(1)>")


@pytest.mark.parametrize(
    "wrong", [{"user_id": "7"}, {"transaction_id": -1}, {"created_at": "2027-01-15"}, {"countries": None}]
)
def test_what_is_no_activity_is_left_out(wrong: dict[str, object]) -> None:
    assert records.activity(orjson.dumps(RECORD | wrong), NOW_MS) is None


def test_what_is_no_json_is_left_out() -> None:
    assert records.activity(b"\xff", NOW_MS) is None
    assert records.activity(None, NOW_MS) is None
    assert records.dead_letter(b"?", "dead_letters-0-3", NOW_MS).dead_letter_id == "dead_letters-0-3"
