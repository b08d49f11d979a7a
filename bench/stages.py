"""How long a payment takes from stage to stage at a steady rate. `python -m bench.stages --rate 200 --seconds 60` starts what is missing.

All times are counted from the payment's `created_at`: the clock of the database while it inserts the payment, just before the commit.

- `read`: Debezium has read the change (`ts_ms` of the envelope);
- `transactions`, `transaction_mid`, `suspicious_activities`: the record has arrived in the topic, by the broker's clock. Of a payment that
  the join emits again only the first record counts;
- `flag`: the account is stopped (`flag_changes`), counted from the first payment that made an hour of this user suspicious;
- `e-mail`: the mail server has accepted it (`sent_at` of `notifications`), counted from the payment of its activity.

MySQL, Kafka and Flink share this machine's clock. The bank is the generator, with its usual frauds; what it pays in the first seconds is
not counted, nor what it pays in the last one.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import orjson
from rich.console import Console
from rich.table import Table

from bench.load import Ends, ends, first_free_user, keep_arrival_times, records_since
from fraudlab import system
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.pipeline.records import epoch_ms, read_activity
from fraudlab.settings import Settings
from fraudlab.verification.score import percentile
from fraudlab.verification.verify import verify

USERS = 20_000
WARM_UP_S, COOL_DOWN_S = 10.0, 1.0
SETTLE_S = 120
KEPT = 0.95
"""Below this part of its rate the bank could not pay as asked, and the figures are those of a lower rate."""
STAGES = ("read", "transactions", "transaction_mid", "suspicious_activities", "flag", "e-mail")

console = Console(highlight=False, soft_wrap=True)
Latencies = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rate", type=float, nargs="+", default=[200.0], help="payments a second; several are measured in turn"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long is counted at each rate")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds before that, which are not counted")
    arguments = parser.parse_args()
    settings = Settings()
    try:
        system.up(settings, console.print)
        figures = [
            measure(settings, rate, arguments.seconds, arguments.warm_up, say=console.print) for rate in arguments.rate
        ]
    except UserError as error:
        sys.exit(f"{error}\nNext: {error.advice}")
    path = settings.home / "bench-stages.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    report(figures)
    console.print(json.dumps(figures))


def measure(
    settings: Settings, rate: float, seconds: float, warm_up_s: float = WARM_UP_S, *, say: Callable[[str], None]
) -> dict[str, Any]:
    """p50 and p99 of each stage, in ms, at one rate. The system must be up, and nobody else may pay.

    Raises UserError if the pipeline is not exact afterwards.
    """
    keep_arrival_times(settings)
    names = settings.names
    topics = (names.transactions, names.transaction_mid, names.suspicious_activities)
    before = {topic: ends(settings, topic) for topic in topics}
    say(f"{rate:,.0f} payments a second for {warm_up_s + seconds + COOL_DOWN_S:.0f} s")
    with bank(settings, rate):
        # The generator makes the accounts first, which takes a while.
        if not until(
            lambda: sum(ends(settings, names.transactions).values()) > sum(before[names.transactions].values()),
            SETTLE_S,
        ):
            raise UserError("The generator makes no payments.", "`fraudlab status` says what does not run.")
        began = time.time()
        time.sleep(warm_up_s + seconds + COOL_DOWN_S)
    counted = range(round(1000 * (began + warm_up_s)), round(1000 * (began + warm_up_s + seconds)))
    verification = verify(settings, settle_s=SETTLE_S)
    if not verification.exact:
        raise UserError(
            "What the pipeline found is not exact, so no time counts.", "`fraudlab verify` says what is wrong."
        )
    latencies = in_topics(settings, before, counted) | in_database(
        settings, before[names.suspicious_activities], counted
    )
    paid = len(latencies["transactions"])
    if paid < KEPT * rate * seconds:
        say(
            f"The bank paid {paid / seconds:,.0f} times a second instead of {rate:,.0f}: the machine is too busy for this rate."
        )
    return {
        "learner": settings.learner,
        "rate_per_s": rate,
        "seconds": seconds,
        "payments_per_s": round(paid / seconds, 1),
        "stages": {
            stage: {"count": len(of), "p50_ms": percentile(sorted(of), 50), "p99_ms": percentile(sorted(of), 99)}
            for stage, of in latencies.items()
            if of
        },
    }


@contextmanager
def as_the_connectors_come() -> Iterator[None]:
    """Jobs that are submitted here wait and batch as Flink, PyFlink and Debezium do by default. Kafka's producers stay as they are."""
    from fraudlab.pipeline import flink

    kept = {name: flink.LOW_LATENCY[name] for name in ("python.execution-mode", "pipeline.object-reuse")}
    with patch.dict(flink.LOW_LATENCY, kept, clear=True), patch.dict(flink.CDC_LATENCY, clear=True):
        yield


@contextmanager
def bank(settings: Settings, rate: float) -> Iterator[None]:
    """The generator, paying from accounts of its own: none of them was stopped before."""
    first = first_free_user(settings)
    with TemporaryDirectory() as folder:
        process = system.start_generator(
            settings,
            rate=rate,
            users=USERS,
            seed=1,
            report=Path(folder) / "report.json",
            options=("--first-user", str(first)),
        )
        try:
            yield
        finally:
            status = system.end_generator(process, 30)
    if status:
        raise UserError(f"The generator ended with status {status}.", "Its own words are above.")


def in_topics(settings: Settings, before: dict[str, Ends], counted: range) -> Latencies:
    """Latencies as far as Kafka has them, of the payments stored within `counted`, in ms since the epoch."""
    names = settings.names
    latencies: Latencies = {stage: [] for stage in STAGES[:4]}
    for record in records_since(settings, before[names.transactions]):
        envelope = orjson.loads(record.value or b"null")
        if envelope is None or envelope["op"] != "c":
            continue
        stored_ms = epoch_ms(envelope["after"]["created_at"])
        if stored_ms in counted:
            latencies["read"].append(envelope["ts_ms"] - stored_ms)
            latencies["transactions"].append(record.timestamp - stored_ms)
    seen = set()
    for record in records_since(settings, before[names.transaction_mid]):
        joined = orjson.loads(record.value or b"null")
        if joined is None or joined["transaction_id"] in seen:
            continue
        seen.add(joined["transaction_id"])
        stored_ms = epoch_ms(joined["created_at"])
        if stored_ms in counted:
            latencies["transaction_mid"].append(record.timestamp - stored_ms)
    for record in records_since(settings, before[names.suspicious_activities]):
        stored_ms = epoch_ms(read_activity(record.value).created_at)
        if stored_ms in counted:
            latencies["suspicious_activities"].append(record.timestamp - stored_ms)
    return latencies


def in_database(settings: Settings, begins: Ends, counted: range) -> Latencies:
    """Latencies of flags and e-mails, of the activities that the payments within `counted` made known."""
    stored: dict[str, tuple[int, int]] = {}
    first_of: dict[int, int] = {}
    for record in records_since(settings, begins):
        activity = read_activity(record.value)
        stored_ms = epoch_ms(activity.created_at)
        stored.setdefault(activity.activity_id, (activity.user_id, stored_ms))
        first_of[activity.user_id] = min(first_of.get(activity.user_id, stored_ms), stored_ms)
    latencies: Latencies = {"flag": [], "e-mail": []}
    since = datetime.fromtimestamp(counted.start / 1000, UTC).replace(tzinfo=None)
    with (
        closing(system.connect(settings, "operator", database=settings.names.database)) as connection,
        closing(connection.cursor()) as cursor,
    ):
        cursor.execute(
            "SELECT user_id, changed_at FROM flag_changes WHERE suspicious_activities AND changed_at >= %s",
            (since,),
        )
        for user_id, changed_at in cursor.fetchall():
            stored_ms = first_of.get(user_id, 0)
            if stored_ms in counted:
                latencies["flag"].append(_ms(changed_at) - stored_ms)
        cursor.execute(
            "SELECT activity_id, sent_at FROM notifications WHERE channel = 'email' AND sent_at >= %s", (since,)
        )
        for activity_id, sent_at in cursor.fetchall():
            stored_ms = stored.get(activity_id, (0, 0))[1]
            if stored_ms in counted:
                latencies["e-mail"].append(_ms(sent_at) - stored_ms)
    return latencies


def _ms(at: datetime) -> int:
    return round(at.replace(tzinfo=UTC).timestamp() * 1000)


def report(figures: list[dict[str, Any]]) -> None:
    """Prints a line for each stage and rate."""
    table = Table("asked for /s", "paid /s", *STAGES, title="ms since the database stored the payment: p50 / p99")
    for figure in figures:
        cells = (figure["stages"].get(stage) for stage in STAGES)
        table.add_row(
            f"{figure['rate_per_s']:,.0f}",
            f"{figure['payments_per_s']:,.0f}",
            *(f"{one['p50_ms']} / {one['p99_ms']}" if one else "" for one in cells),
        )
    console.print(table)


if __name__ == "__main__":
    main()
