"""Case disk-01: nothing is lost when a disk fills up and is freed. Kafka alone, on small disks."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, KafkaTimeoutError

from fraudlab import system
from fraudlab.clients.topics import read
from fraudlab.settings import Settings
from fraudlab.stack import kafka, kafka_metadata, second_stack, watch
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import Supervisord, marked_processes
from tests.support.disks import Disk, small_disk
from tests.support.waiting import eventually

TOPIC, PARTITIONS = "records", 4
RESERVE_MIB = 32
BEFORE, AFTER = 3_000, 500
HELD_FULL_S = 5
CLOSED_WITHIN_S = 5


class Broker:
    """Kafka under a supervisord, with its home on a small disk."""

    def __init__(self, disk: Disk, software: Settings) -> None:
        home = disk.folder / "home"
        home.mkdir()
        (home / "jars").symlink_to(software.home.expanduser().resolve() / "jars")
        port, controller = second_stack.free_ports(2)
        self.disk = disk
        self.settings = Settings(
            home=home,
            kafka_port=port,
            kafka_controller_port=controller,
            class_sharing=False,
            disk_reserve_mib=RESERVE_MIB,
        )
        self.stack = Stack(self.settings)
        self.layout = self.stack.layout
        self.supervisord = Supervisord(self.layout, RESERVE_MIB)
        self.acknowledged = 0

    @property
    def pid(self) -> int:
        return int(self.supervisord.process(kafka.NAME)["pid"])

    @property
    def log(self) -> str:
        return (self.layout.logs / "kafka.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        self.supervisord.start()
        service = self.stack.services[kafka.NAME]
        service.prepare()
        self.supervisord.put(service.program)
        self.await_ready()

    def await_ready(self) -> None:
        problem = self.stack.services[kafka.NAME].problem
        eventually(lambda: problem() is None, "Kafka is ready", 120)

    def create_topic(self) -> None:
        with contextlib.closing(system.kafka(self.settings).admin()) as admin:
            admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])

    def write(self, ended: threading.Event) -> None:
        """Writes records one after another, and counts those that the broker has acknowledged. Retries after errors."""
        while not ended.is_set():
            with contextlib.suppress(KafkaError), _producer(self.settings) as producer:
                while not ended.is_set():
                    sent = [producer.send(TOPIC, str(self.acknowledged + one).encode() * 100) for one in range(50)]
                    for each in sent:
                        each.get(timeout=3)
                        self.acknowledged += 1

    def stored(self) -> int:
        """The records in the topic, read to their end."""
        with contextlib.closing(system.kafka(self.settings).consumer(enable_auto_commit=False)) as consumer:
            return sum(1 for _ in read(consumer, [TOPIC]))

    def stop(self) -> None:
        self.supervisord.shut_down()
        assert marked_processes(self.layout.home) == []


@contextlib.contextmanager
def _producer(settings: Settings) -> Iterator[KafkaProducer]:
    producer = system.kafka(settings).producer(
        acks="all",
        max_block_ms=2_000,
        request_timeout_ms=2_000,
        delivery_timeout_ms=3_000,
        bootstrap_timeout_ms=2_000,
    )
    try:
        yield producer
    finally:
        try:
            producer.close(timeout=CLOSED_WITHIN_S)
        except KafkaTimeoutError:
            # kafka-python 3.0 now and then never finishes a batch whose broker ended, and would wait for it forever.
            producer._sender.force_close()
            producer.close(timeout=CLOSED_WITHIN_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with small_disk(tmp_path / "disk", mib=350) as disk:
        broker = Broker(disk, Settings())
        try:
            yield broker
        finally:
            broker.stop()


@contextlib.contextmanager
def writing(broker: Broker) -> Iterator[None]:
    ended = threading.Event()
    writer = threading.Thread(target=broker.write, args=(ended,))
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_disk_01_kafka_that_a_full_disk_stopped_waits_for_room_and_has_every_record(broker: Broker) -> None:
    """The disk is filled within a second, three times in a row: no watcher could be quick enough."""
    broker.start()
    broker.create_topic()
    with writing(broker):
        for _ in range(3):
            fill_and_free(broker)
    assert "waits for free space on the disk of" in broker.log
    assert broker.stored() >= broker.acknowledged, "what was acknowledged is there"
    print(f"\n{broker.acknowledged} acknowledged, {broker.stored()} stored")


def fill_and_free(broker: Broker) -> None:
    """Kafka ends on the full disk, is not started on it, and continues when there is free space."""
    before, first = broker.acknowledged, broker.pid
    eventually(lambda: broker.acknowledged >= before + BEFORE, "records before the disk is full")
    with broker.disk.full():
        eventually(lambda: broker.pid not in (0, first) and watch.is_launcher(broker.pid), "its launcher waits", 120)
        waiting, began = broker.pid, time.monotonic()
        problem = broker.stack.problem_now(waiting, "does not answer")
        assert problem is not None
        assert problem.startswith("waits for free space on the disk of")
        eventually(lambda: time.monotonic() > began + HELD_FULL_S, "some restarts would have been tried")
        assert broker.pid == waiting, "it was not started again and again"
    broker.await_ready()
    at_return = broker.acknowledged
    eventually(lambda: broker.acknowledged >= at_return + AFTER, "records after it")
    assert kafka_metadata.stray(broker.layout.kafka_data) == []


def test_disk_01_a_metadata_log_cut_off_by_kafka_is_restored_and_stray_partitions_come_back(broker: Broker) -> None:
    """What a full disk did to Kafka before launchers waited, by hand: its metadata log is empty, and all partitions are stray."""
    broker.start()
    broker.create_topic()
    with writing(broker):
        eventually(lambda: broker.acknowledged >= BEFORE, "records")
    killed = broker.pid
    os.kill(killed, 9)
    eventually(lambda: broker.pid not in (0, killed), "Kafka is started again")
    broker.await_ready()  # this start has copied the log with the topics
    broker.stop()

    log = broker.layout.kafka_data / kafka_metadata.LOG
    os.truncate(log / "00000000000000000000.log", 0)
    (broker.layout.kafka_data / ".kafka_cleanshutdown").unlink()
    run_without_guard(broker)
    assert len(kafka_metadata.stray(broker.layout.kafka_data)) >= PARTITIONS, "Kafka has set all partitions aside"

    broker.start()
    assert "Kafka's metadata log was damaged" in broker.log
    assert kafka_metadata.stray(broker.layout.kafka_data) == []
    assert broker.stored() >= broker.acknowledged >= BEFORE


def run_without_guard(broker: Broker) -> None:
    """Starts Kafka without the guard: it creates a new, empty metadata log."""
    program = broker.stack.services[kafka.NAME].program
    process = subprocess.Popen(
        program.command, cwd=program.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        broker.await_ready()
        eventually(lambda: kafka_metadata.stray(broker.layout.kafka_data), "partitions are set aside")
    finally:
        process.kill()
        process.wait()
