"""Consuming a topic at least once: offsets are committed after the work, and what cannot be read goes to `dead_letters`."""

import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import orjson
from kafka import KafkaConsumer, KafkaProducer

from fraudlab.pipeline.contracts import Names

log = logging.getLogger(__name__)

MAX_PAYLOAD = 65_536


class MalformedRecordError(ValueError):
    """A record that nothing can be done with; its text is the reason that `dead_letters` shows."""


def consume(
    bootstrap_servers: str, names: Names, *, service: str, topic: str, handle: Callable[[dict[str, Any]], None]
) -> None:
    """Hands every record of a topic to `handle`, until SIGTERM or SIGINT; then ends after the record in hand.

    A record is handed over again after a crash between its handling and the commit of its offset, so `handle` must be
    idempotent. It raises MalformedRecordError for what it cannot use; any other exception ends the service, which its
    supervisor starts again where it was.
    """
    stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=names.group(service),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
    )
    dead_letters = KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", max_request_size=4 * 2**20)
    log.info("consuming %s", topic)
    try:
        while not stopped:
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    try:
                        handle(_object(record.value))
                    except MalformedRecordError as error:
                        letter = _dead_letter(record, str(error))
                        dead_letters.send(
                            names.dead_letters, key=letter["dead_letter_id"].encode(), value=orjson.dumps(letter)
                        )
                        dead_letters.flush(timeout=30)
                        log.warning("dead letter %s: %s", letter["dead_letter_id"], error)
                consumer.commit()
    finally:
        consumer.close()
        dead_letters.close()


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        raise MalformedRecordError(f"not JSON: {error}") from None
    if not isinstance(loaded, dict):
        raise MalformedRecordError("not a JSON object")
    return loaded


def _dead_letter(record: Any, reason: str) -> dict[str, Any]:
    return {
        "dead_letter_id": f"{record.topic}-{record.partition}-{record.offset}",
        "reason": reason,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "transaction_id": None,
        "payload": (record.value or b"").decode("utf-8", "replace")[:MAX_PAYLOAD],
    }
