"""Chaos: programs killed or stopped for seconds, several at a time, while a bank is paying. Ends with the verdict.

    .fraudlab/venv/bin/python -m tests.faults.chaos --minutes 20 --at-a-time 2 --seed 1

It uses the tests' own system, beside yours. After each blow it commits small frauds, one after another, until one is caught within
a second, and measures the time since the blow. Exit status 0: `fraudlab verify` says EXACT.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import NamedTuple

import mysql.connector
from rich.console import Console

from fraudlab import system
from fraudlab.clients import bank
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack
from fraudlab.verification.report import render
from fraudlab.verification.verify import verify
from tests.support.home import running_system

PROGRAMS = ("mysql", "zookeeper", "kafka", "jobmanager", "taskmanager", "flagger", "notifier", "analytics", "inbox")
RATE, USERS = 100, 20_000
CAUGHT_WITHIN_S = 1.0
GIVES_UP_S = 300.0
"""If no fraud has been caught within a second for this long after a blow, chaos ends: the system does not recover."""
KILLED = 0.75
"""The share of blows that kill a program; the others stop it for some seconds."""
LONGEST_PAUSE_S, LONGEST_STOP_S = 10.0, 20.0
BANK_PATIENCE_S, SETTLE_S = 60.0, 180.0
FIRST_VICTIM = 50_000_000
"""Its users' ids are above those of the bank."""


class Blow(NamedTuple):
    """What happened to which programs at once, and the seconds until a fraud was caught within one again."""

    what: str
    recovered_s: float


class Thief:
    """Commits frauds one by one, each on a new account, and sees whether the account is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._user_id = settings, FIRST_VICTIM

    def is_caught_at_once(self) -> bool:
        """Commits one fraud; whether the account was stopped within a second. Also False if the database is away."""
        self._user_id += 1
        database = self._settings.names.database
        try:
            with (
                system.connect(
                    self._settings,
                    "generator",
                    database=database,
                    autocommit=True,
                    connection_timeout=2,
                    read_timeout=5,
                ) as connection,
                connection.cursor() as cursor,
            ):
                user_id = bank.open_account(connection, self._user_id, email=f"eve{self._user_id}@example.com")
                for country in ("DE", "FR"):
                    bank.pay(connection, user_id, "600.00", "EUR", country)

                def is_stopped() -> bool:
                    cursor.execute("SELECT suspicious_activities FROM user_profile WHERE user_id = %s", (user_id,))
                    return bool(cursor.fetchone()[0])

                return until(is_stopped, CAUGHT_WITHIN_S, 0.02)
        except mysql.connector.Error:
            time.sleep(0.2)
        return False


def strike(stack: Stack, settings: Settings, programs: list[str], chance: random.Random) -> tuple[str, list[Timer]]:
    """Kills each of the programs, or stops it for some seconds; returns what it did, and the timers that resume the stopped ones."""
    words: list[str] = []
    timers: list[Timer] = []
    for name in programs:
        group = name if name in stack.services or name == "inbox" else settings.names.group(name)
        seconds = 0.0 if chance.random() < KILLED else chance.uniform(2, LONGEST_STOP_S)
        try:
            process_id = stack.kill(group, signal.SIGSTOP if seconds else signal.SIGKILL)
        except UserError:
            words.append(f"{name} was not running")
            continue
        words.append(f"{name} stopped for {seconds:.0f} s" if seconds else f"{name} killed")
        if seconds:
            timers.append(Timer(seconds, go_on, [process_id]))
            timers[-1].start()
    return ", ".join(words), timers


def go_on(process_id: int) -> None:
    """Resumes a stopped process, unless it has ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGCONT)


def wreak(settings: Settings, minutes: float, at_a_time: int, seed: int, console: Console) -> list[Blow]:
    """Strikes again and again. Raises TimeoutError if the system does not recover."""
    stack, thief, chance = Stack(settings), Thief(settings), random.Random(seed)
    blows: list[Blow] = []
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(chance.uniform(0, LONGEST_PAUSE_S))
        programs = chance.sample(PROGRAMS, at_a_time)
        began = time.monotonic()
        what, timers = strike(stack, settings, programs, chance)
        while not thief.is_caught_at_once():
            if time.monotonic() - began > GIVES_UP_S:
                raise TimeoutError(f"{GIVES_UP_S:.0f} s after {what}, no fraud is caught within {CAUGHT_WITHIN_S} s.")
        blows.append(Blow(what, time.monotonic() - began))
        for timer in timers:
            timer.join()
        console.print(
            f"{len(blows):3}. {what}: frauds are caught within a second again after {blows[-1].recovered_s:.1f} s"
        )
    return blows


def main() -> int:
    """Runs the chaos; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--at-a-time", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    with running_system(console.print) as settings, TemporaryDirectory() as folder:
        bank = system.start_generator(
            settings,
            rate=RATE,
            users=USERS,
            seed=arguments.seed,
            report=Path(folder) / "report.json",
            options=("--fraud-every", "0.5", "--too-late", "0.002"),
        )
        try:
            blows = wreak(settings, arguments.minutes, arguments.at_a_time, arguments.seed, console)
        finally:
            bank_status = system.end_generator(bank, BANK_PATIENCE_S)
        verification = verify(settings, SETTLE_S)
        render(verification, console)
    seconds = [one.recovered_s for one in blows]
    console.print(
        f"{len(blows)} blows of {arguments.at_a_time} programs each (seed {arguments.seed}). Time until frauds were caught within a second"
        f" again: median {statistics.median(seconds):.1f} s, maximum {max(seconds):.1f} s. The bank ended with status {bank_status}."
    )
    return 0 if verification.exact and bank_status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
