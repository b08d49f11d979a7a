"""Answers to Lab 03, The SQL join: right and wrong ones. Only tests and `fraudlab course check` load them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab03.checks import JOINS, Flags, Joined, Resent, StoredPayment

# 03.1

_ACCOUNTS = {1: 0, 2: 0, 3: 1}
_DEFINED = "CREATE TABLE user_profile (…)"

FLAG = Answers(
    right=[
        Example((_DEFINED,), Flags({1: 0, 2: 0, 3: 1}, _ACCOUNTS)),
        Example(
            (_DEFINED,), Flags({3: Decimal(1), 2: Decimal(0), 1: Decimal(0)}, _ACCOUNTS)
        ),  # DECIMAL(1, 0), for instance
    ],
    wrong=[
        Example((_DEFINED,), Flags({1: False, 2: False, 3: False}, _ACCOUNTS), "boolean_flag"),
        Example((_DEFINED,), Flags({1: "0", 2: "0", 3: "1"}, _ACCOUNTS), "text_flag"),
        Example((_DEFINED,), Flags({1: None, 2: None, 3: None}, _ACCOUNTS), "empty_flag"),
        Example((_DEFINED,), Flags({}, _ACCOUNTS, has_column=False), "no_column"),
        Example((_DEFINED,), Flags({1: 1, 2: 0, 3: 1}, _ACCOUNTS), "other_flags"),
        Example((_DEFINED,), Flags({1: 0}, _ACCOUNTS), waits="1 of 3 accounts"),
        Example((_DEFINED,), Flags({1: 0}, {1: 0}), waits="No account is stopped"),
    ],
    mutants=False,
)


# 03.2

_SEEN = {kind: state for kind, (state, _) in JOINS.items()}

WHO_KNOWS = Answers(
    right=[
        Example((_SEEN, None), _SEEN),
        Example(({kind: state.title() for kind, state in reversed(_SEEN.items())}, None), _SEEN),
    ],
    wrong=[
        Example((_SEEN | {"inner": "missing"}, None), _SEEN, "inner_waits"),
        Example((_SEEN | {"left": "nameless"}, None), _SEEN, "left_retracts"),
        Example((_SEEN | {"temporal": "complete"}, None), _SEEN, "temporal_looks_back"),
        Example((_SEEN | {"temporal": "nameless"}, None), _SEEN, "temporal_looks_back"),
        Example((_SEEN | {"impatient": "complete"}, None), _SEEN, "impatient_forgets"),
        Example((_SEEN | {"impatient": "missing"}, None), _SEEN, "impatient_forgets"),
        Example((_SEEN | {"inner": "yes"}, None), _SEEN, "unknown_word"),
        Example(({"inner": "complete"}, None), _SEEN, "join_missing"),
        Example((_SEEN, None), {}, waits="The profile has not come yet"),
        Example((5, None), _SEEN, "unreadable"),
    ],
    observe=lambda *_predicted: _SEEN,
)


# 03.3

STATEMENT = "INSERT INTO transaction_mid SELECT …"

_BANK = {
    1: StoredPayment(7, "Ada", False),
    2: StoredPayment(8, "Ben", True),
    3: StoredPayment(9, None, None),
    4: StoredPayment(7, "Ada", False),
}


def _mid(names: Mapping[int, str | None], flags: Mapping[int, bool | None]) -> dict[int, Mapping[str, Any]]:
    return {one: {"user_first_name": names[one], "user_suspicious_activity": flags[one]} for one in names}


_NAMES: dict[int, str | None] = {1: "Ada", 2: "Ben", 3: None, 4: "Ada"}
_FLAGS: dict[int, bool | None] = {1: False, 2: True, 3: None, 4: False}
_ONE_EACH = {1: frozenset({"Ada"}), 2: frozenset({"Ben"}), 3: frozenset[str](), 4: frozenset({"Ada"})}


def _joined(
    names: Mapping[int, str | None] = _NAMES,
    flags: Mapping[int, bool | None] = _FLAGS,
    several: Mapping[int, frozenset[str]] = _ONE_EACH,
    runs: int = 1,
) -> Joined:
    return Joined(runs, _BANK, _mid(names, flags), several)


_NONE: dict[int, str | None] = dict.fromkeys(_BANK)

JOIN = Answers(
    right=[
        Example((STATEMENT,), _joined()),
        Example(
            ("INSERT INTO … FROM user_profile AS u RIGHT JOIN transactions AS t …",),
            Joined(1, dict(reversed(_BANK.items())), _mid(_NAMES, _FLAGS), _ONE_EACH),
        ),
    ],
    wrong=[
        Example(
            ("INSERT INTO … JOIN …",),
            _joined({one: name for one, name in _NAMES.items() if name}),
            "inner_join",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … WHERE t.type <> 'atm'",),
            _joined({1: "Ada", 2: "Ben", 3: None}),
            "payments_left_out",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.transaction_id = u.user_id …",),
            _joined({1: "Eve", 2: "Cem", 3: None, 4: None}),
            "wrong_columns",
        ),
        Example(
            ("INSERT INTO … ON t.country = u.first_name …",),
            _joined(_NONE, dict.fromkeys(_BANK)),
            "never_equal",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.user_id = u.user_id AND t.country = u.home_country …",),
            _joined(_NAMES | {4: None}, _FLAGS | {4: None}),
            "sometimes_equal",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … ON t.country = u.home_country …",),
            _joined(several={1: frozenset({"Ada", "Ben"}), 2: frozenset({"Ben", "Eve"})}),
            "joined_with_several",
        ),
        Example(
            ("INSERT INTO … u.suspicious_activities = 0 …",),
            _joined(flags={1: True, 2: False, 3: None, 4: True}),
            "flag_inverted",
        ),
        Example(("INSERT INTO … FALSE …",), _joined(flags=dict.fromkeys(_BANK, False)), "stop_not_shown", at_rest=True),
        Example(
            ("INSERT INTO … u.suspicious_activities IS NOT NULL …",),
            _joined(flags={1: True, 2: True, 3: False, 4: True}),
            "any_flag",
            at_rest=True,
        ),
        Example(
            ("INSERT INTO … COALESCE(u.suspicious_activities, 0) <> 0 …",),
            _joined(flags=_FLAGS | {3: False}),
            "false_for_unknown",
            at_rest=True,
        ),
        Example((STATEMENT,), Joined(1, _BANK, _mid(_NAMES, _FLAGS), _ONE_EACH, own=False), "not_your_job"),
        Example((5,), _joined(), "unreadable"),
        Example((STATEMENT,), _joined(runs=2), "submitted_twice"),
        Example((STATEMENT,), _joined(runs=0), waits="No job of yours"),
        Example(
            (STATEMENT,),
            Joined(1, _BANK, _mid({1: "Ada"}, {1: False}), {1: frozenset({"Ada"})}),
            waits="1 of 4 payments",
        ),
        Example(
            (STATEMENT,), _joined(_NAMES | {4: None}, _FLAGS | {4: None}), waits="without the name of their user: 1."
        ),
    ],
    mutants=False,
)


# 03.4

_FIVE = Resent(5, 20)

COST = Answers(
    right=[Example((20, 1, 5), _FIVE), Example((12.0, 1, 3), Resent(3, 12))],
    wrong=[
        Example((0, 1, 5), _FIVE, "nothing_sent"),
        Example((1, 1, 5), _FIVE, "one_row"),
        Example((5, 1, 5), _FIVE, "nothing_retracted"),
        Example((10, 1, 5), _FIVE, "no_null_row"),
        Example((15, 1, 5), _FIVE, "null_row_kept"),
        Example((25, 1, 5), _FIVE, "other_number"),
        Example((20, 1, 5), Resent(5, 8, all_sent=False), waits="8 records"),
        Example(("many", 1, 5), _FIVE, "unreadable"),
    ],
    observe=lambda *_predicted: _FIVE,
)

ANSWERS = {"03.1": FLAG, "03.2": WHO_KNOWS, "03.3": JOIN, "03.4": COST}
