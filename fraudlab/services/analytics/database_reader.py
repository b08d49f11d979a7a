"""Reads MySQL: payments, flags, refusals, labels, notifications; and, while a fraud is on stage, what came of it."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

import mysql.connector

from fraudlab.services.analytics.counting import SETTLED_AFTER_MS, PaymentCount, Tail
from fraudlab.services.analytics.model import (
    DueStop,
    FlagChange,
    Label,
    Model,
    Refusal,
    StoppedAccount,
    Undeliverable,
)
from fraudlab.services.analytics.reader import Feed, Reader
from fraudlab.services.analytics.stages import Reading
from fraudlab.services.stage import evidence, full_name
from fraudlab.services.staged_fraud import PATIENCE_S, StagedFraud
from fraudlab.settings import Settings
from fraudlab.system import connect

LOOK_EVERY_S = 0.5
LOOK_AT_STAGE_EVERY_S = 0.05
SERIES_S = 600
BATCH = 5_000
"""Rows of a table taken in at once: after a restart there are all of them to be read, and the page is served meanwhile."""
STOPPED_SHOWN = 12
UNDELIVERABLE_SHOWN = 12
DUE_STOPS_SHOWN = 12

_NEWEST_SETTLED = (
    "SELECT MAX(transaction_id) FROM transactions WHERE transaction_id > %s AND created_at < FROM_UNIXTIME(%s)"
)
_PAYMENTS = (
    "SELECT transaction_id <= %s, FLOOR(UNIX_TIMESTAMP(created_at)), COUNT(*)"
    " FROM transactions WHERE transaction_id > %s GROUP BY 1, 2"
)
_FLAG_CHANGES = (
    "SELECT change_id, CAST(UNIX_TIMESTAMP(changed_at) * 1000 AS SIGNED), user_id, suspicious_activities"
    " FROM flag_changes WHERE change_id > %s ORDER BY change_id LIMIT %s"
)
_REFUSALS = (
    "SELECT declined_id, CAST(UNIX_TIMESTAMP(declined_at) * 1000 AS SIGNED), user_id"
    " FROM declined_transactions WHERE declined_id > %s ORDER BY declined_id LIMIT %s"
)
_LABELS = (
    "SELECT l.transaction_id, CAST(UNIX_TIMESTAMP(t.created_at) * 1000 AS SIGNED), t.user_id, l.scenario"
    " FROM fraud_labels AS l JOIN transactions AS t USING (transaction_id) WHERE l.transaction_id > %s"
    " ORDER BY l.transaction_id LIMIT %s"
)
_CLOSED = (
    "SELECT deletion_id, CAST(UNIX_TIMESTAMP(deleted_at) * 1000 AS SIGNED), user_id"
    " FROM deleted_users WHERE deletion_id > %s ORDER BY deletion_id LIMIT %s"
)
_NOTIFICATIONS = "SELECT channel, status, COUNT(*) FROM notifications GROUP BY channel, status"
_UNDELIVERABLE = (
    "SELECT user_id, channel, COALESCE(reason, ''), CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED)"
    " FROM notifications WHERE status = 'undeliverable' ORDER BY notification_id DESC LIMIT %s"
)
_DUE_STOPS = (
    "SELECT user_id, reason, CAST(UNIX_TIMESTAMP(since) * 1000 AS SIGNED), COUNT(*) OVER ()"
    " FROM due_stops ORDER BY since, user_id LIMIT %s"
)
USERS = "SELECT user_id, first_name, last_name, home_country, suspicious_activities FROM user_profile WHERE "


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
        self._payments = PaymentCount()
        self._flags, self._refusals, self._labels, self._closed = Tail(), Tail(), Tail(), Tail()
        self._fraud: StagedFraud | None = None
        self._stopped: list[tuple[int, int]] = []
        """The users stopped last and since when (ms), the newest first."""

    def follow(self, fraud: StagedFraud) -> None:
        """Looks more often from now on, for what comes of this fraud."""
        self._fraud = fraud

    def read(self) -> None:
        with closing(connect_analytics(self._settings)) as connection, closing(connection.cursor()) as cursor:
            next_look = 0.0
            while not self.stopped.is_set():
                if time.monotonic() >= next_look:
                    next_look = time.monotonic() + LOOK_EVERY_S
                    if self._look(cursor):
                        next_look = 0.0
                    self.answers()
                if self._fraud is not None:
                    self._look_at_stage(cursor, self._fraud)
                pause_s = LOOK_AT_STAGE_EVERY_S if self._fraud is not None else LOOK_EVERY_S
                self.stopped.wait(min(pause_s, max(0.0, next_look - time.monotonic())))

    def _look(self, cursor: Any) -> bool:
        """Reads what is new. Returns whether there is more of it, to be read at once."""
        now_ms = time.time_ns() // 1_000_000
        # First everything is read, then it is taken in: MySQL may go away in between, and what was half read is read again.
        settled_before_s = (now_ms - SETTLED_AFTER_MS) / 1000
        ((settled,),) = fetch(cursor, _NEWEST_SETTLED, self._payments.floor, settled_before_s)
        floor = int(settled or self._payments.floor)
        payments = fetch(cursor, _PAYMENTS, floor, self._payments.floor)
        ((newest,),) = fetch(cursor, "SELECT MAX(transaction_id) FROM transactions")
        # Refusals before flags: a refusal that is seen has its flag in what is read after it.
        refusal_rows = fetch(cursor, _REFUSALS, self._refusals.floor, BATCH)
        flag_rows = fetch(cursor, _FLAG_CHANGES, self._flags.floor, BATCH)
        closed_rows = fetch(cursor, _CLOSED, self._closed.floor, BATCH)
        label_rows = fetch(cursor, _LABELS, self._labels.floor, BATCH)
        notifications = {(channel, status): int(count) for channel, status, count in fetch(cursor, _NOTIFICATIONS)}
        undeliverable = [Undeliverable(*row) for row in fetch(cursor, _UNDELIVERABLE, UNDELIVERABLE_SHOWN)]
        due_rows = fetch(cursor, _DUE_STOPS, DUE_STOPS_SHOWN)

        by_second = self._payments.take(floor, [(int(one), int(second), int(count)) for one, second, count in payments])
        total, recent = self._payments.total, [(second * 1000, count) for second, count in by_second]
        recent = [one for one in recent if one[0] > now_ms - SERIES_S * 1000]
        flags, refusals, closed = (
            tail.fresh(rows, now_ms)
            for tail, rows in zip(
                (self._flags, self._refusals, self._closed),
                up_to_the_same_time(flag_rows, refusal_rows, closed_rows),
                strict=True,
            )
        )
        labels = self._labels.fresh(label_rows, now_ms)
        events = sorted((row[1], kind, row) for kind, rows in enumerate((flags, refusals, closed)) for row in rows)

        def take(model: Model) -> None:
            model.take_payments(total, recent)
            for _, kind, row in events:
                if kind == 0:
                    model.take_flag_changes([FlagChange(row[2], bool(row[3]), row[1])])
                elif kind == 1:
                    model.take_refusals([Refusal(row[2], row[1])])
                else:
                    model.episodes.forget(row[2])
            if labels:
                model.take_labels([Label(row[0], row[2], row[3]) for row in labels])
            model.take_notifications(notifications, undeliverable)
            due_stops = [DueStop(user_id, reason, since_ms) for user_id, reason, since_ms, _ in due_rows]
            model.take_due_stops(due_rows[0][3] if due_rows else 0, due_stops)
            newest_id = int(newest or 0)
            lag = max(0, newest_id - self._captured_id())
            model.observe("mysql", Reading(total, newest_id, None), now_ms)
            for topic in ("user_profile", "transactions"):
                # One job reads one binlog for both topics: what it owes the one, it owes the other.
                length, arriving = model.topic_lengths[topic], model.stages["mysql"].rate
                model.observe(topic, Reading(length, self._captured_id(), lag, arriving), now_ms)
            model.observe("refused", Reading(model.refused_count, model.refused_count, None), now_ms)
            self._stopped = list(islice(reversed(model.episodes.stopped.items()), STOPPED_SHOWN))

        self.feed(take)
        self._name_stopped(cursor)
        is_full = any(len(rows) == BATCH for rows in (flag_rows, refusal_rows, closed_rows, label_rows))
        return is_full and bool(events or labels)

    def _name_stopped(self, cursor: Any) -> None:
        ids = [user_id for user_id, _ in self._stopped]
        rows = fetch(cursor, USERS + f"user_id IN ({_places(ids)})", *ids) if ids else []
        people = {row[0]: row for row in rows}
        accounts = [
            StoppedAccount(user_id, full_name(people[user_id]), str(people[user_id][3] or ""), since_ms)
            for user_id, since_ms in self._stopped
            if user_id in people
        ]
        self.feed(
            lambda model: model.take_stopped_accounts(accounts) if list(model.stopped_accounts) != accounts else None
        )

    def _look_at_stage(self, cursor: Any, fraud: StagedFraud) -> None:
        seen = evidence(cursor, fraud)
        is_over = time.time_ns() // 1_000_000 - fraud.began_ms > PATIENCE_S * 1000

        def take(model: Model) -> None:
            if model.staged is None or model.staged.began_ms != fraud.began_ms:
                return
            updated = replace(model.staged.with_evidence(seen), is_over=is_over)
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


def up_to_the_same_time(*tables: Sequence[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Of several tables that are read in batches, the rows that can be taken in together, in the order of their times.

    Where a batch is full, its table goes on after it: later rows of the others wait for what comes there.
    """
    ends_ms = [max(row[1] for row in rows) for rows in tables if len(rows) == BATCH]
    if not ends_ms:
        return [list(rows) for rows in tables]
    return [list(takewhile(lambda row: row[1] <= min(ends_ms), rows)) for rows in tables]


def fetch(cursor: Any, query: str, *values: object) -> list[Any]:
    cursor.execute(query, values)
    return list(cursor.fetchall())


def _places(values: list[int]) -> str:
    return ", ".join(["%s"] * len(values))
