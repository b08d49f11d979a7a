"""On which threads of the stack the processors' time goes, from Linux's /proc."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import psutil

from fraudlab.stack.supervisor import Stack

PARTS = {
    "mysql": {"": "MySQL"},
    "kafka": {"data-plane-": "Kafka: requests", "C1 Comp": "compilers", "C2 Comp": "compilers", "": "Kafka: the rest"},
    "taskmanager": {
        "C1 Comp": "compilers",
        "C2 Comp": "compilers",
        "GC Thread": "garbage collection",
        "G1 ": "garbage collection",
        "Source: MySQL b": "cdc-ingestion",
        "blc-": "cdc-ingestion: the binlog's client",
        "Join[": "transaction-join: the join",
        "Source: ": "transaction-join and fraud-detector: reading records",
        "fraud detector": "fraud-detector: the rule",
        "Source Data Fet": "fetchers, which bring the sources what Kafka and the binlog have",
        "kafka-producer-": "producers, which send records to Kafka",
        "": "TaskManager: the rest",
    },
    "jobmanager": {"": "JobManager"},
    "analytics": {"": "dashboard"},
    "flagger": {"": "account flagger"},
    "notifier": {"": "notifier"},
}
"""For each program, the beginnings of its threads' names (of which Linux keeps 15 characters), the first that fits, and what they do.

The bench's own processes are not counted.
"""

Seconds = dict[str, float]


def used(stack: Stack) -> Seconds:
    """The processors' seconds that each part has used since its program started."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for name, process in stack.processes().items():
        parts = PARTS.get(name.partition("-")[0])
        if parts and process["pid"]:
            _add(seconds, int(process["pid"]), parts)
    return seconds


def since(before: Seconds, after: Seconds) -> Seconds:
    """What was used between two readings. A program that was started in between counts from its start."""
    earlier = {part: before.get(part, 0.0) for part in after}
    return {part: total - (earlier[part] if earlier[part] <= total else 0.0) for part, total in after.items()}


def _add(seconds: defaultdict[str, float], pid: int, parts: Mapping[str, str]) -> None:
    named = 0.0
    process = psutil.Process(pid)
    for thread in process.threads():
        try:
            name = Path(f"/proc/{pid}/task/{thread.id}/comm").read_text(encoding="utf-8")
        except OSError:  # it has just ended
            continue
        part = next(what for beginning, what in parts.items() if name.startswith(beginning))
        seconds[part] += thread.user_time + thread.system_time
        named += thread.user_time + thread.system_time
    times = process.cpu_times()
    # what threads used that have ended
    seconds[parts[""]] += max(0.0, times.user + times.system - named)
