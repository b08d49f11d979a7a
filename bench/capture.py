"""How fast CDC ingestion alone is: no other job runs. First a snapshot of all payments, then as many in the binlog.

Counted from the first record of these payments in `transactions` to the last one, by the broker's clock on arrival.
"""

from collections.abc import Callable
from typing import Any

from bench.load import Bank, arrivals, await_length, ends, keep_arrival_times
from fraudlab import system
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.contracts import CDC_JOB
from fraudlab.settings import Settings

LEARNER = "capture"
DEADLINE_S = 600


def measure(settings: Settings, payments: int, users: int, *, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Both ways of reading, on data of a learner of its own. Raises UserError if records are missing."""
    own = settings.model_copy(update={"learner": LEARNER})
    workspace = Workspace(own)
    workspace.reset()
    keep_arrival_times(own)
    try:
        with Bank(own, users, captured=False) as bank:
            snapshot = bank.pay(payments, at_once=True)
            system.submit_jobs(own, say, only=[CDC_JOB])
            figures = [captured(own, "snapshot", snapshot, say)]
            binlog = bank.pay(payments, at_once=True)
            figures.append(captured(own, "binlog", binlog, say))
    finally:
        workspace.reset()
    return figures


def captured(settings: Settings, what: str, ids: range, say: Callable[[str], None]) -> dict[str, Any]:
    """Waits until all these payments are in `transactions`, which nobody else writes to; how long that took."""
    topic = settings.names.transactions
    await_length(settings, topic, ids.stop - 1, DEADLINE_S)
    begins = dict.fromkeys(ends(settings, topic), 0)
    times = arrivals(settings, begins, ids).values()
    seconds = (max(times) - min(times)) / 1000
    say(f"{what}: {len(ids):,} payments in {seconds:.1f} s")
    return {
        "what": what,
        "payments": len(ids),
        "seconds": round(seconds, 2),
        "payments_per_s": round(len(ids) / seconds),
    }
