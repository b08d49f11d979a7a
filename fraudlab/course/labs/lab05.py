"""Lab 05, The notification consumers: consumer groups, offsets, idempotence, the write-back, and people who are told once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from itertools import chain
from typing import Any
from uuid import uuid4

from kafka import OffsetAndMetadata

from fraudlab.course import consumers, inbox
from fraudlab.course.consumers import Commit, Crash
from fraudlab.course.exercise import Example, Exercise, Lab, Verdict, call, right, wrong
from fraudlab.course.world import World, wait_until
from fraudlab.services.consumer import Received
from fraudlab.settings import Settings

# 05.1

GROUPS = (3, 5)
"""How many consumers there are in each of the two groups that are asked about."""


def judge_busy(partitions: int, of_three: Sequence[int], of_five: Sequence[int]) -> Verdict:
    """The partitions of each consumer: as even as whole partitions can be, and no more than there are."""
    expected = "for each consumer the number of its partitions"
    for members, answer in zip(GROUPS, (of_three, of_five), strict=True):
        found = sorted((float(one) for one in answer), reverse=True)
        wanted = [float(partitions // members + (place < partitions % members)) for place in range(members)]
        if found == wanted:
            continue
        sentence = _why_not(partitions, members, found)
        return wrong(sentence, found=f"{list(answer)} for {members} consumers", expected=expected)
    return right("A partition goes to one consumer of a group. Who comes when all are given away stands by.")


def _why_not(partitions: int, members: int, found: list[float]) -> str:
    if len(found) != members:
        return f"A number for each consumer: of {members} consumers {members} numbers, also where one is 0."
    if any(one != int(one) for one in found):
        return "A partition is not cut up: one consumer has all of it."
    if found == [float(partitions)] * members:
        return "Within a group the work is shared: no record goes to two of its members."
    if sum(found) > partitions:
        return "There is not enough for all: each partition goes to one consumer of the group only."
    if sum(found) < partitions:
        return "A partition is left, and nobody reads it. Kafka gives away all of them."
    return "Kafka shares as evenly as it can: nobody waits while another has several, and nobody has two more than another."


BUSY = Exercise(
    number="05.1",
    title="How many can help?",
    task="say how many partitions each consumer gets in a group of three, and in a group of five.",
    hints=(
        "What is it that the consumers of a group share among them? Alone, the first one had all of it.",
        "A partition goes to one consumer, whole. Give them out one by one: to the first, the second, the third, and again from the front.",
        "Four partitions for three: one of the three gets a second one. Four for five: somebody goes away with 0.",
    ),
    shape="two lists of whole numbers, one for each consumer",
    observe=lambda world, *_answers: world.partitions("suspicious_activities"),
    judge=judge_busy,
    right=[Example(([2, 1, 1], [1, 1, 1, 1, 0]), 4), Example(((1, 2, 1), [0, 1, 1, 1, 1]), 4)],
    wrong=[
        Example(
            ([2, 1, 1], [1, 1, 1, 1, 1]),
            4,
            "There is not enough for all: each partition goes to one consumer of the group only.",
        ),
        Example(([4, 4, 4], [4] * 5), 4, "Within a group the work is shared: no record goes to two of its members."),
        Example(([4 / 3] * 3, [0.8] * 5), 4, "A partition is not cut up: one consumer has all of it."),
        Example(
            ([1, 1, 1], [1, 1, 1, 1, 0]), 4, "A partition is left, and nobody reads it. Kafka gives away all of them."
        ),
        Example(
            ([2, 2, 0], [1, 1, 1, 1, 0]),
            4,
            "Kafka shares as evenly as it can: nobody waits while another has several, and nobody has two more than another.",
        ),
        Example(
            ([2, 1, 1], [2, 2, 0, 0, 0]),
            4,
            "Kafka shares as evenly as it can: nobody waits while another has several, and nobody has two more than another.",
        ),
        Example(
            ([2, 1, 1], [1, 1, 1, 1]), 4, "A number for each consumer: of 5 consumers 5 numbers, also where one is 0."
        ),
        Example((3, 4), 4, "The check cannot read this answer."),
    ],
)


# 05.2


def observe_crash(world: World, work_through: Callable[..., object]) -> Crash:
    """Crashes the learner's loop in the middle of the topic, and starts it again."""
    if not callable(work_through):
        raise TypeError("not a function")
    return consumers.crash(world, work_through)


def judge_crash(observed: Crash, _work_through: Callable[..., object]) -> Verdict:
    """Nothing may be lost, and what is done must be committed."""
    expected = "every activity handled at least once, and after that the work remembered"
    found = f"{observed.lost} lost, {observed.once} handled once, {observed.again} handled again"
    commits = [*observed.first, *observed.second]
    if not any(observed.times):
        return wrong("Your function handed no record to `handle`.", found="nothing handled", expected=expected)
    if observed.lost:
        return wrong(_why_lost(observed), found=found, expected=expected)
    if not commits:
        return wrong(
            "Nothing was lost, but nothing is remembered either: without a commit every restart begins at the very beginning.",
            found=found,
            expected=expected,
        )
    return right(
        "Nothing is lost. What was handled and not yet committed comes again, and that is the price: at least once."
    )


def _why_lost(observed: Crash) -> str:
    if any(commit.after_the_crash for commit in observed.first):
        return "Your function commits on its way out, also when the work was not done. A crash must leave the offsets where they were."
    if any(commit.handled == 0 for commit in observed.first):
        return "The offsets were committed before the work: after the crash the group went on behind records that nobody had handled."
    if observed.first:
        return "`commit()` means all partitions of the poll: with the first one done, it committed what still waited in the others, too."
    return (
        "Records are missing that were never handled: hand over every record of every partition that the poll brought."
    )


def _lived(
    times: tuple[int, ...], first: tuple[Commit, ...] = (), second: tuple[Commit, ...] = (Commit(9, False),)
) -> Crash:
    return Crash(times, first, second)


def _after_the_poll(consumer: Any, handle: Callable[[Any], None]) -> None:
    for record in chain.from_iterable(consumer.poll(timeout_ms=200).values()):
        handle(record)
    consumer.commit()


def _each_offset(consumer: Any, handle: Callable[[Any], None]) -> None:
    for partition, records in consumer.poll(timeout_ms=200).items():
        for record in records:
            handle(record)
            consumer.commit({partition: OffsetAndMetadata(record.offset + 1, "", -1)})


def _wrong_before(consumer: Any, handle: Callable[[Any], None]) -> None:
    batch = consumer.poll(timeout_ms=200)
    consumer.commit()
    for record in chain.from_iterable(batch.values()):
        handle(record)


def _wrong_each_partition(consumer: Any, handle: Callable[[Any], None]) -> None:
    for records in consumer.poll(timeout_ms=200).values():
        for record in records:
            handle(record)
        consumer.commit()


def _wrong_finally(consumer: Any, handle: Callable[[Any], None]) -> None:
    try:
        for record in chain.from_iterable(consumer.poll(timeout_ms=200).values()):
            handle(record)
    finally:
        consumer.commit()


def _wrong_never(consumer: Any, handle: Callable[[Any], None]) -> None:
    for record in chain.from_iterable(consumer.poll(timeout_ms=200).values()):
        handle(record)


def _wrong_newest_only(consumer: Any, handle: Callable[[Any], None]) -> None:
    for records in consumer.poll(timeout_ms=200).values():
        handle(records[0])
        handle(records[-1])
    consumer.commit()


def _wrong_nothing(consumer: Any, handle: Callable[[Any], None]) -> None:
    consumer.poll(timeout_ms=200)


CAREFUL = Exercise(
    number="05.2",
    title="Lose nothing",
    task="write the function that works through what one poll brings and loses nothing in a crash.",
    hints=(
        "What does Kafka believe about a record once its offset is committed? When is that true?",
        "`consumer.poll(timeout_ms=500)` gives a dictionary: partition to list of records. Which moment is after all of them?",
        "Two loops, `for records in …values():` and `for record in records:`. The commit stands behind both, not inside.",
    ),
    shape="a function of a consumer and a function `handle`",
    observe=observe_crash,
    judge=judge_crash,
    right=[
        Example((_after_the_poll,), _lived((2, 2, 2, 1, 1, 1))),
        Example((_each_offset,), _lived((1, 1, 1, 1, 1, 1), (Commit(1, False), Commit(2, False)))),
    ],
    wrong=[
        Example(
            (_wrong_before,),
            _lived((1, 1, 1, 0, 0, 0), (Commit(0, False),)),
            "The offsets were committed before the work: after the crash the group went on behind records that nobody had handled.",
        ),
        Example(
            (_wrong_each_partition,),
            _lived((1, 1, 1, 0, 0, 0), (Commit(2, False),)),
            "`commit()` means all partitions of the poll: with the first one done, it committed what still waited in the others, too.",
        ),
        Example(
            (_wrong_finally,),
            _lived((1, 1, 1, 0, 0, 0), (Commit(3, True),)),
            "Your function commits on its way out, also when the work was not done. A crash must leave the offsets where they were.",
        ),
        Example(
            (_wrong_never,),
            _lived((2, 2, 2, 1, 1, 1), (), ()),
            "Nothing was lost, but nothing is remembered either: without a commit every restart begins at the very beginning.",
        ),
        Example(
            (_wrong_newest_only,),
            _lived((2, 0, 2, 0, 1, 0)),
            "Records are missing that were never handled: hand over every record of every partition that the poll brought.",
        ),
        Example((_wrong_nothing,), _lived((0, 0, 0)), "Your function handed no record to `handle`."),
    ],
)


# 05.3

Activity = Mapping[str, Any]

_ACTIVITY = {
    "activity_id": "activity-101",
    "user_id": 7,
    "transaction_id": 101,
    "window_end": "2026-01-31T12:00:00.000Z",
    "created_at": "2026-01-31T12:00:00.100Z",
    "detected_at": "2026-01-31T12:00:00.113Z",
}
DELIVERIES: tuple[tuple[Activity, int], ...] = (
    (_ACTIVITY, 0),
    (_ACTIVITY, 0),  # delivered again
    (_ACTIVITY | {"detected_at": "2026-01-31T12:00:09.870Z"}, 0),  # raised again after a crash of the detector
    (_ACTIVITY | {"activity_id": "activity-102", "transaction_id": 102, "created_at": "2026-01-31T12:00:02.000Z"}, 0),
    (_ACTIVITY | {"activity_id": "activity-207", "transaction_id": 207, "created_at": "2026-01-31T18:00:00.000Z"}, 12),
    (_ACTIVITY | {"activity_id": "activity-300", "transaction_id": 300, "user_id": 8}, 0),
)
"""Activities and the number of their episode, in the order in which a notifier hears of them. Both people share an e-mail address."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The ids that the learner's function gave, and how many different messages the inbox shows of them."""

    ids: tuple[str, ...]
    shown: int


def _ids(message_id: Callable[[Activity, int], str]) -> tuple[str, ...]:
    ids = [call(message_id, activity, episode) for activity, episode in DELIVERIES]
    if not all(isinstance(one, str | int) for one in ids):
        raise TypeError("an id must be text")
    return tuple(str(one) for one in ids)


def observe_messages(world: World, message_id: Callable[[Activity, int], str]) -> Sent:
    """Sends a mail for each delivery to the inbox, all to one address, and asks how many it shows."""
    ids = _ids(message_id)
    family = inbox.address(world, f"family-{uuid4().hex[:8]}")
    if all(_fits_a_header(one) for one in ids):
        inbox.serve(world)
        with inbox.mail_server(world) as server:
            for one in ids:
                mail = EmailMessage()
                mail["From"], mail["To"], mail["Subject"] = "bank@lab-bank.example", family, "We stopped your account"
                mail["Message-ID"] = f"<{one}@lab-bank.example>"
                mail.set_content("Was it you?")
                server.send_message(mail)
    return Sent(ids, len(inbox.messages(world, family)))


def _fits_a_header(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & set(" <>@")


def judge_messages(observed: Sent, _message_id: Callable[[Activity, int], str]) -> Verdict:
    """The same id within an episode of a person, another one otherwise."""
    expected = "one message for each person and episode, however often the activity comes"
    if not all(_fits_a_header(one) for one in observed.ids):
        return wrong(
            "The id stands in a mail's header: plain letters, digits, dots and hyphens, no spaces.",
            found=next(repr(one) for one in observed.ids if not _fits_a_header(one)),
            expected=expected,
        )
    first, again, raised_again, second, later, neighbour = observed.ids
    found = f"{observed.shown} messages in the inbox for 6 deliveries"
    if first != again:
        return wrong(
            "The id is another one at each call, so nobody can see that it is the same message.",
            found=found,
            expected=expected,
        )
    if first != raised_again:
        return wrong(
            "The same activity, raised again after a crash, gets another id: `detected_at` is the one field that differs then.",
            found=found,
            expected=expected,
        )
    if first == neighbour:
        return wrong(
            "Two people get the same id. They share an e-mail address, and one of them is never told.",
            found=found,
            expected=expected,
        )
    if first == later:
        return wrong(
            "The account was reinstated in between, and robbed again: that is another episode, and nobody is told of it.",
            found=found,
            expected=expected,
        )
    if first != second:
        return wrong(
            "Each activity has a message of its own: one theft makes several, and the phone rings and rings.",
            found=found,
            expected=expected,
        )
    if observed.shown != 3:
        return wrong("The inbox shows another number of messages than there are ids.", found=found, expected=expected)
    return right("Six deliveries, three messages: one for each person and episode.")


def _sent(message_id: Callable[[Activity, int], str]) -> Sent:
    ids = _ids(message_id)
    return Sent(ids, len(set(ids)))


def _by_words(activity: Activity, episode: int) -> str:
    return "user-{}.episode-{}".format(activity["user_id"], episode)


def _by_number(activity: Activity, episode: int) -> int:
    return int(activity["user_id"]) * 10**9 + episode


def _wrong_random(activity: Activity, episode: int) -> str:
    return uuid4().hex


def _wrong_each_activity(activity: Activity, episode: int) -> str:
    return f"{activity['activity_id']}-{activity['user_id']}-{episode}"


def _wrong_detected(activity: Activity, episode: int) -> str:
    return f"{activity['user_id']}-{episode}-{activity['detected_at'].replace(':', '')}"


def _wrong_person_only(activity: Activity, episode: int) -> str:
    return f"user-{activity['user_id']}"


def _wrong_episode_only(activity: Activity, episode: int) -> str:
    return f"episode-{episode}"


def _wrong_spaces(activity: Activity, episode: int) -> str:
    return f"user {activity['user_id']} episode {episode}"


ONCE = Exercise(
    number="05.3",
    title="One message for an episode",
    task="write the function that gives a message its id, so that each person is told once of an episode.",
    hints=(
        "Two messages with the same id are one. Which two of the six deliveries must be told apart, and which must not?",
        "The activity may change while the episode stays. What stays the same within an episode, and differs between two people?",
        "The user's number and the episode's number, both in the text: `f\"{activity['user_id']}-…\"`.",
    ),
    shape="a function of an activity and the number of its episode that gives a text",
    observe=observe_messages,
    judge=judge_messages,
    right=[Example((_by_words,), _sent(_by_words)), Example((_by_number,), _sent(_by_number))],  # type: ignore[arg-type]
    wrong=[
        Example(
            (_wrong_random,),
            _sent(_wrong_random),
            "The id is another one at each call, so nobody can see that it is the same message.",
        ),
        Example(
            (_wrong_each_activity,),
            _sent(_wrong_each_activity),
            "Each activity has a message of its own: one theft makes several, and the phone rings and rings.",
        ),
        Example(
            (_wrong_detected,),
            _sent(_wrong_detected),
            "The same activity, raised again after a crash, gets another id: `detected_at` is the one field that differs then.",
        ),
        Example(
            (_wrong_person_only,),
            _sent(_wrong_person_only),
            "The account was reinstated in between, and robbed again: that is another episode, and nobody is told of it.",
        ),
        Example(
            (_wrong_episode_only,),
            _sent(_wrong_episode_only),
            "Two people get the same id. They share an e-mail address, and one of them is never told.",
        ),
        Example(
            (_wrong_spaces,),
            _sent(_wrong_spaces),
            "The id stands in a mail's header: plain letters, digits, dots and hyphens, no spaces.",
        ),
    ],
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


def observe_flagger(world: World, flagger_class: Callable[[Settings], Any]) -> Flags:
    """Lets the learner's flagger handle activities of accounts made for this, and puts back what it did."""
    victim, cleared = world.open_account(), world.open_account()
    before = _stopped(world)
    flagger = call(flagger_class, world.settings)
    try:
        fraud = _activity_now(world, victim)
        _handle(flagger, fraud)
        _handle(flagger, fraud)
        others = len(_stopped(world) - before - {victim})
        earlier = _activity_now(world, cleared)
        world.execute("UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s", cleared)
        world.execute("UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id = %s", cleared)
        _handle(flagger, earlier)
        after_replay = cleared in _stopped(world)
        _handle(flagger, _activity_now(world, cleared))
        stopped = _stopped(world)
        return Flags(victim in stopped, others, after_replay, cleared in stopped)
    finally:
        if (connection := getattr(flagger, "_connection", None)) is not None:
            connection.close()
        if stopped_here := _stopped(world) - before:
            places = ", ".join(["%s"] * len(stopped_here))
            world.execute(
                f"UPDATE user_profile SET suspicious_activities = FALSE WHERE user_id IN ({places})",  # noqa: S608
                *stopped_here,
            )


def _handle(flagger: Any, activity: dict[str, Any]) -> None:
    call(flagger.handle, Received(activity, 0, 0))


def _activity_now(world: World, user_id: int) -> dict[str, Any]:
    """What a flagger reads of an activity that became known with a payment of now."""
    payment = world.pay(user_id, "1.00", "EUR", "DE").transaction_id
    moment: datetime = world.value("SELECT NOW(3) AS moment")
    created_at = f"{moment.isoformat(timespec='milliseconds')}Z"
    return {"user_id": user_id, "transaction_id": payment, "known_by": payment, "created_at": created_at}


def _stopped(world: World) -> set[int]:
    return {row["user_id"] for row in world.rows("SELECT user_id FROM user_profile WHERE suspicious_activities")}


def judge_flagger(observed: Flags, _flagger_class: Callable[[Settings], Any]) -> Verdict:
    """The victim's account, and no other; an old activity not again, a new one again."""
    expected = "the account of the activity's user stopped, unless it was reinstated after the activity became known"
    if observed.others:
        return wrong(
            "Other people's accounts were stopped as well: the UPDATE must say whose account it means.",
            found=f"{observed.others} accounts of people who did nothing",
            expected=expected,
        )
    if not observed.victim:
        return wrong(
            "The account was not stopped. A change that is never committed is lost when the connection ends.",
            found="the flag is not set",
            expected=expected,
        )
    if observed.after_replay:
        return wrong(
            "A clerk had reinstated the account, and an activity from before came again: that one must be left alone.",
            found="the account was stopped a second time for the same activity",
            expected=expected,
        )
    if not observed.after_new:
        return wrong(
            "After a reinstatement a new activity must stop the account again.",
            found="the thief could pay again",
            expected=expected,
        )
    return right("Once, twice or a hundred times: the account of this user is stopped, and a clerk's decision stands.")


_FLAGGED = Flags(victim=True, others=0, after_replay=False, after_new=True)


def _some_flagger(settings: Settings) -> None:
    """Stands for the learner's class: the judge looks at what it did."""


STOP = Exercise(
    number="05.4",
    title="Stop the account",
    task="write the two missing parts of the account flagger.",
    hints=(
        "One statement sets the flag of one account: `UPDATE user_profile SET … WHERE user_id = %s`. Which accounts need no change?",
        "`cursor.rowcount` says how many rows an UPDATE has changed, as in Lab 03: it is 1 only if the flag was not set before.",
        "Newly stopped although reinstated since: `self._connection.rollback()`. In all other cases: `self._connection.commit()`.",
    ),
    shape="the class AccountFlagger",
    observe=observe_flagger,
    judge=judge_flagger,
    right=[Example((_some_flagger,), _FLAGGED), Example((type,), Flags(True, 0, False, True))],
    wrong=[
        Example(
            (_some_flagger,),
            Flags(victim=True, others=299, after_replay=False, after_new=True),
            "Other people's accounts were stopped as well: the UPDATE must say whose account it means.",
        ),
        Example(
            (_some_flagger,),
            Flags(victim=False, others=0, after_replay=False, after_new=False),
            "The account was not stopped. A change that is never committed is lost when the connection ends.",
        ),
        Example(
            (_some_flagger,),
            Flags(victim=True, others=0, after_replay=True, after_new=True),
            "A clerk had reinstated the account, and an activity from before came again: that one must be left alone.",
        ),
        Example(
            (_some_flagger,),
            Flags(victim=True, others=0, after_replay=False, after_new=False),
            "After a reinstatement a new activity must stop the account again.",
        ),
    ],
)


def outcome(world: World) -> None:
    """Flagger, notifier and inbox run, and have worked off what the detector had found."""
    inbox.serve(world)
    for name in ("flagger", "notifier"):
        world.start_service(name)
    wait_until(lambda: settled(world), "everybody is told, and the accounts are stopped")


def settled(world: World) -> bool:
    """Whether flagger and notifier have nothing left to do."""
    if any(consumers.lag(world, name) for name in ("flagger", "notifier")):
        return False
    return not world.value("SELECT COUNT(*) AS pending FROM notifications WHERE status = 'pending'")


LAB = Lab(
    number="05",
    name="notification-consumers",
    title="The notification consumers",
    exercises=(BUSY, CAREFUL, ONCE, STOP),
    outcome=outcome,
)
