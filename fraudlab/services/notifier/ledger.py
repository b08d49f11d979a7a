"""The table `notifications`: who is to be told, who was, and what became of those who could not be."""

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import mysql.connector
import orjson

from fraudlab.services.consumer import Received
from fraudlab.services.mysql_retry import SHORT_WAITS, is_locked
from fraudlab.services.notifier.activity import Activity, parse
from fraudlab.services.notifier.message import ListedPayment
from fraudlab.settings import Settings
from fraudlab.stack.supervisor import Stack
from fraudlab.system import connect, secret_name

log = logging.getLogger("fraudlab.notifier")

CHANNELS = ("email", "push")
AT_A_TIME = 50
"""So many people's notifications are claimed in one transaction."""
LOCKED_PAUSE_S = 10.0
"""How long a person is left alone whose rows are locked: to find that out costs a second."""
MAX_REASON = 500

T = TypeVar("T")

EPISODE = "SELECT COALESCE((SELECT episode FROM payment_episodes WHERE transaction_id = %s), 0)"
TOLD = "SELECT channel FROM notifications WHERE user_id = %s AND episode = %s"
LAST_HOUR = (
    "SELECT channel, COUNT(*) FROM notifications "
    "WHERE user_id = %s AND status <> 'withheld' AND created_at > NOW(3) - INTERVAL 1 HOUR GROUP BY channel"
)
CLAIM = (
    "INSERT INTO notifications (user_id, episode, channel, activity_id, activity, source_partition, source_offset, "
    "message_id, status, reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE status = status"
)
TURN = "SELECT GET_LOCK(%s, 0) = 1 AND GET_LOCK(%s, 0) = 1"
IS_OURS = "SELECT status = 'pending' AND IS_USED_LOCK(%s) IS NOT NULL FROM notifications WHERE notification_id = %s"
DESTINATION = "IF(n.channel = 'email', LOWER(SUBSTRING_INDEX(n.activity->>'$.user_email', '@', -1)), '')"
"""What can fail by itself: the domain of an e-mail address. All push messages go to one service."""
DUE = (
    "SELECT n.activity, " + DESTINATION + ", n.notification_id, n.user_id, n.episode, n.channel, "
    "n.source_partition, n.source_offset, n.message_id, "
    "n.attempts, n.created_at, TIMESTAMPDIFF(MICROSECOND, n.created_at, NOW(3)) DIV 1000, p.home_country "
    "FROM notifications AS n LEFT JOIN user_profile AS p ON p.user_id = n.user_id "
    "WHERE n.channel = %s AND n.status = 'pending' AND {when}{but} ORDER BY n.next_attempt_at, n.notification_id LIMIT %s"
)
TIME_HAS_COME = "n.next_attempt_at <= NOW(3)"
IS_OVERDUE = "n.created_at <= NOW(3) - INTERVAL {deadline_s} SECOND"
PAYMENTS = (
    "SELECT transaction_id, transaction_time, amount, currency, country, merchant FROM transactions "
    "WHERE transaction_id IN ({ids})"
)
SENT = "UPDATE notifications SET status = 'sent', sent_at = NOW(3), attempts = %s, reason = NULL WHERE notification_id = %s"
LATER = (
    "UPDATE notifications SET attempts = %s, reason = %s, next_attempt_at = NOW(3) + INTERVAL %s MICROSECOND "
    "WHERE notification_id = %s"
)
UNDELIVERABLE = (
    "UPDATE notifications SET status = 'undeliverable', attempts = %s, reason = %s WHERE notification_id = %s"
)


class Claim(NamedTuple):
    """A row of the table. `partition` and `offset` are where the activity lies in its topic."""

    notification_id: int
    user_id: int
    episode: int
    channel: str
    partition: int
    offset: int
    message_id: str
    attempts: int
    created_at: datetime
    """UTC without a time zone, as MySQL gives it."""
    age_ms: int
    home_country: str | None


@dataclass(frozen=True, slots=True)
class Notification:
    """A message whose time has come: its activity as it lies in the topic, the payments of its hour, its row, the turn it was read in."""

    record: dict[str, Any]
    destination: str
    payments: list[ListedPayment]
    claim: Claim
    turn: str


def lock_name(settings: Settings, channel: str) -> str:
    """The lock that gives a learner's notifier the turn to send. Locks are the whole server's, so only those with its password know it."""
    password = Stack(settings).secrets.secret(secret_name(settings, "notifier"))
    return hashlib.sha256("\0".join((password, channel)).encode()).hexdigest()


class Ledger:
    """One connection to the table; for one thread. It is reopened after every error, and the caller may try again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None
        self._not_before: dict[int, float] = {}
        self._turn = ""
        """The name of a lock that is held as long as this connection has its turn to send; empty without one."""

    def claim(self, records: list[Received]) -> tuple[int, list[Received]]:
        """Makes sure that each of these activities' episodes has its rows; gives how many were made, and the activities left out.

        An activity belongs to the episode in which the database took the payment that made it known. A person who was
        told as often as the limit allows within the last hour gets a row that is withheld. Left out are those whose rows another session
        keeps locked: nobody else's claim waits for them.

        Raises:
            MalformedRecordError: A record is no activity: check before.
            mysql.connector.Error: Not all were claimed; to be tried again.
        """
        people: dict[int, list[tuple[Received, Activity]]] = {}
        for one in records:
            activity = parse(one.content)
            people.setdefault(activity.user_id, []).append((one, activity))
        blocked = {user_id for user_id, until in self._not_before.items() if time.monotonic() < until}
        made, locked = 0, [one for user_id in blocked & people.keys() for one, _ in people[user_id]]
        free = [people[user_id] for user_id in people if user_id not in blocked]
        for start in range(0, len(free), AT_A_TIME):
            some = free[start : start + AT_A_TIME]
            try:
                made += self._transaction(partial(self._claim_people, people=some))
                continue
            except mysql.connector.Error as error:
                if not is_locked(error):
                    raise
            for person in some:
                try:
                    made += self._transaction(partial(self._claim_people, people=[person]))
                except mysql.connector.Error as error:
                    if not is_locked(error):
                        raise
                    user_id = person[0][1].user_id
                    log.warning("the notifications of user %s wait: another session keeps them locked", user_id)
                    self._not_before[user_id] = time.monotonic() + LOCKED_PAUSE_S
                    locked += [one for one, _ in person]
        return made, locked

    def _claim_people(self, cursor: Any, people: Sequence[list[tuple[Received, Activity]]]) -> int:
        """Claims for people's activities. Where the first and the last of a person's belong to one episode, so do those in between."""
        made = 0
        for of_one in people:
            activities = sorted(of_one, key=lambda one: one[1].known_by or 0)
            first, last = activities[0][1], activities[-1][1]
            if len(activities) > 2 and self._episode(cursor, first) == self._episode(cursor, last):
                activities = activities[:1]
            made += sum(self._claim(cursor, received, activity) for received, activity in activities)
        return made

    def _episode(self, cursor: Any, activity: Activity) -> int:
        cursor.execute(EPISODE, (activity.known_by,))
        episode: int = cursor.fetchone()[0]
        return episode

    def _claim(self, cursor: Any, received: Received, activity: Activity) -> int:
        episode = self._episode(cursor, activity)
        cursor.execute(TOLD, (activity.user_id, episode))
        told = {channel for (channel,) in cursor.fetchall()}
        to_tell = [channel for channel in CHANNELS if channel not in told]
        if not to_tell:
            return 0
        cursor.execute(LAST_HOUR, (activity.user_id,))
        lately = dict(cursor.fetchall())
        limit = self._settings.notify_limit_per_hour
        for channel in to_tell:
            withheld = lately.get(channel, 0) >= limit
            status, reason = ("withheld", f"told {limit} times within the hour") if withheld else ("pending", None)
            cursor.execute(
                CLAIM,
                (
                    activity.user_id,
                    episode,
                    channel,
                    activity.activity_id,
                    orjson.dumps(received.content).decode(),
                    received.partition,
                    received.offset,
                    uuid.uuid4().hex,
                    status,
                    reason,
                ),
            )
        return len(to_tell)

    def due(self, channel: str, most: int, but: Collection[int], aside: Collection[str]) -> list[Notification] | None:
        """The pending rows of a channel whose time has come, at most so many, none of those numbers and none to those destinations.

        None where another notifier of this learner sends for the channel. The turn is this connection's until it ends, so it
        passes to another as soon as this process dies.
        """
        return self._transaction(lambda cursor: self._due(cursor, channel, most, but, aside, TIME_HAS_COME))

    def overdue(self, channel: str, most: int, but: Collection[int]) -> list[Notification] | None:
        """As `due`: the pending rows that are older than the deadline, whether their time has come or not."""
        when = IS_OVERDUE.format(deadline_s=self._settings.notify_deadline_s)
        return self._transaction(lambda cursor: self._due(cursor, channel, most, but, (), when))

    def is_ours(self, one: Notification) -> bool:
        """Whether it is still to be sent, and by us: the turn in which it was read is not over, as it is after a lost connection."""
        return self._transaction(lambda cursor: self._is_ours(cursor, one))

    def _is_ours(self, cursor: Any, one: Notification) -> bool:
        cursor.execute(IS_OURS, (one.turn, one.claim.notification_id))
        row = cursor.fetchone()
        return bool(row and row[0])

    def _due(
        self, cursor: Any, channel: str, most: int, but: Collection[int], aside: Collection[str], when: str
    ) -> list[Notification] | None:
        if not self._turn:
            turn = f"turn-{uuid.uuid4().hex}"
            cursor.execute(TURN, (lock_name(self._settings, channel), turn))
            if not cursor.fetchone()[0]:
                return None
            self._turn = turn
        without = f" AND n.notification_id NOT IN ({','.join(map(str, but))})" if but else ""
        if aside:
            without += f" AND {DESTINATION} NOT IN ({', '.join(['%s'] * len(aside))})"
        cursor.execute(DUE.format(when=when, but=without), (channel, *aside, most))
        rows = [(orjson.loads(row[0]), row[1], row[2:]) for row in cursor.fetchall()]
        payments = self._payments(cursor, {int(each) for record, _, _ in rows for each in record["transaction_ids"]})
        return [
            Notification(
                record,
                destination,
                [payments[each] for each in record["transaction_ids"] if each in payments],
                Claim(*row),
                self._turn,
            )
            for record, destination, row in rows
        ]

    def _payments(self, cursor: Any, ids: set[int]) -> dict[int, ListedPayment]:
        if not ids:
            return {}
        cursor.execute(PAYMENTS.format(ids=",".join(map(str, ids))))
        rows: list[Any] = cursor.fetchall()
        return {
            number: ListedPayment(time, amount, currency, country, merchant or "")
            for number, time, amount, currency, country, merchant in rows
            if None not in (time, amount, currency, country)
        }

    def sent(self, notification_id: int, attempts: int) -> None:
        """Records that the server took it."""
        self._transaction(lambda cursor: cursor.execute(SENT, (attempts, notification_id)))

    def later(self, notification_id: int, attempts: int, reason: str, pause_s: float) -> None:
        """Records a failure, and when to try again."""
        values = (attempts, reason[:MAX_REASON], round(pause_s * 1_000_000), notification_id)
        self._transaction(lambda cursor: cursor.execute(LATER, values))

    def undeliverable(self, notification_id: int, attempts: int, reason: str) -> None:
        """Records that it is given up."""
        self._transaction(
            lambda cursor: cursor.execute(UNDELIVERABLE, (attempts, reason[:MAX_REASON], notification_id))
        )

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection, self._turn = self._connection, None, ""
        if connection is not None:
            connection.close()

    def _transaction(self, work: Callable[[Any], T]) -> T:
        try:
            if self._connection is None:
                self._connection = connect(
                    self._settings, "notifier", database=self._settings.names.database, init_command=SHORT_WAITS
                )
            with self._connection.cursor() as cursor:
                result = work(cursor)
            self._connection.commit()
        except BaseException:
            try:
                self.close()
            except (mysql.connector.Error, OSError):
                self._connection = None
            raise
        return result
