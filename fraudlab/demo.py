"""The demo: the whole pipeline live, a terminal view of fraud being caught, and a report that ends with the verdict."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import mysql.connector
from kafka.errors import KafkaError
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fraudlab import system
from fraudlab.clients.topics import follow, length
from fraudlab.demo_fraud import DemoFraud
from fraudlab.errors import UserError
from fraudlab.pipeline.records import Activity, epoch_ms, moment, read_activity
from fraudlab.settings import Settings
from fraudlab.stack.setup_times import SetupTimes
from fraudlab.stack.supervisor import Stack
from fraudlab.terminal import busy
from fraudlab.verification.score import percentile
from fraudlab.verification.verify import Verification, verify

LATEST = 8
REFRESH_S, REFRESH_ON_STAGE_S = 0.5, 0.1
PLAIN_LINE_EVERY_S = 5
GENERATOR_PATIENCE_S = 30
ROWS = {
    "payments": ("transactions", "transaction_id", "TRUE"),
    "accounts_stopped": ("flag_changes", "change_id", "suspicious_activities"),
    "payments_refused": ("declined_transactions", "declined_id", "TRUE"),
}
"""What is counted in MySQL: the table, its ascending key and what else a row must be."""


@dataclass(frozen=True)
class Outcome:
    """What one demo did, as `demo-report.json` holds it.

    Latencies, in ms, are those from the commit of a payment to its activity's record; of payments made in this demo.
    """

    counts: dict[str, int]
    latency_ms: dict[str, int | None]
    resident_mib: int
    setup_s: dict[str, float]
    first_activity_s: float | None
    own_fraud: dict[str, Any]
    not_caught: str
    """Why the demo's own fraud was not caught; empty where it was, or where the demo was interrupted before."""
    seconds: float
    rate: float
    generator: dict[str, Any]
    verification: Verification

    def as_dict(self) -> dict[str, Any]:
        """The report."""
        return {
            "counts": self.counts,
            "latency_ms": self.latency_ms,
            "resident_mib": self.resident_mib,
            "setup_s": self.setup_s,
            "first_activity_s": self.first_activity_s,
            "own_fraud": self.own_fraud,
            "seconds": self.seconds,
            "rate": self.rate,
            "generator": self.generator,
            "verify": self.verification.as_dict(),
        }


@dataclass
class View:
    """What the terminal shows: numbers so far and the latest activities in words."""

    settings: Settings
    payments: int = 0
    payments_per_s: float = 0.0
    activities: int = 0
    flagged: int = 0
    refused: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    latest: deque[Activity] = field(default_factory=lambda: deque(maxlen=LATEST))
    sentences: list[str] = field(default_factory=list)
    own_fraud: list[str] = field(default_factory=list)
    trouble: str = ""

    def line(self) -> str:
        """One line, for where there is no terminal."""
        latency = ""
        if self.latencies_ms:
            latency = f", commit to alert p50 {percentile_ms(self.latencies_ms, 50)} ms, p99 {percentile_ms(self.latencies_ms, 99)} ms"
        return (
            f"{_many(self.payments, 'payment')} ({self.payments_per_s:.0f}/s), {_many(self.activities, 'activity')}, "
            f"{_many(self.flagged, 'account')} stopped, {_many(self.refused, 'payment')} refused{latency}"
            + (f". {self.trouble}" if self.trouble else "")
        )

    def __rich__(self) -> RenderableType:
        numbers = Table.grid(padding=(0, 3))
        for _ in range(6):
            numbers.add_column(justify="right")
        p50, p99 = percentile_ms(self.latencies_ms, 50), percentile_ms(self.latencies_ms, 99)
        numbers.add_row(
            "payments/s", "payments", "activities", "accounts stopped", "payments refused", "commit to alert p50 / p99"
        )
        numbers.add_row(
            f"[bold]{self.payments_per_s:.0f}[/bold]",
            f"[bold]{self.payments}[/bold]",
            f"[bold yellow]{self.activities}[/bold yellow]",
            f"[bold red]{self.flagged}[/bold red]",
            f"[bold red]{self.refused}[/bold red]",
            f"[bold green]{p50} ms / {p99} ms[/bold green]",
        )
        own = Text("\n".join(self.own_fraud) or "Waiting for the first payments …", style="yellow")
        sentences = Text(self.trouble or "\n".join(self.sentences))
        addresses = Text(
            f"The dashboard: {self.settings.dashboard_url}   Flink's web page: `fraudlab open flink`   "
            "Ctrl-C ends the demo with a summary.",
            style="dim",
        )
        return Panel(Group(numbers, Text(), own, Text(), sentences, Text(), addresses), title="Fraud detection, live")


def run(
    settings: Settings, console: Console, *, seconds: float | None, rate: float, users: int, seed: int | None
) -> Outcome:
    """Starts everything, lets the synthetic bank pay, shows what is caught, and verifies it.

    Args:
        settings: The settings of this lab environment.
        console: Where to draw.
        seconds: How long to let the bank pay; None until Ctrl-C.
        rate: Payments per second.
        users: How many users the bank has.
        seed: The bank's seed; None for another one each time.
    """
    started = float(os.environ.get("FRAUDLAB_STARTED_S", time.time()))
    began = time.monotonic()
    report = settings.home / "generator-report.json"
    report.unlink(missing_ok=True)

    def say(line: str) -> None:
        console.print(f"  {line}", highlight=False, markup=False)

    with busy(console, "starting"):
        system.up(settings, say)
    setup_s = SetupTimes(settings.home).read() | {"start": round(time.monotonic() - began, 1)}
    watcher = Watcher(settings)
    # Not before all serve: its first payments would compete for the processors with jobs that start, and wait for them.
    generator = system.start_generator(settings, rate=rate, users=users, seed=seed, report=report)
    try:
        say(f"the dashboard is at {settings.dashboard_url}")
        if console.is_terminal and _has_screen():
            webbrowser.open(settings.dashboard_url)
        with _interruptible() as interrupted:
            _watch(watcher, console, generator, seconds, interrupted)
        was_interrupted = bool(interrupted)
        resident_mib = sum(one.resident_mib for one in Stack(settings).status())
    finally:
        watcher.own_fraud.end()
        system.end_generator(generator, GENERATOR_PATIENCE_S)
    console.print("The bank is closed; verifying what was found …")
    with busy(console, "reading all topics, and waiting until nothing is on its way"):
        verification = verify(settings, settle_s=60)
    watcher.poll()
    first = watcher.first_activity_at
    outcome = Outcome(
        counts=watcher.counts(),
        latency_ms={
            "p50": percentile_ms(watcher.view.latencies_ms, 50),
            "p99": percentile_ms(watcher.view.latencies_ms, 99),
            "max": max(watcher.view.latencies_ms, default=None),
        },
        resident_mib=resident_mib,
        setup_s=setup_s,
        first_activity_s=None if first is None else round(first - started, 1),
        own_fraud=watcher.own_fraud.report(started),
        not_caught="" if was_interrupted or watcher.own_fraud.is_caught else watcher.own_fraud.why_not_caught(),
        seconds=round(watcher.seconds, 1),
        rate=rate,
        generator=json.loads(report.read_text(encoding="utf-8")) if report.exists() else {},
        verification=verification,
    )
    watcher.close()
    path = settings.home / "demo-report.json"
    path.write_text(json.dumps(outcome.as_dict(), indent=2) + "\n", encoding="utf-8")
    return outcome


def _has_screen() -> bool:
    """Whether a browser would open in a window; without one, some open in the terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _watch(
    watcher: "Watcher",
    console: Console,
    generator: "subprocess.Popen[bytes]",
    seconds: float | None,
    interrupted: list[bool],
) -> None:
    deadline = None
    live = (
        Live(watcher.view, console=console, refresh_per_second=4) if console.is_terminal else contextlib.nullcontext()
    )
    next_line = time.monotonic() + PLAIN_LINE_EVERY_S
    with live:
        while not interrupted and not watcher.own_fraud.is_hopeless:
            if deadline is not None and time.monotonic() > deadline and watcher.own_fraud.is_complete:
                break
            if generator.poll() is not None:
                raise UserError(
                    f"The bank stopped unexpectedly, with status {generator.returncode}.",
                    "Its message is above; `fraudlab status` shows what runs.",
                )
            watcher.poll()
            if deadline is None and seconds is not None and watcher.view.payments:
                deadline = time.monotonic() + seconds
            if not console.is_terminal:
                for line in watcher.own_fraud.news():
                    console.print(f"  {line}", highlight=False, markup=False)
            if not console.is_terminal and time.monotonic() >= next_line:
                console.print(watcher.view.line(), highlight=False)
                for sentence in watcher.view.sentences[:1]:
                    console.print(f"  {sentence}", highlight=False, markup=False)
                next_line += PLAIN_LINE_EVERY_S


@contextlib.contextmanager
def _interruptible() -> Iterator[list[bool]]:
    """A list that Ctrl-C, or the end of the terminal, puts something into, instead of raising in the middle of a step."""
    interrupted: list[bool] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, lambda *_: interrupted.append(True))
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Watcher:
    """Looks at every stage from outside: Kafka's offsets, the records of `suspicious_activities`, MySQL's tables."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = settings.names
        self.view = View(settings)
        self.first_activity_at: float | None = None
        self._activities: set[str] = set()
        self._began, self._began_at_ms = time.monotonic(), time.time_ns() // 1_000_000
        self._consumer = system.kafka(settings).consumer(enable_auto_commit=False)
        follow(self._consumer, [self._names.suspicious_activities])
        for partition, end in self._consumer.end_offsets(list(self._consumer.assignment())).items():
            self._consumer.seek(partition, end)
        self._database = system.connect(settings, "operator", database=self._names.database, autocommit=True)
        self.own_fraud = DemoFraud(settings, self._database)
        self._start = {topic: self._end_offset(topic) for topic in self._names.topics}
        self._last_rows = {
            name: self._ask(f"SELECT COALESCE(MAX({key}), 0) FROM {table}")[0]  # noqa: S608
            for name, (table, key, _) in ROWS.items()
        }
        self._last_payments, self._last_poll = 0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the watcher began."""
        return time.monotonic() - self._began

    def poll(self) -> None:
        """Takes in what has happened for half a second, and updates the view; one that is away is said so, and waited for."""
        try:
            self._look()
            self.view.trouble = ""
        except (KafkaError, mysql.connector.Error) as error:
            self.view.trouble = f"MySQL or Kafka does not answer: {error}"
            with contextlib.suppress(mysql.connector.Error):
                self._database.reconnect()

    def _look(self) -> None:
        deadline = time.monotonic() + (REFRESH_S if self.own_fraud.is_complete else REFRESH_ON_STAGE_S)
        self.own_fraud.look(self.view.payments)
        follow(self._consumer, [self._names.suspicious_activities])
        while (rest := deadline - time.monotonic()) > 0:
            for records in self._consumer.poll(timeout_ms=int(rest * 1000)).values():
                for record in records:
                    self._take(record)
        view = self.view
        view.payments = self._end_offset(self._names.transactions) - self._start[self._names.transactions]
        now = time.monotonic()
        view.payments_per_s = (view.payments - self._last_payments) / (now - self._last_poll)
        self._last_payments, self._last_poll = view.payments, now
        view.activities = len(self._activities)
        view.flagged, view.refused = self._rows("accounts_stopped"), self._rows("payments_refused")
        view.own_fraud = self.own_fraud.lines()
        view.sentences = [self._sentence(activity) for activity in reversed(view.latest)]

    def counts(self) -> dict[str, int]:
        """How many there were at every stage since the watcher began."""
        records = {f"{topic}_records": self._end_offset(topic) - self._start[topic] for topic in self._names.topics}
        return {"activities": len(self._activities), **records, **{name: self._rows(name) for name in ROWS}}

    def close(self) -> None:
        """Closes the connections."""
        self._consumer.close()
        self._database.close()

    def _take(self, record: Any) -> None:
        activity = read_activity(record.value)
        if activity.activity_id in self._activities:
            return
        if self.first_activity_at is None:
            self.first_activity_at = time.time()
        self._activities.add(activity.activity_id)
        # The topic carries the broker's time of arrival: this is commit in MySQL to record in Kafka.
        known_at_ms = epoch_ms(activity.created_at)
        if known_at_ms >= self._began_at_ms:
            self.view.latencies_ms.append(record.timestamp - known_at_ms)
        self.own_fraud.take(activity, record.timestamp)
        self.view.latest.append(activity)

    def _end_offset(self, topic: str) -> int:
        return length(self._consumer, [topic])

    def _rows(self, name: str) -> int:
        """How many rows have come since the watcher began. Of the others none is looked at: this must not slow the database down."""
        table, key, condition = ROWS[name]
        query = f"SELECT COUNT(*) FROM {table} WHERE {key} > %s AND {condition}"  # noqa: S608
        return int(self._ask(query, [self._last_rows[name]])[0])

    def _sentence(self, activity: Activity) -> str:
        ids = activity.transaction_ids
        places = ", ".join(["%s"] * len(ids))
        first, last = self._ask(
            f"SELECT MIN(transaction_time), MAX(transaction_time) FROM transactions WHERE transaction_id IN ({places})",  # noqa: S608
            ids,
        )
        # None where the payments were deleted meanwhile.
        duration = f" within {in_words(last - first)}" if first else ""
        stopped, refused = self._ask(
            "SELECT (SELECT suspicious_activities FROM user_profile WHERE user_id = %s),"
            " (SELECT COUNT(*) FROM declined_transactions WHERE user_id = %s AND declined_at >= %s)",
            [activity.user_id, activity.user_id, moment(activity.created_at).replace(tzinfo=None)],
        )
        *others, final = activity.countries
        amount = f"{Decimal(activity.total_amount_eur):,.0f} EUR"
        sentence = f"user {activity.user_id} paid in {', '.join(others)} and {final}{duration}, {amount}"
        if stopped:
            sentence += ": account stopped"
        if refused:
            sentence += f", next {'payment' if refused == 1 else f'{refused} payments'} refused"
        return sentence

    def _ask(self, query: str, values: list[Any] | None = None) -> tuple[Any, ...]:
        with self._database.cursor() as cursor:
            cursor.execute(query, values or ())
            row: tuple[Any, ...] = cursor.fetchone()
            return row


def in_words(duration: timedelta) -> str:
    """A duration of at most an hour as a person says it: `42 seconds`, `12 minutes`."""
    seconds = round(duration.total_seconds())
    if seconds < 120:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{seconds // 60} minutes"


def _many(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"


def percentile_ms(latencies_ms: list[int], percent: int) -> int | None:
    """As `fraudlab.verification.score.percentile`, of values in any order; None of none."""
    return percentile(sorted(latencies_ms), percent) if latencies_ms else None


def render(outcome: Outcome, console: Console, path: Path) -> None:
    """Prints the summary."""
    table = Table(title="The demo in numbers", show_header=False)
    for name, count in outcome.counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_row("commit to alert", ", ".join(f"{name} {value} ms" for name, value in outcome.latency_ms.items()))
    table.add_row("first activity after", f"{outcome.first_activity_s} s")
    table.add_row("the demo's own fraud caught after", f"{outcome.own_fraud.get('caught_s')} s")
    table.add_row("resident memory", f"{outcome.resident_mib:,} MiB")
    console.print(table)
    console.print(f"The report is in {path}", highlight=False)
