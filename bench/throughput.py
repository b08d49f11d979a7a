"""The rule over one topic, by the detector and by what people would use instead: seconds, memory, state, and what a crash costs each.

The same payments for all, and each run's hours are compared with those of the others before its time counts. A program that would
take more than MOST_S for all payments gets a tenth or a hundredth of them, and the table says so.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from bench import sliding_windows
from bench.peer_process import DEADLINE_S, environment, resident_mib, run
from bench.topic import NAMES, recreate
from fraudlab import system
from fraudlab.clients.flink_rest import ENDED
from fraudlab.clients.topics import read
from fraudlab.clients.waiting import until
from fraudlab.errors import UserError
from fraudlab.pipeline import detector
from fraudlab.pipeline.flink import FlinkCluster, kafka_values
from fraudlab.pipeline.statements import eur_rate_cases, fill
from fraudlab.settings import Settings
from fraudlab.stack import flink, flink_jobs
from fraudlab.stack.supervisor import Stack

HERE = Path(__file__).parent
MOST_S = 180
DETECTOR = "detector"
Say = Callable[[str], None]
Hours = dict[int, tuple[str, int]]
"""Transaction id to the hour's total in EUR and number of countries."""


@dataclass(frozen=True)
class Topic:
    """Payments to be judged."""

    name: str
    count: int


@dataclass(frozen=True)
class Result:
    """One run: seconds, and what is known of memory and state in MiB."""

    seconds: float
    resident_mib: int
    state_mib: float | None = None


@dataclass
class Contestant:
    """A way to find suspicious hours. `run` reads a topic to its end. `after_crash`: what becomes of state and results.

    `same_question`: whether it finds the hours that the detector finds. What answers another question has a time, but is no peer.
    """

    name: str
    run: Callable[[Topic], Result]
    after_crash: str
    same_question: bool = True
    results: list[Result] = field(default_factory=list)
    topic: Topic | None = None
    problem: str = ""

    @property
    def median_s(self) -> float:
        return statistics.median(one.seconds for one in self.results)

    @property
    def payments_per_s(self) -> float:
        assert self.topic is not None, "it has results"
        return self.topic.count / self.median_s


def contestants(settings: Settings, home: Path, say: Say) -> list[Contestant]:
    """All that compete, with a parallelism of 1. `home` is where environments are kept."""
    checkpoint = "continues from the last checkpoint"
    lost = "counts from nothing: the hour before the crash is lost"

    def program(name: str, file: str) -> Callable[[Topic], Result]:
        folder = HERE / "peers" / name
        return partial(run_program, settings, environment(home, folder, say), folder / file)

    job = partial(run_job, settings)
    kafka_python = HERE / "peers" / "kafka_python" / "loop.py"
    return [
        Contestant(
            DETECTOR, partial(job, submit_detector), f"{checkpoint}; an activity may come twice, with the same id"
        ),
        Contestant(
            "Flink SQL OVER window",
            partial(job, submit_over_window),
            f"{checkpoint}; rows may come twice; what is later than its watermark is dropped",
        ),
        Contestant("confluent-kafka loop, orjson", program("confluent", "loop.py"), lost),
        Contestant(
            "Quix Streams",
            program("quix", "stream.py"),
            "state stays on its disk, without changelog topics; at least once",
        ),
        Contestant(
            "kafka-python loop",
            partial(run_program, settings, Path(sys.executable), kafka_python),
            lost,
        ),
        Contestant(
            "SlidingEventTimeWindows, AggregateFunction",
            partial(job, submit_sliding_windows),
            f"{checkpoint}; rows may come twice; what is later than its watermark is dropped",
            same_question=False,
        ),
        Contestant(
            "MATCH_RECOGNIZE",
            partial(job, submit_pattern),
            f"{checkpoint}; finds pairs of payments, no sums",
            same_question=False,
        ),
    ]


def measure(settings: Settings, competing: list[Contestant], topics: Sequence[Topic], runs: int, say: Say) -> None:
    """Fills in `results`, run by run. `topics` are the same payments, fewest first.

    First each program tells on the smaller topics what it can take, and whether it is right.
    """
    expected: dict[str, Hours] = {}
    for one in competing:
        for topic, larger in pairwise(topics):
            one.topic = topic
            result = attempt(settings, one, topic, expected, say)
            if result is None or result.seconds * larger.count / topic.count > MOST_S:
                break
            one.topic = larger
    for number in range(1, runs + 1):
        for one in competing:
            if one.topic is None or one.problem:
                continue
            say(f"run {number} of {runs}: {one.name}")
            result = attempt(settings, one, one.topic, expected, say)
            if result is not None:
                one.results.append(result)


def attempt(settings: Settings, one: Contestant, topic: Topic, expected: dict[str, Hours], say: Say) -> Result | None:
    """One run into empty topics. Whoever fails, or finds other hours than the first one, has no time but a problem."""
    recreate(settings, [NAMES.suspicious_activities, NAMES.dead_letters])
    try:
        result = one.run(topic)
    except UserError as error:
        one.problem = str(error).splitlines()[0]
        say(f"{one.name}: {error}")
        return None
    if one.same_question:
        found = read_result(settings)
        if found != expected.setdefault(topic.name, found):
            one.problem = "found other hours"
            say(f"{one.name} found other hours than the {DETECTOR}: its time cannot be compared.")
            return None
    say(f"{one.name}: {topic.count:,} payments in {result.seconds:.1f} s, {result.resident_mib} MiB")
    return result


def run_program(settings: Settings, python: Path, program: Path, topic: Topic) -> Result:
    """A program of its own, to the end of the topic."""
    seconds, resident = run(settings, python, program, topic.name, NAMES.suspicious_activities, topic.count)
    return Result(seconds, resident)


Submit = Callable[[Settings, FlinkCluster, Topic], str]


def run_job(settings: Settings, submit: Submit, topic: Topic) -> Result:
    """A Flink job, to the end of the topic, by Flink's own clock. Memory is the TaskManager's, with all that it has started."""
    cluster = FlinkCluster(settings.flink_url, Stack(settings).layout.flink)
    job = submit(settings, cluster, topic)
    rest = flink.rest(settings)
    pid = int(Stack(settings).processes()["taskmanager"]["pid"])
    most = 0

    def has_ended() -> bool:
        nonlocal most
        most = max(most, resident_mib(pid))
        return rest.job(job)["state"] in ENDED or bool(rest.exceptions(job))

    until(has_ended, DEADLINE_S, 0.2)
    ended, failures = rest.job(job), rest.exceptions(job)
    if failures or ended["state"] != "FINISHED":
        rest.cancel(job)
        cause = flink_jobs.cause_of(str(failures[0]["stacktrace"])).what if failures else ended["state"].lower()
        raise UserError(
            f"The job did not finish within {DEADLINE_S} s: {cause}.",
            f"See /jobs/{job}/exceptions of Flink's REST API.",
        )
    times = ended["timestamps"]
    state = rest.checkpoints(job)["summary"]["state_size"]["max"]
    return Result((times["FINISHED"] - times["RUNNING"]) / 1000, most, round(state / 2**20, 1) if state else None)


def submit_detector(
    settings: Settings, cluster: FlinkCluster, topic: Topic, options: Mapping[str, str] | None = None
) -> str:
    """The detector as the pipeline runs it, but for `options` of Flink's configuration."""
    client = detector.submit(
        replace(cluster, options=options or {}),
        system.kafka(settings),
        NAMES,
        settings.rule,
        bounded=True,
        source=topic.name,
    )
    return str(client.get_job_id())


def submit_over_window(settings: Settings, cluster: FlinkCluster, topic: Topic) -> str:
    """The rule as an OVER window."""
    _, tables, (*definitions, insert) = sql_job(settings, cluster, topic, "over_window.sql")
    return str(defined(tables, definitions).execute_sql(insert).get_job_client().get_job_id())


def submit_pattern(settings: Settings, cluster: FlinkCluster, topic: Topic) -> str:
    """A pattern of two payments."""
    _, tables, (*definitions, pattern) = sql_job(settings, cluster, topic, "payments.sql", "pattern.sql")
    insert = f"INSERT INTO pairs {pattern}"
    return str(defined(tables, definitions).execute_sql(insert).get_job_client().get_job_id())


def submit_sliding_windows(settings: Settings, cluster: FlinkCluster, topic: Topic) -> str:
    """Hours that slide by a minute."""
    environment, tables, definitions = sql_job(settings, cluster, topic, "payments.sql", "windows.sql")
    inserts = defined(tables, definitions).create_statement_set()
    inserts.add_insert("windows", tables.from_data_stream(sliding_windows.windows(tables, settings.rule)))
    inserts.attach_as_datastream()
    return str(environment.execute_async("sliding windows").get_job_id())


def sql_job(settings: Settings, cluster: FlinkCluster, topic: Topic, *files: str) -> tuple[Any, Any, list[str]]:
    """Where a job over the topic is written, in SQL or as a stream, and the statements of its files."""
    environment, tables = cluster.table_environment()
    environment.set_parallelism(1)
    tables.get_config().set("table.local-time-zone", "UTC")
    values = kafka_values(system.kafka(settings), NAMES, "peer") | {
        "transaction_mid": topic.name,
        "rates": eur_rate_cases(),
        "min_countries": settings.min_countries,
        "threshold_eur": settings.threshold_eur,
    }
    statements = [
        statement
        for name in ("transaction_mid.sql", *files)
        for statement in fill((HERE / "sql" / name).read_text(encoding="utf-8"), values)
    ]
    return environment, tables, statements


def defined(tables: Any, definitions: Sequence[str]) -> Any:
    """The tables, with these, too."""
    for statement in definitions:
        tables.execute_sql(statement)
    return tables


def read_result(settings: Settings) -> Hours:
    """What a contestant wrote; nothing of pairs."""
    found: Hours = {}
    with closing(system.kafka(settings).consumer(enable_auto_commit=False)) as consumer:
        for record in read(consumer, [NAMES.suspicious_activities]):
            activity = orjson.loads(record.value)
            countries = activity.get("countries")
            if countries is not None:
                number = countries if isinstance(countries, int) else len(countries)
                found[activity["transaction_id"]] = activity["total_amount_eur"], number
    return found


def as_json(competing: list[Contestant]) -> list[dict[str, Any]]:
    """The figures of all: those of whoever failed say only why."""
    ours = next((one.payments_per_s for one in competing if one.name == DETECTOR and one.results), None)
    return [
        {"name": one.name, "after_crash": one.after_crash, "same_question": one.same_question, "problem": one.problem}
        if one.topic is None or not one.results
        else {
            "name": one.name,
            "after_crash": one.after_crash,
            "same_question": one.same_question,
            "payments": one.topic.count,
            "seconds": [round(result.seconds, 2) for result in one.results],
            "median_s": round(one.median_s, 2),
            "payments_per_s": round(one.payments_per_s),
            "speed_of_detector": round(one.payments_per_s / ours, 2) if ours else None,
            "resident_mib": max(result.resident_mib for result in one.results),
            "state_mib": max(
                (result.state_mib for result in one.results if result.state_mib is not None), default=None
            ),
        }
        for one in competing
    ]
