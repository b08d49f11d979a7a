"""Tries a learner's KeyedProcessFunction in this process, with keyed state, timers and a watermark as Flink gives them.

`restart` goes on from the state with a new instance, as after a crash.
"""

from collections.abc import Callable
from typing import Any

from fraudlab.course.exercise import AnswerFailed, call
from fraudlab.course.keyed_state import Key, Runtime, Store

_NOTHING_YET = -(2**63)
"""The watermark before there is one."""
EVENT_TIME, PROCESSING_TIME = "event time", "processing time"
MOST_TIMERS = 10_000


class _Context:
    """What `process_element` and `on_timer` are given, for one key; it is the timer service, too."""

    def __init__(self, trial: "KeyedTrial", key: Key, timestamp_ms: int, domain: str = "") -> None:
        self._trial, self._key, self._timestamp_ms, self._domain = trial, key, timestamp_ms, domain

    def timer_service(self) -> "_Context":
        return self

    def timestamp(self) -> int:
        return self._timestamp_ms

    def get_current_key(self) -> Key:
        return self._key

    def time_domain(self) -> str:
        return self._domain

    def current_watermark(self) -> int:
        return self._trial.watermark_ms

    def current_processing_time(self) -> int:
        return self._trial.now_ms

    def register_event_time_timer(self, timestamp: int) -> None:
        self._set(EVENT_TIME, timestamp)

    def register_processing_time_timer(self, timestamp: int) -> None:
        self._set(PROCESSING_TIME, timestamp)

    def delete_event_time_timer(self, timestamp: int) -> None:
        self._trial.timers.discard((EVENT_TIME, timestamp, self._key))

    def delete_processing_time_timer(self, timestamp: int) -> None:
        self._trial.timers.discard((PROCESSING_TIME, timestamp, self._key))

    def _set(self, domain: str, timestamp: int) -> None:
        if not isinstance(timestamp, int):
            raise TypeError(f"a timer needs whole milliseconds since 1970, not {timestamp!r}")
        self._trial.timers.add((domain, timestamp, self._key))
        self._trial.timers_set += 1


class KeyedTrial:
    """An operator over a keyed stream.

    Attributes:
        watermark_ms: The watermark; `advance` moves it.
        now_ms: The clock on the wall, which is far ahead of the records, as when a job reads a history.
        timers: Those that have not fired: domain, time, key.
        timers_set: How many were ever registered.
    """

    def __init__(self, make: Callable[[], Any], now_ms: int) -> None:
        self._make = make
        self._store = Store("state belongs to a key: it can be used in process_element and on_timer, not in open")
        self.watermark_ms, self.now_ms = _NOTHING_YET, now_ms
        self.timers: set[tuple[str, int, Key]] = set()
        self.timers_set = 0
        self.restart()

    def restart(self) -> None:
        """Goes on with a new instance of the operator: what it remembered outside of state is gone. Raises AnswerFailed."""
        self._operator = call(self._make)
        self._store.key = None
        if hasattr(self._operator, "open"):
            self._called("open", Runtime(self._store))

    def process(self, key: Key, value: Any, timestamp_ms: int) -> list[Any]:
        """What the operator sends for a record of this key, and for the timers that are due then. Raises AnswerFailed."""
        self._store.key = key
        sent = self._called("process_element", value, _Context(self, key, timestamp_ms))
        return sent + self._fire()

    def advance(self, watermark_ms: int) -> list[Any]:
        """Moves the watermark, and the clock on the wall as far; what the operator sends for due timers. Raises AnswerFailed."""
        if self.watermark_ms != _NOTHING_YET:
            self.now_ms += watermark_ms - self.watermark_ms
        self.watermark_ms = watermark_ms
        return self._fire()

    def size(self, key: Key) -> int:
        """How many bytes of state a key has."""
        return sum(map(len, self._store.values.get(key, {}).values()))

    def _fire(self) -> list[Any]:
        sent: list[Any] = []
        while due := [timer for timer in self.timers if timer[1] <= self._clock(timer[0])]:
            timer = min(due, key=lambda one: one[1])
            self.timers.remove(timer)
            domain, timestamp, self._store.key = timer
            sent += self._called("on_timer", timestamp, _Context(self, self._store.key, timestamp, domain))
            if self.timers_set > MOST_TIMERS:
                raise AnswerFailed("on_timer registers timers that are due at once, without an end.")
        return sent

    def _clock(self, domain: str) -> int:
        return self.watermark_ms if domain == EVENT_TIME else self.now_ms

    def _called(self, name: str, *arguments: Any) -> list[Any]:
        def run(*_shown: Any) -> list[Any]:
            return list(getattr(self._operator, name)(*arguments) or ())

        run.__name__ = name
        return list(call(run, *arguments[:1]))
