"""The outbox: which message may be sent next, so that a silent destination takes neither all workers nor all room."""

import threading
from datetime import UTC, datetime
from itertools import count

import pytest

from fraudlab.services.notifier import outbox as module
from fraudlab.services.notifier.ledger import Claim, Notification
from fraudlab.services.notifier.outbox import IN_HAND, PROBES, SHARE, WORKERS, Outbox
from tests.support.waiting import eventually

_numbers = count(1)


def to(destination: str) -> Notification:
    claim = Claim(next(_numbers), 1, 0, "email", 0, 0, "id", 0, datetime(2026, 1, 1, tzinfo=UTC), 0, "DE")
    return Notification({}, destination, [], claim, "turn")


def taken(outbox: Outbox, most: int) -> list[Notification]:
    """What as many workers get at once; a worker that would wait gets nothing."""
    got: list[Notification] = []

    def work() -> None:
        if (one := outbox.take()) is not None:
            got.append(one)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.1)
    return got


def test_one_destination_gets_half_of_the_workers_and_the_others_one_each_at_least() -> None:
    outbox = Outbox(60)
    outbox.put([to(f"{name}.example") for name in ("big", "other", "small") for _ in range(20)])
    got = [one.destination for one in taken(outbox, WORKERS)]
    assert sorted(got) == ["big.example"] * SHARE + ["other.example", "small.example"]


def test_a_destination_that_failed_gets_one_message_at_a_time_and_those_that_waited_are_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "pause_s", lambda *_: 0.0)
    outbox = Outbox(60)
    outbox.put([to("dead.example") for _ in range(20)])
    under_way = taken(outbox, SHARE)
    assert outbox.destination_away("dead.example", "silent") is not None
    assert len(outbox.in_hand()) == SHARE, "those under way"
    assert outbox.aside() == {"dead.example"}
    for one in under_way:
        outbox.done(one)
    assert outbox.aside() == set(), "its pause is over"
    outbox.put([to("dead.example") for _ in range(20)])
    assert outbox.aside() == {"dead.example"}
    (probe,) = taken(outbox, WORKERS)
    outbox.reached("dead.example")
    outbox.done(probe)
    outbox.put([to("dead.example") for _ in range(20)])
    assert len(outbox.in_hand()) == 20, "it answers again"


def test_destinations_that_failed_take_a_quarter_of_the_workers_and_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pause_s", lambda *_: 0.0)
    outbox = Outbox(60)
    dead = [f"dead{number}.example" for number in range(2 * IN_HAND)]
    for name in dead:
        outbox.destination_away(name, "silent")
    outbox.put([to(name) for name in dead])
    got = taken(outbox, WORKERS)
    assert len(got) == PROBES
    assert outbox.room() == IN_HAND
    outbox.put([to("alive.example")])
    eventually(
        lambda: [one.destination for one in got[PROBES:]] == ["alive.example"], "one of the workers that wait takes it"
    )
    assert outbox.aside() == set(dead), "so many wait that no more of them are read"


def test_while_the_server_is_away_nothing_is_in_hand_and_then_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = [60.0, 0.0]
    monkeypatch.setattr(module, "pause_s", lambda *_: pauses.pop(0))
    outbox = Outbox(60)
    outbox.put([to("a.example"), to("b.example"), to("c.example")])
    (one,) = taken(outbox, 1)
    assert outbox.server_away("refused") == 60
    assert outbox.server_away("refused") is None, "two found out at the same time"
    assert outbox.in_hand() == {one.claim.notification_id}
    assert (outbox.room(), outbox.silent_because("d.example")) == (0, "refused")
    outbox._server.silent_until = 0
    outbox.done(one)
    assert outbox.room() == 1
    outbox.put([one])
    assert outbox.room() == 0
    assert outbox.reached("a.example"), "it had been away"
    assert not outbox.reached("a.example")
    assert outbox.room() == IN_HAND - 1


def test_a_closed_outbox_hands_nothing_out() -> None:
    outbox = Outbox(60)
    outbox.put([to("a.example")])
    outbox.close()
    assert outbox.take() is None
