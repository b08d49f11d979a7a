"""What a channel has in hand, and which of it may be sent next: a destination that is silent takes neither all workers nor all room."""

import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from fraudlab.services.notifier.delivery import pause_s
from fraudlab.services.notifier.ledger import Notification

WORKERS = 8
SHARE = WORKERS // 2
"""Only while fewer workers are busy does a destination get a second one. The others are for destinations that have none."""
PROBES = 2
"""So many workers at most send to destinations that failed before."""
IN_HAND = 64
"""So many notifications are in hand at a time, besides those of destinations that are slow or failed before."""
SLOW_S = 0.5
"""A destination that takes longer for a message no longer counts against the room for the others."""
FORGET_AFTER_S = 3600
"""How long a failure is remembered after which nothing was sent to its destination."""


@dataclass(slots=True)
class _Line:
    """What leads to one destination, or to the server itself."""

    failures: int = 0
    """In a row."""
    silent_until: float = 0.0
    because: str = ""
    in_hand: int = 0
    sending: int = 0
    answered_at: float = 0.0
    """When it last answered or, with nothing under way since, when something was handed over to it."""

    @property
    def is_silent(self) -> bool:
        return time.monotonic() < self.silent_until

    @property
    def is_slow(self) -> bool:
        return self.sending > 0 and time.monotonic() - self.answered_at > SLOW_S

    def fail(self, because: str, longest_pause_s: float) -> float:
        self.failures += 1
        pause = pause_s(self.failures, longest_pause_s)
        self.silent_until, self.because = time.monotonic() + pause, because
        return pause


class Outbox:
    """The notifications in hand of one channel; for several threads.

    A destination is what can fail by itself: the domain of an e-mail address. One that failed gets one message at a time, after
    growing pauses, until it answers. While the server itself is silent nothing is in hand, and then one message to see whether it is back.
    """

    def __init__(self, longest_pause_s: float) -> None:
        self._longest_pause_s = longest_pause_s
        self._server = _Line()
        self._lines: defaultdict[str, _Line] = defaultdict(_Line)
        self._waiting: list[Notification] = []
        self._in_hand: set[int] = set()
        self._closed = False
        self._changed = threading.Condition()

    def room(self) -> int:
        """How many more may be taken from the table."""
        with self._changed:
            if self._server.is_silent:
                return 0
            if self._server.failures:
                return max(0, 1 - len(self._in_hand))
            room = IN_HAND - sum(one.in_hand for one in self._lines.values() if not (one.failures or one.is_slow))
            return room if room >= IN_HAND // 2 else 0

    def in_hand(self) -> set[int]:
        """The numbers of those in hand."""
        with self._changed:
            return set(self._in_hand)

    def aside(self) -> set[str]:
        """The destinations that get nothing more at the moment."""
        with self._changed:
            failed = {name: one for name, one in self._lines.items() if one.failures}
            slow = {name for name, one in self._lines.items() if one.is_slow}
            if sum(one.in_hand for one in failed.values()) >= IN_HAND:
                return slow | failed.keys()
            return slow | {name for name, one in failed.items() if one.is_silent or one.in_hand}

    def put(self, due: Collection[Notification]) -> None:
        """Takes these in hand; of those to a destination that failed, the first."""
        with self._changed:
            for one in due:
                line = self._lines[one.destination]
                if line.failures and (line.is_silent or line.in_hand):
                    continue
                line.in_hand += 1
                self._in_hand.add(one.claim.notification_id)
                self._waiting.append(one)
            self._changed.notify_all()

    def take(self) -> Notification | None:
        """Waits for one that may be sent now; None when the outbox is closed. `done` must follow."""
        with self._changed:
            while not self._closed:
                for place, one in enumerate(self._waiting):
                    line = self._lines[one.destination]
                    if self._may_have_another(line):
                        del self._waiting[place]
                        if not line.sending:
                            line.answered_at = time.monotonic()
                        line.sending += 1
                        return one
                self._changed.wait()
            return None

    def _may_have_another(self, line: _Line) -> bool:
        if line.failures:
            return not line.sending and sum(one.sending for one in self._lines.values() if one.failures) < PROBES
        return not line.sending or sum(one.sending for one in self._lines.values()) < SHARE

    def done(self, one: Notification) -> bool:
        """Notes that it is out of hand; gives whether there may be room for others."""
        with self._changed:
            line = self._lines[one.destination]
            line.sending -= 1
            self._out_of_hand(one)
            self._changed.notify_all()
            return line.in_hand <= IN_HAND // 2

    def close(self) -> None:
        """Hands nothing out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def server_away(self, because: str) -> float | None:
        """Notes that the server takes nothing; gives the pause in seconds, None where that was known."""
        with self._changed:
            if self._server.is_silent:
                return None  # several found out at the same time
            pause = self._server.fail(because, self._longest_pause_s)
            self._put_back(self._waiting)
            return pause

    def destination_away(self, destination: str, because: str) -> float | None:
        """Notes that a destination takes nothing; gives the pause in seconds, None where that was known."""
        with self._changed:
            self._server.failures = 0
            line = self._lines[destination]
            if line.is_silent:
                return None
            pause = line.fail(because, self._longest_pause_s)
            self._put_back([one for one in self._waiting if one.destination == destination])
            self._forget()
            return pause

    def reached(self, destination: str) -> bool:
        """Notes that the server and the destination have answered; gives whether the server had been away."""
        with self._changed:
            was_away = self._server.failures > 0
            self._server.failures = 0
            line = self._lines[destination]
            line.failures, line.silent_until, line.answered_at = 0, 0.0, time.monotonic()
            self._changed.notify_all()
            return was_away

    def silent_because(self, destination: str) -> str | None:
        """Why nothing is sent to a destination at the moment; None: something is."""
        with self._changed:
            for line in (self._server, self._lines.get(destination)):
                if line is not None and line.is_silent:
                    return line.because
            return None

    def _put_back(self, those: list[Notification]) -> None:
        """They stay in the table, as what is due."""
        back = {one.claim.notification_id for one in those}
        for one in those:
            self._out_of_hand(one)
        self._waiting = [one for one in self._waiting if one.claim.notification_id not in back]

    def _out_of_hand(self, one: Notification) -> None:
        self._in_hand.discard(one.claim.notification_id)
        line = self._lines[one.destination]
        line.in_hand -= 1
        if not (line.in_hand or line.failures):
            del self._lines[one.destination]

    def _forget(self) -> None:
        long_ago = time.monotonic() - FORGET_AFTER_S
        for name in [name for name, one in self._lines.items() if not one.in_hand and one.silent_until < long_ago]:
            del self._lines[name]
