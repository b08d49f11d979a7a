"""The detector against the same rule as a Flink SQL OVER window and as a plain kafka-python loop, over one topic. `make bench`.

A MATCH_RECOGNIZE pattern reads the topic, too. It cannot ask for a sum over an hour and finds pairs of payments: its seconds are those
of another question.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from kafka.admin import NewTopic
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fraudlab import system
from fraudlab.clients.flink_rest import ENDED
from fraudlab.clients.topics import read
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.pipeline import detector
from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.records import JoinedTransaction, encode, iso
from fraudlab.pipeline.statements import eur_rate_cases, fill
from fraudlab.pipeline.topics import length
from fraudlab.settings import Settings
from fraudlab.stack import flink, second_stack
from fraudlab.stack.supervisor import Stack

HERE = Path(__file__).parent
NAMES = Names("bench")
COUNTRIES = ("DE", "FR", "PL", "GB", "US", "BR")
CURRENCIES = ("EUR", "PLN", "GBP", "USD")
ABROAD = 0.01
EVENTS_PER_S = 28
JOB_DEADLINE_S = 900
DETECTOR = "detector (PyFlink)"
PATTERN = "MATCH_RECOGNIZE (finds pairs)"

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--most-parallel", type=int, default=min(2, os.cpu_count() or 1), help="TaskManagers, at most")
    arguments = parser.parse_args()
    shared = Settings()
    if Stack(shared).is_running():
        console.print("The lab's own system runs and takes part of the machine: `fraudlab down` gives truer figures.")
    os.environ.update(second_stack.environment(shared, "bench", console.print))
    settings = Settings(taskmanagers=arguments.most_parallel)
    stack = Stack(settings, console.print)
    try:
        stack.install()
        stack.start()
        os.environ.update(stack.client_environment())
        topic = fill_topic(settings, arguments.transactions, arguments.users)
        seconds = measure(settings, topic, arguments.runs)
    except UserError as error:
        sys.exit(f"{error}\nNext: {error.advice}")
    finally:
        stack.stop()
    report(seconds, arguments.transactions, shared.home / "bench.json")


def contestants(settings: Settings, topic: str) -> dict[str, Callable[[], float]]:
    """What competes, by name: each runs to the end of the topic and gives its seconds. `x2` is a parallelism of two."""
    cluster = FlinkCluster(settings.flink_url, Stack(settings).layout.flink)
    jobs = {DETECTOR: run_detector, "Flink SQL OVER window": run_over_window, PATTERN: run_pattern}
    flink: dict[str, Callable[[], float]] = {
        f"{name} x{parallelism}": partial(run, settings, cluster, topic, parallelism)
        for parallelism in sorted({1, settings.taskmanagers})
        for name, run in jobs.items()
    }
    return flink | {"plain kafka-python loop": partial(run_loop, settings, topic)}


def measure(settings: Settings, topic: str, runs: int) -> dict[str, list[float]]:
    """Seconds of each contestant, run by run, after one run of each that is not timed: its results are compared first."""
    competing = contestants(settings, topic)
    expected: dict[int, tuple[str, int]] = {}
    for name in competing:
        run_once(settings, competing[name], f"checking {name}")
        found = read_result(settings)
        if name.startswith(PATTERN):
            continue
        expected = expected or found
        if found != expected:
            sys.exit(f"{name} found other hours than the detector: the times cannot be compared.")
    console.print(f"Equal results: {len(expected)} suspicious hours, with the same sums and numbers of countries.")
    seconds: dict[str, list[float]] = {name: [] for name in competing}
    for number in range(1, runs + 1):
        for name in competing:
            seconds[name].append(run_once(settings, competing[name], f"run {number} of {runs}: {name}"))
    return seconds


def run_once(settings: Settings, run: Callable[[], float], what: str) -> float:
    """Runs a contestant into empty topics; gives its seconds."""
    recreate(settings, [NAMES.suspicious_activities, NAMES.dead_letters])
    took = run()
    console.print(f"{what}: {took:.1f} s")
    return took


def transactions(count: int, users: int) -> Iterator[tuple[bytes, bytes]]:
    """Records of `transaction_mid` in order of event time: key and value. The same ones each time."""
    chance = random.Random(1)
    home = [chance.choice(COUNTRIES) for _ in range(users)]
    start_ms = (time.time_ns() // 1_000_000) - count * 1000 // EVENTS_PER_S - 60_000
    for number in range(1, count + 1):
        user = chance.randrange(users)
        time_ms = start_ms + number * 1000 // EVENTS_PER_S
        record = JoinedTransaction(
            transaction_id=number,
            user_id=user,
            user_first_name="Anna Maria",
            user_last_name="Kowalska",
            user_email=f"user{user}@example.com",
            user_phone_number="+48 601 222 333",
            user_home_country=home[user],
            user_suspicious_activity=False,
            transaction_amount=f"{chance.randrange(1, 600)}.{chance.randrange(100):02}",
            transaction_currency=chance.choice(CURRENCIES),
            transaction_type="card_present",
            transaction_country=home[user] if chance.random() > ABROAD else chance.choice(COUNTRIES),
            transaction_merchant="Corner Shop Ltd",
            transaction_time=iso(time_ms),
            created_at=iso(time_ms + 5),
        )
        yield str(user).encode(), encode(record)


def fill_topic(settings: Settings, count: int, users: int) -> str:
    """Writes the transactions to a topic, unless an earlier run did. Returns its name."""
    topic = f"{NAMES.transaction_mid}.{count}.{users}"
    if length(system.kafka(settings), [topic]) != count:
        recreate(settings, [topic])
        producer = system.kafka(settings).producer(linger_ms=50, batch_size=2**18)
        for key, value in track(transactions(count, users), "writing the topic", total=count, console=console):
            producer.send(topic, value, key=key)
        producer.flush()
        producer.close()
    return topic


def recreate(settings: Settings, topics: list[str]) -> None:
    """Makes the topics anew, empty."""
    admin = system.kafka(settings).admin()
    old = [topic for topic in topics if topic in admin.list_topics()]
    if old:
        admin.delete_topics(old)
    if not until(lambda: not set(old) & set(admin.list_topics()), 60):
        sys.exit(f"Kafka did not delete {old} within a minute. Run `fraudlab reset` and try again.")
    admin.create_topics([NewTopic(topic, settings.partitions, 1) for topic in topics])
    admin.close()


def run_detector(settings: Settings, cluster: FlinkCluster, topic: str, parallelism: int) -> float:
    """The detector as the pipeline runs it, to the end of the topic. Returns the job's seconds."""
    client = detector.submit(
        cluster,
        system.kafka(settings),
        NAMES,
        settings.rule,
        parallelism=parallelism,
        bounded=True,
        source=topic,
    )
    return job_seconds(settings, str(client.get_job_id()))


def run_over_window(settings: Settings, cluster: FlinkCluster, topic: str, parallelism: int) -> float:
    """The OVER window, to the end of the topic. Returns the job's seconds."""
    tables, insert = sql_job(settings, cluster, topic, parallelism, "over_window.sql")
    return job_seconds(settings, str(tables.execute_sql(insert).get_job_client().get_job_id()))


def run_pattern(settings: Settings, cluster: FlinkCluster, topic: str, parallelism: int) -> float:
    """The pattern, to the end of the topic. Returns the job's seconds."""
    tables, pattern = sql_job(settings, cluster, topic, parallelism, "pattern.sql")
    return job_seconds(settings, str(tables.execute_sql(f"INSERT INTO pairs {pattern}").get_job_client().get_job_id()))


def sql_job(settings: Settings, cluster: FlinkCluster, topic: str, parallelism: int, file: str) -> tuple[Any, str]:
    """Where a job in SQL over the topic is written, its tables defined, and the last statement of its file: the job."""
    environment, tables = cluster.table_environment()
    environment.set_parallelism(parallelism)
    tables.get_config().set("table.local-time-zone", "UTC")
    values = kafka_values(system.kafka(settings), NAMES, file.removesuffix(".sql")) | {
        "transaction_mid": topic,
        "rates": eur_rate_cases(),
        "min_countries": settings.min_countries,
        "threshold_eur": settings.threshold_eur,
    }
    *definitions, job = [
        statement
        for name in ("transaction_mid.sql", file)
        for statement in fill((HERE / "sql" / name).read_text(encoding="utf-8"), values)
    ]
    for statement in definitions:
        tables.execute_sql(statement)
    return tables, job


def run_loop(settings: Settings, topic: str) -> float:
    """The loop as a process, to the end of the topic. Returns its seconds."""
    began = time.monotonic()
    arguments = [topic, NAMES.suspicious_activities]
    subprocess.run([sys.executable, str(HERE / "plain_loop.py"), *arguments], check=True)
    return time.monotonic() - began


def job_seconds(settings: Settings, job: str) -> float:
    """Waits for a job's end. Returns how long it ran, by Flink's own clock."""
    rest = flink.rest(settings)
    if not until(lambda: rest.job(job)["state"] in ENDED, JOB_DEADLINE_S, 0.2):
        sys.exit(f"Job {job} did not end within {JOB_DEADLINE_S} s.")
    ended = rest.job(job)
    if ended["state"] != "FINISHED":
        sys.exit(f"Job {job} {ended['state'].lower()}: see /jobs/{job}/exceptions of Flink's REST API")
    return float(ended["timestamps"]["FINISHED"] - ended["timestamps"]["RUNNING"]) / 1000


def read_result(settings: Settings) -> dict[int, tuple[str, int]]:
    """What a contestant wrote: transaction id to the hour's total in EUR and number of countries; nothing of pairs."""
    found: dict[int, tuple[str, int]] = {}
    with closing(system.kafka(settings).consumer(enable_auto_commit=False)) as consumer:
        for record in read(consumer, [NAMES.suspicious_activities]):
            activity = orjson.loads(record.value)
            if "countries" in activity:
                countries = activity["countries"]
                number = countries if isinstance(countries, int) else len(countries)
                found[activity["transaction_id"]] = activity["total_amount_eur"], number
    return found


def report(seconds: dict[str, list[float]], count: int, path: Path) -> None:
    """Prints the table and keeps the figures."""
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours = {name.removeprefix(f"{DETECTOR} "): median for name, median in medians.items() if name.startswith(DETECTOR)}
    title = f"{count:,} transactions; equal results, but for the pairs"
    table = Table("", "median s", "transactions/s", title=title)
    for parallelism in ours:
        table.add_column(f"of detector {parallelism}", justify="right")
    for name, median in medians.items():
        ratios = (f"{median / detector_s:.2f}" for detector_s in ours.values())
        table.add_row(name, f"{median:.1f}", f"{count / median:,.0f}", *ratios)
    console.print(table)
    path.write_text(json.dumps({"transactions": count, "seconds": seconds, "median_s": medians}, indent=2) + "\n")
    console.print(f"Figures are in {path}. Ratios compare; seconds are those of this machine.")


if __name__ == "__main__":
    main()
