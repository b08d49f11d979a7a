"""Answers to Lab 05, The notification consumers: right and wrong ones. Only tests and `fraudlab course check` load them."""

from collections.abc import Callable
from itertools import chain
from typing import Any
from uuid import uuid4

from kafka import OffsetAndMetadata

from fraudlab.course.answers import Answers, Example
from fraudlab.course.consumers import Commit, Crash
from fraudlab.course.labs.lab05.checks import Activity, Flags, Sent, ids_of
from fraudlab.settings import Settings

# 05.1

BUSY = Answers(
    right=[Example(([2, 1, 1], [1, 1, 1, 1, 0]), 4), Example(((1, 2, 1), [0, 1, 1, 1, 1]), 4)],
    wrong=[
        Example(([2, 1, 1], [1, 1, 1, 1, 1]), 4, "too_many"),
        Example(([4, 4, 4], [4] * 5), 4, "all_to_each"),
        Example(([4 / 3] * 3, [0.8] * 5), 4, "partition_cut"),
        Example(([1, 1, 1], [1, 1, 1, 1, 0]), 4, "partition_left"),
        Example(([2, 2, 0], [1, 1, 1, 1, 0]), 4, "uneven"),
        Example(([2, 1, 1], [2, 2, 0, 0, 0]), 4, "uneven"),
        Example(([2, 1, 1], [1, 1, 1, 1]), 4, "one_number_each"),
        Example((3, 4), 4, "unreadable"),
    ],
    observe=lambda *_predicted: 4,
    equivalent={
        "of_three, of_five = ([1, 1, 2], [1, 1, 1, 1, 0])": "which consumer gets more is Kafka's choice",
        "of_three, of_five = ([2, 1, 1], [0, 1, 1, 1, 1])": "which consumer gets none is Kafka's choice",
    },
)


# 05.2


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


CAREFUL = Answers(
    right=[
        Example((_after_the_poll,), _lived((2, 2, 2, 1, 1, 1))),
        Example((_each_offset,), _lived((1, 1, 1, 1, 1, 1), (Commit(1, False), Commit(2, False)))),
    ],
    wrong=[
        Example((_wrong_before,), _lived((1, 1, 1, 0, 0, 0), (Commit(0, False),)), "committed_before"),
        Example((_wrong_each_partition,), _lived((1, 1, 1, 0, 0, 0), (Commit(2, False),)), "committed_each_partition"),
        Example((_wrong_finally,), _lived((1, 1, 1, 0, 0, 0), (Commit(3, True),)), "committed_on_the_way_out"),
        Example((_wrong_never,), _lived((2, 2, 2, 1, 1, 1), (), ()), "never_committed"),
        Example((_wrong_newest_only,), _lived((2, 0, 2, 0, 1, 0)), "records_skipped"),
        Example((_wrong_nothing,), _lived((0, 0, 0)), "nothing_handled"),
    ],
    mutants=False,
)


# 05.3


_SIX_IDS = ("41-0", "41-0", "41-0", "41-0", "41-12", "42-0")


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


def _wrong_run_together(activity: Activity, episode: int) -> str:
    return str(activity["user_id"]) + str(episode)


def _wrong_hash(activity: Activity, episode: int) -> str:
    return str(hash(f"{activity['user_id']}-{episode}"))


_given: dict[tuple[int, int], str] = {}


def _wrong_remembered(activity: Activity, episode: int) -> str:
    return _given.setdefault((activity["user_id"], episode), uuid4().hex)


def _wrong_mailbox(activity: Activity, episode: int) -> str:
    return f"{activity['user_email']}-{episode}"


ONCE = Answers(
    right=[Example((_by_words,)), Example((_by_number,))],
    wrong=[
        Example((_wrong_random,), mistake="random_id"),
        Example((_wrong_each_activity,), mistake="id_of_the_activity"),
        Example((_wrong_detected,), mistake="id_of_the_detection"),
        Example((_wrong_person_only,), mistake="id_without_episode"),
        Example((_wrong_episode_only,), mistake="id_without_person"),
        Example((_wrong_spaces,), mistake="not_a_header"),
        Example((_by_words,), Sent(_SIX_IDS, 2, ("41-11", "411-1"), _SIX_IDS), "other_messages"),
        Example((_wrong_run_together,), mistake="numbers_run_together"),
        Example((_wrong_hash,), mistake="id_of_the_process"),
        Example((_wrong_remembered,), mistake="id_of_the_process"),
        Example((_wrong_mailbox,), mistake="id_without_person"),
    ],
    observe=ids_of,
    equivalent={
        """return f"{activity['user_id']}user_id{episode}\"""": "another text between the numbers",
    },
)


# 05.4

_FLAGGED = Flags(victim=True, others=0, after_replay=False, after_new=True)


def _some_flagger(settings: Settings) -> None:
    """In place of the learner's class: its check looks at what it did."""


STOP = Answers(
    right=[Example((_some_flagger,), _FLAGGED), Example((type,), Flags(True, 0, False, True))],
    wrong=[
        Example(
            (_some_flagger,), Flags(victim=True, others=299, after_replay=False, after_new=True), "everybody_stopped"
        ),
        Example((_some_flagger,), Flags(victim=False, others=0, after_replay=False, after_new=False), "not_stopped"),
        Example((_some_flagger,), Flags(victim=True, others=0, after_replay=True, after_new=True), "stopped_by_replay"),
        Example(
            (_some_flagger,), Flags(victim=True, others=0, after_replay=False, after_new=False), "not_stopped_again"
        ),
    ],
    mutants=False,
)

ANSWERS = {"05.1": BUSY, "05.2": CAREFUL, "05.3": ONCE, "05.4": STOP}
