"""Answers to Lab 00, Start here: right and wrong ones. Only tests and `fraudlab course check` load them."""

from decimal import Decimal

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab00.checks import TASKS, Countries, Rows, Slots

# 00.1

_SORTED = {task: kind for task, (kind, _) in TASKS.items()}

SORTING = Answers(
    right=[Example((dict(reversed(_SORTED.items())),))],
    wrong=[
        Example((dict.fromkeys(_SORTED, "stream"),), mistake="last_year_is_complete"),
        Example((dict.fromkeys(_SORTED, "batch"),), mistake="refused_tomorrow"),
        Example((_SORTED | {"compare the sales of two finished quarters": "stream"},), mistake="quarters_are_finished"),
        Example((_SORTED | {"warn when a machine gets hotter than usual": "batch"},), mistake="warned_too_late"),
        Example((_SORTED | {"show the customer where the parcel is now": "batch"},), mistake="parcel_of_yesterday"),
        Example((_SORTED | {"print the statement of last year": "nightly"},), mistake="unknown_word"),
        Example((dict(list(_SORTED.items())[:4]),), mistake="task_missing"),
        Example((["stream"],), mistake="task_missing"),
        Example((5,), mistake="unreadable"),
    ],
    equivalent={
        "sorting = dict(zip(sorting, ['stream', 'batch', 'stream', 'stream', 'batch'], strict=False))": "both have five",
    },
)


# 00.2

SLOTS = Answers(
    right=[Example((3.0,), Slots(11, 12)), Example(("3",), Slots(13, 14)), Example((2,), Slots(1, 8))],
    wrong=[
        Example((12,), Slots(11, 12), "all_slots"),
        Example((11,), Slots(11, 12), "free_slots"),
        Example((4,), Slots(11, 12), "query_forgotten"),
        Example((2,), Slots(11, 12), "free_slots_only"),
        Example((3.5,), Slots(13, 14), "part_of_a_person"),
        Example((7,), Slots(11, 12), "other_number"),
        Example(("three",), Slots(11, 12), "unreadable"),
    ],
    mutants=False,
)


# 00.3

_TRUTH = {"DE": (7, 3), "FR": (4, 4), "US": (2, 1)}
_COLUMNS = ("country", "payments", "users")


def _seen(rows: Rows, columns: tuple[str, ...] = _COLUMNS) -> Countries:
    return Countries(columns, rows, _TRUTH)


COUNTRIES = Answers(
    right=[
        Example(
            ("SELECT country, COUNT(1), COUNT(DISTINCT user_id) FROM transactions GROUP BY country",),
            _seen([("US", 2, 1), ("DE", 7, 3), ("FR", 4, 4)], ("country", "EXPR$1", "EXPR$2")),
        )
    ],
    wrong=[
        Example(
            ("SELECT country, COUNT(*), COUNT(user_id) …",),
            _seen([("DE", 7, 7), ("FR", 4, 4), ("US", 2, 2)]),
            "payments_for_users",
        ),
        Example(("SELECT currency, …",), _seen([("EUR", 11, 5), ("USD", 2, 1)]), "other_groups"),
        Example(
            ("SELECT country, COUNT(DISTINCT user_id), COUNT(*) …",),
            _seen([("DE", 3, 7), ("FR", 4, 4), ("US", 1, 2)]),
            "columns_swapped",
            at_rest=True,
        ),
        Example(("SELECT country, COUNT(*) …",), _seen([("DE", 7)], ("country", "payments")), "three_columns"),
        Example(
            ("SELECT country, COUNT(*) + 1, …",), _seen([("DE", 8, 3), ("FR", 5, 4), ("US", 3, 1)]), "other_counts"
        ),
        Example(
            ("SELECT country, SUM(amount), COUNT(DISTINCT user_id) …",),
            _seen([("DE", Decimal("71.50"), 3), ("FR", Decimal(40), 4), ("US", Decimal("9.99"), 1)]),
            "sum_for_count",
        ),
        Example(
            ("SELECT country, COUNT(DISTINCT user_id), COUNT(DISTINCT user_id) …",),
            _seen([("DE", 3, 3), ("FR", 4, 4), ("US", 1, 1)]),
            "users_for_payments",
            at_rest=True,
        ),
        Example(
            ("SELECT currency, … WHERE type = 'online'",),
            _seen([("EUR", 8, 5), ("USD", 1, 1)]),
            "other_groups",
            at_rest=True,
        ),
        Example(
            ("… WHERE type <> 'atm' GROUP BY country",),
            _seen([("DE", 6, 3), ("FR", 4, 4), ("US", 2, 1)]),
            "payments_left_out",
            at_rest=True,
        ),
        Example(("SELECT country, COUNT(*), COUNT(DISTINCT user_id) …",), _seen([]), waits="0 of 13 payments"),
    ],
    mutants=False,
)

ANSWERS = {"00.1": SORTING, "00.2": SLOTS, "00.3": COUNTRIES}
