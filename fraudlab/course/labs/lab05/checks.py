"""Lab 05, The notification consumers: consumer groups, offsets, idempotence, the write-back, and people who are told once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

from fraudlab.course import consumers, inbox
from fraudlab.course.consumers import Crash
from fraudlab.course.exercise import Exercise, Lab, Mistake, UnreadableError, Verdict, call, right, wrong
from fraudlab.course.other_process import in_another_process
from fraudlab.course.workspace import Workspace, wait_until
from fraudlab.services.consumer import Received
from fraudlab.settings import Settings

# 05.1

GROUPS = (3, 5)
"""The sizes of the two groups in the exercise."""


def judge_busy(partitions: int, of_three: Sequence[int], of_five: Sequence[int]) -> Verdict:
    """The partitions of each consumer: as evenly as possible, and no more than there are."""
    expected = "for each consumer the number of its partitions"
    for members, answer in zip(GROUPS, (of_three, of_five), strict=True):
        found = sorted((float(one) for one in answer), reverse=True)
        wanted = [float(partitions // members + (place < partitions % members)) for place in range(members)]
        if found == wanted:
            continue
        mistake = _why_not(partitions, members, found)
        return wrong(mistake, found=f"{list(answer)} for {members} consumers", expected=expected)
    return right("A partition goes to one consumer of a group. Extra consumers sit idle as standbys.")


def _why_not(partitions: int, members: int, found: list[float]) -> Mistake:
    if len(found) != members:
        return Mistake(
            "one_number_each", f"Give a number for each consumer: {members} numbers, even if one of them is 0."
        )
    if any(one != int(one) for one in found):
        return Mistake("partition_cut", "A partition is never split: one consumer has all of it.")
    if found == [float(partitions)] * members:
        return Mistake("all_to_each", "Within a group, the work is shared: no record goes to two members.")
    if sum(found) > partitions:
        return Mistake("too_many", "There are not enough partitions: each one goes to only one consumer of the group.")
    if sum(found) < partitions:
        return Mistake("partition_left", "A partition has no consumer. Kafka assigns all of them.")
    return Mistake("uneven", "Kafka shares as evenly as it can: no consumer has two more partitions than another.")


BUSY = Exercise(
    number="05.1",
    title="How many can help?",
    task="say how many partitions each consumer gets in a group of three, and in a group of five.",
    hints=(
        "What do the consumers of a group share? Alone, the first one had all of it.",
        "A whole partition goes to one consumer. Assign them one by one: to the first, the second, the third, and from the start again.",
        "Four partitions for three: one of the three gets a second one. Four for five: one gets 0.",
    ),
    shape="two lists of whole numbers, one for each consumer",
    observe=lambda workspace, *_answers: workspace.partitions("suspicious_activities"),
    judge=judge_busy,
)


# 05.2


def observe_crash(workspace: Workspace, work_through: Callable[..., object]) -> Crash:
    """Crashes the learner's loop in the middle of the topic, and starts it again."""
    return consumers.crash(workspace, work_through)


def judge_crash(observed: Crash, _work_through: Callable[..., object]) -> Verdict:
    """Nothing may be lost, and what is done must be committed."""
    expected = "every activity handled at least once, and then a commit"
    found = f"{observed.lost} lost, {observed.once} handled once, {observed.again} handled again"
    commits = [*observed.first, *observed.second]
    if not any(observed.times):
        return wrong(
            Mistake("nothing_handled", "Your function passed no record to `handle`."),
            found="nothing handled",
            expected=expected,
        )
    if observed.lost:
        return wrong(_why_lost(observed), found=found, expected=expected)
    if not commits:
        return wrong(
            Mistake(
                "never_committed",
                "Nothing was lost, but nothing is remembered either: without a commit, every restart begins at the very beginning.",
            ),
            found=found,
            expected=expected,
        )
    return right(
        "Nothing is lost. Records that were handled but not yet committed come again, and that is the price: at least once."
    )


def _why_lost(observed: Crash) -> Mistake:
    if any(commit.after_the_crash for commit in observed.first):
        return Mistake(
            "committed_on_the_way_out",
            "Your function commits on its way out, even if the work was not done. A crash must leave the offsets unchanged.",
        )
    if any(commit.handled == 0 for commit in observed.first):
        return Mistake(
            "committed_before",
            "The offsets were committed before the work: after the crash, the group skipped records that were never handled.",
        )
    if observed.first:
        return Mistake(
            "committed_each_partition",
            "`commit()` covers all partitions of the poll: after the first one, it committed records of the others that were still waiting.",
        )
    return Mistake(
        "records_skipped",
        "Some records were never handled: pass on every record of every partition that the poll returned.",
    )


CAREFUL = Exercise(
    number="05.2",
    title="Lose nothing",
    task="write the function that handles everything that one poll returns and loses nothing in a crash.",
    hints=(
        "What does Kafka believe about a record once its offset is committed? When is that true?",
        "`consumer.poll(timeout_ms=500)` returns a dictionary: partition to list of records. When have all of them been handled?",
        "Two loops, `for records in …values():` and `for record in records:`. The commit comes after both, not inside.",
    ),
    shape="a function of a consumer and a function `handle`",
    observe=observe_crash,
    judge=judge_crash,
    accepts=callable,
)


# 05.3

Activity = Mapping[str, Any]


def _activity(user_id: int, payment: int, window_end: datetime, **changed: object) -> dict[str, Any]:
    """An activity with all the fields of a real one."""
    hour_before, known = window_end - timedelta(hours=1), window_end + timedelta(milliseconds=100)
    return {
        "activity_id": f"activity-{payment}",
        "user_id": user_id,
        "user_first_name": "Ada",
        "user_last_name": "Lovelace",
        "user_email": "family@lab-bank.example",
        "user_phone_number": "+49 30 1234567",
        "user_suspicious_activity": True,
        "rule": "2-countries-in-3600-s",
        "window_start": _iso(hour_before),
        "window_end": _iso(window_end),
        "total_amount_eur": "1200.00",
        "transaction_count": 2,
        "countries": ["DE", "FR"],
        "transaction_ids": [payment - 1, payment],
        "transaction_id": payment,
        "known_by": payment,
        "created_at": _iso(known),
        "detected_at": _iso(known + timedelta(milliseconds=13)),
    } | changed


def _iso(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"


_NOON = datetime(2026, 1, 31, 12)
_EVENING, _NEXT_DAY = _NOON + timedelta(hours=6), _NOON + timedelta(days=1)

Delivery = tuple[Activity, int]


def deliveries(user_id: int) -> tuple[Delivery, ...]:
    """Activities of this user and of the next one, with the numbers of their episodes, in the order in which a notifier reads them.

    All people in them share an e-mail address.
    """
    first = _activity(user_id, 1101, _NOON)
    return (
        (first, 0),
        (first, 0),  # delivered again
        (first | {"detected_at": _iso(_NOON + timedelta(seconds=9))}, 0),  # raised again after a crash of the detector
        (_activity(user_id, 1102, _NOON + timedelta(seconds=2), transaction_ids=[1100, 1101, 1102]), 0),
        (_activity(user_id, 1207, _EVENING), 12),
        (_activity(user_id + 1, 1300, _NOON), 0),
    )


def look_alikes(user_id: int) -> tuple[Delivery, ...]:
    """Two people, one payment and one episode each, whose numbers are the same digits when written without anything between them."""
    return (_activity(user_id, 1401, _NEXT_DAY), 11), (_activity(user_id * 10 + 1, 1402, _NEXT_DAY), 1)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the learner's function gave, and what the inbox made of it.

    Attributes:
        ids: The ids of the deliveries.
        shown: How many different messages the inbox shows of them; 0 where an id does not fit into a mail.
        look_alikes: The ids of two people and episodes that look alike.
        elsewhere: The ids of the deliveries in another process.
    """

    ids: tuple[str, ...]
    shown: int
    look_alikes: tuple[str, ...]
    elsewhere: tuple[str, ...]


def ids_of(message_id: Callable[[Activity, int], object]) -> Sent:
    """The ids that the function gives in this process and in another one. `shown` is what an inbox would show."""
    # Other people at each check: a function that keeps the ids it gave must not find them from the check before.
    user_id = 100 + uuid4().int % 100_000
    six = deliveries(user_id)
    elsewhere = in_another_process(message_id, six)  # first: what the function remembers is not to travel with it
    found = [call(message_id, activity, episode) for activity, episode in (*six, *look_alikes(user_id))]
    if not all(isinstance(one, str | int) for one in found):
        raise UnreadableError("an id must be text")
    ids = tuple(map(str, found))
    return Sent(ids[:6], len(set(ids[:6])), ids[6:], tuple(map(str, elsewhere)))


def observe_messages(workspace: Workspace, message_id: Callable[[Activity, int], str]) -> Sent:
    """Sends a mail for each delivery to the inbox, all to one address, and asks how many it shows."""
    sent = ids_of(message_id)
    family = inbox.address(workspace, f"family-{uuid4().hex[:8]}")
    if all(_fits_a_header(one) for one in sent.ids):
        inbox.serve(workspace)
        with inbox.mail_server(workspace) as server:
            for one in sent.ids:
                mail = EmailMessage()
                mail["From"], mail["To"], mail["Subject"] = "bank@lab-bank.example", family, "We stopped your account"
                mail["Message-ID"] = f"<{one}@lab-bank.example>"
                mail.set_content("Was it you?")
                server.send_message(mail)
    return replace(sent, shown=len(inbox.messages(workspace, family)))


def _fits_a_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & set(" <>@")


def judge_messages(observed: Sent, _message_id: Callable[[Activity, int], str]) -> Verdict:
    """The same id within an episode of a person, another one otherwise."""
    expected = "one message for each person and episode, however often the activity comes"
    first, again, raised_again, second, later, neighbour = observed.ids
    found = f"{len(set(observed.ids))} different ids for 6 deliveries"
    if first != again:
        return wrong(
            Mistake(
                "random_id", "The id is different at each call, so a duplicate of the message looks like a new one."
            ),
            found=found,
            expected=expected,
        )
    if observed.elsewhere != observed.ids:
        return wrong(
            Mistake(
                "id_of_the_process",
                "Another process gives other ids, and the notifier is another process after each restart. Make the id from the"
                " activity and the episode alone; `hash` of a text differs from process to process.",
            ),
            found=f"{first!r} here, {observed.elsewhere[0]!r} in another process",
            expected=expected,
        )
    if first != raised_again:
        return wrong(
            Mistake(
                "id_of_the_detection",
                "The same activity, raised again after a crash, gets another id: only `detected_at` differs then.",
            ),
            found=found,
            expected=expected,
        )
    if first == neighbour:
        return wrong(
            Mistake(
                "id_without_person",
                "Two people get the same id. They share an e-mail address, so one of them is never told.",
            ),
            found=found,
            expected=expected,
        )
    if first == later:
        return wrong(
            Mistake(
                "id_without_episode",
                "The account was reinstated and then robbed again: that is another episode, and no message tells of it.",
            ),
            found=found,
            expected=expected,
        )
    if first != second:
        return wrong(
            Mistake(
                "id_of_the_activity",
                "Each activity has its own message: one theft makes several, and the phone rings and rings.",
            ),
            found=found,
            expected=expected,
        )
    if len(set(observed.look_alikes)) == 1:
        return wrong(
            Mistake(
                "numbers_run_together",
                "User 1 in episode 11 and user 11 in episode 1 get the same id: put something between the two numbers.",
            ),
            found=f"{observed.look_alikes[0]!r} for two people",
            expected=expected,
        )
    if unfit := next((one for one in observed.ids if not _fits_a_header(one)), None):
        return wrong(
            Mistake(
                "not_a_header", "The id is part of a mail's header: plain letters, digits, dots and hyphens, no spaces."
            ),
            found=repr(unfit),
            expected=expected,
        )
    if observed.shown != 3:
        return wrong(
            Mistake("other_messages", "The inbox shows another number of messages than there are ids."),
            found=f"{observed.shown} messages in the inbox for 6 deliveries",
            expected=expected,
        )
    return right("Six deliveries, three messages: one for each person and episode.")


ONCE = Exercise(
    number="05.3",
    title="One message for an episode",
    task="write the function that gives a message its id, so that each person is told once of an episode.",
    hints=(
        "Two messages with the same id are one. Which of the six deliveries need different ids, and which the same?",
        "The activity may change while the episode stays. What stays the same within an episode, and differs between two people?",
        "The user's number and the episode's number, both in the text: `f\"{activity['user_id']}-…\"`.",
    ),
    shape="a function of an activity and the number of its episode that gives a text",
    observe=observe_messages,
    judge=judge_messages,
    accepts=callable,
)


# 05.4


@dataclass(frozen=True, slots=True)
class Flags:
    """What a flagger did to the bank: whether the victim was stopped, how many others were, and what became of an account that a clerk
    reinstated: `after_replay` when the old activity came again, `after_new` when a new one came."""

    victim: bool
    others: int
    after_replay: bool
    after_new: bool


def observe_flagger(workspace: Workspace, flagger_class: Callable[[Settings], Any]) -> Flags:
    """Lets the learner's flagger handle activities of accounts made for this, and puts back what it did."""
    victim, cleared = workspace.open_account(), workspace.open_account()
    before = _stopped(workspace)
    flagger = call(flagger_class, workspace.settings)
    try:
        fraud = _activity_now(workspace, victim)
        _handle(flagger, fraud)
        _handle(flagger, fraud)
        others = len(_stopped(workspace) - before - {victim})
        earlier = _activity_now(workspace, cleared)
        workspace.execute("UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s", cleared)
        workspace.execute("UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = %s", cleared)
        _handle(flagger, earlier)
        after_replay = cleared in _stopped(workspace)
        _handle(flagger, _activity_now(workspace, cleared))
        stopped = _stopped(workspace)
        return Flags(victim in stopped, others, after_replay, cleared in stopped)
    finally:
        if (connection := getattr(flagger, "_connection", None)) is not None:
            connection.close()
        if stopped_here := _stopped(workspace) - before:
            places = ", ".join(["%s"] * len(stopped_here))
            workspace.execute(
                f"UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id IN ({places})",  # noqa: S608
                *stopped_here,
            )


def _handle(flagger: Any, activity: dict[str, Any]) -> None:
    call(flagger.handle, Received(activity, 0, 0))


def _activity_now(workspace: Workspace, user_id: int) -> dict[str, Any]:
    """What a flagger reads of an activity that became known with a payment of now."""
    payment = workspace.pay(user_id, "1.00", "EUR", "DE").transaction_id
    moment: datetime = workspace.value("SELECT NOW(3) AS moment")
    created_at = f"{moment.isoformat(timespec='milliseconds')}Z"
    return {"user_id": user_id, "transaction_id": payment, "known_by": payment, "created_at": created_at}


def _stopped(workspace: Workspace) -> set[int]:
    return {row["user_id"] for row in workspace.rows("SELECT user_id FROM user_profile WHERE suspicious_activities")}


def judge_flagger(observed: Flags, _flagger_class: Callable[[Settings], Any]) -> Verdict:
    """The victim's account, and no other; an old activity not again, a new one again."""
    expected = "the account of the activity's user stopped, unless it was reinstated after the activity became known"
    if observed.others:
        return wrong(
            Mistake(
                "everybody_stopped",
                "Other people's accounts were stopped, too: the UPDATE must say which account it means.",
            ),
            found=f"{observed.others} accounts of people who did nothing",
            expected=expected,
        )
    if not observed.victim:
        return wrong(
            Mistake(
                "not_stopped",
                "The account was not stopped. A change without a commit is lost when the connection closes.",
            ),
            found="the flag is not set",
            expected=expected,
        )
    if observed.after_replay:
        return wrong(
            Mistake(
                "stopped_by_replay",
                "A clerk had reinstated the account, and an old activity was replayed: it must not stop the account again.",
            ),
            found="the account was stopped a second time for the same activity",
            expected=expected,
        )
    if not observed.after_new:
        return wrong(
            Mistake("not_stopped_again", "After a reinstatement, a new activity must stop the account again."),
            found="the thief could pay again",
            expected=expected,
        )
    return right("Once, twice or a hundred times: the account of this user is stopped, and a clerk's decision stands.")


STOP = Exercise(
    number="05.4",
    title="Stop the account",
    task="write the two missing parts of the account flagger.",
    hints=(
        "One statement sets the flag of one account: `UPDATE user_profile SET … WHERE user_id = %s`. Which accounts need no change?",
        "`cursor.rowcount` says how many rows an UPDATE has changed, as in Lab 03: it is 1 only if the flag was not set before.",
        "Newly stopped, but reinstated since: `self._connection.rollback()`. In all other cases: `self._connection.commit()`.",
    ),
    shape="the class AccountFlagger",
    observe=observe_flagger,
    judge=judge_flagger,
    accepts=callable,
)


def outcome(workspace: Workspace) -> None:
    """Flagger, notifier and inbox are running, and have handled everything that the detector found."""
    inbox.serve(workspace)
    for name in ("flagger", "notifier"):
        workspace.start_service(name)
    wait_until(lambda: settled(workspace), "the customers are told, and the accounts are stopped")


def settled(workspace: Workspace) -> bool:
    """Whether flagger and notifier have nothing left to do."""
    if any(consumers.lag(workspace, name) for name in ("flagger", "notifier")):
        return False
    return not workspace.value("SELECT COUNT(*) AS pending FROM notifications WHERE status = 'pending'")


LAB = Lab(
    number="05",
    name="notification-consumers",
    title="The notification consumers",
    exercises=(BUSY, CAREFUL, ONCE, STOP),
    outcome=outcome,
)
