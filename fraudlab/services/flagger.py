"""The account flagger: sets `user_profile.suspicious_activities` for each activity, which makes the database refuse further payments."""

import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mysql.connector

from fraudlab import system
from fraudlab.services.activity import known_by, user_and_time
from fraudlab.services.consumer import Received, consume
from fraudlab.services.mysql_retry import SHORT_WAITS, ending_in_one_line, is_locked, patiently
from fraudlab.settings import Settings
from fraudlab.system import connect

log = logging.getLogger("fraudlab.flagger")

SERVICE = "flagger"
GRACE_S, GRACE_LOOK_S = 0.1, 0.01
"""How long, and how often, a lock is looked at before its stop is put aside: a payment in mid-commit is gone in some ms."""
LIMIT_S = 0.2
"""How long setting a stop may take. More than that is the wait for a lock that can't be skipped, such as on a gap in `flag_changes`."""
MOST_LIMITS = 4
"""After so many of those, the rest are put aside without a try: a round takes no longer than a second."""
LIMIT_PAUSE_S = 1.0
"""How long a stop that ran into the limit is left alone."""
RETRY_S = 0.2
"""How often stops that were put aside are tried again."""
LOOK_S = 1.0
"""How often it is looked whether there are any, left by a flagger that is no more."""
QUEUE_EVERY_S = 5.0
"""How often one of them queues for its lock, for about a second: that of an account in constant use is never free otherwise."""
MOST_DUE = 1000
LOCKED = "another session holds a lock on the account, for example an open transaction with a payment"
HISTORY_LOCKED = (
    "another session holds a lock on a table that this stop needs: user_profile, account_states or flag_changes, "
    "for example after a locking read of many rows, or by LOCK TABLES"
)

NOT_STOPPED = (
    "SELECT user_id FROM user_profile WHERE NOT suspicious_activities AND user_id IN ({places})"
    " UNION ALL SELECT s.user_id FROM account_states AS s LEFT JOIN user_profile AS p ON p.user_id = s.user_id"
    " WHERE NOT s.stopped AND p.user_id IS NULL AND s.user_id IN ({places})"
)
LOCK = "CALL lock_account(%s, %s)"
"""Locks the rows that setting a stop changes; waits for other sessions' locks on them, or locks nothing."""
STATE = "SELECT @fraudlab_is_free, COUNT(*) FROM user_profile WHERE user_id = %s"
STOP_CLOSED = "CALL stop_closed(%s, %s)"
PUT_ASIDE = (
    "INSERT INTO due_stops (user_id, known_by, reason) VALUES (%s, %s, %s) "
    "ON DUPLICATE KEY UPDATE known_by = GREATEST(known_by, VALUES(known_by)), reason = VALUES(reason)"
)
DUE = "SELECT user_id, known_by FROM due_stops ORDER BY attempts, since LIMIT %s"
TRIED = "UPDATE due_stops SET attempts = attempts + 1, reason = %s WHERE user_id = %s"
NO_LONGER_DUE = "DELETE FROM due_stops WHERE user_id = %s AND known_by <= %s"


class AccountFlagger:
    """Sets the flag of a user's account. Idempotent: an activity of an earlier episode never sets it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None

    @patiently(log)
    def handle(self, received: Received) -> None:
        """Sets the flag, unless it is set or the account was reinstated after this activity became known.

        Returns after the database has committed. A database that is away is waited for.

        Raises:
            MalformedRecordError: The activity lacks an integer `user_id` or a time `created_at`.
        """
        user_id, _ = user_and_time(received.content)
        payment = known_by(received.content)
        try:
            self._flag(user_id, payment)
        except mysql.connector.Error:
            self._connection = None
            raise

    def _flag(self, user_id: int, payment: int | None) -> None:
        if self._connection is None:
            self._connection = connect(self._settings, "flagger", database=self._settings.names.database)
        with self._connection.cursor() as cursor:
            # The update locks the row first, so that no reinstatement comes between it and the look at the account's episode.
            cursor.execute(
                "UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s AND NOT suspicious_activities",
                (user_id,),
            )
            newly_flagged = cursor.rowcount == 1
            cursor.execute(
                "SELECT COALESCE((SELECT episode FROM account_states WHERE user_id = %s), 0)"
                " <> COALESCE((SELECT episode FROM payment_episodes WHERE transaction_id = %s), 0)",
                (user_id, payment),
            )
            reinstated_since = bool(cursor.fetchone()[0])
        if newly_flagged and reinstated_since:
            self._connection.rollback()
            log.info("user %s was reinstated after this activity: left alone", user_id)
        else:
            self._connection.commit()
            if newly_flagged:
                log.info("user %s stopped", user_id)


class Limit:
    """Interrupts statements that take longer than `LIMIT_S`, through a session of its own: MySQL waits for a lock for a second at least."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None

    @contextmanager
    def on(self, connection: Any) -> Iterator[None]:
        """While it is open, a statement of this connection may end with ER_QUERY_INTERRUPTED."""
        timer = threading.Timer(LIMIT_S, self._interrupt, (connection.connection_id,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def close(self) -> None:
        """Ends its session; the next interruption opens another."""
        connection, self._connection = self._connection, None
        _close(connection)

    def _interrupt(self, session: int) -> None:
        try:
            if self._connection is None:
                self._connection = connect(self._settings, "flagger", database=self._settings.names.database)
            with self._connection.cursor() as cursor:
                cursor.execute("CALL interrupt_own(%s)", (session,))
        except (mysql.connector.Error, OSError):
            self.close()  # without it, the statement ends after the second that MySQL grants it


class Stops(AccountFlagger):
    """Sets stops of many accounts, and waits for no lock: what cannot be set at the moment is said, not waited for.

    For one thread. Of a user's activities the newest one is enough: where it is of an earlier episode, so are the others.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._limit = Limit(settings)
        self._not_before: dict[int, float] = {}
        """Users whose stop ran into the limit: until when they are left alone."""

    def stop(
        self, known: Mapping[int, int], *, grace_s: float = 0.0, patient_with: Collection[int] = ()
    ) -> dict[int, str]:
        """Stops each of these users, unless the payment given is of an earlier episode; returns those who are locked, with the reason.

        `grace_s` is how long locks on accounts are looked at again, by all of them together, for `patient_with`.
        """
        try:
            left = self._not_stopped(known)
        except mysql.connector.Error as error:
            if is_locked(error):  # the table itself
                return dict.fromkeys(known, HISTORY_LOCKED)
            raise
        deadline = time.monotonic() + grace_s
        limits = 0
        while True:
            locked: dict[int, str] = {}
            # First those that never ran into the limit, then those that did so longest ago.
            for user_id in sorted(left, key=lambda one: self._not_before.get(one, 0.0)):
                if limits >= MOST_LIMITS or time.monotonic() < self._not_before.get(user_id, 0.0):
                    locked[user_id] = HISTORY_LOCKED
                elif reason := self._stop_if_free(user_id, known[user_id]):
                    locked[user_id] = reason
                    limits += reason == HISTORY_LOCKED
            left = locked.keys()
            waits_in_vain = not any(locked.get(user_id) == LOCKED for user_id in patient_with)
            if waits_in_vain or time.monotonic() >= deadline:
                return locked
            time.sleep(GRACE_LOOK_S)

    def queue(self, user_id: int, payment: int) -> bool:
        """As `stop` for one user, but in the queue for the lock, for about a second; gives whether that was enough."""
        self._connect()
        try:
            return self._stop_if(user_id, payment, waits=True)
        except mysql.connector.Error as error:
            self._clear(error)
            if is_locked(error):
                return False
            raise

    def run(self, statement: str, *rows: tuple[object, ...]) -> list[Any]:
        """Runs a statement for each row of values and commits, within the limit; gives what it found."""
        try:
            with self._limit.on(self._connect()), self._connection.cursor() as cursor:
                found: list[Any] = []
                for row in rows:
                    cursor.execute(statement, row)
                    found += cursor.fetchall() if cursor.with_rows else []
            self._connection.commit()
        except mysql.connector.Error as error:
            self._clear(error)
            raise
        return found

    def close(self) -> None:
        """Ends the connections; the next call opens others."""
        connection, self._connection = self._connection, None
        _close(connection)
        self._limit.close()

    def _clear(self, error: mysql.connector.Error) -> None:
        """After a lock, the connection is good for the next account, and to open one takes longer than the limit."""
        with contextlib.suppress(mysql.connector.Error, OSError):  # a connection that broke is closed below
            if is_locked(error) and self._connection is not None:
                self._connection.rollback()
                return
        self.close()

    def _connect(self) -> Any:
        if self._connection is None:
            database = self._settings.names.database
            self._connection = connect(self._settings, "flagger", database=database, init_command=SHORT_WAITS)
        return self._connection

    def _not_stopped(self, known: Mapping[int, int]) -> Collection[int]:
        """Those that there are, and that are not stopped: of an account that is, a later reinstatement comes after these activities."""
        if not known:
            return set()
        statement = NOT_STOPPED.format(places=", ".join(["%s"] * len(known)))
        return {row[0] for row in self.run(statement, (*known, *known))}

    def _stop_if_free(self, user_id: int, payment: int) -> str | None:
        """None where the stop is set or needs no setting; otherwise why it can't be set."""
        try:
            with self._limit.on(self._connect()):
                is_free = self._stop_if(user_id, payment, waits=False)
        except mysql.connector.Error as error:
            self._clear(error)
            if is_locked(error):
                self._not_before[user_id] = time.monotonic() + LIMIT_PAUSE_S
                return HISTORY_LOCKED
            raise
        self._not_before.pop(user_id, None)
        return None if is_free else LOCKED

    def _stop_if(self, user_id: int, payment: int, *, waits: bool) -> bool:
        """Sets a stop in the transaction in which the account is locked; gives whether it could be locked."""
        with self._connection.cursor() as cursor:
            cursor.execute(LOCK, (user_id, waits))
            cursor.execute(STATE, (user_id,))
            is_free, has_profile = cursor.fetchone()
            if is_free and not has_profile:
                cursor.execute(STOP_CLOSED, (user_id, payment))
        if not is_free:
            self._connection.rollback()
        elif has_profile:
            self._flag(user_id, payment)
        else:
            self._connection.commit()
        return bool(is_free)


def _close(connection: Any) -> None:
    if connection is not None:
        with contextlib.suppress(mysql.connector.Error, OSError):  # it is broken: there is nothing left to close
            connection.close()


class Flagger:
    """Takes in activities, stops their accounts, and puts aside those whose account is locked."""

    def __init__(self, settings: Settings) -> None:
        self._stops, self._waiting = Stops(settings), WaitingStops(settings)
        self._known: dict[int, int] = {}
        self._received: dict[int, list[Received]] = {}

    def handle(self, received: Received) -> None:
        """Takes in one activity. Raises MalformedRecordError for one that lacks an integer `user_id` or a time `created_at`."""
        user_id, _ = user_and_time(received.content)
        payment = known_by(received.content) or 0
        self._known[user_id] = max(payment, self._known.get(user_id, payment))
        self._received.setdefault(user_id, []).append(received)

    def complete(self) -> list[Received]:
        """Stops who was taken in. Returns when that is in the database, or noted there as due; one that is away is waited for.

        Gives the activities of those who could be neither stopped nor noted, to be taken in again.
        """
        if not self._known:
            return []
        held = [one for user_id in self._set() for one in self._received[user_id]]
        self._known.clear()
        self._received.clear()
        return held

    def start(self) -> None:
        """Begins to look after the stops that were put aside."""
        self._waiting.start()

    def stop(self) -> None:
        """Ends it."""
        self._waiting.stop()

    @patiently(log)
    def _set(self) -> Collection[int]:
        """Sets or notes the stops; gives the users where neither was possible."""
        new = self._known.keys() - self._waiting.users
        locked = self._stops.stop(self._known, grace_s=GRACE_S, patient_with=new)
        if not locked:
            return ()
        try:
            self._stops.run(
                PUT_ASIDE, *((user_id, self._known[user_id], locked[user_id]) for user_id in sorted(locked))
            )
        except mysql.connector.Error as error:
            if not is_locked(error):
                raise
            log.warning(
                "%s stops wait and can't be noted in due_stops, another session holds a lock on it", len(locked)
            )
            return locked
        self._waiting.look()
        for user_id in sorted(locked.keys() & new):
            log.warning("the stop of user %s waits: %s", user_id, locked[user_id])
        return ()


class WaitingStops:
    """A thread that tries the stops in `due_stops` again until they are set, whichever flagger put them aside.

    The table is what lasts: another flagger that does the same, or a crash, does no harm.
    """

    def __init__(self, settings: Settings) -> None:
        self.users: frozenset[int] = frozenset()
        """Whose stops wait."""
        self._stops = Stops(settings)
        self._news, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="waiting-stops", daemon=True)
        self._queued_at = 0.0

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def look(self) -> None:
        """Says that there are new ones."""
        self._news.set()

    def stop(self) -> None:
        """Ends it, after what it has in hand."""
        self._stopping.set()
        self._news.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                waiting = self._try_all()
            except Exception as error:
                # It waits for as long as it takes: the thread that consumes ends the service where nothing helps.
                log.warning("stops that wait cannot be tried: %s", error)
                waiting = False
                self._stops.close()
            self._news.wait(RETRY_S if waiting else LOOK_S)
        self._stops.close()

    def _try_all(self) -> bool:
        due: dict[int, int] = dict(self._stops.run(DUE, (MOST_DUE,)))
        locked = self._stops.stop(due) if due else {}
        done = [user_id for user_id in due if user_id not in locked]
        if locked and time.monotonic() - self._queued_at >= QUEUE_EVERY_S:
            self._queued_at = time.monotonic()
            first = next(user_id for user_id in due if user_id in locked)
            if self._stops.queue(first, due[first]):
                done.append(first)
            else:
                self._stops.run(TRIED, (locked[first], first))
        if done:
            self._stops.run(NO_LONGER_DUE, *((user_id, due[user_id]) for user_id in done))
            log.info("%s stops that had to wait are settled", len(done))
        self.users = frozenset(due.keys() - set(done))
        return bool(self.users)


def main() -> None:
    """Runs the service until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    settings = Settings()
    names = settings.names
    flagger = Flagger(settings)
    flagger.start()
    try:
        ending_in_one_line(
            lambda: consume(
                system.kafka(settings, SERVICE),
                names,
                service=SERVICE,
                topic=names.suspicious_activities,
                handle=flagger.handle,
                complete=flagger.complete,
            ),
            log,
        )
    finally:
        flagger.stop()


if __name__ == "__main__":
    main()
