"""Lab 00, Start here: streams, the stack, a first streaming query."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fraudlab.course import live
from fraudlab.course.exercise import (
    AnswerFailed,
    Example,
    Exercise,
    Lab,
    Verdict,
    not_yet,
    nothing_to_observe,
    right,
    wrong,
)
from fraudlab.course.world import World

# 00.1

TASKS = {
    "refuse the next payment of a stolen card": (
        "stream",
        "A batch that runs tonight would refuse tomorrow's payment: the thief pays again within seconds.",
    ),
    "print the statement of last year": (
        "batch",
        "Last year is complete. Nothing arrives any more, so there is nothing to wait for.",
    ),
    "warn when a machine gets hotter than usual": (
        "stream",
        "A warning is worth something while the machine can still be stopped.",
    ),
    "show the customer where the parcel is now": (
        "stream",
        "`now` is the word that matters: each scan of the parcel changes the answer.",
    ),
    "compare the sales of two finished quarters": (
        "batch",
        "Both quarters are finished. One pass over stored data answers it.",
    ),
}


def judge_sorting(_observed: None, answer: Mapping[str, str]) -> Verdict:
    """Each task must be sorted as in `TASKS`."""
    missing = [task for task in TASKS if task not in answer]
    if missing:
        return wrong("A task is missing.", found=f"{len(answer)} tasks", expected=f"also one named {missing[0]!r}")
    unknown = sorted({str(value) for value in answer.values()} - {"stream", "batch"})
    if unknown:
        return wrong(
            "Only two words are asked for.", found=", ".join(unknown), expected='"stream" or "batch" for each task'
        )
    for task, (kind, why) in TASKS.items():
        if answer[task] != kind:
            return wrong(
                f"{why}",
                found=f"{answer[task]!r} for {task!r}",
                expected="the way that answers in time, with least effort",
            )
    return right("What must be answered while it happens is a stream; what is complete can wait for a batch.")


_SORTED = {task: kind for task, (kind, _) in TASKS.items()}

SORTING = Exercise(
    number="00.1",
    title="Stream or batch?",
    task="say for each of the five tasks whether it is work for a stream or for a batch.",
    hints=(
        "Ask of each task: is an answer tomorrow morning still worth something?",
        "Two of the five speak of a time that is over. Their data is complete.",
        "The statement and the comparison are batches. The other three lose their worth within seconds or minutes.",
    ),
    shape='a dictionary with "stream" or "batch" for each task',
    observe=nothing_to_observe,
    judge=judge_sorting,
    right=[Example((dict(reversed(_SORTED.items())),))],
    wrong=[
        Example((dict.fromkeys(_SORTED, "stream"),), says=TASKS["print the statement of last year"][1]),
        Example((dict.fromkeys(_SORTED, "batch"),), says=TASKS["refuse the next payment of a stolen card"][1]),
        Example(
            (_SORTED | {"compare the sales of two finished quarters": "stream"},),
            says=TASKS["compare the sales of two finished quarters"][1],
        ),
        Example((_SORTED | {"print the statement of last year": "nightly"},), says="Only two words are asked for."),
        Example((dict(list(_SORTED.items())[:4]),), says="A task is missing."),
        Example((["stream"],), says="A task is missing."),
        Example((5,), says="The check cannot read this answer."),
    ],
)


# 00.2


@dataclass(frozen=True, slots=True)
class Slots:
    """Task slots of the cluster."""

    free: int
    total: int


SLOTS_A_LEARNER = 4
"""Three for the jobs of the system, one for a query."""


def judge_slots(observed: Slots, answer: int | str) -> Verdict:
    """How many times four slots there are."""
    number = float(answer)
    expected = "how many times the slots of one person fit into all slots of the cluster"
    if number == observed.total // SLOTS_A_LEARNER:
        return right("A job needs a task slot for as long as it runs. When none is free, the next job waits.")
    for mistaken, sentence in (
        (observed.total, "Those are all slots. One person alone needs several of them."),
        (
            observed.total / SLOTS_A_LEARNER,
            "A part of a person needs no slots: what is left over is too little for one more.",
        ),
        (observed.total // (SLOTS_A_LEARNER - 1), "The query needs a slot, too: four for each person, not three."),
        (
            observed.free // SLOTS_A_LEARNER,
            "That counts the free slots only. You are one of these people, and your query holds one already.",
        ),
    ):
        if number == mistaken:
            return wrong(sentence, found=answer, expected=expected)
    if number == observed.free:
        return wrong("Those are the free slots. Your query holds one already.", found=answer, expected=expected)
    return wrong("Another number of people fits.", found=answer, expected=expected)


SLOTS = Exercise(
    number="00.2",
    title="How much room is there?",
    task="work out how many people could work on this cluster at the same time, when each runs three jobs and a query.",
    hints=(
        "Two numbers are needed: the slots of one person, and all slots of the cluster, free or not.",
        '`lab.start("00")` shows the address of Flink\'s web page. On its first page stands `Total Task Slots`, under a large number.',
        "Three jobs and a query are four slots. Divide all slots by four, and forget what is left over.",
    ),
    shape="a whole number",
    observe=lambda world, _answer: Slots(*world.slots()),
    judge=judge_slots,
    right=[Example((3.0,), Slots(11, 12)), Example(("3",), Slots(13, 14)), Example((2,), Slots(1, 8))],
    wrong=[
        Example((12,), Slots(11, 12), "Those are all slots. One person alone needs several of them."),
        Example((11,), Slots(11, 12), "Those are the free slots. Your query holds one already."),
        Example((4,), Slots(11, 12), "The query needs a slot, too: four for each person, not three."),
        Example(
            (2,),
            Slots(11, 12),
            "That counts the free slots only. You are one of these people, and your query holds one already.",
        ),
        Example(
            (3.5,), Slots(13, 14), "A part of a person needs no slots: what is left over is too little for one more."
        ),
        Example((7,), Slots(11, 12), "Another number of people fits."),
        Example(("three",), Slots(11, 12), "The check cannot read this answer."),
    ],
)


# 00.3

COUNTRIES_QUERY = "exercise-00-3"
_running: dict[str, live.LiveQuery] = {}

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Countries:
    """The query's answer so far, and what MySQL says: country to (payments, users), and the payments in all."""

    columns: tuple[str, ...]
    rows: Rows
    truth: Mapping[str, tuple[int, int]]


def observe_countries(world: World, query: str) -> Countries:
    """Starts the learner's query, where it does not run yet, and looks at its answer."""
    running = _running.get(query)
    if running is None or not any(job.name == COUNTRIES_QUERY for job in world.jobs()):
        try:
            running = live.stream(world, query, COUNTRIES_QUERY)
        except Exception as error:
            raise AnswerFailed(f"Flink does not accept this query: {live.reason(error)}") from error
        _running.clear()
        _running[query] = running
    truth = world.rows(
        "SELECT country, COUNT(*) AS payments, COUNT(DISTINCT user_id) AS users FROM transactions GROUP BY country"
    )
    return Countries(
        tuple(running.columns), running.rows(), {row["country"]: (row["payments"], row["users"]) for row in truth}
    )


def judge_countries(observed: Countries, _query: str) -> Verdict:
    """Rows (country, payments, users), in any order, must be MySQL's."""
    truth = observed.truth
    if len(observed.columns) != 3:
        return wrong(
            "The answer needs three columns.", found=f"columns {', '.join(observed.columns)}", expected=_THREE_COLUMNS
        )
    rows = {row[0]: (row[1], row[2]) for row in observed.rows}
    payments = sum(one[0] for one in truth.values())
    if rows == truth:
        return right("Your query runs for ever, and its answer is what MySQL says at this moment.")
    if any(not isinstance(one[0], int) for one in rows.values()):
        return wrong(
            "The second column is no count: it adds up or shows what is in the payments, instead of counting them.",
            found=f"{next(iter(rows.values()))[0]!r} for {next(iter(rows))!r}",
            expected=_THREE_COLUMNS,
        )
    arrived = sum(one[0] for one in rows.values())
    if not rows:
        return not_yet(f"The query has counted 0 of {payments:,} payments so far.")
    mistake = _mistake(rows, truth, arrived)
    if arrived < payments:
        return not_yet(f"The query has counted {arrived:,} of {payments:,} payments so far.", at_rest=mistake)
    return mistake


_THREE_COLUMNS = "a row for each country: the country, how many payments, how many different users"


def _mistake(rows: Mapping[Any, tuple[Any, Any]], truth: Mapping[str, tuple[int, int]], arrived: int) -> Verdict:
    """What is wrong with a query that has read all payments."""
    payments = sum(one[0] for one in truth.values())
    if {key: (b, a) for key, (a, b) in rows.items()} == truth:
        return wrong(
            "The second and the third column are the wrong way round.",
            found="users, then payments",
            expected=_THREE_COLUMNS,
        )
    if not set(rows) <= set(truth):
        return wrong(
            "The payments are not grouped by the country they were made in.",
            found=f"a group {sorted(map(str, set(rows) - set(truth)))[0]!r}",
            expected=_THREE_COLUMNS,
        )
    if all(a == b for a, b in rows.values()) and {key: a for key, (a, _) in rows.items()} == {
        key: a for key, (a, _) in truth.items()
    }:
        return wrong(
            "The third column counts payments again: somebody who paid twice is still one user.",
            found="as many users as payments in every country",
            expected=_THREE_COLUMNS,
        )
    if {key: a for key, (a, _) in rows.items()} == {key: b for key, (_, b) in truth.items()}:
        return wrong(
            "The second column counts users: somebody who paid twice has made two payments.",
            found="as many payments as there are users",
            expected=_THREE_COLUMNS,
        )
    if arrived < payments:
        return wrong(
            "The query leaves payments out: nothing was asked for but all of them.",
            found=f"{arrived:,} of {payments:,} payments, and nothing more comes",
            expected=_THREE_COLUMNS,
        )
    return wrong(
        "These are not the counts by country.",
        found=f"{len(rows)} groups, {arrived:,} payments",
        expected=_THREE_COLUMNS,
    )


_TRUTH = {"DE": (7, 3), "FR": (4, 4), "US": (2, 1)}
_COLUMNS = ("country", "payments", "users")


def _seen(rows: Rows, columns: tuple[str, ...] = _COLUMNS) -> Countries:
    return Countries(columns, rows, _TRUTH)


COUNTRIES = Exercise(
    number="00.3",
    title="A streaming query of your own",
    task="write a query that gives for each country the number of payments and the number of different users.",
    hints=(
        "Begin with the query above, and put `country` where it says `type`.",
        "A third column is needed. `COUNT(user_id)` counts payments again; `COUNT(DISTINCT …)` counts each value once.",
        "`SELECT country, COUNT(*) AS payments, COUNT(DISTINCT …) AS users FROM transactions GROUP BY …`",
    ),
    shape="a query in SQL, as text",
    observe=observe_countries,
    judge=judge_countries,
    right=[
        Example(
            ("SELECT country, COUNT(1), COUNT(DISTINCT user_id) FROM transactions GROUP BY country",),
            _seen([("US", 2, 1), ("DE", 7, 3), ("FR", 4, 4)], ("country", "EXPR$1", "EXPR$2")),
        ),
    ],
    wrong=[
        Example(
            ("SELECT country, COUNT(*), COUNT(user_id) …",),
            _seen([("DE", 7, 7), ("FR", 4, 4), ("US", 2, 2)]),
            "The third column counts payments again: somebody who paid twice is still one user.",
        ),
        Example(
            ("SELECT currency, …",),
            _seen([("EUR", 11, 5), ("USD", 2, 1)]),
            "The payments are not grouped by the country they were made in.",
        ),
        Example(
            ("SELECT country, COUNT(DISTINCT user_id), COUNT(*) …",),
            _seen([("DE", 3, 7), ("FR", 4, 4), ("US", 1, 2)]),
            "The second and the third column are the wrong way round.",
            at_rest=True,
        ),
        Example(
            ("SELECT country, COUNT(*) …",),
            _seen([("DE", 7)], ("country", "payments")),
            "The answer needs three columns.",
        ),
        Example(
            ("SELECT country, COUNT(*) + 1, …",),
            _seen([("DE", 8, 3), ("FR", 5, 4), ("US", 3, 1)]),
            "These are not the counts by country.",
        ),
        Example(
            ("SELECT country, SUM(amount), COUNT(DISTINCT user_id) …",),
            _seen([("DE", Decimal("71.50"), 3), ("FR", Decimal(40), 4), ("US", Decimal("9.99"), 1)]),
            "The second column is no count: it adds up or shows what is in the payments, instead of counting them.",
        ),
        Example(
            ("SELECT country, COUNT(DISTINCT user_id), COUNT(DISTINCT user_id) …",),
            _seen([("DE", 3, 3), ("FR", 4, 4), ("US", 1, 1)]),
            "The second column counts users: somebody who paid twice has made two payments.",
            at_rest=True,
        ),
        Example(
            ("SELECT currency, … WHERE type = 'online'",),
            _seen([("EUR", 8, 5), ("USD", 1, 1)]),
            "The payments are not grouped by the country they were made in.",
            at_rest=True,
        ),
        Example(
            ("… WHERE type <> 'atm' GROUP BY country",),
            _seen([("DE", 6, 3), ("FR", 4, 4), ("US", 2, 1)]),
            "The query leaves payments out: nothing was asked for but all of them.",
            at_rest=True,
        ),
        Example(
            ("SELECT country, COUNT(*), COUNT(DISTINCT user_id) …",),
            _seen([]),
            "The query has counted 0 of 13 payments so far.",
        ),
    ],
    patience_s=40,
)


LAB = Lab(number="00", name="start-here", title="Start here", exercises=(SORTING, SLOTS, COUNTRIES))
