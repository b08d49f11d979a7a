"""Breaking things on purpose: kills, a bank that goes on paying meanwhile, checkpoints and savepoints, and how long records take."""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pandas as pd
from kafka.admin import NewTopic

from fraudlab import system
from fraudlab.clients.topics import end_offsets
from fraudlab.clients.waiting import until
from fraudlab.course import cards
from fraudlab.course.cards import Card, Done
from fraudlab.course.workspace import OUTAGES, Late, Workspace, wait_until
from fraudlab.errors import UserError
from fraudlab.pipeline.records import epoch_ms, read_change
from fraudlab.verification.verify import verify as verify_system

SHARED = ("mysql", "zookeeper", "kafka", "jobmanager", "taskmanager", "flink-page", "watcher", "inbox")
CLASS = CLASS_HUB, CLASS_PROXY, CLASS_PAGE = "class-hub", "class-proxy", "class-page"
"""The programs of a class server, for all learners, too; nobody kills them in a lab."""
RESTARTING = ("jobmanager", "taskmanager")
"""Killing one of these restarts every job."""

MOST_PARTITIONS = 200
"""Of all topics of a learner together. The pipeline's have 20."""
MOST_OF_EVERYBODY = 7_500
"""Of all topics. Kafka keeps a file open for each, of 8,192, and its 384 MiB of heap are full with 16,700: then it stands still."""

RECOVERY_S = 120
SETTLED_S = 0.5


def others(workspace: Workspace) -> list[str]:
    """Who else works on this stack: learners, and the demo, by their jobs and services."""
    mine = workspace.names.job("")
    jobs = [job.name for job in workspace.flink.jobs() if not job.ended]
    programs = [one.name for one in workspace.stack.status() if one.name not in (*SHARED, *CLASS)]
    foreign = [name for name in [*jobs, *programs] if not name.startswith(mine)]
    return sorted({name.partition(".")[0] if "." in name else "the demo" for name in foreign})


def kill(workspace: Workspace, *programs: str, although_shared: bool = False) -> Done:
    """Kills programs (SIGKILL), and waits until they and your jobs are running again.

    Args:
        programs: `kafka`, `mysql`, `jobmanager`, `taskmanager`, or a service of yours, such as `flagger`.
        although_shared: Kill it even if others use it.

    Returns:
        A card with the seconds it took.

    Raises:
        UserError: Something isn't running already, or other learners use what you want to kill. Nothing was killed.
        Late: They aren't back within two minutes.

    Example:
        lab.kill("taskmanager")
    """
    workspace.require_running()
    company = others(workspace)
    if company and not although_shared and set(programs) & set(SHARED):
        raise UserError(
            f"Nothing was killed: {', '.join(company)} would lose {' and '.join(programs)}, too.",
            f"Ask them, and then run `lab.kill({', '.join(map(repr, programs))}, although_shared=True)`. Or watch one of you do it for"
            " all, and go on with the next cell.",
        )
    killed = {name: workspace.stack.kill(program_name(workspace, name)) for name in programs}
    took_s = wait_until_back(workspace, killed)
    return Done(f"Killed: {', '.join(programs)}.", (f"Everything runs again after {took_s:.0f} seconds.",))


def verify(workspace: Workspace) -> Card:
    """Recomputes from MySQL what must have been found, and compares: nothing may be missing, extra, or there twice.

    Returns:
        A card: EXACT, or what differs.
    """
    workspace.require_running()
    return cards.of_verification(verify_system(workspace.settings))


def program_name(workspace: Workspace, name: str) -> str:
    """A program's name under the supervisor: those of the stack belong to all, services to the learner."""
    return name if name in SHARED else workspace.names.group(name)


def wait_until_back(workspace: Workspace, killed: Mapping[str, int]) -> float:
    """Waits until killed programs run again and serve, and all jobs of the learner run with all their parts; gives the seconds it took.

    Raises:
        Late: It takes longer than two minutes.
    """
    began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
    gone = {program_name(workspace, name): pid for name, pid in killed.items()}
    since_ms = began_ms if gone.keys() & set(RESTARTING) else 0

    def back() -> bool:
        try:
            serving = {one.name: one.pid for one in workspace.stack.status() if one.healthy}
            if not all(serving.get(name) not in (None, pid) for name, pid in gone.items()):
                return False
            return not gone.keys() & set(SHARED) or _jobs_run(workspace, since_ms)
        except OUTAGES:
            return False

    wait_until(back, f"{', '.join(killed)} and the jobs are back", RECOVERY_S)
    return time.monotonic() - began


def _jobs_run(workspace: Workspace, since_ms: int) -> bool:
    """Whether every part of every job of the learner runs, began after `since_ms`, and stays so for a moment.

    For a second or two Flink does not know that a TaskManager has died, and calls its jobs running.
    """

    def one_is_away() -> bool:
        details = [workspace.flink.job(job.id) for job in workspace.jobs()]
        if not all(one["state"] == "RUNNING" and _parts(one) == {"RUNNING"} for one in details):
            return True
        return any(vertex["start-time"] < since_ms for one in details for vertex in one["vertices"])

    return not until(one_is_away, SETTLED_S)


def _parts(details: Mapping[str, Any]) -> set[str]:
    return {state for vertex in details["vertices"] for state, count in vertex["tasks"].items() if count}


@contextmanager
def paying_bank(
    workspace: Workspace, *, rate: float = 60, users: int = 1000, fraud_every_s: float = 0.6, seed: int = 5
) -> Iterator[dict[str, Any]]:
    """Keeps making payments in a process of its own, for a `with` statement.

    Args:
        rate: Payments per second.
        users: How many customers the bank has.
        fraud_every_s: Seconds between two frauds.
        seed: The same seed makes the same payments.

    Returns:
        A dictionary that has the bank's counts after the block.

    Example:
        with lab.paying_bank(rate=80) as bank:
            lab.kill("kafka")
        bank["inserted"]
    """
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        options = ("--fraud-every", str(fraud_every_s))
        before = _payments(workspace)
        process = system.start_generator(
            workspace.settings, rate=rate, users=users, seed=seed, report=file, options=options
        )
        try:
            wait_until(lambda: process.poll() is not None or _payments(workspace) > before, "the bank pays")
            _require_running(process)
            yield report
            _require_running(process)
            system.end_generator(process, RECOVERY_S)
            report.update(json.loads(file.read_text(encoding="utf-8")))
        finally:
            system.end_generator(process, 0)


def _payments(workspace: Workspace) -> int:
    return int(workspace.value("SELECT COUNT(*) AS n FROM transactions"))


def _require_running(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise UserError(
            f"The bank stopped unexpectedly, with status {process.returncode}.",
            "Its message is above; run the cell again.",
        )


# Backpressure


class Load(NamedTuple):
    """How an operator spends its time: shares between 0 and 1."""

    operator: str
    busy: float
    backpressured: float
    idle: float


UNMEASURED = (1.0, 0.0, 0.0)
"""What Flink says of an operator before it has measured it."""


def loads(workspace: Workspace, name: str) -> list[Load]:
    """How the operators of a learner's job spend their time, the source first; of several subtasks the busiest counts.

    Nothing where there is no such job, or where Flink has not measured it yet, which it does every ten seconds.
    """
    running = [job for job in workspace.jobs() if job.name == name and job.state == "RUNNING"]
    if not running:
        return []
    found = []
    for vertex in workspace.flink.job(running[-1].id)["vertices"]:
        said = workspace.flink.get(f"/jobs/{running[-1].id}/vertices/{vertex['id']}/backpressure")
        shares = [(one["busyRatio"], one["ratio"], one["idleRatio"]) for one in said.get("subtasks", ())]
        found.append(Load(vertex["name"], *max(shares, default=UNMEASURED)))
    return [] if all(one[1:] == UNMEASURED for one in found) else found


def load(workspace: Workspace, name: str) -> pd.DataFrame:
    """Shows how the operators of a job of yours spend their time, as the colours of Flink's web page do.

    Flink measures this every ten seconds. `lab.load` waits for the first time.

    Returns:
        A row per operator, the source first. Of each second it is so many percent `busy`, `backpressured` (it has a result, and
        waits for room in front of the next operator) and `idle` (it waits for input).

    Raises:
        Late: No such job is running, or Flink has not measured it within a minute.

    Example:
        lab.load("fraud-detector")
    """
    workspace.wait_for_job(name)
    found = wait_until(lambda: loads(workspace, name), f"Flink has measured the job {name!r}")
    rows = [(one.operator[:40], *(round(100 * share) for share in one[1:])) for one in found]
    return pd.DataFrame(rows, columns=["operator", "busy (%)", "backpressured (%)", "idle (%)"])


# Checkpoints and savepoints


def checkpoints(workspace: Workspace) -> pd.DataFrame:
    """Shows your jobs' checkpoints.

    Returns:
        A row per job: how many checkpoints it has completed, how long the last one took and how large it is, and from which one the
        job was restored.
    """
    rows = []
    for job in workspace.jobs():
        said = workspace.flink.checkpoints(job.id)
        last, restored = said["latest"]["completed"] or {}, said["latest"]["restored"] or {}
        rows.append(
            (
                job.name,
                said["counts"]["completed"],
                last.get("end_to_end_duration"),
                last.get("state_size"),
                restored.get("id"),
                "" if not restored else "savepoint" if restored["is_savepoint"] else "checkpoint",
            )
        )
    columns = ["job", "completed", "took (ms)", "size (bytes)", "restored from", "kind"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"took (ms)": "Int64", "size (bytes)": "Int64", "restored from": "Int64"}
    )


def stop_with_savepoint(workspace: Workspace, name: str) -> str:
    """Takes a savepoint of a job of yours, then stops the job.

    Returns:
        The savepoint's folder, from which a job can be restored.

    Raises:
        UserError: No such job is running, or Flink could not take the savepoint.

    Example:
        place = lab.stop_with_savepoint("fraud-detector")
    """
    found = [job for job in workspace.jobs() if job.name == name]
    if not found:
        raise UserError(f"No job {name!r} of yours runs.", "`lab.jobs()` shows those that do.")
    job = found[-1]
    trigger = workspace.flink.stop(job.id)
    operation = wait_until(lambda: workspace.flink.savepoint(job.id, trigger), f"the savepoint of {name!r}")
    if "location" not in operation:
        cause = str(operation["failure-cause"]["stack-trace"]).splitlines()[0]
        raise UserError(f"Flink could not take the savepoint: {cause}", "Is the job running? `lab.jobs()`")
    wait_until(lambda: job.id not in {one.id for one in workspace.jobs()}, f"{name!r} ends")
    return str(operation["location"])


def parallelism(workspace: Workspace, name: str) -> list[int]:
    """The parallelism of each job of this name: of its widest part."""
    return [
        max(vertex["parallelism"] for vertex in workspace.flink.job(job.id)["vertices"])
        for job in workspace.jobs()
        if job.name == name
    ]


def same_place(one: str, other: str) -> bool:
    """Whether two addresses name the same folder."""
    return unquote(urlsplit(one).path).rstrip("/") == unquote(urlsplit(other).path).rstrip("/")


# How long records take


def create_topic(workspace: Workspace, name: str, partitions: int = 1) -> str:
    """Creates an empty topic of your own. If it exists already, its records are deleted.

    Returns:
        Its full name, with your name in front.

    Raises:
        UserError: Your topics would have more than 200 partitions together, or everybody's more than 7,500.

    Example:
        lab.create_topic("rules")
    """
    full = workspace.names.group(name)
    with closing(system.kafka(workspace.settings).admin()) as admin:  # a learner's account creates none
        require_room(admin.describe_topics(), workspace, full, partitions)
        if full in admin.list_topics():
            admin.delete_topics([full])
            wait_until(lambda: full not in admin.list_topics(), f"the old topic {name!r} is gone")
        admin.create_topics([NewTopic(full, partitions, 1)])
        wait_until(lambda: full in admin.list_topics(), f"the topic {name!r} is there")
    return full


def require_room(described: Sequence[Mapping[str, Any]], workspace: Workspace, full: str, partitions: int) -> None:
    """Raises UserError where there would be too many partitions with this topic, of the learner or of everybody.

    Args:
        described: All topics, as Kafka's administrator describes them.
        workspace: Whose topic it will be.
        full: Its name. A topic that has it already is replaced.
        partitions: How many it will have.
    """
    others = {one["name"]: len(one["partitions"]) for one in described if one["name"] != full}
    mine = [
        count
        for name, count in others.items()
        if workspace.settings.learner and name.startswith(workspace.names.group(""))
    ]
    total, everybodys = partitions + sum(mine), partitions + sum(others.values())
    if total > MOST_PARTITIONS:
        raise UserError(
            f"With {full} your topics would have {total} partitions; {MOST_PARTITIONS} are allowed.",
            "Kafka keeps files open and memory for each partition, and everybody on this stack shares them. Take fewer, or delete a "
            "topic that you do not need: `fraudlab kafka topics --delete --topic NAME`.",
        )
    if everybodys > MOST_OF_EVERYBODY:
        raise UserError(
            f"With {full} all topics on this stack would have {everybodys} partitions; {MOST_OF_EVERYBODY} are allowed.",
            "Kafka has no memory for more. Take fewer, or delete topics that nobody needs: `fraudlab kafka topics --delete --topic NAME`.",
        )


class Reader:
    """Reads a topic from now on, and notes how long after the bank's commit each payment came.

    Args:
        isolation: `read_uncommitted` (everything) or `read_committed` (what no open transaction holds back).
    """

    def __init__(self, workspace: Workspace, topic: str, isolation: str) -> None:
        self._consumer = workspace.kafka.consumer(
            enable_auto_commit=False,
            isolation_level=isolation,
            fetch_max_wait_ms=20,
        )
        ends = end_offsets(self._consumer, [workspace.names.group(topic)])
        self._consumer.assign(list(ends))
        for partition, end in ends.items():
            self._consumer.seek(partition, end)
        self.delays_ms: list[int] = []

    def look(self) -> None:
        """Takes what is there."""
        for records in self._consumer.poll(timeout_ms=10).values():
            now_ms = time.time_ns() // 1_000_000
            self.delays_ms += [now_ms - created for created in map(_created_ms, records) if created]

    def close(self) -> None:
        """Ends it."""
        self._consumer.close()


def race(workspace: Workspace, readers: Mapping[str, tuple[str, str]], seconds: float = 6) -> pd.DataFrame:
    """Measures how long payments take from the bank's commit to each of several readers. Payments must be coming in.

    Args:
        readers: A name for each reader, and its topic and isolation level (`read_uncommitted` or `read_committed`).
        seconds: How long to measure, from the first payment that any reader sees.

    Returns:
        A row per reader: how many payments it saw, the median and the slowest in ms.

    Raises:
        Late: No payment arrives within 60 seconds.

    Example:
        with lab.paying_bank():
            lab.race({"at once": ("transactions", "read_uncommitted")})
    """
    running = {name: Reader(workspace, topic, isolation) for name, (topic, isolation) in readers.items()}
    try:
        give_up, deadline = time.monotonic() + 60, 0.0
        while not deadline or time.monotonic() < deadline:
            for reader in running.values():
                reader.look()
            if not deadline and any(reader.delays_ms for reader in running.values()):
                deadline = time.monotonic() + seconds
            if not deadline and time.monotonic() > give_up:
                raise Late("This did not happen within 60 s: a payment in any of the topics.")
        rows = [
            (name, len(one.delays_ms), round(statistics.median(one.delays_ms)), max(one.delays_ms))
            for name, one in running.items()
            if one.delays_ms
        ]
        return pd.DataFrame(rows, columns=["reader", "payments", "median (ms)", "slowest (ms)"])
    finally:
        for reader in running.values():
            reader.close()


def _created_ms(record: Any) -> int | None:
    """When the bank stored the payment of an envelope; None of a record that is none."""
    change = read_change(record.value)
    try:
        return epoch_ms(((change and change.after) or {})["created_at"])
    except (TypeError, KeyError, ValueError):
        return None
