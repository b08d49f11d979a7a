"""One channel's deliveries: takes what is due from the table, hands it to the server, and records what became of it."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

import mysql.connector
import orjson
from kafka.errors import KafkaError

from fraudlab.pipeline.contracts import dead_letter
from fraudlab.services.consumer import DeadLetters
from fraudlab.services.mysql_retry import patiently
from fraudlab.services.notifier.activity import parse
from fraudlab.services.notifier.delivery import NotNowError, RefusedError, pause_s
from fraudlab.services.notifier.ledger import Ledger, Notification
from fraudlab.services.notifier.message import Message, compose
from fraudlab.services.notifier.outbox import IN_HAND, WORKERS, Outbox
from fraudlab.services.notifier.senders import Sender, sender_for
from fraudlab.settings import Settings

log = logging.getLogger("fraudlab.notifier")

LOOK_AGAIN_S = 0.5
"""How often the table is looked at for what is to be tried again; what is new is announced."""
TOO_LATE = "not delivered in time, the last time because"

T = TypeVar("T")


class Channel:
    """Sends a channel's notifications with several threads, until it is stopped.

    `failed` is called, from any thread, when one of them ended with an error: then the service must end as well.
    """

    def __init__(
        self, name: str, settings: Settings, url: str, dead_letters: DeadLetters, failed: Callable[[], None]
    ) -> None:
        self.name = name
        self._settings = settings
        self._dead_letters = dead_letters
        self._failed = failed
        self._senders = [sender_for(url, settings.notify_timeout_s) for _ in range(WORKERS)]
        self._outbox = Outbox(settings.notify_retry_max_s)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._just_silent = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(self._feed,), name=f"{name}-feed", daemon=True)]
        self._threads += [
            threading.Thread(target=self._guarded, args=(self._work, sender), name=f"{name}-{number}", daemon=True)
            for number, sender in enumerate(self._senders, start=1)
        ]

    def start(self) -> None:
        """Starts its threads."""
        for thread in self._threads:
            thread.start()

    def announce(self) -> None:
        """Says that there are new rows."""
        self._news.set()

    def stop(self, patience_s: float) -> None:
        """Begins no further delivery; waits so long for those under way to be recorded."""
        self._stopping.set()
        self._news.set()
        self._outbox.close()
        deadline = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except mysql.connector.Error as error:
            log.critical("%s ends, and the service with it: %s", threading.current_thread().name, error)
            self._failed()
        except Exception:
            log.exception("%s ends with an error that it cannot put right", threading.current_thread().name)
            self._failed()

    def _feed(self) -> None:
        """Takes from the table what is due and hands it to the workers."""
        ledger = Ledger(self._settings)
        standing_by = True
        while not self._stopping.is_set():
            self._news.wait(LOOK_AGAIN_S)
            self._news.clear()
            if self._just_silent.is_set():
                self._just_silent.clear()
                self._expire(ledger)
            while not self._stopping.is_set() and (room := self._outbox.room()):
                # Before the table is read: what is done with meanwhile is then either still excluded or no longer pending.
                but, aside = self._outbox.in_hand(), self._outbox.aside()
                due = _patient(ledger.due)(self.name, room, but, aside)
                if (due is None) is not standing_by:
                    standing_by = due is None
                    log.info("%s: %s", self.name, "another notifier is sending" if standing_by else "it is our turn")
                if due is None:
                    break
                self._outbox.put(due)
                if len(due) < room:
                    break
        ledger.close()

    def _expire(self, ledger: Ledger) -> None:
        """Gives up what is overdue, each time that its server or destination turned out to be away: to try each would take days."""
        looked_at = self._outbox.in_hand()
        while not self._stopping.is_set():
            overdue = _patient(ledger.overdue)(self.name, IN_HAND, looked_at) or []
            for one in overdue:
                looked_at.add(one.claim.notification_id)
                because = self._outbox.silent_because(one.destination)
                if because is None:
                    continue
                if not _patient(ledger.is_ours)(one):
                    return
                if not self._give_up(one, ledger, one.claim.attempts, f"{TOO_LATE}: {because}"):
                    return
            if len(overdue) < IN_HAND:
                return

    def _work(self, sender: Sender) -> None:
        """Delivers what is handed over."""
        ledger = Ledger(self._settings)
        while (notification := self._outbox.take()) is not None:
            try:
                if _patient(ledger.is_ours)(notification):
                    self._deliver(notification, ledger, sender)
            finally:
                if self._outbox.done(notification):
                    self._news.set()
        sender.close()
        ledger.close()

    def _deliver(self, one: Notification, ledger: Ledger, sender: Sender) -> None:
        claim, attempts = one.claim, one.claim.attempts + 1
        try:
            sender.send(_message(one))
        except RefusedError as error:
            self._reached(one)
            self._give_up(one, ledger, attempts, str(error))
        except NotNowError as error:
            if error.server_away or error.destination_away:
                self._away(one, error)
            else:
                self._reached(one)
            left_s = self._settings.notify_deadline_s - claim.age_ms / 1000
            if left_s <= 0:
                self._give_up(one, ledger, attempts, f"{TOO_LATE}: {error}")
                return
            pause = min(left_s, pause_s(attempts, self._settings.notify_retry_max_s))
            log.info("%s of user %s is tried again in %.1f s: %s", self.name, claim.user_id, pause, error)
            _patient(ledger.later)(claim.notification_id, attempts, str(error), pause)
        except Exception as error:  # what is wrong with one message must not keep the others from being sent
            log.exception("%s: no message can be made or sent of notification %s", self.name, claim.notification_id)
            self._give_up(one, ledger, attempts, f"no message can be made or sent of it: {error!r}")
        else:
            self._reached(one)
            _patient(ledger.sent)(claim.notification_id, attempts)

    def _give_up(self, one: Notification, ledger: Ledger, attempts: int, reason: str) -> bool:
        """Writes the dead letter, then the row: after a crash in between the letter is written again, with the same id, not forgotten.

        While Kafka is away the notification stays pending, so that the others are sent meanwhile. Gives whether it is given up.
        """
        claim = one.claim
        letter = dead_letter(
            self._settings.names.suspicious_activities,
            claim.partition,
            claim.offset,
            reason=f"{self.name} cannot be delivered: {reason}",
            payload=orjson.dumps(one.record).decode(),
            letter_id=f"notification-{claim.user_id}-{claim.episode}-{self.name}",
            transaction_id=one.record.get("transaction_id"),
        )
        try:
            self._dead_letters.write(letter)
        except KafkaError as error:
            log.warning("%s: no dead letter for user %s yet, Kafka is away: %r", self.name, claim.user_id, error)
            pause = pause_s(attempts, self._settings.notify_retry_max_s)
            _patient(ledger.later)(claim.notification_id, attempts, f"{reason}; Kafka takes no dead letter yet", pause)
            return False
        _patient(ledger.undeliverable)(claim.notification_id, attempts, reason)
        return True

    def _away(self, one: Notification, error: NotNowError) -> None:
        if error.server_away:
            if (pause := self._outbox.server_away(str(error))) is None:
                return
            log.warning("%s waits %.1f s for its server: %s", self.name, pause, error)
        else:
            if (pause := self._outbox.destination_away(one.destination, str(error))) is None:
                return
            log.warning("%s to %s waits %.1f s: %s", self.name, one.destination, pause, error)
        self._just_silent.set()
        self._news.set()

    def _reached(self, one: Notification) -> None:
        if self._outbox.reached(one.destination):
            log.info("%s: its server is back", self.name)


def _message(one: Notification) -> Message:
    claim = one.claim
    activity, created_at = parse(one.record), claim.created_at.replace(tzinfo=UTC)
    return compose(claim.channel, activity, one.payments, claim.home_country, claim.message_id, created_at)


def _patient(work: Callable[..., T]) -> Callable[..., T]:
    return patiently(log)(work)
