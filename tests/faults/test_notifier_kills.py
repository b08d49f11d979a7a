"""The notifier killed (SIGKILL) at random moments with a backlog: one message per episode and channel in the inbox, none missing."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from fraudlab.settings import Settings
from tests.support.inbox import messages, topic
from tests.support.lab import Lab
from tests.support.notifier_lab import NotifierLab, notifier_lab
from tests.support.waiting import eventually

PEOPLE = 400
KILLS = 6


@pytest.fixture
def told(settings: Settings) -> Iterator[NotifierLab]:
    with notifier_lab(settings) as told:
        yield told


def received(told: NotifierLab) -> Counter[str]:
    """How often each recipient of this learner was sent something, by the inbox's account: first deliveries and repeated ones."""
    mine = f"@{told.lab.names.learner}.example.com", topic(told.settings, 0)[:-1]
    return Counter(
        {
            one["recipient"]: one["deliveries"]
            for one in messages(told.settings)
            if one["recipient"].endswith(mine[0]) or one["recipient"].startswith(mine[1])
        }
    )


def test_a_notifier_killed_again_and_again_tells_everybody_once(told: NotifierLab) -> None:
    chance = random.Random()
    users = [told.lab.new_user_id() for _ in range(PEOPLE)]
    for user in users:
        told.activity(user)
    kills = 0
    for _ in range(KILLS):
        told.lab.start_notifier()
        before = sum(received(told).values())
        eventually(lambda before=before: sum(received(told).values()) > before, "it sends")  # type: ignore[misc]
        time.sleep(chance.random() * 0.3)  # a random moment is the point here
        told.lab.kill_notifier()
        kills += 1
        if told.all_sent(2 * PEOPLE):
            break
    assert not told.all_sent(2 * PEOPLE) or kills > 2, "the backlog was too short to be killed in"
    told.lab.start_notifier()
    eventually(lambda: told.all_sent(2 * PEOPLE), "everybody is told", 180)

    expected = {f"user{user}@{told.lab.names.learner}.example.com" for user in users} | {
        topic(told.settings, user) for user in users
    }
    shown = received(told)
    assert shown.keys() == expected, "exactly one message per person and channel"
    again = sum(shown.values()) - len(shown)
    print(
        f"\n{kills} kills within {PEOPLE} people's messages; {again} of {2 * PEOPLE} were delivered again with the same id and shown once"
    )
    assert again <= kills * 8, "at most what the workers had in hand, accepted and not yet recorded"


def test_a_notifier_stopped_by_its_supervisor_repeats_nothing(told: NotifierLab) -> None:
    users = [told.lab.new_user_id() for _ in range(PEOPLE // 2)]
    for user in users:
        told.activity(user)
    for _ in range(3):
        told.lab.start_notifier()
        eventually(lambda: any(row["status"] == "sent" for row in told.rows()), "it sends")
        told.lab.stop_notifier()
    told.lab.start_notifier()
    eventually(lambda: told.all_sent(2 * len(users)), "everybody is told", 120)
    assert set(received(told).values()) == {1}
    assert len(received(told)) == 2 * len(users)


@pytest.mark.parametrize("program", ["inbox", "mysql", "kafka"])
def test_what_the_notifier_needs_is_killed_and_everybody_is_told_once(
    lab: Lab, told: NotifierLab, program: str
) -> None:
    told.lab.start_notifier()
    users = [told.lab.new_user_id() for _ in range(PEOPLE // 2)]
    for user in users[: PEOPLE // 4]:
        told.activity(user)
    eventually(lambda: len(received(told)) > 5, "it sends")
    lab.stack.kill(program)
    if program != "inbox":
        lab.stack.wait_healthy()
    for user in users[PEOPLE // 4 :]:
        told.activity(user)

    def everybody() -> bool:
        if not told.lab.notifier_runs:
            told.lab.start_notifier()  # as the supervisor does
        return told.all_sent(2 * len(users))

    eventually(everybody, "everybody is told", 180)
    assert len(received(told)) == 2 * len(users)
