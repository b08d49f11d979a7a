"""The benchmarks' own arithmetic: the peers answer the detector's question, and the payments that mark an end reach every partition."""

import importlib.util
import json
import os
import re
import sys
import threading
from collections import defaultdict
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import psutil
import pytest
from kafka.partitioner.default import DefaultPartitioner

from bench import load, pages, processor, topic
from fraudlab.clients.waiting import until
from fraudlab.course import notebooks
from fraudlab.pipeline.contracts import EUR_RATE_SCALE, eur_rates
from fraudlab.pipeline.rule import Rule, judge
from fraudlab.pipeline.transaction import read_payment
from fraudlab.settings import REPOSITORY
from fraudlab.stack.supervisor import Stack
from tests.support.waiting import patient

PAYMENTS, USERS, PER_HOUR = 5_000, 50, 20.0
RULE = Rule()


@pytest.fixture(scope="module")
def task() -> ModuleType:
    """What the peers import in their own environments."""
    file = REPOSITORY / "bench" / "peers" / "task.py"
    spec = importlib.util.spec_from_file_location("bench_task", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclass looks there
    spec.loader.exec_module(module)
    return module


def test_the_peers_find_the_hours_that_the_detector_finds(task: ModuleType) -> None:
    peer = task.Task(
        kafka={},
        source="",
        sink="",
        count=PAYMENTS,
        folder="",
        rates=eur_rates(),
        rate_scale=EUR_RATE_SCALE,
        window_ms=RULE.window_ms,
        threshold_eur_cents=RULE.threshold_eur_cents,
        min_countries=RULE.min_countries,
    )
    hours: defaultdict[bytes, list[object]] = defaultdict(list)
    histories: defaultdict[bytes, bytes] = defaultdict(bytes)
    theirs, ours = {}, {}
    for key, value in islice(topic.transactions(PAYMENTS, USERS, PER_HOUR), PAYMENTS):
        payment, _, _ = read_payment(value.decode(), RULE.max_age_ms)
        verdict = judge(RULE, histories[key], payment)
        histories[key] = verdict.history
        ours.update({one.transaction_id: (one.total_eur_cents, len(one.countries)) for one in verdict.hours})
        record = json.loads(value)
        hours[key], found = peer.judged(hours[key], record)
        if found:
            theirs[found["transaction_id"]] = (int(found["total_amount_eur"].replace(".", "")), found["countries"])
    assert len(ours) > 100
    assert theirs == ours


@pytest.mark.parametrize("partitions", [2, 4, 7])
def test_a_marking_payment_reaches_every_partition(partitions: int) -> None:
    users = load.marking_users(1_000, partitions)
    everyone = list(range(partitions))
    cluster = SimpleNamespace(
        topics=lambda: {"t"}, partitions_for_topic=lambda _: everyone, available_partitions_for_topic=lambda _: everyone
    )
    kafka = DefaultPartitioner()
    assert [kafka.partition("t", None, str(user).encode(), None, None, cluster) for user in users] == everyone


def test_a_table_replaces_only_what_is_between_its_markers() -> None:
    page = "before\n<!-- begin peers -->\nold\n<!-- end peers -->\nafter\n"
    assert pages.replaced(page, "peers", "new") == "before\n<!-- begin peers -->\n\nnew\n\n<!-- end peers -->\nafter\n"
    with pytest.raises(ValueError, match="begin growth"):
        pages.replaced(page, "growth", "new")


def test_the_page_has_a_place_for_every_table() -> None:
    text = Path(pages.PAGE).read_text(encoding="utf-8")
    for name in pages.TABLES:
        pages.replaced(text, name, "")


def test_a_peer_that_failed_has_a_reason_instead_of_figures() -> None:
    failed = {"name": "a", "after_crash": "b", "same_question": True, "problem": "found other hours"}
    assert "did not run: found other hours" in pages.peers_table([failed])


def test_a_program_that_was_restarted_counts_from_its_start() -> None:
    before = {"compilers": 5.0, "fraud-detector: the rule": 9.0}
    after = {"compilers": 7.0, "fraud-detector: the rule": 2.0, "MySQL": 1.0}
    assert processor.since(before, after) == {"compilers": 2.0, "fraud-detector: the rule": 2.0, "MySQL": 1.0}


@pytest.mark.skipif(sys.platform != "linux", reason="threads have names in /proc")
def test_the_time_of_each_thread_counts_for_one_part_and_that_of_ended_ones_for_the_rest() -> None:
    stop = threading.Event()

    def busy() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text("C2 Compiler")
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=busy)
    stack = SimpleNamespace(processes=lambda: {"kafka": {"pid": os.getpid()}, "inbox": {"pid": os.getpid()}})
    thread.start()
    try:
        assert until(lambda: processor.used(cast("Stack", stack)).get("compilers", 0) >= 0.1, patient(20), 0.05)
    finally:
        stop.set()
        thread.join()
    # a thread's last moments come after `join`
    assert until(lambda: not processor.used(cast("Stack", stack)).get("compilers"), patient(20), 0.05)
    used, times = processor.used(cast("Stack", stack)), psutil.Process().cpu_times()
    assert sum(used.values()) == pytest.approx(times.user + times.system, abs=0.2)


def test_lab_07_has_the_seconds_that_were_measured() -> None:
    figures = json.loads((REPOSITORY / "docs" / "performance.json").read_text(encoding="utf-8"))["peers"]["figures"]
    seconds = {one["name"]: round(one["median_s"]) for one in figures}
    names = {
        "OVER window": "Flink SQL OVER window",
        "a loop with kafka-python": "kafka-python loop",
        "the detector in PyFlink": "detector",
    }
    cells = (
        cell.source for cell in notebooks.markdown_cells(notebooks.read(notebooks.SOLUTIONS / "07-make-it-yours.ipynb"))
    )
    costs = next(cell for cell in cells if cell.startswith("## What each costs"))
    stated = {name: int(number) for name, number in re.findall(r"^\| ([^|]+) \| (\d+) \|", costs, re.MULTILINE)}
    assert stated == {name: seconds[peer] for name, peer in names.items()}
