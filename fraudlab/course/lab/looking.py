"""Looking at the pipeline: records, what is found at each stage, and pictures of it."""

import ast
import inspect
import json
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from fraudlab.course import flow_picture as pulse_counter
from fraudlab.course import pictures
from fraudlab.course.cards import Card
from fraudlab.course.live import LiveQuery
from fraudlab.course.pictures import Picture
from fraudlab.course.workspace import Workspace, in_eur, partition_of, wait_until
from fraudlab.errors import UserError


def topic(workspace: Workspace, name: str, last: int = 5) -> pd.DataFrame:
    """Shows the newest records of a topic: at most `last` of each partition, by partition and offset.

    Example:
        lab.topic("transaction_mid", last=2)
    """
    records = workspace.records(name, last)
    rows = [(one.partition, one.offset, one.key, one.value) for one in records]
    return pd.DataFrame(rows, columns=["partition", "offset", "key", "value"])


def envelopes(workspace: Workspace, name: str = "transactions", last: int = 3, *, key: object = None) -> pd.DataFrame:
    """Shows the newest Debezium envelopes of a topic side by side; with `key`, only those of this user.

    Returns:
        A column per envelope, named `partition:offset`. The rows are `op`, then each column of the table before and after the
        change.

    Example:
        lab.envelopes("user_profile", key=ada)
    """
    records = [one for one in workspace.records(name) if one.value and (key is None or one.key == str(key))]
    newest = sorted(records, key=lambda one: (one.json["source"]["ts_ms"], one.json["ts_ms"], one.offset))[-last:]
    columns = {}
    for one in newest:
        envelope = one.json
        fields = {"op": envelope["op"]}
        for side in ("before", "after"):
            fields |= {f"{side}.{field}": value for field, value in (envelope[side] or {}).items()}
        columns[f"{one.partition}:{one.offset}"] = fields
    return pd.DataFrame(columns).fillna("")


def wait_for_records(workspace: Workspace, topic: str, count: int, deadline_s: float = 90) -> int:
    """Waits until a topic has at least `count` records.

    Returns:
        How many records were ever written to it.

    Raises:
        Late: They don't arrive before the deadline.

    Example:
        lab.wait_for_records("transaction_mid", 400)
    """
    return wait_until(
        lambda: found if (found := workspace.count(topic)) >= count else None,
        f"{count:,} records in {topic!r}",
        deadline_s,
    )


def joined(workspace: Workspace, user_id: int, *, payments: int = 0, records: int = 0) -> pd.DataFrame:
    """Shows a user's records in `transaction_mid`, in order. A tombstone is an empty row.

    Waits until at least `payments` different payments have the user's name, and until there are at least `records` records.

    Returns:
        A row per record. Payments are numbered in the order in which the bank stored them.

    Example:
        lab.joined(ada, payments=2)
    """
    fields = ("user_first_name", "user_email", "user_suspicious_activity", "transaction_amount")

    def arrived() -> list[Any] | None:
        found = [one.json for one in workspace.records("transaction_mid") if one.key == str(int(user_id))]
        named = {one["transaction_id"] for one in found if one and one["user_first_name"]}
        return [found] if len(named) >= payments and len(found) >= records else None

    (found,) = wait_until(arrived, f"{payments} payments and {records} records of user {user_id} are joined")
    numbers = sorted({one["transaction_id"] for one in found if one})
    rows = [
        (str(numbers.index(one["transaction_id"]) + 1), *(one[field] for field in fields)) if one else ("",) * 5
        for one in found
    ]
    return pd.DataFrame(rows, columns=["payment", *fields]).fillna("NULL")


def flow(workspace: Workspace) -> pd.DataFrame:
    """Counts the rows and records at each stage of the pipeline, from the bank to the refused payment."""
    stages: list[tuple[str, str, int]] = [
        ("the bank", f"table {name}", int(workspace.value(f"SELECT COUNT(*) AS n FROM {name}")))  # noqa: S608
        for name in ("user_profile", "transactions")
    ]
    topics = {
        "captured": ("user_profile", "transactions"),
        "joined": ("transaction_mid",),
        "detected": ("suspicious_activities",),
        "unusable": ("dead_letters",),
    }
    stages += [(stage, f"topic {name}", workspace.count(name)) for stage, group in topics.items() for name in group]
    stopped = workspace.value("SELECT COUNT(*) AS n FROM user_profile WHERE suspicious_activities")
    refused = workspace.value("SELECT COUNT(*) AS n FROM declined_transactions")
    stages += [("acted on", "accounts stopped", int(stopped)), ("acted on", "payments refused", int(refused))]
    return pd.DataFrame(stages, columns=["stage", "place", "count"])


def pulse(workspace: Workspace, *stages: str, seconds: float = 10) -> None:
    """Draws how many records per second come through each stage, for some seconds.

    The stages are `payments`, `joined`, `activities` and `refused`; without any, all of them. The picture is redrawn in its place. Its
    text alternative says the same in words.

    Example:
        lab.pulse("payments", "activities", seconds=20)
    """
    from IPython.display import DisplayHandle

    with pulse_counter.counting(workspace, stages or pulse_counter.STAGES) as count:
        shown: list[DisplayHandle] = []

        def show(picture: Picture) -> None:
            if shown:
                shown[0].update(picture)
            else:
                shown.append(DisplayHandle())
                shown[0].display(picture)

        pulse_counter.watch(count, seconds, show)


def lanes(workspace: Workspace, user_id: int, key: str = "user_id") -> Picture:
    """Draws the partitions of `transactions` with a user's payments in them. With another `key`, it draws where they would be.

    Example:
        lab.lanes(ada, key="country")
    """
    mine = [one for one in workspace.records("transactions") if one.key == str(int(user_id)) and one.value]
    payments = {one.json["after"]["transaction_id"]: one for one in mine if one.json["after"]}
    partitions: list[list[int]] = [[] for _ in range(workspace.partitions("transactions"))]
    for number, (_, one) in enumerate(sorted(payments.items()), 1):
        where = one.partition if key == "user_id" else partition_of(str(one.json["after"][key]), len(partitions))
        partitions[where].append(number)
    return pictures.lanes(f"Payments of user {user_id}, keyed by {key}", partitions)


def window(workspace: Workspace, user_id: int) -> Picture:
    """Draws a user's payments on a time line, with the most interesting hour: most countries, then most money.

    A payment that came too late is hollow, and in no hour: the detector doesn't count it, either.

    Example:
        lab.window(ada)
    """
    return pictures.window(f"User {user_id}", _dots(workspace, user_id), timedelta(seconds=workspace.settings.window_s))


def windows(workspace: Workspace, user_id: int, table: pd.DataFrame) -> Picture:
    """Draws a user's payments on a time line, and below them the windows of a table.

    Args:
        user_id: The user.
        table: A row per window: `kind`, `start` and `end` (ms since the epoch), `suspicious`.

    Example:
        lab.windows(ada, boxes)
    """
    bars = [
        pictures.Bar(str(row.kind), _moment(row.start), _moment(row.end), bool(row.suspicious))
        for row in table.itertuples()
    ]
    return pictures.windows(f"User {user_id}", _dots(workspace, user_id), bars)


def steal(
    workspace: Workspace,
    query: LiveQuery,
    user_id: int,
    amount: str,
    currency: str,
    country: str,
    *,
    rules_eur: tuple[int, int] = (1000, 1000),
) -> Picture:
    """Pays with an account's card, and measures how long a running query takes to say something new about the account.

    Args:
        query: A running query with a column `user_id`.
        user_id: Whose card it is.
        amount: As text, in units of the currency.
        currency: Its three letters.
        country: The country's two letters.
        rules_eur: The threshold before the payment, and the one that holds now.

    Returns:
        A picture of the account before and after the payment.

    Raises:
        Late: The query says nothing new about the account.

    Example:
        lab.steal(suspects, ada, "200.00", "EUR", "FR")
    """
    user_id = int(user_id)

    def said() -> list[tuple[Any, ...]]:
        place = query.columns.index("user_id")
        return [row for row in query.rows() if row[place] == user_id]

    def paid() -> list[tuple[str, Decimal]]:
        return [(dot.country, dot.amount_eur) for dot in _dots(workspace, user_id)]

    known, had = said(), paid()
    result = workspace.pay(user_id, amount, currency, country)
    if result.refused:
        raise UserError(f"The bank refused the payment: {result.refused}.", "Open another account.")
    since = time.monotonic()
    wait_until(lambda: said() != known, f"`{query.name}` says something new about user {user_id}")
    passed = time.monotonic() - since
    before, after = (Decimal(one) for one in rules_eur)
    return pictures.before_after(
        f"User {user_id}",
        pictures.Panel("before", had, before, bool(known), "in the answer" if known else "not in the answer"),
        pictures.Panel(
            "after one more payment", paid(), after, bool(said()), f"in the answer {passed:.1f} s after the payment"
        ),
    )


def trade_off(score: Callable[[Any], tuple[Any, Any]], thresholds: Iterable[Any]) -> Picture:
    """Draws precision and recall for each of several thresholds.

    Args:
        score: Your function: takes a threshold, returns precision and recall.
        thresholds: The thresholds to try.

    Example:
        lab.trade_off(score, range(0, 8001, 50))
    """
    points = []
    for threshold in thresholds:
        precision, recall = score(threshold)
        points.append((float(threshold), float(precision), float(recall)))
    return pictures.trade_off(points)


def show(thing: Any, part: str = "") -> Card:
    """Shows the source code of a function or class of the pipeline, with the numbers of its lines.

    Args:
        thing: The function or class.
        part: The beginning of a line, to see only the statement that begins there: a loop, a `try`, a condition.

    Raises:
        UserError: No statement begins like `part`.

    Example:
        from fraudlab.pipeline import rule
        lab.show(rule.judge)
    """
    thing = inspect.unwrap(thing)  # a helper of `lab` is bound to the workspace
    lines, first = inspect.getsourcelines(thing)
    source = textwrap.dedent("".join(lines))
    if part:
        begin, end = _statement(source, part, thing.__name__)
        source = textwrap.dedent("".join(source.splitlines(keepends=True)[begin - 1 : end]))
        first += begin - 1
    return Card(f"{Path(inspect.getfile(thing)).name}: {thing.__name__}", code=source.rstrip("\n"), first_line=first)


def _statement(source: str, part: str, name: str) -> tuple[int, int]:
    """The first and the last line of the first statement that begins with these words."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and lines[node.lineno - 1].lstrip().startswith(part):
            return node.lineno, node.end_lineno or node.lineno
    raise UserError(f"No statement of `{name}` begins with `{part}`.", f"`lab.show({name})` shows all of it.")


def pretty(value: str | None) -> None:
    """Prints a record's JSON with one field per line.

    Example:
        lab.pretty(lab.topic("transaction_mid")["value"].iloc[-1])
    """
    print("null" if value is None else json.dumps(json.loads(value), indent=2, ensure_ascii=False))


def minutes_since_full_hour() -> float:
    """Returns how many minutes ago the last full hour was.

    In the first three minutes of an hour it takes the hour before: 62.5 instead of 2.5.

    Example:
        lab.pay(ada, "600.00", "EUR", "DE", minutes_ago=lab.minutes_since_full_hour() + 1)
    """
    now = datetime.now(UTC)
    return (now - (now - timedelta(minutes=3)).replace(minute=0, second=0, microsecond=0)) / timedelta(minutes=1)


def _moment(time_ms: Any) -> datetime:
    return datetime.fromtimestamp(int(time_ms) / 1000, UTC).replace(tzinfo=None)


def _dots(workspace: Workspace, user_id: int) -> list[pictures.Dot]:
    rows = workspace.rows(
        "SELECT transaction_time, country, amount, currency FROM transactions WHERE user_id = %s ORDER BY transaction_id",
        int(user_id),
    )
    dots = [
        pictures.Dot(row["transaction_time"], row["country"], in_eur(row["amount"], row["currency"])) for row in rows
    ]
    return with_latecomers(dots, timedelta(seconds=workspace.settings.allowed_lateness_s))


def with_latecomers(dots: Sequence[pictures.Dot], lateness: timedelta) -> list[pictures.Dot]:
    """The payments, in the order in which they arrived; those that were later than the allowed lateness are marked."""
    found: list[pictures.Dot] = []
    for dot in dots:
        newest = max((one.time for one in found if not one.too_late), default=dot.time)
        found.append(replace(dot, too_late=dot.time < newest - lateness))
    return found
