"""A profile that is deleted while the join is behind: its deletion, in another topic, is read before the last payments."""

from collections.abc import Iterator

import pytest

from fraudlab import system
from fraudlab.pipeline.contracts import CDC_JOB
from fraudlab.settings import Settings
from tests.support.lab import LearnerLab, assert_exact, learner_lab
from tests.support.waiting import eventually

BACKLOG = 10_000
"""Payments that the join has to read before the fraud. It reads the few profiles meanwhile."""


@pytest.fixture
def lab(settings: Settings) -> Iterator[LearnerLab]:
    with learner_lab(settings, "behind1") as lab:
        yield lab


@pytest.mark.slow
def test_what_is_found_about_a_user_whose_deletion_overtook_the_payments_is_given_up_and_exact(lab: LearnerLab) -> None:
    system.submit_jobs(lab.settings, print, only=(CDC_JOB,))
    user = lab.add_user()
    other = lab.add_user(lab.new_user_id(like=user))
    row = f"({other}, 1, 'EUR', 'online', 'DE', 'Books and more', NOW(3))"
    columns = "user_id, amount, currency, type, country, merchant, transaction_time"
    for _ in range(BACKLOG // 1000):
        lab.execute(f"INSERT INTO transactions ({columns}) VALUES {', '.join([row] * 1000)}")
    _, last = lab.commit_fraud(user)
    lab.execute("DELETE FROM user_profile WHERE user_id = %s", user)
    eventually(lambda: lab.records(lab.names.user_profile, user)[-1].json["op"] == "d", "the deletion is in Kafka")
    lab.start_flagger()
    lab.start_notifier()
    lab.submit_jobs()
    eventually(lambda: len(lab.joined(user)) >= 2, "the payments are joined")
    joined = [record.json for record in lab.joined(user)]
    assert {one["user_first_name"] for one in joined if one} == {None}, "the deletion came first"
    lab.settle(other)
    assert lab.activity_ids(user) == []
    assert last in {one["transaction_id"] for one in joined if one}
    assert_exact(lab.settings)
