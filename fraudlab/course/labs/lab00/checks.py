"""Lab 00, Start here: streams, the stack, a first streaming query."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fraudlab.course import live, walls
from fraudlab.course.exercise import (
    AnswerFailed,
    Exercise,
    Lab,
    Mistake,
    Verdict,
    is_text,
    not_yet,
    nothing_to_observe,
    right,
    word,
    wrong,
)
from fraudlab.course.workspace import Workspace

# 00.1

TASKS = {
    "refuse the next payment of a stolen card": (
        "stream",
        Mistake(
            "refused_tomorrow",
            "A batch that runs tonight would refuse tomorrow's payment: the thief pays again within seconds.",
        ),
    ),
    "print the statement of last year": (
        "batch",
        Mistake(
            "last_year_is_complete",
            "Last year is complete. No more payments will arrive, so there is nothing to wait for.",
        ),
    ),
    "warn when a machine gets hotter than usual": (
        "stream",
        Mistake("warned_too_late", "A warning is only useful while you can still stop the machine."),
    ),
    "show the customer where the parcel is now": (
        "stream",
        Mistake("parcel_of_yesterday", "`now` is the word that matters: each scan of the parcel changes the answer."),
    ),
    "compare the sales of two finished quarters": (
        "batch",
        Mistake("quarters_are_finished", "Both quarters are finished. One pass over stored data answers it."),
    ),
}


def judge_sorting(_observed: None, answer: Mapping[str, str]) -> Verdict:
    """Each task must be sorted as in `TASKS`."""
    missing = [task for task in TASKS if task not in answer]
    if missing:
        return wrong(
            Mistake("task_missing", "A task is missing."),
            found=f"{len(answer)} tasks",
            expected=f"also one named {missing[0]!r}",
        )
    unknown = sorted({str(value) for value in answer.values() if word(value) not in ("stream", "batch")})
    if unknown:
        return wrong(
            Mistake("unknown_word", "Answer with one of two words."),
            found=", ".join(unknown),
            expected='"stream" or "batch" for each task',
        )
    for task, (kind, why) in TASKS.items():
        if word(answer[task]) != kind:
            return wrong(
                why,
                found=f"{answer[task]!r} for {task!r}",
                expected="the way that answers in time with the least effort",
            )
    return right("A stream answers while things happen; complete data can wait for a batch.")


SORTING = Exercise(
    number="00.1",
    title="Stream or batch?",
    task="say for each of the five tasks whether it is work for a stream or for a batch.",
    hints=(
        "Ask of each task: is an answer tomorrow morning still worth something?",
        "Two of the five are about a time that is over. Their data is complete.",
        "The statement and the comparison are batches. The answers to the other three lose their value within seconds or minutes.",
    ),
    shape='a dictionary with "stream" or "batch" for each task',
    observe=nothing_to_observe,
    judge=judge_sorting,
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
    for mistaken, mistake in (
        (observed.total, Mistake("all_slots", "Those are all slots. One person alone needs several of them.")),
        (
            observed.total / SLOTS_A_LEARNER,
            Mistake("part_of_a_person", "A person needs all four slots: what is left over is too little for one more."),
        ),
        (
            observed.total // (SLOTS_A_LEARNER - 1),
            Mistake("query_forgotten", "The query needs a slot, too: four slots a person, not three."),
        ),
        (
            observed.free // SLOTS_A_LEARNER,
            Mistake(
                "free_slots_only",
                "That counts only the free slots. You are one of these people, and your query already holds one.",
            ),
        ),
    ):
        if number == mistaken:
            return wrong(mistake, found=answer, expected=expected)
    if number == observed.free:
        return wrong(
            Mistake("free_slots", "Those are the free slots. Your query already holds one."),
            found=answer,
            expected=expected,
        )
    return wrong(Mistake("other_number", "This is not how many people fit."), found=answer, expected=expected)


SLOTS = Exercise(
    number="00.2",
    title="How much room is there?",
    task="work out how many people could work on this cluster at the same time, when each runs three jobs and a query.",
    hints=(
        "Two numbers are needed: the slots of one person, and all slots of the cluster, free or not.",
        '`lab.start("00")` shows the address of Flink\'s web page. Its first page shows `Total Task Slots`, under a large number.',
        "Three jobs and a query are four slots. Divide all slots by four, and forget what is left over.",
    ),
    shape="a whole number",
    observe=lambda workspace, _answer: Slots(*workspace.slots()),
    judge=judge_slots,
)


# 00.3

COUNTRIES_QUERY = "exercise-00-3"
_running: dict[str, live.LiveQuery] = {}

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Countries:
    """The query's answer so far, and MySQL's: country to (payments, users)."""

    columns: tuple[str, ...]
    rows: Rows
    truth: Mapping[str, tuple[int, int]]


def observe_countries(workspace: Workspace, query: str) -> Countries:
    """Starts the learner's query if it is not running yet, and reads its answer."""
    running = _running.get(query)
    if running is None or not any(job.name == COUNTRIES_QUERY for job in workspace.jobs()):
        try:
            running = live.stream(workspace, query, COUNTRIES_QUERY)
        except Exception as error:
            raise AnswerFailed(f"Flink does not accept this query. {walls.of_flink(str(error), query).line}") from error
        _running.clear()
        _running[query] = running
    truth = workspace.rows(
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
            Mistake("three_columns", "The answer needs three columns."),
            found=f"columns {', '.join(observed.columns)}",
            expected=_THREE_COLUMNS,
        )
    rows = {row[0]: (row[1], row[2]) for row in observed.rows}
    payments = sum(one[0] for one in truth.values())
    if rows == truth:
        return right("Your query never ends, and its answer is what MySQL says right now.")
    if any(not isinstance(one[0], int) for one in rows.values()):
        return wrong(
            Mistake(
                "sum_for_count",
                "The second column is not a count: it adds up or shows values of the payments instead of counting them.",
            ),
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
            Mistake("columns_swapped", "The second and the third column are swapped."),
            found="users, then payments",
            expected=_THREE_COLUMNS,
        )
    if not set(rows) <= set(truth):
        return wrong(
            Mistake("other_groups", "The payments are not grouped by the country they were made in."),
            found=f"a group {sorted(map(str, set(rows) - set(truth)))[0]!r}",
            expected=_THREE_COLUMNS,
        )
    if all(a == b for a, b in rows.values()) and {key: a for key, (a, _) in rows.items()} == {
        key: a for key, (a, _) in truth.items()
    }:
        return wrong(
            Mistake(
                "payments_for_users", "The third column counts payments again: a user who paid twice is still one user."
            ),
            found="as many users as payments in every country",
            expected=_THREE_COLUMNS,
        )
    if {key: a for key, (a, _) in rows.items()} == {key: b for key, (_, b) in truth.items()}:
        return wrong(
            Mistake(
                "users_for_payments", "The second column counts users: a user who paid twice has made two payments."
            ),
            found="as many payments as there are users",
            expected=_THREE_COLUMNS,
        )
    if arrived < payments:
        return wrong(
            Mistake("payments_left_out", "The query leaves payments out: the task is about all of them."),
            found=f"{arrived:,} of {payments:,} payments, and nothing more comes",
            expected=_THREE_COLUMNS,
        )
    return wrong(
        Mistake("other_counts", "These are not the counts by country."),
        found=f"{len(rows)} groups, {arrived:,} payments",
        expected=_THREE_COLUMNS,
    )


COUNTRIES = Exercise(
    number="00.3",
    title="A streaming query of your own",
    task="write a query that gives for each country the number of payments and the number of different users.",
    hints=(
        "Start from the query above, and replace `type` with `country`.",
        "A third column is needed. `COUNT(user_id)` counts payments again; `COUNT(DISTINCT …)` counts each value once.",
        "`SELECT country, COUNT(*) AS payments, COUNT(DISTINCT …) AS users FROM transactions GROUP BY …`",
    ),
    shape="a query in SQL, as text",
    observe=observe_countries,
    judge=judge_countries,
    patience_s=40,
    job=COUNTRIES_QUERY,
    accepts=is_text,
)


LAB = Lab(number="00", name="start-here", title="Start here", exercises=(SORTING, SLOTS, COUNTRIES))
