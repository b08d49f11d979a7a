"""The stage: a known fraud is committed with the generator's own code until a payment is refused, and MySQL tells what came of it."""

import threading
import time
from collections.abc import Callable
from typing import Any

from fraudlab import system
from fraudlab.services.staged_fraud import Evidence, StagedFraud, Try
from fraudlab.settings import Settings

SCENARIOS = ("cloned_card", "burst")
"""The second one goes on paying where the first one ended before the account was stopped."""
LONGEST_GAP_S = 0.6
DATABASE_PATIENCE_S = 5

_ANYBODY = (
    "SELECT user_id, first_name, last_name FROM user_profile,"
    " (SELECT FLOOR(MIN(user_id) + RAND() * (MAX(user_id) - MIN(user_id))) AS start FROM user_profile) AS chance"
    " WHERE user_id >= start AND NOT suspicious_activities AND home_country IS NOT NULL ORDER BY user_id LIMIT 1"
)
_SEEN = {
    "flag_ms": (
        "SELECT CAST(UNIX_TIMESTAMP(changed_at) * 1000 AS SIGNED), '' FROM flag_changes"
        " WHERE user_id = %s AND suspicious_activities AND changed_at >= FROM_UNIXTIME(%s / 1000) ORDER BY change_id LIMIT 1"
    ),
    "refusal_ms": (
        "SELECT CAST(UNIX_TIMESTAMP(declined_at) * 1000 AS SIGNED), reason FROM declined_transactions"
        " WHERE user_id = %s AND declined_at >= FROM_UNIXTIME(%s / 1000) ORDER BY declined_id LIMIT 1"
    ),
}
_NOTIFICATIONS = (
    "SELECT channel, CAST(UNIX_TIMESTAMP(sent_at) * 1000 AS SIGNED), status, COALESCE(reason, '') FROM notifications"
    " WHERE user_id = %s AND created_at >= FROM_UNIXTIME(%s / 1000)"
)


def anybody(cursor: Any) -> tuple[int, str] | None:
    """Id and name of a random user with a home country whose account is not stopped; None where there is none."""
    cursor.execute(_ANYBODY)
    rows = cursor.fetchall()
    return (int(rows[0][0]), full_name(rows[0])) if rows else None


def raise_curtain(user_id: int, name: str) -> StagedFraud:
    """The fraud that is about to be committed for a user."""
    return StagedFraud(user_id, name, time.time_ns() // 1_000_000)


def commit(settings: Settings, user_id: int, on_try: Callable[[Try], None], stop: threading.Event | None = None) -> str:
    """Commits the fraud, and returns when a payment was refused, all were tried, or `stop` is set.

    `on_try` is called with each payment when its outcome is known. Returns what went wrong, or nothing.
    """
    # Here, for what it takes to import is of no use before somebody wants a fraud.
    from data_generator.connection import Connection
    from data_generator.runner import commit_fraud
    from data_generator.sink import GeneratorError, Outcome
    from data_generator.stream import Payment

    refused = stop or threading.Event()

    def on_payment(payment: Payment, outcome: Outcome) -> None:
        refusal = outcome.reason if outcome.status == "declined" else ""
        if refusal:
            refused.set()  # which also ends the scenario
        on_try(
            Try(
                payment.by_thief,
                f"{payment.amount:,}",
                payment.currency,
                payment.country,
                payment.merchant,
                refusal,
            )
        )

    connection = Connection.from_environment(system.generator_environment(settings), deadline_s=DATABASE_PATIENCE_S)
    try:
        for scenario in SCENARIOS:
            if not refused.is_set():
                commit_fraud(
                    connection,
                    user_id,
                    scenario,
                    stop=refused,
                    tell=lambda line: None,
                    on_payment=on_payment,
                    longest_gap_s=LONGEST_GAP_S,
                )
    except GeneratorError as failure:
        return str(failure)
    return ""


def evidence(cursor: Any, fraud: StagedFraud) -> Evidence:
    """What MySQL holds of a fraud by now: the flag, the refusal and the notifications. `cursor` reads what is committed."""
    found: dict[str, Any] = {}
    for name, query in _SEEN.items():
        cursor.execute(query, (fraud.user_id, fraud.began_ms))
        for moment_ms, text in cursor.fetchall():
            found[name] = moment_ms
            if name == "refusal_ms":
                found["refusal"] = text
    cursor.execute(_NOTIFICATIONS, (fraud.user_id, fraud.began_ms))
    for channel, sent_ms, status, reason in cursor.fetchall():
        if status == "sent":
            found[f"{channel}_ms"] = sent_ms
        elif status in ("undeliverable", "withheld"):
            found[f"{channel}_problem"] = f"{status}: {reason}"
    return Evidence(**{name: found[name] for name in Evidence.__dataclass_fields__ if name in found})


def full_name(row: tuple[Any, ...]) -> str:
    """First and last name, columns 1 and 2 of a row of users."""
    return " ".join(str(part) for part in row[1:3] if part)
