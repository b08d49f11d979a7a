"""Simulated time: begins anywhere in the past, runs at any speed, and never passes the present of the database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SimulatedClock:
    """Event time as a function of a steady clock and of the database's present.

    Args:
        start_ms: event time at which the clock begins, ms since the epoch.
        speed: seconds of event time per second; None for as fast as the present allows.
        steady_s: a monotonic clock in seconds.
        present_ms: the database's clock, ms since the epoch; an estimate that never runs ahead of it.
    """

    def __init__(
        self, start_ms: int, speed: float | None, steady_s: Callable[[], float], present_ms: Callable[[], int]
    ) -> None:
        self._start_ms = start_ms
        self._speed = speed
        self._steady_s = steady_s
        self._present_ms = present_ms
        self._began_s = steady_s()

    def now_ms(self) -> int:
        """The simulated time, never after the present."""
        present_ms = self._present_ms()
        if self._speed is None:
            return present_ms
        elapsed_ms = (self._steady_s() - self._began_s) * 1000 * self._speed
        return min(present_ms, self._start_ms + int(elapsed_ms))

    def wait_s(self, time_ms: int) -> float:
        """Seconds until the simulated clock shows `time_ms`; 0 when it does already."""
        behind_present_ms = time_ms - self._present_ms()
        if self._speed is None:
            return max(0.0, behind_present_ms / 1000)
        due_s = self._began_s + (time_ms - self._start_ms) / 1000 / self._speed
        return max(0.0, due_s - self._steady_s(), behind_present_ms / 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, rounded down; a time without zone is taken for UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(milliseconds=1)


def to_mysql(time_ms: int) -> str:
    """A time as MySQL reads it into TIMESTAMP(3), in UTC."""
    return (EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%d %H:%M:%S.") + f"{time_ms % 1000:03d}"
