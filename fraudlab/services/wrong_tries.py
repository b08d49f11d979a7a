"""Counting wrong passwords and codes, so that nobody guesses them."""

import time
from collections import deque
from collections.abc import Callable, Iterable

WITHIN_S = 60
MOST_KEYS = 10_000
"""So many names and addresses are counted at a time: nobody fills the memory with names."""
MOST_TRIES = 100
"""Of a key: no limit is higher."""


class WrongTries:
    """Counts the wrong tries of each key, a name or an address for instance, within the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def wait_s(self, limits: Iterable[tuple[str, int]]) -> float:
        """How long until the next try, 0 for now; each key comes with the wrong tries that it may have within a minute."""
        now = self._clock()
        return max((self._wait_s(key, limit, now) for key, limit in limits), default=0)

    def _wait_s(self, key: str, limit: int, now: float) -> float:
        recent = [at for at in self._times.get(key, ()) if at > now - WITHIN_S]
        return 0 if len(recent) < limit else recent[-limit] + WITHIN_S - now

    def note(self, keys: Iterable[str]) -> None:
        """One more wrong try of each of these keys."""
        now = self._clock()
        for key in keys:
            times = self._times.pop(key, None) or deque(maxlen=MOST_TRIES)
            times.append(now)
            self._times[key] = times  # the last in the dictionary is the newest
        while len(self._times) > MOST_KEYS or self._oldest() <= now - WITHIN_S:
            del self._times[next(iter(self._times))]

    def _oldest(self) -> float:
        """When the key that has been quiet for longest was last counted."""
        return next(iter(self._times.values()))[-1]
