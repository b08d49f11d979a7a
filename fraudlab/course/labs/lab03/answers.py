"""Answers to Lab 03, The SQL join: right and wrong ones. Only tests and `fraudlab course check` load them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from fraudlab.course.answers import Answers, Example
from fraudlab.course.labs.lab03.checks import (
    EVENTS,
    JOINS,
    PROFILE,
    Events,
    Joined,
    Profiles,
    Resent,
    StoredPayment,
    Table,
)

# 03.1

_ACCOUNTS = {1: 0, 2: 0, 3: 1}
_DEFINED = "CREATE TABLE user_profile (…)"
_TEXTS = dict.fromkeys(PROFILE, "STRING")
_CHANGELOG = Table(
    "user_profile",
    _TEXTS | {"user_id": "INT", "suspicious_activities": "TINYINT"},
    ("user_id",),
    {
        "connector": "kafka",
        "topic": "lab.user_profile",
        "scan.startup.mode": "earliest-offset",
        "format": "debezium-json",
    },
)


def _profiles(table: Table = _CHANGELOG, seen: Mapping[int, Any] = _ACCOUNTS) -> Profiles:
    return Profiles(table, "lab.user_profile", seen, _ACCOUNTS)


def _given(table: Table, /, **options: str) -> Table:
    return replace(table, options={**table.options, **options})


def _typed(**types: str) -> Table:
    return replace(_CHANGELOG, columns={**_CHANGELOG.columns, **types})


def _only(table: Table, *columns: str) -> Table:
    return replace(table, columns={one: kind for one, kind in table.columns.items() if one in columns})


_NO_START = {key: value for key, value in _CHANGELOG.options.items() if key != "scan.startup.mode"}

TABLE = Answers(
    right=[
        Example((_DEFINED,), _profiles()),
        Example(  # further columns, another order, other widths; DECIMAL(1, 0) gives decimals
            (_DEFINED,),
            _profiles(
                replace(
                    _CHANGELOG,
                    columns={
                        "suspicious_activities": "DECIMAL(1, 0)",
                        "updated_at": "TIMESTAMP_LTZ(3)",
                        **_TEXTS,
                        "user_id": "BIGINT",
                        "email": "VARCHAR(254)",
                        "home_country": "CHAR(2)",
                    }
                    | {"suspicious_activities": "DECIMAL(1, 0)"},
                ),
                {3: Decimal(1), 2: Decimal(0), 1: Decimal(0)},
            ),
        ),
        Example(  # the pipeline's own options, and the format named for the value
            (_DEFINED,),
            _profiles(
                replace(
                    _CHANGELOG,
                    options={key: value for key, value in _CHANGELOG.options.items() if key != "format"}
                    | {"value.format": "debezium-json", "scan.topic-partition-discovery.interval": "5 s"},
                )
            ),
        ),
    ],
    wrong=[
        Example((_DEFINED,), _profiles(_given(_CHANGELOG, format="json")), "plain_json"),
        Example((_DEFINED,), _profiles(_given(_CHANGELOG, format="canal-json")), "other_format"),
        Example((_DEFINED,), _profiles(_given(_CHANGELOG, connector="upsert-kafka")), "upsert_connector"),
        Example((_DEFINED,), _profiles(_given(_CHANGELOG, topic="lab.transactions")), "other_topic"),
        Example((_DEFINED,), _profiles(replace(_CHANGELOG, key=())), "no_key"),
        Example((_DEFINED,), _profiles(replace(_CHANGELOG, key=("email",))), "no_key"),
        Example(
            (_DEFINED,), _profiles(_given(_CHANGELOG, **{"scan.startup.mode": "latest-offset"})), "not_from_the_start"
        ),
        Example((_DEFINED,), _profiles(replace(_CHANGELOG, options=_NO_START)), "not_from_the_start"),
        Example((_DEFINED,), _profiles(replace(_CHANGELOG, name="people")), "other_name"),
        Example((_DEFINED,), _profiles(replace(_CHANGELOG, temporary=True)), "temporary_table"),
        Example((_DEFINED,), _profiles(_only(_CHANGELOG, *PROFILE[:-1])), "no_column"),
        Example((_DEFINED,), _profiles(_typed(user_id="SMALLINT")), "id_type"),
        Example((_DEFINED,), _profiles(_typed(user_id="STRING")), "id_type"),
        Example((_DEFINED,), _profiles(_typed(phone_number="BIGINT")), "text_type"),
        Example((_DEFINED,), _profiles(seen={1: False, 2: False, 3: False}), "boolean_flag"),
        Example((_DEFINED,), _profiles(seen={1: "0", 2: "0", 3: "1"}), "text_flag"),
        Example((_DEFINED,), _profiles(seen={1: None, 2: None, 3: None}), "empty_flag"),
        Example((_DEFINED,), _profiles(seen={1: 1, 2: 0, 3: 1}), "other_flags"),
        Example((_DEFINED,), _profiles(seen={1: 0}), waits="1 of 3 accounts"),
        Example((_DEFINED,), Profiles(_CHANGELOG, "lab.user_profile", {1: 0}, {1: 0}), waits="No account is stopped"),
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
        Example(
            ("INSERT INTO … CAST(t.user_id AS VARCHAR(10)) … u.suspicious_activities = 1 …",),
            replace(
                _joined(),
                newest={one: {**row, "transaction_amount": "9.50"} for one, row in _mid(_NAMES, _FLAGS).items()},
                keys={1: "7", 2: "8", 3: "9", 4: "7"},
            ),
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
        Example(
            ("INSERT INTO … CAST(t.transaction_id AS STRING) …",),
            replace(_joined(), keys={1: "1", 2: "2", 3: "3", 4: "4"}),
            "other_key",
        ),
        Example(
            ("INSERT INTO … CAST(CAST(t.amount AS INT) AS STRING) …",),
            replace(_joined(), newest={1: {**_mid(_NAMES, _FLAGS)[1], "transaction_amount": "9"}}),
            "other_amount",
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

# 03.5

_EVENTS_DEFINED = "CREATE TABLE payment_events (…)"
_LOG = Table(
    "payment_events",
    {
        "transaction_id": "BIGINT",
        "user_id": "INT",
        "transaction_amount": "STRING",
        "transaction_time": "TIMESTAMP_LTZ(3)",
    },
    (),
    {
        "connector": "kafka",
        "topic": "lab.transaction_mid",
        "scan.startup.mode": "earliest-offset",
        "format": "json",
        "json.timestamp-format.standard": "ISO-8601",
    },
)
_ROWS = [(11, 7, "9.50", datetime(2026, 1, 31)), (12, 8, "9.50", datetime(2026, 1, 31))]


def _events(table: Table = _LOG, rows: Sequence[tuple[Any, ...]] = _ROWS) -> Events:
    return Events(table, "lab.transaction_mid", 2, rows)


def _events_typed(**types: str) -> Table:
    return replace(_LOG, columns={**_LOG.columns, **types})


_NO_ISO = {key: value for key, value in _LOG.options.items() if not key.startswith("json.")}

READ_EVENTS = Answers(
    right=[
        Example((_EVENTS_DEFINED,), _events()),
        Example(  # further columns, with event time, and an exact number
            (_EVENTS_DEFINED,),
            _events(
                _events_typed(
                    transaction_amount="DECIMAL(12, 2)",
                    user_id="BIGINT",
                    user_email="STRING",
                    transaction_time="TIMESTAMP_LTZ(3) *ROWTIME*",
                )
            ),
        ),
        Example(
            (_EVENTS_DEFINED,),
            _events(
                replace(
                    _LOG,
                    options={
                        "connector": "kafka",
                        "topic": "lab.transaction_mid",
                        "scan.startup.mode": "earliest-offset",
                        "value.format": "json",
                        "value.json.timestamp-format.standard": "ISO-8601",
                    },
                )
            ),
        ),
    ],
    wrong=[
        Example((_EVENTS_DEFINED,), _events(_given(_LOG, format="debezium-json")), "no_envelope"),
        Example((_EVENTS_DEFINED,), _events(_given(_LOG, connector="upsert-kafka")), "upserted_events"),
        Example((_EVENTS_DEFINED,), _events(_given(_LOG, topic="lab.transactions")), "other_event_topic"),
        Example((_EVENTS_DEFINED,), _events(replace(_LOG, name="payments")), "other_event_name"),
        Example((_EVENTS_DEFINED,), _events(replace(_LOG, key=("transaction_id",))), "key_of_events"),
        Example((_EVENTS_DEFINED,), _events(_only(_LOG, *EVENTS[:-1])), "no_time"),
        Example((_EVENTS_DEFINED,), _events(_only(_LOG, "user_id", "transaction_time")), "no_event_column"),
        Example((_EVENTS_DEFINED,), _events(_given(_LOG, **{"scan.startup.mode": "latest-offset"})), "later_events"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_time="STRING")), "time_type"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_time="TIMESTAMP(3)")), "time_type"),
        Example((_EVENTS_DEFINED,), _events(replace(_LOG, options=_NO_ISO)), "time_format"),
        Example((_EVENTS_DEFINED,), _events(_given(_LOG, **{"json.timestamp-format.standard": "SQL"})), "time_format"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_amount="DOUBLE")), "amount_type"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_amount="DECIMAL(10, 0)")), "amount_type"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_id="STRING")), "event_id_type"),
        Example((_EVENTS_DEFINED,), _events(_events_typed(transaction_id="INT")), "event_id_type"),
        Example((_EVENTS_DEFINED,), _events(rows=_ROWS[:1]), "records_skipped", at_rest=True),
        Example((_EVENTS_DEFINED,), _events(rows=[_ROWS[0], (12, 8, None, _ROWS[0][3])]), "empty_column"),
        Example((_EVENTS_DEFINED,), _events(rows=[]), waits="0 of 2 records"),
        Example((_EVENTS_DEFINED,), Events(_LOG, "lab.transaction_mid", 0, []), waits="no record yet"),
    ],
    mutants=False,
)


# 03.6

_PLANS = {"read events": "I", "count events": "I,UA", "count payments": "I,UA,D", "join": "I,UB,UA,D"}
_SAID = {"read events": "I", "count payments": "I, UA, D", "join": "I, UB, UA, D"}

KINDS = Answers(
    right=[
        Example((_SAID,), _PLANS),
        Example(({"join": "ub ua d i", "count payments": ["D", "UA", "I"], "read events": "[I]"},), _PLANS),
        Example((_SAID | {"count events": "I, UA", "join": ("I", "UA", "UB", "D")},), _PLANS),
    ],
    wrong=[
        Example((_SAID | {"read events": "I, UB, UA, D"},), _PLANS, "events_change"),
        Example((_SAID | {"count payments": "I, UA"},), _PLANS, "payments_deleted"),
        Example((_SAID | {"join": "I"},), _PLANS, "join_retracts"),
        Example((_SAID | {"join": "I, UA, D"},), _PLANS, "join_retracts"),
        Example((_SAID | {"join": "+I, -U, +U, -D"},), _PLANS, "unknown_letters"),
        Example(({"join": "I, UB, UA, D"},), _PLANS, "query_missing"),
        Example((4,), _PLANS, "unreadable"),
    ],
    observe=lambda *_predicted: _PLANS,
)
ANSWERS = {"03.1": TABLE, "03.2": WHO_KNOWS, "03.3": JOIN, "03.4": COST, "03.5": READ_EVENTS, "03.6": KINDS}
