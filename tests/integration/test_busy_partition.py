"""One partition with a backlog beside quiet ones: its reader never waits for the quiet ones (kafka_access)."""

import time
from contextlib import closing

from fraudlab import system
from fraudlab.settings import Settings
from tests.support.lab import learner_lab
from tests.support.waiting import patient

RECORDS, BYTES = 50_000, 400
"""About twenty answers of Kafka to a fetch: at least one of them comes at the moment that matters."""
QUIET_MS = 60_000
"""How long Kafka waits with its answer where all partitions asked for are quiet."""
DEADLINE_S = 15


def test_a_backlog_in_one_partition_is_read_without_waiting_for_the_quiet_ones(settings: Settings) -> None:
    with learner_lab(settings, "busy") as lab:
        topic, kafka = lab.names.suspicious_activities, system.kafka(lab.settings)
        with closing(kafka.producer(linger_ms=20)) as producer:
            for _ in range(RECORDS):
                producer.send(topic, key=b"busy", value=bytes(BYTES))
            producer.flush()
        options = {"group_id": lab.names.group("busy"), "enable_auto_commit": False, "auto_offset_reset": "earliest"}
        with closing(
            kafka.consumer(
                topic, max_poll_records=1000, fetch_max_wait_ms=QUIET_MS, request_timeout_ms=2 * QUIET_MS, **options
            )
        ) as consumer:
            count, deadline = 0, time.monotonic() + patient(DEADLINE_S)
            while count < RECORDS:
                assert time.monotonic() < deadline, f"{count} of {RECORDS} records were read"
                count += sum(map(len, consumer.poll(timeout_ms=1000).values()))
                consumer.commit()
