"""What a notebook calls: `from fraudlab.course import lab`. Everything works without a host, a port or a password.

Start and end: `start`, `catch_up`, `reset`, `up`. Exercises: `check`, `hint`, `solution`, `progress`. The bank: `query`, `execute`,
`open_account`, `pay`, `generate`. Looking: `table`, `topic`, `envelopes`, `binlog`, `window`, `lanes`, `joined`, `flow`,
`pulse`, `jobs`, `show`, `glossary`. Flink: `flink_page`, `stream`, `cluster`, `instead_of`, `mysql`, `kafka`, `checkpoint`, `cancel`.
Consumers: `share`, `offsets`, `crash`, `service`, `inbox`, `dashboard`. Breaking: `kill`, `paying_bank`, `verify`, `stop_with_savepoint`.
"""

import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from fraudlab import pages
from fraudlab.course import binlog as binlog_reader
from fraudlab.course import breaking, cards, consumers, live, pictures
from fraudlab.course import glossary as glossary_book
from fraudlab.course import inbox as inbox_reader
from fraudlab.course import jobs as own_jobs
from fraudlab.course import pulse as pulse_counter
from fraudlab.course.cards import Card
from fraudlab.course.exercise import HINTS, PLACEHOLDER, AnswerFailed, Kind, NotSolvedYet, Verdict
from fraudlab.course.labs import all_labs, exercise_of, lab_of
from fraudlab.course.live import LiveQuery
from fraudlab.course.progress import TRIES_BEFORE_SOLUTION, Progress
from fraudlab.course.world import (
    OUTAGES,
    Job,
    Late,
    PaymentResult,
    World,
    in_eur,
    learner_settings,
    partition_of,
    wait_until,
)
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline.contracts import Names
from fraudlab.stack.errors import StackError

__all__ = [
    "Late",
    "NotSolvedYet",
    "binlog",
    "binlog_position",
    "cancel",
    "catch_up",
    "check",
    "checkpoint",
    "cluster",
    "envelopes",
    "execute",
    "flink_page",
    "flow",
    "generate",
    "glossary",
    "hint",
    "instead_of",
    "jobs",
    "joined",
    "kafka",
    "lanes",
    "mysql",
    "names",
    "open_account",
    "pay",
    "progress",
    "pulse",
    "query",
    "reset",
    "show",
    "solution",
    "start",
    "stream",
    "table",
    "todo",
    "topic",
    "up",
    "wait_for_records",
    "window",
    "world",
]

CHECK_POLL_S = 0.3
AT_REST_S = 5.0
"""What has not changed for so long, while a check looked, is not on its way any more. A busy machine pauses for less."""


@cache
def world() -> World:
    """Your world: database, topics and jobs under your name."""
    return World(learner_settings())


@cache
def _progress() -> Progress:
    settings = learner_settings()
    return Progress(settings.work, settings.learner)


def names() -> Names:
    """The names of your database, topics, consumer groups and jobs."""
    return world().names


# Start and end


def start(number: int | str) -> Card:
    """Begins a lab: what it is, whether the stack runs, under which name you work, and how far you are."""
    lab = lab_of(number)
    here = world()
    if trouble := _problem():
        return trouble
    free, all_slots = here.slots()
    records = _progress().records()
    solved = sum(records[one.number].solved for one in lab.exercises if one.number in records)
    lines = (
        "MySQL, Kafka and Flink serve.",
        f"You work as `{here.settings.learner}`: your database is `{here.names.database}`, your topics and jobs begin with"
        f" `{here.settings.learner}.`",
        f"Flink's web page: {here.settings.flink_page} ({free} of {all_slots} task slots are free).",
        f"Solved here: {solved} of {len(lab.exercises)} exercises.",
    )
    return Card(f"Lab {lab.number} · {lab.title}", lines)


def up() -> Card:
    """Starts what does not run of MySQL, Kafka and Flink, and makes your database and topics where they are missing."""
    from fraudlab import system

    try:
        world().stack.start()
        system.prepare(world().settings)
    except StackError as error:
        return cards.down(str(error), error.advice)
    return Card("MySQL, Kafka and Flink serve.")


def catch_up(number: int | str) -> Card:
    """Brings your database, topics, offsets and jobs to the state in which a lab begins, from any state."""
    lab = lab_of(number)
    if trouble := _problem():
        return trouble
    here = world()
    here.reset()
    for earlier in all_labs():
        if earlier.number < lab.number:
            earlier.outcome(here)
    return Card(f"Ready for Lab {lab.number}.", ("Your database, topics and jobs are as this lab expects them.",))


def reset() -> Card:
    """Empties your world: no rows, no records, no offsets, no jobs. Notebooks and progress stay."""
    if trouble := _problem():
        return trouble
    world().reset()
    return Card("Everything of yours is empty again.", ("Notebooks and progress are kept.",))


# Exercises


def todo(number: str) -> NoReturn:
    """Stands where your code belongs. Raises NotSolvedYet."""
    raise NotSolvedYet(exercise_of(number).unsolved)


def check(number: str, *answers: Any) -> Card:
    """Checks your answer to an exercise. Raises NotSolvedYet while there is none.

    It waits for what is on its way. What does not come while it waits counts as a try: the answer may be why.
    """
    exercise = exercise_of(number)
    exercise.require_solved(answers)
    began = moved = time.monotonic()
    seen: Any = None
    while True:
        try:
            observed = exercise.observe(world(), *answers)
            verdict = exercise.verdict(observed, answers)
        except AnswerFailed as failure:
            verdict = exercise.failed(failure)
        except OUTAGES:
            if trouble := _problem():
                return trouble
            raise
        now = time.monotonic()
        if verdict.at_rest is not None:
            if observed != seen:
                seen, moved = observed, now
            elif now - moved >= AT_REST_S:
                verdict = verdict.at_rest
        if verdict.kind is not Kind.NOT_YET or now - began > exercise.patience_s:
            break
        time.sleep(CHECK_POLL_S)
    record = _progress().tried(number, solved=verdict.kind is Kind.RIGHT)
    return cards.of_verdict(number, verdict, _closing(number, verdict, record.solution_is_open))


def _closing(number: str, verdict: Verdict, solution_is_open: bool) -> str:
    if verdict.kind is Kind.RIGHT:
        return f'`lab.solution("{number}")` shows how the course does it.'
    help_ = f'`lab.solution("{number}")` is open now.' if solution_is_open else f'`lab.hint("{number}")` gives a hint.'
    if verdict.kind is Kind.NOT_YET:
        return f"Run this cell again in a moment. If nothing moves, look at your answer: {help_}"
    return help_


def hint(number: str) -> Card:
    """The next hint for an exercise, three in all, each nearer to the answer; those before it are shown as well."""
    exercise = exercise_of(number)
    shown = _progress().hinted(number, HINTS).hints
    return Card(
        f"Exercise {number} · hint {shown} of {HINTS}",
        tuple(f"{place}. {text}" for place, text in enumerate(exercise.hints[:shown], 1)),
    )


def solution(number: str) -> Card:
    """The course's solution of an exercise. It opens when you have solved it, or tried three times."""
    from fraudlab.course import notebooks

    record = _progress().of(exercise_of(number).number)
    if not record.solution_is_open:
        missing = TRIES_BEFORE_SOLUTION - record.tries
        times = "once more" if missing == 1 else f"{missing} times more"
        return Card(
            f"Exercise {number} · the solution is still closed",
            (f"It opens when you have solved it, or tried {times}.",),
        )
    return Card(f"Exercise {number} · a solution", code=notebooks.solution_of(number))


def progress() -> pd.DataFrame:
    """How far you are: one row an exercise."""
    records = _progress().records()
    rows = []
    for lab in all_labs():
        for exercise in lab.exercises:
            record = records.get(exercise.number)
            rows.append(
                (lab.number, exercise.number, exercise.title, record.solved, record.tries, record.hints)
                if record
                else (lab.number, exercise.number, exercise.title, False, 0, 0)
            )
    return pd.DataFrame(rows, columns=["lab", "exercise", "title", "solved", "tries", "hints"])


# The bank


def query(statement: str, *values: object) -> pd.DataFrame:
    """Asks MySQL; `%s` in the statement takes the values."""
    return pd.DataFrame(world().rows(statement, *values))


def execute(statement: str, *values: object) -> int:
    """Changes rows in MySQL; gives how many."""
    return world().execute(statement, *values)


def open_account(**fields: object) -> int:
    """Opens an account at the bank and gives the user's id; fields as in `user_profile`."""
    return world().open_account(**fields)


def pay(
    user_id: int, amount: str, currency: str, country: str, *, minutes_ago: float = 0, **fields: Any
) -> PaymentResult:
    """Makes a payment: it happened `minutes_ago`, the bank hears of it now. Says its id, or why it was refused."""
    return world().pay(int(user_id), amount, currency, country, minutes_ago=minutes_ago, **fields)


def generate(*, payments: int, users: int, seed: int, rate: float = 0, **options: Any) -> pd.DataFrame:
    """Lets the synthetic bank pay, `rate` payments a second, or a history as fast as possible (`hours`, `frauds`). Gives its counts."""
    report = world().generate(payments=payments, users=users, seed=seed, rate=rate, **options)
    counts = [(name, report[name]) for name in ("tried", "inserted", "declined") if name in report]
    return pd.DataFrame(counts, columns=["payments", "count"])


# Looking


def table(name: str, last: int = 5) -> pd.DataFrame:
    """The newest rows of a table of your database."""
    columns = query(
        "SELECT column_name AS name, column_key AS part FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        name,
    )
    if columns.empty:
        known = query(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1"
        )
        raise StackError(f"There is no table {name!r}.", f"Tables: {', '.join(known['name'])}.")
    keys = columns.loc[columns["part"] == "PRI", "name"].tolist() or columns["name"].tolist()[:1]
    # The table's own name and columns, as the database just gave them: nothing here was typed by anybody.
    order = ", ".join(f"`{key}` DESC" for key in keys)
    return query(f"SELECT * FROM `{name}` ORDER BY {order} LIMIT %s", last)  # noqa: S608


def topic(name: str, last: int = 5) -> pd.DataFrame:
    """The newest records of a topic, by partition and offset: `last` of each partition at most."""
    records = world().records(name, last)
    rows = [(one.partition, one.offset, one.key, one.value) for one in records]
    return pd.DataFrame(rows, columns=["partition", "offset", "key", "value"])


def envelopes(name: str = "transactions", last: int = 3, *, key: object = None) -> pd.DataFrame:
    """Debezium envelopes side by side, the newest `last` of a topic (with `key`, of that user): a column each, a row each field.

    The rows are `op`, then each column of the table before and after the change.
    """
    records = [one for one in world().records(name) if one.value and (key is None or one.key == str(key))]
    newest = sorted(records, key=lambda one: (one.json["source"]["ts_ms"], one.json["ts_ms"], one.offset))[-last:]
    columns = {}
    for one in newest:
        envelope = one.json
        fields = {"op": envelope["op"]}
        for side in ("before", "after"):
            fields |= {f"{side}.{field}": value for field, value in (envelope[side] or {}).items()}
        columns[f"{one.partition}:{one.offset}"] = fields
    return pd.DataFrame(columns).fillna("")


def show(thing: Any) -> Card:
    """The source of a function or class of the pipeline, as it stands there."""
    source = inspect.getsource(thing)
    return Card(f"{Path(inspect.getfile(thing)).name}: {thing.__name__}", code=source)


def binlog_position() -> tuple[str, int]:
    """Where MySQL's binlog ends now; give it to `binlog` to see what came after."""
    return binlog_reader.position(world())


def binlog(since: tuple[str, int]) -> pd.DataFrame:
    """What your database's part of the binlog says since a position: an event a row, with the row before and after."""
    return binlog_reader.events(world(), since)


def window(user_id: int) -> pictures.Picture:
    """A user's payments on a time line, with the hour to look at: the most countries, then the most money."""
    return pictures.window(f"User {user_id}", _dots(user_id), timedelta(seconds=world().settings.window_s))


def wait_for_records(topic: str, count: int, deadline_s: float = 60) -> int:
    """Waits until so many records were written to a topic, and gives how many there are. Raises Late when they do not come in time."""
    here = world()
    return wait_until(
        lambda: found if (found := here.count(topic)) >= count else None, f"{count:,} records in {topic!r}", deadline_s
    )


def joined(user_id: int, *, payments: int = 0, records: int = 0) -> pd.DataFrame:
    """A user's records in `transaction_mid`, a row each, in order; a record without a value is an empty row.

    Waits until so many `payments` are there with a name, and so many `records` in all. Payments have numbers in the bank's order.
    """
    here, fields = world(), ("user_first_name", "user_email", "user_suspicious_activity", "transaction_amount")

    def arrived() -> list[Any] | None:
        found = [one.json for one in here.records("transaction_mid") if one.key == str(int(user_id))]
        named = {one["transaction_id"] for one in found if one and one["user_first_name"]}
        return [found] if len(named) >= payments and len(found) >= records else None

    (found,) = wait_until(arrived, f"{payments} payments and {records} records of user {user_id} are joined")
    numbers = sorted({one["transaction_id"] for one in found if one})
    rows = [
        (str(numbers.index(one["transaction_id"]) + 1), *(one[field] for field in fields)) if one else ("",) * 5
        for one in found
    ]
    return pd.DataFrame(rows, columns=["payment", *fields]).fillna("NULL")


def lanes(user_id: int, key: str = "user_id") -> pictures.Picture:
    """The partitions of `transactions`, and where a user's payments lie in them; with another `key`, where they would lie."""
    here = world()
    mine = [one for one in here.records("transactions") if one.key == str(int(user_id)) and one.value]
    payments = {one.json["after"]["transaction_id"]: one for one in mine if one.json["after"]}
    partitions: list[list[int]] = [[] for _ in range(here.partitions("transactions"))]
    for number, (_, one) in enumerate(sorted(payments.items()), 1):
        where = one.partition if key == "user_id" else partition_of(str(one.json["after"][key]), len(partitions))
        partitions[where].append(number)
    return pictures.lanes(f"Payments of user {user_id}, keyed by {key}", partitions)


def flow() -> pd.DataFrame:
    """How many rows and records lie at each stage, from the bank to the refused payment."""
    here = world()
    stages: list[tuple[str, str, int]] = [
        ("the bank", f"table {name}", int(here.value(f"SELECT COUNT(*) AS n FROM {name}")))  # noqa: S608
        for name in ("user_profile", "transactions")
    ]
    topics = {
        "captured": ("user_profile", "transactions"),
        "joined": ("transaction_mid",),
        "detected": ("suspicious_activities",),
        "unusable": ("dead_letters",),
    }
    stages += [(stage, f"topic {name}", here.count(name)) for stage, group in topics.items() for name in group]
    stopped = here.value("SELECT COUNT(*) AS n FROM user_profile WHERE suspicious_activities")
    refused = here.value("SELECT COUNT(*) AS n FROM declined_transactions")
    stages += [("acted on", "accounts stopped", int(stopped)), ("acted on", "payments refused", int(refused))]
    return pd.DataFrame(stages, columns=["stage", "place", "count"])


def pulse(*stages: str, seconds: float = 10) -> None:
    """Draws for some seconds how many a second come through `payments`, `joined`, `activities` and `refused`, or some of these.

    The picture is drawn anew in its place, and ends by itself. Its text says the same in words.
    """
    from IPython.display import DisplayHandle

    with pulse_counter.counting(world(), stages or pulse_counter.STAGES) as count:
        shown: list[DisplayHandle] = []

        def show(picture: pictures.Picture) -> None:
            if shown:
                shown[0].update(picture)
            else:
                shown.append(DisplayHandle())
                shown[0].display(picture)

        pulse_counter.watch(count, seconds, show)


def jobs() -> pd.DataFrame:
    """Your jobs in Flink that have not ended. If one fails, a further column says why."""
    known, troubles = world().jobs(), world().job_troubles()
    rows = [(job.name, job.state, job.started) for job in known]
    table = pd.DataFrame(rows, columns=["job", "state", "running since"])
    if troubles:
        table["health"] = [troubles.get(job.id, "") for job in known]
    return table


def glossary(word: str) -> Card:
    """What a term means."""
    term = glossary_book.find(word)
    if term is None:
        known = ", ".join(sorted(term.names[0] for term in glossary_book.terms()))
        return Card(f"The glossary has no {word!r}.", (f"It has: {known}.",))
    return Card(term.names[0], (term.text, f"First explained in Lab {term.lab}."))


# Flink


def cluster(**options: str) -> Any:
    """The running Flink cluster (`fraudlab.pipeline.flink.FlinkCluster`): `lab.cluster().environment()` submits to it."""
    return world().cluster(**options)


def stream(statement: str, name: str = "streaming-query", tables: Sequence[str] = ()) -> LiveQuery:
    """Starts a streaming query over the bank's tables `transactions` and `user_profile`, as a job of this name.

    With `tables`, `CREATE TABLE` statements, over those instead.
    """
    return live.stream(world(), statement, name, tables)


def instead_of(file: str, *yours: str) -> Callable[[str, Mapping[str, object]], list[str]]:
    """The pipeline's `statements(file, values)`, with statements of yours in the place of one of its .sql files.

    Raises NotSolvedYet for one that is still to be completed.
    """
    if any(PLACEHOLDER in statement for statement in yours):
        raise NotSolvedYet(f"A statement is still to do: put your own lines where it says `{PLACEHOLDER}`.")

    def statements(name: str, values: Mapping[str, object]) -> list[str]:
        from fraudlab.pipeline import statements as pipeline

        return pipeline.fill("\n//\n".join(yours), values) if name == file else pipeline.statements(name, values)

    return statements


def mysql() -> Any:
    """Where and as whom a job reads the binlog (`fraudlab.pipeline.flink.MySqlEndpoint`)."""
    from fraudlab import system

    return system.cdc_endpoint(world().settings)


def kafka() -> KafkaAccess:
    """Where Kafka is, and as whom you use it: for jobs, and for `KafkaConsumer("a-topic", **lab.kafka().options())`."""
    return world().kafka


def checkpoint(name: str) -> str:
    """Orders a checkpoint of a job of yours, waits until it is complete, and gives the place where it lies."""
    return world().checkpoint(name)


def cancel(name: str | None = None) -> list[str]:
    """Ends your jobs of this name, or all of yours; gives their names when they have ended."""
    return world().cancel(name)


def wait_for_job(name: str, deadline_s: float = 60) -> Job:
    """Waits until a job of yours runs."""
    return world().wait_for_job(name, deadline_s)


# Consumers


def share(**members: Any) -> pd.DataFrame:
    """Lets consumers of one group agree on who reads what; a row for each: `lab.share(first=…, second=…)`."""
    return consumers.shared(members)


def offsets(group: str, topic: str = "suspicious_activities") -> pd.DataFrame:
    """How far a group has come in a topic: committed offset, end and lag of each partition."""
    return consumers.offsets(world(), group, topic)


def crash(work_through: Any) -> pd.DataFrame:
    """Runs `work_through(consumer, handle)` over the activities, crashes it in the middle, starts it again, and counts."""
    return consumers.crash(world(), work_through).table()


def service(*names: str) -> Card:
    """Starts services of the pipeline (`flagger`, `notifier`, `inbox`), and waits until they have worked off what there is."""
    here = world()
    for name in names:
        if name == "inbox":
            inbox_reader.serve(here)
        else:
            here.start_service(name)
    for name in {"flagger", "notifier"} & set(names):
        wait_until(lambda name=name: consumers.lag(here, name) == 0, f"the {name} has read all activities")  # type: ignore[misc]
    return Card(
        f"Running: {', '.join(names)}.",
        ("On their own, also when this notebook is closed; when one ends, it is started again.",),
    )


def stop_service(*names: str) -> None:
    """Stops services of yours."""
    for name in names:
        world().stop_service(name)


def address(name: str) -> str:
    """An e-mail address that only your people have."""
    return inbox_reader.address(world(), name)


def push_topic(user_id: int) -> str:
    """Where a person's push messages go."""
    return inbox_reader.push_topic(world(), int(user_id))


def mail_server() -> Any:
    """A connection (`smtplib.SMTP`) to the inbox's mail server, for a `with` statement."""
    return inbox_reader.mail_server(world())


def push_server() -> str:
    """The address of the inbox's push server."""
    return world().settings.inbox_url


def inbox(person: str = "", *, at_least: int = 0, last: int = 10) -> pd.DataFrame:
    """The newest messages to your people, or to one address or push topic; waits for `at_least` so many.

    A message that was delivered twice is one row.
    """
    wait_until(lambda: len(inbox_reader.messages(world(), person)) >= at_least, f"{at_least} messages in the inbox")
    return inbox_reader.table(world(), person, last)


def inbox_page() -> Card:
    """Where the inbox's page is."""
    return Card(
        "The inbox", (f"Open {world().settings.inbox_page} in another tab: mail on the left, a phone on the right.",)
    )


def flink_page() -> Card:
    """Opens Flink's web page in your browser, which it knows from then on; without a screen here, gives the address that does it."""
    here = world()
    if trouble := _problem():
        return trouble
    address = pages.address(here.settings, "flink")
    if pages.show(here.settings, address):
        return Card(
            "Flink's web page", ("It opens in your browser. From now on this browser can open it without this call.",)
        )
    return Card(
        "Flink's web page",
        (
            f"Open {address} in another tab. From now on this browser can open it without this call. The address is a key: keep it.",
        ),
    )


def pay_until_refused(
    user_id: int, amount: str = "9.50", currency: str = "EUR", country: str = "DE", most: int = 500
) -> pd.DataFrame:
    """Pays again and again until the bank refuses: a row for each try, with the milliseconds since the first."""
    began, rows = time.monotonic(), []
    for number in range(1, most + 1):
        answer = pay(user_id, amount, currency, country)
        rows.append((number, round((time.monotonic() - began) * 1000), "refused" if answer.refused else "stored"))
        if answer.refused:
            break
    return pd.DataFrame(rows, columns=["payment", "after (ms)", "answer"])


def dashboard() -> Card:
    """Starts the dashboard and says where its page is. A stack has room for one; where somebody else's runs, it says so."""
    here = world()
    try:
        here.start_service("analytics")
    except StackError as error:
        return Card(
            "The dashboard cannot be started now.",
            (str(error), error.advice, "Or look at your neighbour's, with their bank."),
        )
    return Card(
        "The dashboard", (f"Open {here.settings.dashboard_url} in another tab. It needs some seconds to start.",)
    )


# Breaking


def kill(*programs: str, although_shared: bool = False) -> Card:
    """Ends programs at once, as a power cut would (`kafka`, `mysql`, `taskmanager`, a service of yours), and waits until all is back.

    Where others work on the same stack, theirs would break too: then nothing is killed, and the card says so.
    """
    if trouble := _problem():
        return trouble
    here = world()
    company = breaking.others(here)
    if company and not although_shared and set(programs) & set(breaking.SHARED):
        return Card(
            "Nothing was killed: you are not alone on this stack.",
            (
                f"{', '.join(company)} would lose {' and '.join(programs)}, too. It would come back for all of you, but they would wonder.",
                f"Ask them; then `lab.kill({', '.join(map(repr, programs))}, although_shared=True)`. Or watch one of you do it for all.",
            ),
        )
    took_s = breaking.wait_until_back(here, breaking.kill(here, *programs))
    return Card(f"Killed: {', '.join(programs)}.", (f"All of it runs again, after {took_s:.0f} seconds.",))


def paying_bank(*, rate: float = 60, users: int = 1000, fraud_every_s: float = 0.6, seed: int = 5) -> Any:
    """A bank that goes on paying in a process of its own, for a `with` statement; its counts are there at the end."""
    return breaking.paying_bank(world(), rate=rate, users=users, fraud_every_s=fraud_every_s, seed=seed)


def verify() -> Card:
    """Recomputes from MySQL what must have been found, and compares: nothing missing, nothing extra, nothing twice."""
    from fraudlab.verification.verify import verify as verify_system

    if trouble := _problem():
        return trouble
    verdict = verify_system(world().settings)
    counts = verdict.counts
    lines = [
        f"{counts.payments:,} payments; {counts.expected_activities:,} activities must be there, {counts.activities:,} are; "
        f"{counts.redelivered:,} records came twice.",
        f"{counts.declined_payments:,} payments refused, {counts.notifications:,} messages sent, {counts.dead_letters:,} dead letters.",
        *(f"Skipped on purpose: {one.place}: {one.consequence}." for one in verdict.skipped),
    ]
    if verdict.nothing:
        return Card("Nothing to verify: no payment was made, and no activity is there.", (), sign="·", colour="#57606a")
    if verdict.exact:
        return Card("EXACT: nothing missing, nothing extra, nothing twice.", tuple(lines), sign="✔", colour="#1a7f37")
    findings = {kind.replace("_", " "): found for kind, found in verdict.by_kind.items() if found}
    wrong = [f"{len(found)} {kind}: {found[0].id}, {found[0].problem}" for kind, found in findings.items()]
    if verdict.unsettled:
        wrong.append(f"Still on its way: {verdict.unsettled}.")
    return Card("NOT EXACT", (*wrong, *lines), sign="✘", colour="#b35900")


def checkpoints() -> pd.DataFrame:
    """Your jobs' checkpoints: how many, how large, how slow, and from which a job was restored."""
    return breaking.checkpoints(world())


def stop_with_savepoint(name: str) -> str:
    """Stops a job of yours after a savepoint, and gives the savepoint's place."""
    return breaking.stop_with_savepoint(world(), name)


def create_topic(name: str) -> str:
    """Makes an empty topic of your own, and gives its full name."""
    return breaking.create_topic(world(), name)


def race(readers: dict[str, tuple[str, str]], seconds: float = 6) -> pd.DataFrame:
    """How long payments take from the bank's commit to each reader, a (topic, isolation) each, in ms."""
    return breaking.race(world(), readers, seconds)


# Jobs of your own


def environments() -> Any:
    """Where a job of yours is written: the environment of the DataStream API and that of SQL, on the running cluster."""
    return own_jobs.environments(world())


def read_payments(tables: Any, *, delay_minutes: int, bounded: bool) -> None:
    """Makes the tables `transaction_mid` and `payments` (amounts in EUR cents), with event time and a watermark so far behind.

    A `bounded` job ends with what is in the topic now; then the last watermark closes every window.
    """
    own_jobs.read_payments(world(), tables, delay_minutes=delay_minutes, bounded=bounded)


def sql(tables: Any, statement: str) -> None:
    """Runs a statement that defines something; `${rates}`, `${min_countries}` and `${threshold_eur}` are filled in."""
    own_jobs.sql(world(), tables, statement)


def watch(tables: Any, what: Any, name: str) -> LiveQuery:
    """Runs a query, or a data stream whose rows have names, as a job of this name, and lets you watch what comes out."""
    return own_jobs.watch(world(), tables, what, name)


def keyed_transactions(tables: Any) -> Any:
    """The records of `transaction_mid` as the detector reads them: strings `partition:offset:value`, keyed by user."""
    return own_jobs.keyed_transactions(world(), tables)


def write_records(tables: Any, rows: Any) -> None:
    """Sends rows `(topic, key, value)` into the topics `suspicious_activities` and `dead_letters`."""
    own_jobs.write_records(world(), tables, rows, [names().suspicious_activities, names().dead_letters])


def payments() -> pd.DataFrame:
    """Every payment, with its worth in EUR, both of its times, and its label (None: honest)."""
    return own_jobs.payments(world())


def activities(user_id: int | None = None, at_least: int = 0, topic: str = "suspicious_activities") -> pd.DataFrame:
    """The activities found, or those of one user; waits until there are `at_least` so many."""
    return own_jobs.activities(world(), user_id, at_least, topic)


def largest_hours() -> pd.DataFrame:
    """For each customer of the bank who paid in two countries within an hour: the most that such an hour held; robbed or not."""
    return own_jobs.largest_hours(world())


def read_rules(tables: Any, topic: str) -> Any:
    """A topic of your own as a stream of strings, from its beginning."""
    return own_jobs.read_rules(world(), tables, topic)


def send(topic: str, value: dict[str, Any]) -> None:
    """Writes a record, as JSON, to a topic of your own."""
    own_jobs.send(world(), topic, value)


def trade_off(score: Any, thresholds: Any) -> pictures.Picture:
    """Draws what `score(threshold)` gives, precision and recall, for each of the thresholds."""
    points = []
    for threshold in thresholds:
        precision, recall = score(threshold)
        points.append((float(threshold), float(precision), float(recall)))
    return pictures.trade_off(points)


def minutes_since_full_hour() -> float:
    """How long ago the clock struck: the last full hour that lies three minutes back or more."""
    now = datetime.now(UTC)
    return (now - (now - timedelta(minutes=3)).replace(minute=0, second=0, microsecond=0)) / timedelta(minutes=1)


def windows(user_id: int, table: pd.DataFrame) -> pictures.Picture:
    """A user's payments on a time line, and the windows of a table (`kind`, `start` and `end` in ms, `suspicious`) below them."""
    bars = [
        pictures.Bar(str(row.kind), _moment(row.start), _moment(row.end), bool(row.suspicious))
        for row in table.itertuples()
    ]
    return pictures.windows(f"User {user_id}", _dots(user_id), bars)


def _moment(time_ms: Any) -> datetime:
    return datetime.fromtimestamp(int(time_ms) / 1000, UTC).replace(tzinfo=None)


def _dots(user_id: int) -> list[pictures.Dot]:
    rows = world().rows(
        "SELECT transaction_time, country, amount, currency FROM transactions WHERE user_id = %s", int(user_id)
    )
    return [
        pictures.Dot(row["transaction_time"], row["country"], in_eur(row["amount"], row["currency"])) for row in rows
    ]


def pretty(value: str | None) -> None:
    """Prints JSON text with a line for each field."""
    print("null" if value is None else json.dumps(json.loads(value), indent=2, ensure_ascii=False))


def _problem() -> Card | None:
    problem = world().problem()
    return cards.down(*problem) if problem else None
