"""Lab 00, Start here: streams, the stack, a first streaming query."""

from collections.abc import Mapping
from dataclasses import dataclass
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


def judge_slots(observed: Slots, answer: int) -> Verdict:
    """The number of all task slots."""
    expected = "the number of all task slots of the cluster, free or not"
    if answer == observed.total:
        return right("A job needs at least one task slot; when none is free, the next job waits.")
    if answer == observed.free:
        return wrong("Those are the free ones. Your running query holds one, too.", found=answer, expected=expected)
    if answer == observed.total - observed.free:
        return wrong("Those are the slots in use.", found=answer, expected=expected)
    if answer == 1:
        return wrong(
            "That is the number of TaskManagers: one process here, with several slots.", found=answer, expected=expected
        )
    return wrong("The cluster has another number of slots.", found=answer, expected=expected)


SLOTS = Exercise(
    number="00.2",
    title="How much room is there?",
    task="look up in Flink's web page how many task slots the cluster has in all.",
    hints=(
        '`lab.start("00")` shows the address of Flink\'s web page. Open it in another tab.',
        "The first page, Overview, has a box named Available Task Slots.",
        "Under the large number of free slots stands `Total Task Slots`. That is the one.",
    ),
    shape="a whole number",
    observe=lambda world, _answer: Slots(*world.slots()),
    judge=judge_slots,
    right=[Example((6.0,), Slots(5, 6)), Example((8,), Slots(4, 8))],
    wrong=[
        Example((5,), Slots(5, 6), "Those are the free ones. Your running query holds one, too."),
        Example((2,), Slots(4, 6), "Those are the slots in use."),
        Example((1,), Slots(4, 6), "That is the number of TaskManagers: one process here, with several slots."),
        Example((3,), Slots(5, 6), "The cluster has another number of slots."),
        Example(("six",), Slots(5, 6), "The cluster has another number of slots."),
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
    expected = "a row for each country: the country, how many payments, how many different users"
    found = f"columns {', '.join(observed.columns)}"
    if len(observed.columns) != 3:
        return wrong("The answer needs three columns.", found=found, expected=expected)
    rows = {row[0]: (row[1], row[2]) for row in observed.rows}
    payments = sum(one[0] for one in truth.values())
    if rows == truth:
        return right("Your query runs for ever, and its answer is what MySQL says at this moment.")
    if rows and {key: (b, a) for key, (a, b) in rows.items()} == truth:
        return wrong("The second and the third column are the wrong way round.", found=found, expected=expected)
    if rows and all(a == b for a, b in rows.values()) and _counted(rows) == payments and set(rows) == set(truth):
        return wrong(
            "The third column counts payments again: somebody who paid twice is still one user.",
            found="as many users as payments in every country",
            expected=expected,
        )
    if rows and not set(rows) <= set(truth) and _counted(rows) == payments:
        example = sorted(map(str, set(rows) - set(truth)))[0]
        return wrong(
            "The payments are not grouped by the country they were made in.",
            found=f"a group {example!r}",
            expected=expected,
        )
    arrived = _counted(rows)
    if arrived < payments:
        return not_yet(f"The query has counted {arrived:,} of {payments:,} payments so far.")
    return wrong(
        "These are not the counts by country.", found=f"{len(rows)} groups, {arrived:,} payments", expected=expected
    )


def _counted(rows: Mapping[Any, tuple[Any, Any]]) -> int:
    return sum(one[0] for one in rows.values() if isinstance(one[0], int))


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
    ],
    patience_s=40,
)


LAB = Lab(number="00", name="start-here", title="Start here", exercises=(SORTING, SLOTS, COUNTRIES))
