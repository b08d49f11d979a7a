"""How fast the pipeline works off a backlog. `python -m bench.drain [--warm]` starts what is missing of the stack.

Cold: the payments are written while the TaskManager is dead; then it starts. Warm: on a system that has just drained one backlog, the
payments are committed in one database transaction, so all of them are in the binlog at the same moment and no process was restarted.

The time is counted from the first record of these payments in `transactions` until the last of them is in `transaction_mid` and has been
judged, by the broker's clock on arrival. A payment after the last one in each partition makes an activity: when it is there, the
detector has judged all before it. `fraudlab verify` must find everything exact before a time is printed.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from rich.console import Console

from bench import processor
from bench.load import Bank, Ends, arrivals, ends, keep_arrival_times, reader, records_since
from fraudlab import system
from fraudlab.clients.topics import end_offsets, length, read_to
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import JOBS
from fraudlab.pipeline.records import read_activity
from fraudlab.settings import Settings
from fraudlab.stack import flink_jobs
from fraudlab.stack.supervisor import Stack
from fraudlab.verification.verify import verify

PAYMENTS, USERS = 100_000, 10_000
DEADLINE_S = 600
PROGRESS_S = 5
LOOK_EVERY_S = 1.0
"""Seldom: looking takes part of the machine. What counts are the times in the records."""

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=PAYMENTS)
    parser.add_argument("--users", type=int, default=USERS, help="accounts that pay, new ones each time")
    parser.add_argument("--warm", action="store_true", help="then also a backlog on the warm system")
    arguments = parser.parse_args()
    settings = Settings()
    try:
        system.up(settings, console.print)
        figures = measure(settings, arguments.payments, arguments.users, warm=arguments.warm, say=console.print)
    except UserError as error:
        sys.exit(f"{error}\nNext: {error.advice}")
    path = settings.home / "bench-drain.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for figure in figures:
        console.print(line(figure))
    console.print(json.dumps(figures))


def measure(
    settings: Settings, payments: int, users: int, *, warm: bool, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The figures of a cold drain, and with `warm` of a warm one after it. The system must be up, and nobody else may pay.

    Raises UserError if the pipeline is not exact afterwards, or never finishes.
    """
    keep_arrival_times(settings)
    figures = [drain(settings, payments, users, cold=True, say=say)]
    if warm:
        figures.append(drain(settings, payments, users, cold=False, say=say))
    say("verifying what was found")
    verification = verify(settings, settle_s=DEADLINE_S)
    if not verification.exact:
        raise UserError(
            "What the pipeline found is not exact, so no time counts.", "`fraudlab verify` says what is wrong."
        )
    return figures


def drain(settings: Settings, payments: int, users: int, *, cold: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """One backlog: how long it took, stage by stage."""
    stack, names = Stack(settings), settings.names
    topics = (names.transactions, names.transaction_mid, names.suspicious_activities)
    with Bank(settings, users) as bank:
        before = {topic: ends(settings, topic) for topic in topics}
        taskmanagers = [one for one in stack.services if one.startswith("taskmanager")] if cold else []
        for name in taskmanagers:
            stack.remove_program(name)
        began = time.monotonic()
        ids = bank.pay(payments, at_once=not cold)
        written_s = time.monotonic() - began
        marks = bank.mark_end()
        say(f"{payments:,} payments written in {written_s:.1f} s")
        start_ms = time.time_ns() // 1_000_000
        for name in taskmanagers:
            stack.add_program(stack.prepared(name))
        used_before = processor.used(stack)
        await_activities(settings, before, payments, marks.values(), say)
        used = processor.since(used_before, processor.used(stack))
    if cold:
        system.wait_for_jobs(settings, [names.job(job) for job in JOBS])
    captured = arrivals(settings, before[names.transactions], ids)
    joined = arrivals(settings, before[names.transaction_mid], ids)
    if not len(captured) == len(joined) == payments:
        raise UserError(
            f"Of {payments:,} payments {len(captured):,} were captured and {len(joined):,} joined.",
            "Look at `fraudlab status`, then measure again.",
        )
    judged_ms = max(
        record.timestamp
        for record in records_since(settings, before[names.suspicious_activities])
        if read_activity(record.value).transaction_id in marks.values()
    )
    first_ms = min(captured.values())
    seconds = (max(judged_ms, max(joined.values())) - first_ms) / 1000
    return {
        "what": "cold" if cold else "warm",
        "payments": payments,
        "users": users,
        "written_s": round(written_s, 2),
        "first_record_after_s": round((first_ms - start_ms) / 1000, 2) if cold else None,
        "captured_s": round((max(captured.values()) - first_ms) / 1000, 2),
        "joined_s": round((max(joined.values()) - first_ms) / 1000, 2),
        "judged_s": round((judged_ms - first_ms) / 1000, 2),
        "seconds": round(seconds, 2),
        "payments_per_s": round(payments / seconds),
        "failures": failures_since(settings, first_ms),
        "processor_us": {
            part: round(used[part] / payments * 1e6) for part in sorted(used, key=used.__getitem__, reverse=True)
        },
    }


def failures_since(settings: Settings, since_ms: int) -> int:
    """How often jobs of the pipeline failed since then, and so read some records again. Of each Flink keeps the last 16."""
    names = settings.names
    jobs = flink_jobs.newest(settings, [names.job(job) for job in JOBS]).values()
    return sum(one.at_ms >= since_ms for job in jobs for one in flink_jobs.failures(settings, job))


def await_activities(
    settings: Settings, before: Mapping[str, Ends], payments: int, marked: Collection[int], say: Callable[[str], None]
) -> None:
    """Waits until the activities of these payments are there; says how far the pipeline is."""
    names = settings.names
    missing, next_word = set(marked), time.monotonic() + PROGRESS_S
    shown = (names.transactions, names.transaction_mid)
    with reader(settings, before[names.suspicious_activities]) as consumer:

        def all_there() -> bool:
            nonlocal next_word
            if time.monotonic() > next_word:
                next_word = time.monotonic() + PROGRESS_S
                moved = {topic: length(consumer, [topic]) - sum(before[topic].values()) for topic in shown}
                say(", ".join(f"{topic}: {count:,} records" for topic, count in moved.items()))
            for record in read_to(consumer, end_offsets(consumer, [names.suspicious_activities])):
                missing.discard(read_activity(record.value).transaction_id)
            return not missing

        if not until(all_there, DEADLINE_S, LOOK_EVERY_S):
            raise UserError(
                f"{payments:,} payments were not worked off within {DEADLINE_S} s.",
                "`fraudlab status` says which job or service makes no progress.",
            )


def line(figure: dict[str, Any]) -> str:
    """The figures of one drain as a sentence."""
    start = figure["first_record_after_s"]
    return (
        f"{figure['what']}: {figure['payments']:,} payments in {figure['seconds']:.1f} s, {figure['payments_per_s']:,}/s"
        f" (captured {figure['captured_s']:.1f} s, joined {figure['joined_s']:.1f} s, judged {figure['judged_s']:.1f} s)"
        + (f"; jobs failed {figure['failures']} times meanwhile" if figure["failures"] else "")
        + ("" if start is None else f"; the first record moved {start:.1f} s after the start")
    )


if __name__ == "__main__":
    main()
