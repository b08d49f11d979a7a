"""Consumer groups as a notebook looks at them: who reads which partition, how far a group has come, and what a crash costs."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pandas as pd
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from fraudlab.clients.topics import end_offsets
from fraudlab.course.exercise import AnswerFailed, NotSolvedYet
from fraudlab.course.workspace import Late, Workspace, wait_until

QUIET_MS = 1_000
"""After so long without a record, `for record in consumer` ends."""
JOIN_MS = 2_000
"""How long a poll may take that joins a group. kafka-python 3.0 loses a join whose answer comes after a poll has given up, and the consumer
stays without partitions for ever; so the topic is looked up before, which saves the second join, and the poll is a patient one."""
EMPTY_POLLS = 12
"""So many polls in a row that bring nothing, within one call, tell a loop that does not come back."""
IDLE_ROUNDS = 4
AGREEMENT_S = 30


_shared: list[KafkaConsumer] = []
"""The consumers of earlier calls of `share`. A cell that runs twice forgets the first one, which would stay in its group."""


def share(**consumers: KafkaConsumer) -> pd.DataFrame:
    """Polls the consumers of a group until each has its partitions: a rebalance. The records that arrive meanwhile stay unread.

    Other consumers of this notebook that an earlier call has seen in the group are closed, so that they leave it.

    Returns:
        A row per consumer, with its partitions.

    Example:
        lab.share(first=one_consumer, second=another_consumer)
    """
    groups = {one.config["group_id"] for one in consumers.values()}
    for earlier in [one for one in _shared if one.config["group_id"] in groups and one not in consumers.values()]:
        earlier.close()
        _shared.remove(earlier)
    _shared.extend(one for one in consumers.values() if one not in _shared)
    held: list[list[int]] = []
    partitions = 0
    for one in consumers.values():
        for topic in one.subscription():
            partitions = max(partitions, len(one.partitions_for_topic(topic)))

    with ThreadPoolExecutor(len(consumers) or 1) as pool:

        def agreed() -> bool:
            before = list(held)
            held[:] = pool.map(_held, consumers.values())
            whole = sorted(number for numbers in held for number in numbers) == list(range(partitions))
            busy = sum(map(bool, held))
            return whole and busy == min(len(held), partitions) and held == before

        wait_until(agreed, "the group agrees on who reads what", AGREEMENT_S)
    return pd.DataFrame(
        [
            (name, ", ".join(map(str, numbers)) or "none", len(numbers))
            for name, numbers in zip(consumers, held, strict=True)
        ],
        columns=["consumer", "partitions", "count"],
    )


def offsets(workspace: Workspace, group: str, topic: str = "suspicious_activities") -> pd.DataFrame:
    """Shows how far a consumer group has read a topic.

    Returns:
        A row per partition: the committed offset (empty if there is none), the end of the partition, and the lag.

    Example:
        lab.offsets("my-app")
    """
    name = workspace.topic(topic)
    committed = committed_offsets(workspace, group, topic)
    ends = _ends(workspace, name)
    rows = [
        (number, committed.get(number), end, end - committed.get(number, 0)) for number, end in sorted(ends.items())
    ]
    table = pd.DataFrame(rows, columns=["partition", "committed", "end", "lag"])
    return table.astype({"committed": "Int64"})


def committed_offsets(workspace: Workspace, group: str, topic: str = "suspicious_activities") -> dict[int, int]:
    """Partition to committed offset, where one was committed."""
    name, full = workspace.topic(topic), workspace.names.group(group)
    with closing(workspace.admin()) as admin:

        def asked() -> list[Any] | None:
            try:
                return [admin.list_group_offsets(full).get(full, {})]
            except KafkaError as error:
                if (
                    error.retriable
                ):  # a broker that has just begun to look after groups reads what it knows of them first
                    return None
                raise

        (found,) = wait_until(asked, "Kafka says how far the group has come")
    return {at.partition: int(one.offset) for at, one in found.items() if at.topic == name and one.offset >= 0}


def lag(workspace: Workspace, group: str, topic: str = "suspicious_activities") -> int:
    """How many records of a topic a group has not committed."""
    committed = committed_offsets(workspace, group, topic)
    return sum(end - committed.get(number, 0) for number, end in _ends(workspace, workspace.topic(topic)).items())


def _ends(workspace: Workspace, topic: str) -> dict[int, int]:
    with closing(workspace.consumer()) as reader:
        return {at.partition: int(end) for at, end in end_offsets(reader, [topic]).items()}


# A crash, on purpose


def _options(workspace: Workspace, group: str) -> dict[str, Any]:
    return {
        **workspace.kafka.options(),
        "group_id": workspace.names.group(group),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        # Where a goodbye is lost, the group waits no longer than this for who is gone.
        "session_timeout_ms": 6_000,
        "heartbeat_interval_ms": 2_000,
    }


class Killed(BaseException):
    """The crash. No Exception: a process that is killed does not come to its `except`."""


class EndlessLoop(AnswerFailed):
    """The learner's function does not come back."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that a loop made: how many records it had handled by then, and whether the crash had happened."""

    handled: int
    after_the_crash: bool


@dataclass(frozen=True, slots=True)
class Crash:
    """What became of the records of a topic when the process that read them crashed once and was started again.

    `times` says how often each record was handled. `first` and `second` are the commits before and after the restart.
    """

    times: tuple[int, ...]
    first: tuple[Commit, ...]
    second: tuple[Commit, ...]

    @property
    def lost(self) -> int:
        return sum(times == 0 for times in self.times)

    @property
    def once(self) -> int:
        return sum(times == 1 for times in self.times)

    @property
    def again(self) -> int:
        return sum(times > 1 for times in self.times)

    def table(self) -> pd.DataFrame:
        """A row for each fate."""
        rows = [("lost", self.lost), ("handled once", self.once), ("handled again", self.again)]
        return pd.DataFrame(rows, columns=["after the restart", "activities"])


class _Watched(KafkaConsumer):  # type: ignore[misc] # kafka-python is untyped
    """A real consumer that notes its commits, and notices a loop that does not come back.

    Its first poll brings records of two partitions at least, as a busy topic would.
    """

    def __init__(self, *topics: str, handled: Callable[[], int], **options: Any) -> None:
        super().__init__(*topics, consumer_timeout_ms=QUIET_MS, **options)
        self.commits: list[Commit] = []
        self.crashed = False
        self.empty_polls = 0
        self._handled = handled
        self._first = True

    def poll(self, *arguments: Any, **options: Any) -> dict[TopicPartition, list[Any]]:
        batch: dict[TopicPartition, list[Any]] = super().poll(*arguments, **options)
        if batch and self._first and options.get("update_offsets", True):
            deadline = time.monotonic() + 5
            while len(batch) < 2 and time.monotonic() < deadline:
                for at, records in super().poll(timeout_ms=100).items():
                    batch.setdefault(at, []).extend(records)
        self._first = self._first and not batch
        self.empty_polls = 0 if batch else self.empty_polls + 1
        if self.empty_polls > EMPTY_POLLS:
            raise EndlessLoop(
                "Your function does not come back when nothing is left. It is called again for each round."
            )
        return batch

    def commit(self, *arguments: Any, **options: Any) -> None:
        super().commit(*arguments, **options)
        self.commits.append(Commit(self._handled(), self.crashed))


Round = Callable[[KafkaConsumer, Callable[[Any], None]], object]


def crash(workspace: Workspace, work_through: Round, topic: str = "suspicious_activities") -> Crash:
    """Lets a learner's loop read a topic in a group of its own, crashes it in the middle of the work, and starts it again.

    Args:
        workspace: The learner's workspace.
        work_through: `(consumer, handle)` → takes what one poll brings, and hands each record to `handle`. Called again and again.
        topic: The topic. Two of its partitions must hold two records each, so that there is a middle.

    Raises:
        AnswerFailed: The loop failed by itself, or does not come back.
    """
    group = f"crash-{uuid4().hex[:8]}"
    ends = _ends(workspace, workspace.topic(topic))
    if sum(end > 1 for end in ends.values()) < 2:
        raise AnswerFailed(f"There are too few records in `{topic}`: run the cell with `lab.catch_up`.")
    times: Counter[tuple[int, int]] = Counter()
    try:
        first = _run(workspace, group, topic, work_through, times, crashing=True)
        second = _run(workspace, group, topic, work_through, times, crashing=False)
    finally:
        with closing(workspace.admin()) as admin:
            admin.delete_groups([workspace.names.group(group)])
    every = [(number, offset) for number, end in sorted(ends.items()) for offset in range(end)]
    return Crash(tuple(times[one] for one in every), first, second)


def _run(
    workspace: Workspace,
    group: str,
    topic: str,
    work_through: Round,
    times: Counter[tuple[int, int]],
    *,
    crashing: bool,
) -> tuple[Commit, ...]:
    """One life of the process: rounds until all is read, or until the crash, which comes with the second record of a second partition."""
    handled: Counter[int] = Counter()
    full = workspace.topic(topic)
    watched = _Watched(full, handled=lambda: sum(handled.values()), **_options(workspace, group))
    watched.partitions_for_topic(full)

    def handle(record: Any) -> None:
        if not hasattr(record, "offset"):
            raise AnswerFailed("`handle` takes one record at a time, as it came from the consumer.")
        if crashing and len(handled) > 1 and handled[record.partition] == 1:
            watched.crashed = True
            raise Killed
        handled[record.partition] += 1
        times[record.partition, record.offset] += 1

    try:
        wait_until(lambda: bool(_held(watched)), "the consumer gets its partitions", AGREEMENT_S)
        idle = 0
        while idle < IDLE_ROUNDS:
            before = sum(handled.values())
            watched.empty_polls = 0
            work_through(watched, handle)
            idle = 0 if sum(handled.values()) > before else idle + 1
            if not crashing and _at_end(watched):
                break
    except Killed:
        pass
    except (AnswerFailed, NotSolvedYet, Late):
        raise
    except Exception as error:
        raise AnswerFailed(f"Your function raised {type(error).__name__}: {error}.") from error
    finally:
        watched.close()
    return tuple(watched.commits)


def _held(consumer: KafkaConsumer) -> list[int]:
    """The partitions that a member of a group reads, after one more poll: joining happens inside it."""
    # Records that it brings would otherwise count as read. A _Watched one is not to count this poll as the learner's.
    for partition, records in KafkaConsumer.poll(consumer, timeout_ms=JOIN_MS).items():
        consumer.seek(partition, records[0].offset)
    return sorted(partition.partition for partition in consumer.assignment())


def _at_end(watched: KafkaConsumer) -> bool:
    partitions: Sequence[TopicPartition] = list(watched.assignment())
    ends = watched.end_offsets(partitions)
    return all(watched.position(at) >= ends[at] for at in partitions)
