"""Reads MySQL: payments, flags, refusals, labels, notifications; and, while a fraud is on stage, what came of it."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import mysql.connector

from fraudlab.services.analytics.model import (
    FlagChange,
    Label,
    Model,
    Refusal,
    StoppedAccount,
    Undeliverable,
)
from fraudlab.services.analytics.reader import Feed, Reader
from fraudlab.services.analytics.staged_fraud import Evidence, StagedFraud
from fraudlab.services.analytics.stages import Reading
from fraudlab.services.analytics.tail import SETTLED_AFTER_MS, Tail
from fraudlab.settings import Settings
from fraudlab.system import connect

LOOK_EVERY_S = 0.5
LOOK_AT_STAGE_EVERY_S = 0.05
SERIES_S = 600
STOPPED_SHOWN = 50
UNDELIVERABLE_SHOWN = 12
MATCHES = 8

_NEWEST_SETTLED = (
    "SELECT MAX(transaction_id) FROM transactions WHERE transaction_id > %s AND created_at < FROM_UNIXTIME(%s)"
)
_PAYMENTS = (
    "SELECT transaction_id <= %s, FLOOR(UNIX_TIMESTAMP(created_at)), COUNT(*)"
    " FROM transactions WHERE transaction_id > %s GROUP BY 1, 2"
)
_FLAG_CHANGES = (
    "SELECT change_id, CAST(UNIX_TIMESTAMP(changed_at) * 1000 AS SIGNED), user_id, suspicious_activities"
    " FROM flag_changes WHERE change_id > %s ORDER BY change_id"
)
_REFUSALS = (
    "SELECT declined_id, CAST(UNIX_TIMESTAMP(declined_at) * 1000 AS SIGNED), user_id"
    " FROM declined_transactions WHERE declined_id > %s ORDER BY declined_id"
)
_LABELS = (
    "SELECT l.transaction_id, CAST(UNIX_TIMESTAMP(t.created_at) * 1000 AS SIGNED), t.user_id, l.scenario"
    " FROM fraud_labels AS l JOIN transactions AS t USING (transaction_id) WHERE l.transaction_id > %s"
)
_CLOSED = "SELECT deletion_id, CAST(UNIX_TIMESTAMP(deleted_at) * 1000 AS SIGNED), user_id FROM deleted_users WHERE deletion_id > %s"
_NOTIFICATIONS = "SELECT channel, status, COUNT(*) FROM notifications GROUP BY channel, status"
_UNDELIVERABLE = (
    "SELECT user_id, channel, COALESCE(reason, ''), CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED)"
    " FROM notifications WHERE status = 'undeliverable' ORDER BY notification_id DESC LIMIT %s"
)
_USERS = "SELECT user_id, first_name, last_name, home_country, suspicious_activities FROM user_profile WHERE "
_STAGE = {
    "flag_ms": (
        "SELECT CAST(UNIX_TIMESTAMP(changed_at) * 1000 AS SIGNED), '' FROM flag_changes"
        " WHERE user_id = %s AND suspicious_activities AND changed_at >= FROM_UNIXTIME(%s / 1000) ORDER BY change_id LIMIT 1"
    ),
    "refusal_ms": (
        "SELECT CAST(UNIX_TIMESTAMP(declined_at) * 1000 AS SIGNED), reason FROM declined_transactions"
        " WHERE user_id = %s AND declined_at >= FROM_UNIXTIME(%s / 1000) ORDER BY declined_id LIMIT 1"
    ),
}
_STAGE_NOTIFICATIONS = (
    "SELECT channel, CAST(UNIX_TIMESTAMP(sent_at) * 1000 AS SIGNED), status, COALESCE(reason, '') FROM notifications"
    " WHERE user_id = %s AND created_at >= FROM_UNIXTIME(%s / 1000)"
)


class DatabaseReader(Reader):
    """Follows the tables as the account `analytics`.

    Args:
        captured_id: The newest payment that is in the topic `transactions`.
    """

    source = "MySQL"
    errors = (mysql.connector.Error, OSError)

    def __init__(self, settings: Settings, feed: Feed, captured_id: Callable[[], int]) -> None:
        super().__init__(feed)
        self._settings, self._captured_id = settings, captured_id
        self._payments_floor = self._payments_settled = 0
        self._payments_open: dict[int, int] = {}
        self._flags, self._refusals, self._labels, self._closed = Tail(), Tail(), Tail(), Tail()
        self._fraud: StagedFraud | None = None
        self._stopped_ids: list[int] = []

    def follow(self, fraud: StagedFraud) -> None:
        """Looks more often from now on, for what comes of this fraud."""
        self._fraud = fraud

    def read(self) -> None:
        with closing(connect_analytics(self._settings)) as connection, closing(connection.cursor()) as cursor:
            next_look = 0.0
            while not self.stopped.is_set():
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + LOOK_EVERY_S
                    self._look(cursor)
                    self.answers()
                if self._fraud is not None:
                    self._look_at_stage(cursor, self._fraud)
                self.stopped.wait(LOOK_AT_STAGE_EVERY_S if self._fraud is not None else LOOK_EVERY_S)

    def _look(self, cursor: Any) -> None:
        now_ms = time.time_ns() // 1_000_000
        total, newest, by_second = self._count_payments(cursor, now_ms)
        # Refusals before flags: a refusal that is seen has its flag in what is read after it.
        refusals = self._refusals.fresh(_rows(cursor, _REFUSALS, self._refusals.floor), now_ms)
        flags = self._flags.fresh(_rows(cursor, _FLAG_CHANGES, self._flags.floor), now_ms)
        labels = self._labels.fresh(_rows(cursor, _LABELS, self._labels.floor), now_ms)
        closed = self._closed.fresh(_rows(cursor, _CLOSED, self._closed.floor), now_ms)
        notifications = {(channel, status): int(count) for channel, status, count in _rows(cursor, _NOTIFICATIONS)}
        undeliverable = [Undeliverable(*row) for row in _rows(cursor, _UNDELIVERABLE, UNDELIVERABLE_SHOWN)]
        events = sorted([*((row[1], 0, row) for row in flags), *((row[1], 1, row) for row in refusals)])

        def take(model: Model) -> None:
            model.take_payments(total, by_second)
            for _, kind, row in events:
                if kind:
                    model.take_refusals([Refusal(row[2], row[1])])
                else:
                    model.take_flag_changes([FlagChange(row[2], bool(row[3]), row[1])])
            if labels:
                model.take_labels([Label(row[0], row[2], row[3]) for row in labels])
            for row in closed:
                model.episodes.forget(row[2])
            model.take_notifications(notifications, undeliverable)
            lag = max(0, newest - self._captured_id())
            model.observe("mysql", Reading(total, newest, None), now_ms)
            for topic in ("user_profile", "transactions"):
                # One job reads one binlog for both topics: what it owes the one, it owes the other.
                length, arriving = model.topic_lengths[topic], model.stages["mysql"].rate
                model.observe(topic, Reading(length, self._captured_id(), lag, arriving), now_ms)
            model.observe("refused", Reading(model.refused_count, model.refused_count, None), now_ms)
            self._stopped_ids = list(model.episodes.stopped)[-STOPPED_SHOWN:]
            self._stopped_since = dict(model.episodes.stopped)

        self.feed(take)
        self._name_stopped(cursor)

    def _count_payments(self, cursor: Any, now_ms: int) -> tuple[int, int, list[tuple[int, int]]]:
        """How many payments in all, the newest one's id, and the new ones by second."""
        ((settled,),) = _rows(cursor, _NEWEST_SETTLED, self._payments_floor, (now_ms - SETTLED_AFTER_MS) / 1000)
        floor = int(settled or self._payments_floor)
        before, self._payments_open = self._payments_open, {}
        seen: dict[int, int] = {}
        for is_settled, second, count in _rows(cursor, _PAYMENTS, floor, self._payments_floor):
            seen[int(second)] = seen.get(int(second), 0) + int(count)
            if is_settled:
                self._payments_settled += int(count)
            else:
                self._payments_open[int(second)] = int(count)
        ((newest,),) = _rows(cursor, "SELECT MAX(transaction_id) FROM transactions")
        self._payments_floor = floor
        new = [
            (second * 1000, count - before.get(second, 0))
            for second, count in seen.items()
            if count != before.get(second, 0) and second * 1000 > now_ms - SERIES_S * 1000
        ]
        return self._payments_settled + sum(self._payments_open.values()), int(newest or 0), new

    def _name_stopped(self, cursor: Any) -> None:
        ids = self._stopped_ids
        rows = _rows(cursor, _USERS + f"user_id IN ({_places(ids)})", *ids) if ids else []
        people = {row[0]: row for row in rows}
        accounts = [
            StoppedAccount(each, full_name(people[each]), str(people[each][3] or ""), self._stopped_since[each])
            for each in reversed(ids)
            if each in people
        ]
        self.feed(
            lambda model: model.take_stopped_accounts(accounts) if list(model.stopped_accounts) != accounts else None
        )

    def _look_at_stage(self, cursor: Any, fraud: StagedFraud) -> None:
        found: dict[str, Any] = {}
        for name, query in _STAGE.items():
            for moment_ms, text in _rows(cursor, query, fraud.user_id, fraud.began_ms):
                found[name] = moment_ms
                if name == "refusal_ms":
                    found["refusal"] = text
        for channel, sent_ms, status, reason in _rows(cursor, _STAGE_NOTIFICATIONS, fraud.user_id, fraud.began_ms):
            if status == "sent":
                found[f"{channel}_ms"] = sent_ms
            elif status in ("undeliverable", "withheld"):
                found[f"{channel}_problem"] = f"{status}: {reason}"
        evidence = Evidence(**{name: found[name] for name in Evidence.__dataclass_fields__ if name in found})

        def take(model: Model) -> None:
            if model.staged is None or model.staged.began_ms != fraud.began_ms:
                return
            updated = model.staged.with_evidence(evidence)
            if updated != model.staged:
                model.stage_fraud(updated)
            if updated.is_complete:
                self._fraud = None

        self.feed(take)


def connect_analytics(settings: Settings) -> Any:
    """A connection that reads what is committed, as the account `analytics`."""
    return connect(
        settings, "analytics", database=settings.names.database, autocommit=True, connection_timeout=5, use_pure=False
    )


def find_users(settings: Settings, text: str) -> list[tuple[int, str, str, bool]]:
    """The first few users whose id or name is meant: id, name, home country and whether the account is stopped."""
    with closing(connect_analytics(settings)) as connection, closing(connection.cursor()) as cursor:
        if text.strip().isdigit():
            rows = _rows(cursor, _USERS + "user_id = %s", int(text))
        else:
            escaped = "".join(f"\\{letter}" if letter in "%_\\" else letter for letter in text.strip())
            query = _USERS + f"CONCAT_WS(' ', first_name, last_name) LIKE %s LIMIT {MATCHES}"
            rows = _rows(cursor, query, f"%{escaped}%")
    return [(row[0], full_name(row), str(row[3] or ""), bool(row[4])) for row in rows]


def random_user(settings: Settings) -> int | None:
    """Some user with a home country whose account is not stopped; None where there is none."""
    query = (
        "SELECT user_id FROM user_profile, (SELECT FLOOR(MIN(user_id) + RAND() * (MAX(user_id) - MIN(user_id))) AS start"
        " FROM user_profile) AS chance WHERE user_id >= start AND NOT suspicious_activities AND home_country IS NOT NULL"
        " ORDER BY user_id LIMIT 1"
    )
    with closing(connect_analytics(settings)) as connection, closing(connection.cursor()) as cursor:
        rows = _rows(cursor, query)
    return int(rows[0][0]) if rows else None


def full_name(row: tuple[Any, ...]) -> str:
    """First and last name, columns 1 and 2 of a row of users."""
    return " ".join(str(part) for part in row[1:3] if part)


def _rows(cursor: Any, query: str, *values: object) -> list[Any]:
    cursor.execute(query, values)
    return list(cursor.fetchall())


def _places(values: list[int]) -> str:
    return ", ".join(["%s"] * len(values))
