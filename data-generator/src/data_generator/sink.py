"""Payments into MySQL: each once, with its label, in as few round trips as possible, whatever happens to the server."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
ANSWER_S = 60
"""How long a statement waits for the server's answer: longer than a server waits for a lock, 50 s. Without a limit, a server that hangs
is waited for endlessly, and Ctrl-C changes nothing: the client's C extension does not return for a signal."""

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
_DUPLICATE = 1062
_NO_SUCH_SESSION = {1094, 1095}  # ended; or somebody else's, after a restart of the server

_INSERT_USERS = (
    "INSERT IGNORE INTO user_profile (user_id, first_name, last_name, email, phone_number, home_country) VALUES "
)
_USER_ROW = "(%s,%s,%s,%s,%s,%s)"
_COUNT_USERS = "SELECT COUNT(*) FROM user_profile WHERE user_id BETWEEN %s AND %s"
_FIND_USER = "SELECT first_name, last_name, home_country, suspicious_activities FROM user_profile WHERE user_id = %s"
_INSERT_LABELS = "INSERT INTO fraud_labels (transaction_id, scenario) VALUES "
_LABEL_ROW = "(%s,%s)"
_INSERT_PAYMENTS = "INSERT INTO transactions (payment_key, user_id, amount, currency, type, country, merchant, transaction_time) VALUES "
_PAYMENT_ROW = "(%s,%s,%s,%s,%s,%s,%s,%s)"
_INSERT_DECLINED = (
    "INSERT INTO declined_transactions"
    " (payment_key, user_id, amount, currency, type, country, merchant, transaction_time, reason, scenario) VALUES "
)
_DECLINED_ROW = "(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)"

_Result = TypeVar("_Result")


class GeneratorError(RuntimeError):
    """The generator cannot go on; the message says what happened, what it means and what to do next."""


def _new_key() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True)
class DatedPayment:
    """A payment with its event time, ms since the epoch, and its idempotency key: however often it is tried, it is one payment."""

    payment: Payment
    time_ms: int
    key: str = field(default_factory=_new_key)


class Outcome(NamedTuple):
    """What came of a payment: `inserted`, or `declined` with the database's reason."""

    status: str
    reason: str = ""


INSERTED = Outcome("inserted")


class StopRequestedError(Exception):
    """Asked to stop while MySQL was away. What was being written counts as of unknown outcome."""


class MySqlSink:
    """Writes users and payments through one connection, which it opens again when it breaks. Not for several threads.

    A batch is one database transaction: payments, labels of the thief's payments and records of the refused ones are
    there together or not at all. When the connection breaks, the batch is tried again. If the earlier attempt was
    committed and only its answer was lost, the database refuses the keys of its payments, which it has already.
    A payment that was declined stays declined, even if the account was reinstated before the next attempt.

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
        self._session_id: int | None = None
        self._last_transaction_id = 0
        self._sent: list[Outcome] = []
        """What the last attempt came to whose commit was sent and not answered. Empty: there is none."""
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
        return bool(self._sent)

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
        self._sent = []

        def attempt() -> list[Outcome]:
            in_doubt = self._sent
            try:
                if in_doubt and INSERTED not in in_doubt:
                    outcomes = in_doubt
                    self._insert_declined(batch, outcomes)
                elif len(batch) == 1 and not batch[0].payment.by_thief:
                    outcomes = self._write_single(batch)
                else:
                    outcomes = self._write_transaction(batch)
            except mysql.connector.Error as error:
                if error.errno == _DUPLICATE and in_doubt:
                    self._roll_back()
                    outcomes = in_doubt
                else:
                    if error.errno in _TRY_AGAIN:
                        self._sent = in_doubt  # of this attempt nothing was committed
                    raise
            self._sent = []
            return outcomes

        return self._repeat(attempt)

    def _execute(self, statement: str, values: Sequence[object]) -> None:
        self._cursor.execute(statement, values)

    def _write_single(self, batch: Sequence[DatedPayment]) -> list[Outcome]:
        """One payment, one statement, one round trip: auto-commit."""
        self._sent = [INSERTED]
        try:
            self._insert(batch)
        except mysql.connector.Error as error:
            if error.sqlstate != REFUSED_SQLSTATE:
                raise
            self._sent = [Outcome("declined", _reason(error))]
            self._insert_declined(batch, self._sent)
        return self._sent

    def _write_transaction(self, batch: Sequence[DatedPayment]) -> list[Outcome]:
        self._cursor.execute("START TRANSACTION")
        outcomes: list[Outcome] = []
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
        self._insert_declined(batch, outcomes)
        self._sent = outcomes
        self._cursor.execute("COMMIT")
        return outcomes

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

    def _insert_declined(self, batch: Sequence[DatedPayment], outcomes: Sequence[Outcome]) -> None:
        values: list[object] = []
        for dated, outcome in zip(batch, outcomes, strict=True):
            if outcome is not INSERTED:
                values += (*_columns(dated), outcome.reason[:REASON_LENGTH], dated.payment.scenario)
        if values:
            rows = ",".join([_DECLINED_ROW] * (len(batch) - outcomes.count(INSERTED)))
            self._cursor.execute(_INSERT_DECLINED + rows, values)

    def _repeat(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation on a live session; reopen the session and run it again while MySQL is away."""
        deadline_s: float | None = None
        pause_s = 0.05
        while True:
            try:
                if self._session is None:
                    self._connect()
                return operation()
            except mysql.connector.Error as error:
                if error.errno in _TRY_AGAIN and self._session is not None:
                    # Only the statement may have been rolled back.
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
            read_timeout=ANSWER_S,
            write_timeout=ANSWER_S,
            **proof,
        )
        try:
            self._cursor = session.cursor(buffered=True)
            self._session = session
            self._end_earlier_session(session.connection_id)
            self._read_clock()
        except BaseException:
            self._disconnect()
            raise
        self.reconnects += 1

    def _end_earlier_session(self, session_id: int | None) -> None:
        """The server may not have noticed yet that its client left; until then the earlier session holds its locks."""
        earlier, self._session_id = self._session_id, session_id
        if earlier in (None, session_id):
            return
        try:
            self._cursor.execute(f"KILL CONNECTION {earlier}")
        except mysql.connector.Error as error:
            if error.errno not in _NO_SUCH_SESSION:
                raise

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


def _columns(dated: DatedPayment) -> tuple[str, int, Decimal, str, str, str, str, str]:
    payment = dated.payment
    return (
        dated.key,
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
