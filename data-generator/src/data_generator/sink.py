"""Payments into MySQL: each once, with its label, in as few round trips as possible, whatever happens to the server."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, TypeVar

import mysql.connector

from data_generator.bank import User
from data_generator.clock import to_mysql
from data_generator.connection import Connection
from data_generator.stream import Payment

REFUSED_SQLSTATE = "45000"
USERS_PER_INSERT = 1000
REASON_LENGTH = 255

# The server is away, going away, or full for the moment: wait for it. 1021, 1026, 1030, 1114 disk or table full, 1037, 1038, 1041, 1135
# memory or threads, 1040, 1203, 1226 too many connections, 1042, 1043, 1129 handshake, 1053, 1077, 1079, 1080 shutdown, 1152-1161, 1184
# network, 1290, 1836 read-only for the moment, 1317, 3024 statement interrupted, 1927, 3169 session killed, 3032, 3168 offline, 4031 idle
# too long.
_SERVER_AWAY = {
    -1, 1021, 1026, 1030, 1037, 1038, 1040, 1041, 1042, 1043, 1053, 1077, 1079, 1080, 1114, 1129, 1135, 1152, *range(1154, 1162), 1184,
    1203, 1226, 1290, 1317, 1836, 1927, 3024, 3032, 3168, 3169, 4031, *range(2000, 2100),
}  # fmt: skip
# Rolled back by the server, to be tried again: 1205 lock wait timeout, 1213 deadlock.
_TRY_AGAIN = {1205, 1213}
_NOT_GRANTED = {1142, 1143}

_INSERT_USERS = (
    "INSERT IGNORE INTO user_profile (user_id, first_name, last_name, email, phone_number, home_country) VALUES "
)
_USER_ROW = "(%s,%s,%s,%s,%s,%s)"
_COUNT_USERS = "SELECT COUNT(*) FROM user_profile WHERE user_id BETWEEN %s AND %s"
_FIND_USER = "SELECT first_name, last_name, home_country, suspicious_activities FROM user_profile WHERE user_id = %s"
_INSERT_LABELS = "INSERT INTO fraud_labels (transaction_id, scenario) VALUES "
_LABEL_ROW = "(%s,%s)"
_FIND_PAYMENT = (
    "SELECT 1 FROM transactions WHERE user_id = %s AND transaction_time = %s AND transaction_id > %s LIMIT 1"
)
_FIND_DECLINED = (
    "SELECT 1 FROM declined_transactions WHERE user_id = %s AND transaction_time = %s AND declined_id > %s LIMIT 1"
)
_INSERT_PAYMENTS = (
    "INSERT INTO transactions (user_id, amount, currency, type, country, merchant, transaction_time) VALUES "
)
_PAYMENT_ROW = "(%s,%s,%s,%s,%s,%s,%s)"
_INSERT_DECLINED = (
    "INSERT INTO declined_transactions"
    " (user_id, amount, currency, type, country, merchant, transaction_time, reason, scenario) VALUES "
)
_DECLINED_ROW = "(%s,%s,%s,%s,%s,%s,%s,%s,%s)"

_Result = TypeVar("_Result")


class GeneratorError(RuntimeError):
    """The generator cannot go on; the message says what happened, what it means and what to do next."""


class DatedPayment(NamedTuple):
    """A payment with its event time, ms since the epoch."""

    payment: Payment
    time_ms: int


class Outcome(NamedTuple):
    """What came of a payment: `inserted`, `declined` with the database's reason, or `unknown`."""

    status: str
    reason: str = ""


INSERTED = Outcome("inserted")
UNKNOWN = Outcome("unknown")


class StopRequestedError(Exception):
    """Asked to stop while MySQL was away. What was being written counts as of unknown outcome."""


class MySqlSink:
    """Writes users and payments through one connection, which it opens again when it breaks. Not for several threads.

    A batch is one database transaction: payments, labels of the thief's payments and records of the refused ones are
    there together or not at all. When the connection breaks during the commit, the sink looks after reconnecting
    whether the batch is there, and tries again only if not. That needs SELECT on a few columns (see the README);
    without it such a batch is not tried again and counts as `unknown`.

    Args:
        connection: where MySQL is, and how long to wait for it.
        stop: set it to give up waiting for MySQL.
    """

    def __init__(self, connection: Connection, stop: threading.Event | None = None) -> None:
        self.reconnects = 0
        self._settings = connection
        self._stop = stop or threading.Event()
        self._session: Any = None
        self._cursor: Any = None
        # Held by the session: while another session holds it, an earlier transaction of this sink may still commit.
        self._lock_name = f"data-generator-{uuid.uuid4()}"
        self._last_transaction_id = 0
        self._last_declined_id = 0
        self._known_transaction_id = 0
        self._known_declined_id = 0
        self._commit_sent = False
        self._clock_offset_ms = 0.0

    def __enter__(self) -> "MySqlSink":
        self._repeat(lambda: None)
        return self

    def __exit__(self, *_: object) -> None:
        self._disconnect()

    def present_ms(self) -> int:
        """The database's clock, ms since the epoch: an estimate that is behind by the last round trip, never ahead."""
        return int(time.monotonic() * 1000 + self._clock_offset_ms)

    @property
    def in_doubt(self) -> bool:
        """Whether the last `write` failed after its commit had been sent: it may be stored or not."""
        return self._commit_sent

    def synchronise_clock(self) -> None:
        """Read the database's clock again."""
        self._repeat(self._read_clock)

    def has_users(self, user_ids: range) -> bool:
        """Whether all of them are there."""

        def read() -> bool:
            self._cursor.execute(_COUNT_USERS, (user_ids.start, user_ids.stop - 1))
            return bool(self._cursor.fetchone()[0] == len(user_ids))

        return self._repeat(read)

    def insert_users(self, users: Sequence[User]) -> None:
        """Insert the users that are not there yet; those that are stay as they are.

        Raises:
            GeneratorError: MySQL did not answer within the deadline, or refused the statement.
        """
        for first in range(0, len(users), USERS_PER_INSERT):
            part = users[first : first + USERS_PER_INSERT]
            statement = _INSERT_USERS + ",".join([_USER_ROW] * len(part))
            values: list[object] = []
            for user in part:
                values += (
                    user.user_id,
                    user.first_name,
                    user.last_name,
                    user.email,
                    user.phone_number,
                    user.home_country,
                )
            self._repeat(partial(self._execute, statement, values))

    def find_user(self, user_id: int) -> tuple[str, str, str, bool] | None:
        """First name, last name, home country and whether the account is stopped; None for a user who is not there."""

        def read() -> tuple[str, str, str, bool] | None:
            self._cursor.execute(_FIND_USER, (user_id,))
            row = self._cursor.fetchone()
            return (row[0], row[1], row[2], bool(row[3])) if row else None

        return self._repeat(read)

    def write(self, batch: Sequence[DatedPayment]) -> list[Outcome]:
        """Insert payments in their order, in one database transaction; one outcome for each.

        Raises:
            GeneratorError: MySQL did not answer within the deadline, or refused for another reason than a stop.
        """
        attempts: list[list[Outcome]] = []
        self._commit_sent = False
        self._known_transaction_id = self._last_transaction_id
        self._known_declined_id = self._last_declined_id

        def attempt() -> list[Outcome]:
            # Only a repetition finds an earlier attempt: its session is gone by now, so what it did is final.
            if attempts and self._commit_sent:
                there = self._is_there(batch, attempts[-1])
                if there is None:
                    return [UNKNOWN] * len(batch)
                if there:
                    return attempts[-1]
            self._commit_sent = False
            outcomes: list[Outcome] = []
            attempts.append(outcomes)
            if len(batch) == 1 and not batch[0].payment.by_thief:
                self._write_single(batch[0], outcomes)
            else:
                self._write_transaction(batch, outcomes)
            self._commit_sent = False
            return outcomes

        return self._repeat(attempt)

    def _execute(self, statement: str, values: Sequence[object]) -> None:
        self._cursor.execute(statement, values)

    def _write_single(self, dated: DatedPayment, outcomes: list[Outcome]) -> None:
        """One payment, one statement, one round trip: auto-commit."""
        outcomes.append(INSERTED)
        try:
            self._commit_sent = True
            self._insert([dated])
        except mysql.connector.Error as error:
            if error.sqlstate != REFUSED_SQLSTATE:
                raise
            outcomes[0] = Outcome("declined", _reason(error))
            # Still in doubt if the connection breaks now: the record of the refusal commits by itself, too.
            self._insert_declined([(dated, outcomes[0])])

    def _write_transaction(self, batch: Sequence[DatedPayment], outcomes: list[Outcome]) -> None:
        self._cursor.execute("START TRANSACTION")
        labels: list[object] = []
        plain: list[DatedPayment] = []
        for dated in batch:
            if not dated.payment.by_thief:
                plain.append(dated)
                continue
            outcomes += self._insert_bisecting(plain)
            plain = []
            outcome = self._insert_bisecting([dated])[0]
            outcomes.append(outcome)
            if outcome is INSERTED:
                labels += (self._last_transaction_id, dated.payment.scenario)
        outcomes += self._insert_bisecting(plain)
        if labels:
            self._cursor.execute(_INSERT_LABELS + ",".join([_LABEL_ROW] * (len(labels) // 2)), labels)
        declined = [
            (dated, outcome) for dated, outcome in zip(batch, outcomes, strict=True) if outcome.status == "declined"
        ]
        if declined:
            self._insert_declined(declined)
        self._commit_sent = True
        self._cursor.execute("COMMIT")

    def _insert_bisecting(self, payments: list[DatedPayment]) -> list[Outcome]:
        """Insert; if one is refused, which undoes the statement alone, insert the halves: the refused ones remain."""
        if not payments:
            return []
        try:
            self._insert(payments)
            return [INSERTED] * len(payments)
        except mysql.connector.Error as error:
            if error.sqlstate != REFUSED_SQLSTATE:
                raise
            if len(payments) == 1:
                return [Outcome("declined", _reason(error))]
        middle = len(payments) // 2
        return self._insert_bisecting(payments[:middle]) + self._insert_bisecting(payments[middle:])

    def _insert(self, payments: Sequence[DatedPayment]) -> None:
        values: list[object] = []
        for dated in payments:
            values += _columns(dated)
        self._cursor.execute(_INSERT_PAYMENTS + ",".join([_PAYMENT_ROW] * len(payments)), values)
        # Of several rows this is the first one's id; labelled payments go singly, so that theirs is known for certain.
        self._last_transaction_id = self._cursor.lastrowid

    def _insert_declined(self, declined: Sequence[tuple[DatedPayment, Outcome]]) -> None:
        values: list[object] = []
        for dated, outcome in declined:
            values += (*_columns(dated), outcome.reason[:REASON_LENGTH], dated.payment.scenario)
        self._cursor.execute(_INSERT_DECLINED + ",".join([_DECLINED_ROW] * len(declined)), values)
        self._last_declined_id = self._cursor.lastrowid

    def _is_there(self, batch: Sequence[DatedPayment], outcomes: Sequence[Outcome]) -> bool | None:
        """Whether an earlier attempt at the batch was committed; None when the account may not look.

        All of it was committed or nothing, so one row tells. Earlier payments of the same user at the same
        millisecond are told apart by their lower ids.
        """
        inserted = [dated for dated, outcome in zip(batch, outcomes, strict=True) if outcome is INSERTED]
        dated = (inserted or batch)[0]
        find, known_id = (
            (_FIND_PAYMENT, self._known_transaction_id) if inserted else (_FIND_DECLINED, self._known_declined_id)
        )
        try:
            self._cursor.execute(find, (dated.payment.user_id, to_mysql(dated.time_ms), known_id))
        except mysql.connector.Error as error:
            if error.errno in _NOT_GRANTED:
                return None
            raise
        return self._cursor.fetchone() is not None

    def _repeat(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation on a live session; open the session anew and run it again while MySQL is away."""
        deadline_s: float | None = None
        pause_s = 0.05
        while True:
            try:
                if self._session is None:
                    self._connect()
                return operation()
            except mysql.connector.Error as error:
                if error.errno in _TRY_AGAIN and self._session is not None:
                    # Only the statement may have been rolled back; nothing was committed.
                    self._commit_sent = False
                    failure = self._roll_back() or error
                elif error.errno in _SERVER_AWAY:
                    failure = error
                    self._disconnect()
                else:
                    self._disconnect()
                    raise GeneratorError(self._explain(error)) from error
            except OSError as error:
                # The client in pure Python lets a broken socket through as it is.
                failure = error
                self._disconnect()
            now_s = time.monotonic()
            deadline_s = deadline_s if deadline_s is not None else now_s + self._settings.deadline_s
            if now_s >= deadline_s:
                raise GeneratorError(
                    f"MySQL at {self._settings.host}:{self._settings.port} has not answered for "
                    f"{self._settings.deadline_s:.0f} s ({failure}); everything that was counted is stored. "
                    "Start MySQL and run the generator again, or give it longer with --deadline"
                ) from failure
            if self._stop.wait(min(pause_s, deadline_s - now_s)):
                raise StopRequestedError
            pause_s = min(2 * pause_s, 2.0)

    def _roll_back(self) -> Exception | None:
        """End the open transaction; the error if the connection broke over it."""
        try:
            # The connector's own `rollback` raises another class when the connection breaks.
            self._cursor.execute("ROLLBACK")
        except (mysql.connector.Error, OSError) as error:
            self._disconnect()
            return error
        return None

    def _connect(self) -> None:
        proof: dict[str, Any] = (
            {} if self._settings.ca is None else {"ssl_ca": str(self._settings.ca), "ssl_verify_cert": True}
        )
        session = mysql.connector.connect(
            host=self._settings.host,
            port=self._settings.port,
            user=self._settings.user,
            password=self._settings.password,
            database=self._settings.database,
            charset="utf8mb4",
            autocommit=True,
            time_zone="+00:00",
            connection_timeout=10,
            **proof,
        )
        try:
            self._cursor = session.cursor(buffered=True)
            self._session = session
            self._take_lock()
            self._read_clock()
        except BaseException:
            self._disconnect()
            raise
        self.reconnects += 1

    def _take_lock(self) -> None:
        """Wait until the sink's earlier session is gone; end it if the server has not noticed that its client left."""
        self._cursor.execute("SELECT IS_USED_LOCK(%s)", (self._lock_name,))
        holder = self._cursor.fetchone()[0]
        if holder is not None:
            try:
                self._cursor.execute(f"KILL CONNECTION {int(holder)}")
            except mysql.connector.Error as error:
                if error.errno != 1094:  # 1094: gone in the meantime
                    raise
        self._cursor.execute("SELECT GET_LOCK(%s, 10)", (self._lock_name,))
        if self._cursor.fetchone()[0] != 1:
            raise mysql.connector.OperationalError("an earlier session has not ended yet", errno=2013)

    def _read_clock(self) -> None:
        before_ms = time.monotonic() * 1000
        self._cursor.execute("SELECT CAST(1000 * UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) AS SIGNED)")
        (database_ms,) = self._cursor.fetchone()
        after_ms = time.monotonic() * 1000
        if after_ms - before_ms > 5_000:
            raise mysql.connector.OperationalError("the database's clock took more than 5 s to read", errno=2013)
        self._clock_offset_ms = int(database_ms) - after_ms

    def _disconnect(self) -> None:
        session, self._session, self._cursor = self._session, None, None
        if session is not None:
            try:
                session.close()
            except (mysql.connector.Error, OSError):
                return  # it is broken: there is nothing left to close

    def _explain(self, error: mysql.connector.Error) -> str:
        where = f"MySQL at {self._settings.host}:{self._settings.port}, database {self._settings.database}"
        if error.errno in (1044, 1045, 1142, 1143, 1227):
            return (
                f"{where} does not let account {self._settings.user} in: {error}. "
                "Check DATA_GENERATOR_USER, DATA_GENERATOR_PASSWORD and the account's grants"
            )
        if error.errno in (1049, 1146):
            return f"{where} is not set up: {error}. Apply the schema first, or check DATA_GENERATOR_DATABASE"
        return f"{where} refused a statement: {error}. The payments of this batch were not stored"


def _columns(dated: DatedPayment) -> tuple[int, Decimal, str, str, str, str, str]:
    payment = dated.payment
    return (
        payment.user_id,
        payment.amount,
        payment.currency,
        payment.type,
        payment.country,
        payment.merchant,
        to_mysql(dated.time_ms),
    )


def _reason(error: mysql.connector.Error) -> str:
    return error.msg or str(error)
