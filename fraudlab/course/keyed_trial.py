"""Tries a learner's KeyedProcessFunction in this process, with keyed state, timers and a watermark as Flink gives them.

What is in state is pickled when it is written and unpickled when it is read, as the cluster does it: a change of what was read is lost
unless it is written back. `restart` goes on from the state with a new instance, as after a crash.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fraudlab.course.exercise import AnswerFailed, call

Key = Any
_NOTHING_YET = -(2**63)
"""The watermark before there is one."""
EVENT_TIME, PROCESSING_TIME = "event time", "processing time"
MOST_TIMERS = 10_000


class _Store:
    """The state of an operator: what each key has, by the state's name."""

    def __init__(self) -> None:
        self.values: dict[Key, dict[str, bytes]] = {}
        self.key: Key = None

    def read(self, name: str) -> Any:
        stored = self._of_key().get(name)
        return None if stored is None else pickle.loads(stored)  # noqa: S301 - written by `write`, in this process

    def write(self, name: str, value: Any) -> None:
        self._of_key()[name] = pickle.dumps(value)

    def clear(self, name: str) -> None:
        self._of_key().pop(name, None)

    def _of_key(self) -> dict[str, bytes]:
        if self.key is None:
            raise RuntimeError("state belongs to a key: it can be used in process_element and on_timer, not in open")
        return self.values.setdefault(self.key, {})


class _State:
    def __init__(self, store: _Store, name: str) -> None:
        self._store, self._name = store, name

    def clear(self) -> None:
        self._store.clear(self._name)

    def _read(self) -> Any:
        return self._store.read(self._name)

    def _write(self, value: Any) -> None:
        self._store.write(self._name, value)


class _Value(_State):
    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        self.clear() if value is None else self._write(value)


class _List(_State):
    def get(self) -> Iterator[Any]:
        return iter(self._read() or [])

    __iter__ = get

    def add(self, value: Any) -> None:
        self.add_all([value])

    def add_all(self, values: Iterable[Any]) -> None:
        self.update([*self.get(), *values])

    def update(self, values: Iterable[Any]) -> None:
        kept = list(values)
        self._write(kept) if kept else self.clear()


class _Map(_State):
    def _dict(self) -> dict[Any, Any]:
        return self._read() or {}

    def _keep(self, values: dict[Any, Any]) -> None:
        self._write(values) if values else self.clear()

    def get(self, key: Any) -> Any:
        return self._dict().get(key)

    def put(self, key: Any, value: Any) -> None:
        self._keep(self._dict() | {key: value})

    def put_all(self, values: dict[Any, Any]) -> None:
        self._keep(self._dict() | dict(values))

    def remove(self, key: Any) -> None:
        self._keep({one: value for one, value in self._dict().items() if one != key})

    def contains(self, key: Any) -> bool:
        return key in self._dict()

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._dict().items())

    def keys(self) -> Iterator[Any]:
        return iter(self._dict())

    def values(self) -> Iterator[Any]:
        return iter(self._dict().values())

    def is_empty(self) -> bool:
        return not self._dict()

    __contains__, __getitem__, __setitem__, __delitem__, __iter__ = contains, get, put, remove, keys


class _Reducing(_State):
    def __init__(self, store: _Store, name: str, reduce: Any) -> None:
        super().__init__(store, name)
        self._reduce = reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        before = self._read()
        self._write(value if before is None else self._reduce.reduce(before, value))


class _Aggregating(_State):
    def __init__(self, store: _Store, name: str, function: Any) -> None:
        super().__init__(store, name)
        self._function = function

    def get(self) -> Any:
        sums = self._read()
        return None if sums is None else self._function.get_result(sums)

    def add(self, value: Any) -> None:
        sums = self._read()
        self._write(self._function.add(value, self._function.create_accumulator() if sums is None else sums))


class _Runtime:
    """What `open` is given."""

    def __init__(self, store: _Store) -> None:
        self._store = store

    def get_state(self, descriptor: Any) -> _Value:
        return _Value(self._store, descriptor.name)

    def get_list_state(self, descriptor: Any) -> _List:
        return _List(self._store, descriptor.name)

    def get_map_state(self, descriptor: Any) -> _Map:
        return _Map(self._store, descriptor.name)

    def get_reducing_state(self, descriptor: Any) -> _Reducing:
        return _Reducing(self._store, descriptor.name, descriptor.get_reduce_function())

    def get_aggregating_state(self, descriptor: Any) -> _Aggregating:
        return _Aggregating(self._store, descriptor.name, descriptor.get_agg_function())

    def get_index_of_this_subtask(self) -> int:
        return 0

    def get_number_of_parallel_subtasks(self) -> int:
        return 1


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
        self._make, self._store = make, _Store()
        self.watermark_ms, self.now_ms = _NOTHING_YET, now_ms
        self.timers: set[tuple[str, int, Key]] = set()
        self.timers_set = 0
        self.restart()

    def restart(self) -> None:
        """Goes on with a new instance of the operator: what it remembered outside of state is gone. Raises AnswerFailed."""
        self._operator = call(self._make)
        self._store.key = None
        if hasattr(self._operator, "open"):
            self._called("open", _Runtime(self._store))

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
