"""Consuming a topic at least once: offsets are committed after the work, and what cannot be read goes to `dead_letters`."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import orjson
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from fraudlab.pipeline.contracts import Names, dead_letter

log = logging.getLogger(__name__)

BROKER_PATIENCE_S = 300
BOOTSTRAP_MS = 5_000
"""How long one try to reach the broker takes at most."""
POLL_MS = 2000
"""How long a poll waits where there is nothing. kafka-python 3.0 forgets a join of the group whose answer comes after a poll has ended."""
ASSIGNMENT_PATIENCE_S = 30
"""So long a consumer may be without partitions, should that happen all the same."""

LOOK_S = 1
"""How often a broker or a topic that is not there yet is looked for."""


class MalformedRecordError(ValueError):
    """A record that nothing can be done with; its text is the reason that `dead_letters` shows."""


class Received(NamedTuple):
    """A record of the topic: the JSON object in it, and where it lies."""

    content: dict[str, Any]
    partition: int
    offset: int


class DeadLetters:
    """Writes to the topic `dead_letters`; for several threads. Connects for the first letter: who has none needs no broker."""

    def __init__(self, bootstrap_servers: str, names: Names) -> None:
        self._bootstrap_servers, self._topic = bootstrap_servers, names.dead_letters
        self._producer: KafkaProducer | None = None
        self._lock = threading.Lock()

    def write(self, letter: dict[str, Any]) -> None:
        """Returns when the broker has the letter. Raises KafkaError where it does not take it within 30 s."""
        key = letter["dead_letter_id"].encode()
        self._connected().send(self._topic, key=key, value=orjson.dumps(letter)).get(timeout=30)
        log.warning("dead letter %s: %s", letter["dead_letter_id"], letter["reason"])

    def close(self) -> None:
        """Ends the connection."""
        if self._producer is not None:
            self._producer.close()

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=self._bootstrap_servers,
                    bootstrap_timeout_ms=BOOTSTRAP_MS,
                    max_block_ms=BOOTSTRAP_MS,
                    acks="all",
                    max_request_size=4 * 2**20,
                )
            return self._producer


def consume(
    bootstrap_servers: str,
    names: Names,
    *,
    service: str,
    topic: str,
    handle: Callable[[Received], None],
    complete: Callable[[], None] = lambda: None,
) -> None:
    """Hands every record of a topic to `handle`, until SIGTERM or SIGINT; then ends after the records in hand.

    A record is handed over again after a crash between its handling and the commit of its offset, so `handle` must be
    idempotent. It raises MalformedRecordError for what it cannot use; any other exception ends the service, which its
    supervisor starts again where it was. `complete` is called before offsets are committed, for what is better done for
    many records at once.
    """
    stopped = False
    consumer: KafkaConsumer | None = None
    dead_letters = DeadLetters(bootstrap_servers, names)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    gives_up_at = time.monotonic() + BROKER_PATIENCE_S
    while consumer is None:
        if stopped:
            return
        try:
            consumer = _consumer(bootstrap_servers, names.group(service), topic)
        except KafkaError as error:
            if time.monotonic() > gives_up_at:
                raise
            log.warning("waiting for Kafka: %r", error)
            time.sleep(LOOK_S)
    logging.getLogger("kafka.cluster").setLevel(logging.CRITICAL)  # says ten times a second that a topic is missing
    # It must be known before the group is joined, so that it is joined once.
    while not stopped and not consumer.partitions_for_topic(topic):
        log.warning("waiting for the topic %s", topic)
        time.sleep(LOOK_S)
    log.info("consuming %s", topic)
    assigned_at = time.monotonic()
    try:
        while not stopped:
            fetched = consumer.poll(timeout_ms=POLL_MS)
            for records in fetched.values():
                for record in records:
                    try:
                        handle(Received(_object(record.value), record.partition, record.offset))
                    except MalformedRecordError as error:
                        dead_letters.write(_dead_letter(record, str(error)))
            if fetched:
                # Not before all partitions are done: it commits the offsets of everything that poll() returned.
                complete()
                consumer.commit()
            if consumer.assignment():
                assigned_at = time.monotonic()
            elif time.monotonic() - assigned_at > ASSIGNMENT_PATIENCE_S:
                raise RuntimeError(
                    f"The group {names.group(service)} gave no partition of {topic} for {ASSIGNMENT_PATIENCE_S} s: "
                    "the service ends, so that its supervisor starts it anew."
                )
    finally:
        consumer.close()
        dead_letters.close()


def _consumer(bootstrap_servers: str, group: str, topic: str) -> KafkaConsumer:
    return KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        metadata_max_age_ms=5_000,  # a topic that the broker did not know yet is looked for again that soon
    )


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if not isinstance(loaded, dict):
        raise MalformedRecordError("not a JSON object")
    return loaded


def _dead_letter(record: Any, reason: str) -> dict[str, Any]:
    payload = (record.value or b"").decode("utf-8", "replace")
    return dead_letter(record.topic, record.partition, record.offset, reason=reason, payload=payload)
