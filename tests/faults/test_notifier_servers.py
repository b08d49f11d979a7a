"""Mail and push servers that are down, slow, silent, busy, refusing, or hang up halfway: everybody is told once all the same."""

import time
from collections.abc import Iterator

import pytest

from fraudlab.services.notifier.ledger import lock_name
from fraudlab.services.notifier.outbox import IN_HAND, WORKERS
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack.second_stack import free_ports
from tests.support.lab import Service
from tests.support.notifier_lab import NotifierLab, notifier_lab
from tests.support.servers import FAULTS, Server, servers
from tests.support.waiting import eventually, patient

CHANNELS = ("email", "push")
PEOPLE = 3


@pytest.fixture(scope="module")
def told(settings: Settings) -> Iterator[NotifierLab]:
    with notifier_lab(settings) as told:
        yield told


@pytest.fixture(scope="module")
def both_servers() -> Iterator[dict[str, Server]]:
    with servers() as both:
        yield both


@pytest.fixture
def both(both_servers: dict[str, Server]) -> dict[str, Server]:
    """Both servers, faultless and with nothing in them."""
    for server in both_servers.values():
        server.have(None)
        server.silent_about = frozenset()
        server.ids.clear()
    return both_servers


def start(told: NotifierLab, both: dict[str, Server], **settings: object) -> None:
    """From now on the notifier runs with these servers and little patience: that of the test before, where it will do."""
    told.lab.have_notifier(**options(both) | settings)


def options(both: dict[str, Server]) -> dict[str, object]:
    """The settings for that."""
    return {
        "notify_email_url": f"mailto://{LOOPBACK}:{both['email'].port}",
        "notify_push_url": f"ntfy://{LOOPBACK}:{both['push'].port}/user-{{user_id}}",
        "notify_timeout_s": 1.0,
        "notify_retry_max_s": 2.0,
    }


def tell(told: NotifierLab, count: int) -> list[int]:
    """So many people are to be told."""
    users = [told.lab.new_user_id() for _ in range(count)]
    for user in users:
        told.activity(user)
    return users


def states(told: NotifierLab, users: list[int], channel: str) -> list[str]:
    return [row["status"] for row in told.rows() if row["user_id"] in users and row["channel"] == channel]


def ids(told: NotifierLab, users: list[int], channel: str) -> list[str]:
    return sorted(row["message_id"] for row in told.rows() if row["user_id"] in users and row["channel"] == channel)


def taken(server: Server, told: NotifierLab, users: list[int], channel: str) -> list[str]:
    """The ids of these people's messages that a server took, as often as it took them."""
    mine = set(ids(told, users, channel))
    return sorted(one for one in server.ids if one in mine)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_a_fault_that_passes_delays_its_own_channel_only(
    told: NotifierLab, both: dict[str, Server], channel: str, fault: str
) -> None:
    (other,) = set(CHANNELS) - {channel}
    both[channel].have(fault)
    start(told, both)
    users = tell(told, PEOPLE)
    eventually(lambda: states(told, users, other) == ["sent"] * PEOPLE, f"{other} arrives meanwhile")
    eventually(lambda: told.lag() == 0, "the topic is worked off meanwhile")
    if fault != "slow":
        eventually(lambda: any(row["attempts"] > 1 for row in told.rows() if row["user_id"] in users), "tried again")
        assert set(states(told, users, channel)) == {"pending"}
        reasons = {
            row["reason"]
            for row in told.rows()
            if row["user_id"] in users and row["attempts"] and row["channel"] == channel
        }
        assert all(reasons)
    both[channel].have(None)
    eventually(lambda: states(told, users, channel) == ["sent"] * PEOPLE, f"{channel} arrives afterwards")
    assert taken(both[other], told, users, other) == ids(told, users, other), "once each"
    if fault == "drops":
        # It took the message and hung up before saying so. Nobody can know; the same id lets the reader's program show it once.
        assert sorted(set(taken(both[channel], told, users, channel))) == ids(told, users, channel)
    else:
        assert taken(both[channel], told, users, channel) == ids(told, users, channel), "once each"


@pytest.mark.parametrize(("channel", "reason"), [("email", "550 no such user here"), ("push", "403 forbidden")])
def test_what_is_refused_for_good_is_not_tried_again_and_ends_in_dead_letters(
    told: NotifierLab, both: dict[str, Server], channel: str, reason: str
) -> None:
    both[channel].have("refuses")
    start(told, both)
    (user,) = tell(told, 1)
    eventually(lambda: states(told, [user], channel) == ["undeliverable"], "given up")
    (row,) = [row for row in told.rows(user) if row["channel"] == channel]
    assert row["attempts"] == 1
    assert reason in row["reason"]
    (letter,) = [one for one in told.lab.dead_letters() if one["dead_letter_id"] == f"notification-{user}-0-{channel}"]
    assert reason in letter["reason"]
    assert letter["topic"] == told.lab.names.suspicious_activities

    both[channel].have(None)
    (after,) = tell(told, 1)
    eventually(lambda: states(told, [after], channel) == ["sent"], "the next one is told")
    assert both[channel].ids == ids(told, [after], channel)


def test_a_long_outage_with_a_backlog_is_probed_not_stormed(told: NotifierLab, both: dict[str, Server]) -> None:
    both["email"].have("down")
    start(told, both)
    users = tell(told, 100)
    eventually(lambda: states(told, users, "push") == ["sent"] * 100, "push arrives meanwhile")
    eventually(lambda: sum(row["attempts"] for row in told.rows() if row["user_id"] in users) >= 104, "probed")
    tried = [row["attempts"] for row in told.rows() if row["user_id"] in users and row["channel"] == "email"]
    assert sum(tried) < 30, "most of them are not even tried while the server is away"
    both["email"].have(None)
    eventually(lambda: states(told, users, "email") == ["sent"] * 100, "all arrive")
    assert sorted(both["email"].ids) == ids(told, users, "email")


def test_what_no_message_can_be_made_of_does_not_hold_up_the_others(told: NotifierLab, both: dict[str, Server]) -> None:
    both["email"].have("down")
    start(told, both)
    broken, whole = tell(told, 2)
    eventually(lambda: len(states(told, [broken, whole], "email")) == 2, "claimed")
    told.lab.execute(
        "UPDATE notifications SET activity = JSON_SET(activity, '$.total_amount_eur', 'a lot')"
        " WHERE user_id = %s AND channel = 'email'",
        broken,
    )
    # While the server is down: one that was read before it was broken cannot be sent.
    eventually(lambda: states(told, [broken], "email") == ["undeliverable"], "given up")
    both["email"].have(None)
    eventually(lambda: states(told, [whole], "email") == ["sent"], "the other one is sent")
    assert any(one["dead_letter_id"] == f"notification-{broken}-0-email" for one in told.lab.dead_letters())
    assert told.lab.notifier_runs


@pytest.mark.parametrize(("domains", "each"), [(1, 1), (1, 3 * IN_HAND), (3, 20)], ids=["one mail", "many", "three"])
def test_a_mail_server_that_is_silent_about_some_people_delays_nobody_elses_mail(
    told: NotifierLab, both: dict[str, Server], domains: int, each: int
) -> None:
    """One relay for all: about these domains it never answers, however many messages wait for them; each costs a worker's time-out."""
    dead = [f"dead{number}.example.net" for number in range(domains)]
    both["email"].silent_about = frozenset(dead)
    start(told, both, notify_timeout_s=10.0)  # as it is by default
    (first,) = tell(told, 1)
    eventually(lambda: states(told, [first], "email") == ["sent"], "it tells")
    silent = []
    for domain in dead:
        for _ in range(each):
            silent.append(told.lab.new_user_id())
            told.activity(silent[-1], user_email=f"User{silent[-1]}@{domain.title()}")
    eventually(lambda: len(states(told, silent, "email")) == len(silent), "claimed")
    took = []
    for _ in range(8):
        (user,) = tell(told, 1)
        began = time.monotonic()
        eventually(lambda user=user: states(told, [user], "email") == ["sent"], "mail arrives")  # type: ignore[misc]
        took.append(time.monotonic() - began)
        eventually(lambda user=user: states(told, [user], "push") == ["sent"], "push arrives")  # type: ignore[misc]
    print(f"\n{domains} domains, {each} messages each: others {', '.join(f'{one:.2f}' for one in took)} s")
    assert sorted(took)[len(took) // 2] < 1, took
    assert max(took) < patient(2), took
    assert set(states(told, silent, "email")) == {"pending"}
    eventually(lambda: states(told, silent, "push") == ["sent"] * len(silent), "their push messages arrive")
    eventually(lambda: {row["reason"] for row in told.rows() if row["user_id"] in silent} - {None}, "said why", 20)

    both["email"].silent_about = frozenset()
    eventually(lambda: states(told, silent, "email") == ["sent"] * len(silent), "all arrive afterwards", 90)
    assert taken(both["email"], told, silent, "email") == ids(told, silent, "email"), "once each"


def test_what_is_overdue_is_given_up_together_where_its_domain_is_silent(
    told: NotifierLab, both: dict[str, Server]
) -> None:
    both["email"].silent_about = frozenset({"dead.example.net"})
    start(told, both, notify_deadline_s=3)
    silent = [told.lab.new_user_id() for _ in range(100)]
    for user in silent:
        told.activity(user, user_email=f"user{user}@dead.example.net")
    others = tell(told, 5)
    eventually(lambda: states(told, others, "email") == ["sent"] * 5, "the others are told")
    eventually(lambda: states(told, silent, "email") == ["undeliverable"] * 100, "all given up", 40)
    reasons = {row["reason"] for row in told.rows() if row["user_id"] in silent and row["channel"] == "email"}
    assert all("not delivered in time" in reason and "did not answer" in reason for reason in reasons), reasons


def test_a_notifier_that_loses_its_turn_sends_nothing_more_of_what_it_had_in_hand(
    told: NotifierLab, both: dict[str, Server]
) -> None:
    both["email"].have("slow")
    told.lab.start_notifier(**options(both))  # a new one, whose connections can be counted
    other = Service(told.settings.model_copy(update=options(both)), "notifier")
    try:
        connections = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = %s"
        account = told.lab.names.account("notifier")
        eventually(lambda: told.lab.query(connections, account) == [(4,)], "both want the turn of both channels")
        users = tell(told, 60)
        eventually(lambda: len(states(told, users, "email")) == 60 and both["email"].ids, "one sends, slowly")
        turn = lock_name(told.settings, "email")
        ((holder,),) = told.lab.query("SELECT IS_USED_LOCK(%s)", turn)
        told.lab.execute(f"KILL {holder}")
        eventually(
            lambda: told.lab.query("SELECT IS_USED_LOCK(%s) <> %s", turn, holder) == [(1,)], "the turn passes on"
        )
        both["email"].have(None)
        eventually(lambda: states(told, users, "email") == ["sent"] * 60, "all are told")
    finally:
        other.stop()
    sent = taken(both["email"], told, users, "email")
    assert sorted(set(sent)) == ids(told, users, "email")
    assert len(sent) - len(set(sent)) <= WORKERS, "twice at most what each thread had under way"


def test_what_cannot_be_delivered_until_the_deadline_ends_in_dead_letters(
    told: NotifierLab, both: dict[str, Server]
) -> None:
    both["email"].have("down")
    start(told, both, notify_deadline_s=3)
    users = tell(told, 2)
    eventually(lambda: states(told, users, "email") == ["undeliverable"] * 2, "given up")
    for user in users:
        (row,) = [row for row in told.rows(user) if row["channel"] == "email"]
        assert row["attempts"] > 1
        assert "not delivered in time" in row["reason"]
        assert "Connection refused" in row["reason"]
        assert any(one["dead_letter_id"] == f"notification-{user}-0-email" for one in told.lab.dead_letters())


def test_a_notifier_that_starts_before_its_servers_waits_for_them(told: NotifierLab, both: dict[str, Server]) -> None:
    for server in both.values():
        server.have("down")
    users = tell(told, 1)
    told.lab.start_notifier(**options(both))
    eventually(lambda: told.rows(users[0]) and all(row["attempts"] for row in told.rows(users[0])), "tried in vain")
    assert told.lab.notifier_runs
    for server in both.values():
        server.have(None)
    eventually(lambda: all(row["status"] == "sent" for row in told.rows(users[0])), "told")


def test_what_is_overdue_is_given_up_together_while_the_server_is_away(
    told: NotifierLab, both: dict[str, Server]
) -> None:
    """One probe after each pause finds out about the server, not about each message."""
    both["email"].have("down")
    start(told, both, notify_deadline_s=3)
    users = tell(told, 100)
    eventually(lambda: states(told, users, "email") == ["undeliverable"] * 100, "all given up", 40)
    eventually(lambda: states(told, users, "push") == ["sent"] * 100, "push arrives all the same")
    reasons = {row["reason"] for row in told.rows() if row["user_id"] in users and row["channel"] == "email"}
    assert all("not delivered in time" in reason and "Connection refused" in reason for reason in reasons)
    letters = {one["dead_letter_id"] for one in told.lab.dead_letters()}
    assert {f"notification-{user}-0-email" for user in users} <= letters


def test_without_kafka_what_is_due_is_sent_and_what_is_refused_waits_for_its_dead_letter(
    told: NotifierLab, both: dict[str, Server]
) -> None:
    for server in both.values():
        server.have("down")
    start(told, both)
    users = tell(told, PEOPLE)
    eventually(lambda: len(states(told, users, "email")) == PEOPLE, "claimed")
    told.lab.stop_notifier()  # it would still write dead letters
    (nobody,) = free_ports(1)
    both["email"].have(None)
    both["push"].have("refuses")
    start(told, both, kafka_port=nobody)
    eventually(lambda: states(told, users, "email") == ["sent"] * PEOPLE, "sent without Kafka")
    waits = "403 forbidden; Kafka takes no dead letter yet"
    eventually(lambda: any(waits in (row["reason"] or "") for row in told.rows() if row["user_id"] in users), "noted")
    assert set(states(told, users, "push")) == {"pending"}
    assert told.lab.notifier_runs

    start(told, both)
    eventually(lambda: states(told, users, "push") == ["undeliverable"] * PEOPLE, "given up when Kafka is there")
    letters = {one["dead_letter_id"] for one in told.lab.dead_letters()}
    assert {f"notification-{user}-0-push" for user in users} <= letters
