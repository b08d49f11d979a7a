"""The class code, and how many wrong ones may be tried."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from hmac import compare_digest

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike on a projector: i, l, o, 0, 1."""
GROUPS, GROUP_LENGTH = 3, 4
SHORTEST = 8
"""Letters and digits of a code that an instructor chooses."""

WITHIN_S = 60
WRONG_OF_A_NAME = 10
WRONG_OF_AN_ADDRESS = 60
"""A whole class may be behind one address, and everybody mistypes the code once or twice. Guessing takes ages all the same."""
MOST_KEYS = 10_000
"""So many names and addresses are counted at a time: nobody fills the memory with names."""


def make_code() -> str:
    """A new class code, such as `k7mq-2xfd-9hwn`: 59 bits, and easy to copy from a projector."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))


def is_code(typed: str, code: str) -> bool:
    """Whether somebody typed the code; capitals, spaces and hyphens don't matter."""
    return compare_digest(plain(typed).encode(), plain(code).encode())


def plain(code: str) -> str:
    """A code without what doesn't matter in it."""
    return "".join(letter for letter in code.casefold() if letter.isalnum())


class WrongCodes:
    """Counts the wrong codes of each key, a name or an address, within the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def wait_s(self, limits: Iterable[tuple[str, int]]) -> float:
        """How long until another code may be tried, 0 for now; each key comes with the wrong codes that it may have within a minute."""
        now = self._clock()
        return max((self._wait_s(key, limit, now) for key, limit in limits), default=0)

    def _wait_s(self, key: str, limit: int, now: float) -> float:
        recent = [at for at in self._times.get(key, ()) if at > now - WITHIN_S]
        return 0 if len(recent) < limit else recent[-limit] + WITHIN_S - now

    def note(self, keys: Iterable[str]) -> None:
        """One more wrong code of each of these keys."""
        now = self._clock()
        for key in keys:
            times = self._times.pop(key, None) or deque(maxlen=WRONG_OF_AN_ADDRESS)
            times.append(now)
            self._times[key] = times  # the last in the dictionary is the newest
        while len(self._times) > MOST_KEYS or self._oldest() <= now - WITHIN_S:
            del self._times[next(iter(self._times))]

    def _oldest(self) -> float:
        """When the key that has been quiet for longest was last counted."""
        return next(iter(self._times.values()))[-1]
