"""The command `data-generator`."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from data_generator.clock import to_ms
from data_generator.connection import Connection
from data_generator.report import Report
from data_generator.runner import RunConfig, commit_fraud, run
from data_generator.scenarios import DEFAULT_MIX, MAX_GAP_SCALE, SCENARIOS
from data_generator.sink import GeneratorError, StopRequestedError
from data_generator.stream import StreamOptions

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)

SEEDING_EVENT_RATE = 10.0
LAST_WORDS_S = 10
"""How long a bank whose owner is gone may take for its current batch."""


def main() -> None:
    """Entry point of the console script."""
    app()


@app.command()
def data_generator(
    transactions: Annotated[
        int | None, typer.Option("--transactions", "-n", help="End after so many payments; endless without it.")
    ] = None,
    rate: Annotated[float, typer.Option(help="Payments per second of wall time; 0 for as fast as possible.")] = 200.0,
    seed_only: Annotated[
        bool, typer.Option("--seed-only", help="As --rate 0: a history, as fast as possible, that ends an hour ago.")
    ] = False,
    speed: Annotated[float, typer.Option(help="Event time per wall time; 60 is an hour in a minute.")] = 1.0,
    start: Annotated[
        str | None, typer.Option(help="Event time of the first payment, ISO 8601 (UTC without a zone), in the past.")
    ] = None,
    event_rate: Annotated[
        float, typer.Option(help="With --rate 0: payments per second of event time.")
    ] = SEEDING_EVENT_RATE,
    seed: Annotated[int, typer.Option(help="The same seed gives the same users and payments.")] = 1,
    users: Annotated[int, typer.Option(min=1, help="How many users.")] = 10_000,
    first_user: Annotated[int, typer.Option(min=1, help="Id of the first user.")] = 1,
    mix: Annotated[
        str | None, typer.Option(help="Weights of scenarios, e.g. cloned_card=0.2,traveller=1; others get none.")
    ] = None,
    fraud_every: Annotated[
        float | None, typer.Option(help="Seconds (wall time) between frauds; default: one in 300 payments; 0: none.")
    ] = None,
    late: Annotated[float, typer.Option(help="Share of payments that arrive late.")] = 0.0,
    late_max: Annotated[int, typer.Option(help="By how many seconds of event time at most.")] = 600,
    too_late: Annotated[float, typer.Option(help="Share of payments beyond the allowed lateness.")] = 0.0,
    allowed_lateness: Annotated[int, typer.Option(help="The detector's allowed lateness, seconds.")] = 1800,
    commit_fraud_for: Annotated[
        str | None,
        typer.Option("--commit-fraud", metavar="USER[:SCENARIO]", help="Commit one fraud for a user, now, and exit."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="MySQL's address; else DATA_GENERATOR_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="MySQL's port; else DATA_GENERATOR_PORT.")] = None,
    user: Annotated[str | None, typer.Option(help="MySQL account; else DATA_GENERATOR_USER.")] = None,
    database: Annotated[str | None, typer.Option(help="Database; else DATA_GENERATOR_DATABASE.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password; else DATA_GENERATOR_PASSWORD.")
    ] = None,
    deadline: Annotated[float, typer.Option(help="Seconds to wait for a MySQL that is away.")] = 120.0,
    report: Annotated[Path | None, typer.Option(help="Write the counts as JSON to this file at the end.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    end_with_stdin: Annotated[
        bool,
        typer.Option(
            help="End at the end of standard input, so that the bank ends with the process that started it, even if that is killed."
        ),
    ] = False,
) -> None:
    """A synthetic bank: writes users and payments, some of them fraudulent and labelled, to MySQL.

    The connection comes from DATA_GENERATOR_HOST, _PORT, _USER, _PASSWORD (or _PASSWORD_FILE), _DATABASE and _CA.
    """
    stop = threading.Event()
    _stop_on_signals(stop)
    if end_with_stdin:
        threading.Thread(target=_stop_with_stdin, args=[stop], daemon=True).start()
    try:
        connection = Connection.from_environment(
            host=host, port=port, user=user, database=database, password_file=password_file, deadline_s=deadline
        )
        if commit_fraud_for is not None:
            user_id, scenario = _user_and_scenario(commit_fraud_for)
            _commit_fraud(connection, user_id, scenario, stop)
            return
        wall_rate = Fraction(0) if seed_only else Fraction(str(rate))
        pace = Fraction(str(speed)) if wall_rate else Fraction(1)
        if pace < 1:  # before it divides anything
            raise ValueError(f"speed must be at least 1, got {speed}")
        config = RunConfig(
            seed=seed,
            users=users,
            first_user=first_user,
            transactions=transactions,
            rate=wall_rate,
            speed=pace,
            start_ms=to_ms(datetime.fromisoformat(start)) if start else None,
            stream=StreamOptions(
                event_rate=wall_rate / pace if wall_rate else Fraction(str(event_rate)),
                fraud_every_s=None if fraud_every is None else Fraction(str(fraud_every)) * pace,
                mix=_mix(mix),
                late=late,
                late_max_s=late_max,
                too_late=too_late,
                allowed_lateness_s=allowed_lateness,
                # Faster time would leave the detector no time between a thief's payments: their gaps grow with it.
                gap_scale=max(1, min(MAX_GAP_SCALE, int(pace))),
            ),
        )
        _run(config, connection, stop, report, quiet)
    except (ValueError, GeneratorError, StopRequestedError) as error:
        console.print(f"data-generator: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1 if isinstance(error, GeneratorError) else 2) from error


def _run(
    config: RunConfig, connection: Connection, stop: threading.Event, report_file: Path | None, quiet: bool
) -> None:
    report = Report(config.seed, config.users)
    try:
        if quiet or not sys.stderr.isatty():
            if not quiet:
                console.print(f"data-generator: {config.users:,} users, seed {config.seed}", markup=False)
            run(config, connection, stop, report=report)
        else:
            with Live(Text("making users"), console=console, refresh_per_second=4, transient=True) as live:
                run(config, connection, stop, progress=_show(live), report=report)
    finally:
        if report_file is not None:
            report.write(report_file)
        if not quiet:
            line = f"data-generator: {report.summary()} in {report.elapsed_s:.1f} s"
            console.print(line, markup=False, soft_wrap=True)


def _show(live: Live) -> Callable[[Report], None]:
    def show(report: Report) -> None:
        rate = report.tried / report.elapsed_s if report.elapsed_s else 0.0
        live.update(Text(f"{report.summary()}  ({rate:,.0f}/s)"))

    return show


def _commit_fraud(connection: Connection, user_id: int, scenario: str, stop: threading.Event) -> None:
    def tell(line: str) -> None:
        typer.echo(line)
        sys.stdout.flush()

    outcomes = commit_fraud(connection, user_id, scenario, stop=stop, tell=tell)
    refused = sum(outcome.status == "declined" for outcome in outcomes)
    if refused:
        tell(f"{refused} of {len(outcomes)} payments were refused")
    elif SCENARIOS[scenario].fraud and scenario != "burst":
        tell("no payment was refused: is the detector running? Look at its job and at the account flagger")
    else:
        tell("no payment was refused, as it should be: the rule does not call this suspicious")


def _stop_on_signals(stop: threading.Event) -> None:
    def on_signal(number: int, _: FrameType | None) -> None:
        # Not from here: the handler may have interrupted stop.wait(), which holds the lock that set() needs.
        threading.Thread(target=stop.set, daemon=True).start()
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


def _stop_with_stdin(stop: threading.Event) -> None:
    """Stops at the end of standard input, which also comes when the parent is killed. PR_SET_PDEATHSIG comes when its *thread* ends."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()
    time.sleep(LAST_WORDS_S)
    os._exit(1)


def _user_and_scenario(text: str) -> tuple[int, str]:
    user_id, _, scenario = text.partition(":")
    if not user_id.isdigit():
        raise ValueError(f"--commit-fraud takes USER or USER:SCENARIO, for example 42:cloned_card, not {text!r}")
    return int(user_id), scenario or "cloned_card"


def _mix(text: str | None) -> dict[str, float]:
    if text is None:
        return dict(DEFAULT_MIX)
    mix = {}
    for part in text.split(","):
        name, separator, weight = part.partition("=")
        try:
            mix[name.strip()] = float(weight) if separator else 1.0
        except ValueError as error:
            raise ValueError(f"--mix takes NAME=WEIGHT,…, for example cloned_card=0.2, not {part!r}") from error
    return mix
