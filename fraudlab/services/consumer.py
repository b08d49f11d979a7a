"""Consuming a topic at least once: offsets are committed after the work, and what cannot be read goes to `dead_letters`."""

import contextlib
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from types import FrameType
from typing import Any, NamedTuple

import orjson
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CommitFailedError, KafkaError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import Names, dead_letter
from fraudlab.pipeline.records import MalformedRecordError

log = logging.getLogger(__name__)

BROKER_PATIENCE_S = 300
BOOTSTRAP_MS = 5_000
"""How long one attempt to reach the broker takes at most."""
POLL_MS = 2000
"""How long a poll waits where there is nothing. kafka-python 3.0 forgets a join of the group whose answer comes after a poll has ended."""
MOST_RECORDS = 1000
"""How many records are read at a time."""
COMMIT_MS = 2000
ASSIGNMENT_PATIENCE_S = 30
"""How long a consumer may be without partitions, if that happens in spite of the long polls."""

LOOK_S = 1
"""How often a broker or a topic that is not there yet is looked for."""
LETTERS_WHEN_BUSY, LETTERS_WHEN_IDLE = 50, 2000
"""Dead letters sent after each poll: when busy a few ms' worth, when idle nothing has to wait for them."""
BUSY = 100
"""A poll with more records than this."""
MOST_LETTERS, MOST_LETTER_BYTES = 50_000, 64 * 2**20
"""How much may wait to be sent to `dead_letters` before reading pauses."""
ACKNOWLEDGED_S = 0.1
"""How long an idle consumer waits for the broker to have its dead letters, so that their offsets are committed at once."""
BLOCK_MS = 500
"""How long sending may block: if `dead_letters` is missing, nothing else waits longer than this."""
SAY_LETTERS_EVERY_S = 1.0


class Received(NamedTuple):
    """A record of the topic: the JSON object in it, and its place."""

    content: dict[str, Any]
    partition: int
    offset: int


class DeadLetters:
    """Writes to the topic `dead_letters`; for several threads. Connects for the first letter."""

    def __init__(self, kafka: KafkaAccess, names: Names) -> None:
        self._kafka, self._topic = kafka, names.dead_letters
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()
        self._unsaid = 0
        self._first = ""
        self._said_at = 0.0

    def write(self, letter: dict[str, Any]) -> None:
        """Returns when the broker has the letter. Raises KafkaError if it does not accept it within 30 s."""
        self.send(letter).get(timeout=30)

    def send(self, letter: dict[str, Any]) -> Any:
        """Returns at once, with kafka-python's future of the letter. Raises KafkaError if it cannot be sent at the moment."""
        future = self._connected().send(self._topic, key=letter["dead_letter_id"].encode(), value=orjson.dumps(letter))
        self._say(letter)
        return future

    def close(self) -> None:
        """Ends the connection."""
        self.say(now=True)
        if self._producer is not None:
            self._producer.close(timeout=5)

    def say(self, *, now: bool = False) -> None:
        """Logs how many letters there were since the last time; a flood of them is one line a second, not one line each."""
        with self._lock:
            if not self._unsaid or not (now or time.monotonic() - self._said_at >= SAY_LETTERS_EVERY_S):
                return
            more, self._unsaid, self._said_at = self._unsaid - 1, 0, time.monotonic()
        log.warning("dead letter %s%s", self._first, f"; and {more} more" if more else "")

    def _say(self, letter: dict[str, Any]) -> None:
        with self._lock:
            if not self._unsaid:
                self._first = f"{letter['dead_letter_id']}: {letter['reason']}"
            self._unsaid += 1
        self.say()

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = self._kafka.producer(
                    bootstrap_timeout_ms=BOOTSTRAP_MS,
                    max_block_ms=BLOCK_MS,
                    linger_ms=5,
                    acks="all",
                    max_request_size=4 * 2**20,
                )
            return self._producer


class _Letter(NamedTuple):
    partition: TopicPartition
    offset: int
    reason: str
    value: bytes

    def made(self) -> dict[str, Any]:
        payload = self.value.decode("utf-8", "replace")
        return dead_letter(
            self.partition.topic, self.partition.partition, self.offset, reason=self.reason, payload=payload
        )


class _Letters:
    """The dead letters of records; an offset is committed once the broker has its letter. They are sent when there is time."""

    def __init__(self, dead_letters: DeadLetters, done: Callable[[TopicPartition, int], None]) -> None:
        self._dead_letters, self._done = dead_letters, done
        self._waiting: deque[_Letter] = deque()
        self._waiting_bytes = 0
        self._sent: deque[tuple[_Letter, Any]] = deque()
        self._again_at = 0.0

    def add(self, letter: _Letter) -> None:
        self._waiting.append(letter)
        self._waiting_bytes += len(letter.value)

    @property
    def too_many(self) -> bool:
        return len(self._waiting) > MOST_LETTERS or self._waiting_bytes > MOST_LETTER_BYTES

    def drop(self, partitions: Collection[TopicPartition]) -> None:
        """Forgets those of partitions that another consumer reads from now on; it writes them again, with the same ids."""
        self._waiting = deque(one for one in self._waiting if one.partition not in partitions)
        self._waiting_bytes = sum(len(one.value) for one in self._waiting)
        self._sent = deque(one for one in self._sent if one[0].partition not in partitions)

    def send(self, most: int, wait_s: float = 0.0) -> None:
        """Sends at most this many of those that wait, and notes which ones the broker has. What it rejects is sent again later."""
        if self._waiting and time.monotonic() >= self._again_at:
            try:
                for _ in range(min(most, len(self._waiting))):
                    self._sent.append((self._waiting[0], self._dead_letters.send(self._waiting[0].made())))
                    self._waiting_bytes -= len(self._waiting.popleft().value)
            except KafkaError as error:
                self._later(error)
        deadline = time.monotonic() + wait_s
        while self._sent:
            letter, future = self._sent[0]
            while not future.is_done and time.monotonic() < deadline:
                time.sleep(0.002)
            if not future.is_done:
                break
            self._sent.popleft()
            if future.failed():
                self._later(future.exception)
                self.add(letter)
            else:
                self._done(letter.partition, letter.offset)
        self._dead_letters.say()

    def _later(self, error: BaseException) -> None:
        self._again_at = time.monotonic() + LOOK_S
        log.warning("Kafka accepts no dead letter at the moment, %d wait: %r", len(self._waiting), error)


class _Work(ConsumerRebalanceListener):  # type: ignore[misc] # kafka-python is untyped
    """How far each partition is done: up to its first unfinished record, or to the end of what was read."""

    def __init__(self, topic: str, dead_letters: DeadLetters) -> None:
        self.topic = topic
        self.letters = _Letters(dead_letters, self.done)
        self.held: dict[tuple[TopicPartition, int], Received] = {}
        self._next: dict[TopicPartition, int] = {}
        self._open: dict[TopicPartition, dict[int, None]] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._revoked: deque[TopicPartition] = deque()

    # Called by kafka-python's own thread, at any moment.

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._revoked.extend(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._revoked.extend(lost)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        log.info("reads the partitions %s of %s", sorted(one.partition for one in assigned), self.topic)

    def forget_revoked(self) -> None:
        """Forgets revoked partitions: another consumer reads them from the committed offsets, or this one does, again."""
        partitions = set()
        while self._revoked:
            partitions.add(self._revoked.popleft())
        if not partitions:
            return
        for one in partitions:
            for known in (self._next, self._open, self._committed):
                known.pop(one, None)
        self.held = {at: one for at, one in self.held.items() if at[0] not in partitions}
        self.letters.drop(partitions)

    def read(self, partition: TopicPartition, offset: int) -> None:
        self._next[partition] = offset + 1

    def pass_by(self, consumer: KafkaConsumer) -> None:
        """Counts as read what a poll passed by without a record: the markers that end a transaction, aborted or not."""
        with contextlib.suppress(KafkaError):
            for one in consumer.assignment():
                position = consumer.position(one, timeout_ms=0)
                if position is not None:
                    self._next[one] = position

    def open(self, partition: TopicPartition, offset: int) -> None:
        self._open.setdefault(partition, {})[offset] = None

    def done(self, partition: TopicPartition, offset: int) -> None:
        self._open.get(partition, {}).pop(offset, None)

    def hold(self, held: Collection[Received]) -> None:
        """Notes which records could not be finished; those of the last time that are not among them are done."""
        before, self.held = self.held, {(TopicPartition(self.topic, one.partition), one.offset): one for one in held}
        for at in self.held:
            self.open(*at)
        for at in before.keys() - self.held.keys():
            self.done(*at)

    def to_commit(self) -> dict[TopicPartition, int]:
        """The offsets that can be committed and are not yet."""
        # Records are opened in the order of their offsets, so the first one is the lowest.
        offsets = {one: next(iter(self._open.get(one, ())), at) for one, at in self._next.items()}
        return {one: at for one, at in offsets.items() if self._committed.get(one) != at}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        self._committed.update(offsets)


class _Patience:
    """Counts how long Kafka has been away."""

    def __init__(self) -> None:
        self._since: float | None = None

    def well(self) -> None:
        self._since = None

    def wait(self, error: KafkaError) -> None:
        """Waits a moment; raises the error if Kafka has been away for five minutes."""
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > BROKER_PATIENCE_S:
            raise error
        log.warning("waiting for Kafka: %r", error)
        time.sleep(LOOK_S)


def consume(
    kafka: KafkaAccess,
    names: Names,
    *,
    service: str,
    topic: str,
    handle: Callable[[Received], None],
    complete: Callable[[], Collection[Received]] = tuple,
) -> None:
    """Hands every record of a topic to `handle`, until SIGTERM or SIGINT; then ends after the current records.

    A record is handed over again after a crash between its handling and the commit of its offset, and after a rebalance in between,
    so `handle` must be idempotent. It raises MalformedRecordError for what it cannot use; any other exception
    ends the service, and its supervisor restarts it. `complete` is called before offsets are committed, for what is
    better done for many records at once. It returns those that could not be finished yet: they are handed over again after the next
    poll, while later ones are processed, and offsets are committed only up to them.

    Waits for a broker that is away, at each step, for up to five minutes. Raises KafkaError when that was not enough.
    """
    stopped = False
    consumer: KafkaConsumer | None = None
    dead_letters = DeadLetters(kafka, names)
    work, patience = _Work(topic, dead_letters), _Patience()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while consumer is None:
        if stopped:
            return
        try:
            consumer = _consumer(kafka, names.group(service), work)
        except KafkaError as error:
            patience.wait(error)
    logging.getLogger("kafka.cluster").setLevel(logging.CRITICAL)  # says ten times a second that a topic is missing
    # The topic must be known before the group is joined, so that it is joined once.
    while not stopped and not _is_there(consumer, topic, patience):
        log.warning("waiting for the topic %s", topic)
        time.sleep(LOOK_S)
    log.info("consuming %s", topic)
    assigned_at = time.monotonic()
    try:
        while not stopped:
            try:
                fetched = consumer.poll(timeout_ms=POLL_MS)
            except KafkaError as error:
                patience.wait(error)
                continue
            work.forget_revoked()
            count = sum(map(len, fetched.values()))
            for held in work.held.values():
                handle(held)
            for partition, records in fetched.items():
                for record in records:
                    work.read(partition, record.offset)
                    try:
                        handle(Received(_object(record.value), record.partition, record.offset))
                    except MalformedRecordError as error:
                        work.open(partition, record.offset)
                        work.letters.add(_Letter(partition, record.offset, str(error), record.value or b""))
            if not count:
                work.pass_by(consumer)
            # Not before all partitions are done.
            work.hold(complete())
            is_idle = count <= BUSY
            work.letters.send(LETTERS_WHEN_IDLE if is_idle else LETTERS_WHEN_BUSY, ACKNOWLEDGED_S if is_idle else 0.0)
            while work.letters.too_many and not stopped:
                work.letters.send(LETTERS_WHEN_IDLE, LOOK_S)
            work.forget_revoked()
            _commit(consumer, work, patience)
            if consumer.assignment():
                assigned_at = time.monotonic()
            elif time.monotonic() - assigned_at > ASSIGNMENT_PATIENCE_S:
                raise KafkaError(
                    f"The group {names.group(service)} gave no partition of {topic} for {ASSIGNMENT_PATIENCE_S} s"
                )
    finally:
        with contextlib.suppress(KafkaError):
            consumer.close(timeout_ms=COMMIT_MS)
        with contextlib.suppress(KafkaError):
            dead_letters.close()


def _commit(consumer: KafkaConsumer, work: _Work, patience: _Patience) -> None:
    """Commits what is done. A commit that fails is made up for by the next one: reading the records again does no harm."""
    offsets = work.to_commit()
    if not offsets:
        return
    try:
        consumer.commit({one: OffsetAndMetadata(at, "", -1) for one, at in offsets.items()}, timeout_ms=COMMIT_MS)
    except (CommitFailedError, RebalanceInProgressError):
        log.info("the group rebalances: what is not committed is read again")
    except KafkaError as error:
        patience.wait(error)
    else:
        patience.well()
        work.committed(offsets)


def _is_there(consumer: KafkaConsumer, topic: str, patience: _Patience) -> bool:
    try:
        return bool(consumer.partitions_for_topic(topic))
    except KafkaError as error:
        patience.wait(error)
        return False


def _consumer(kafka: KafkaAccess, group: str, work: _Work) -> KafkaConsumer:
    consumer = kafka.consumer(
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=MOST_RECORDS,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        metadata_max_age_ms=5_000,  # a topic that the broker did not know yet is looked for again that soon
    )
    consumer.subscribe([work.topic], listener=work)
    return consumer


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if not isinstance(loaded, dict):
        raise MalformedRecordError("not a JSON object")
    return loaded
