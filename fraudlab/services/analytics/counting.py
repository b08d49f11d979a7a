"""Counting and keeping what comes again, late and in any order, as records do when a topic is replayed partition by partition."""

from bisect import insort
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

CHUNK_BITS = 1 << 15
T = TypeVar("T")
SETTLED_AFTER_MS = 5_000
"""How long after its id was given out a row may be committed and still be seen."""


class IdSet:
    """A set of numbers from 0 on that are given out in order, such as `transaction_id`: a bit each, so a million take about 130 kB."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}
        self._count = 0

    def add(self, number: int) -> bool:
        """Adds a number; gives whether it is new."""
        chunk, bit = divmod(number, CHUNK_BITS)
        bits = self._chunks.get(chunk)
        if bits is None:
            bits = self._chunks[chunk] = bytearray(CHUNK_BITS // 8)
        mask = 1 << (bit & 7)
        if bits[bit >> 3] & mask:
            return False
        bits[bit >> 3] |= mask
        self._count += 1
        return True

    def __contains__(self, number: int) -> bool:
        chunk, bit = divmod(number, CHUNK_BITS)
        bits = self._chunks.get(chunk)
        return bits is not None and bool(bits[bit >> 3] & (1 << (bit & 7)))

    def __len__(self) -> int:
        return self._count


class Newest(Generic[T]):
    """The newest few of something by time, whatever the order in which they come.

    Iterates from the oldest to the newest; of equal times the one that was added last is the newest.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._items: list[tuple[int, T]] = []

    def add(self, time_ms: int, item: T) -> None:
        """Adds an item of this time; where there are too many, the oldest goes."""
        insort(self._items, (time_ms, item), key=lambda each: each[0])
        del self._items[: -self._keep]

    def __iter__(self) -> Iterator[T]:
        return (item for _, item in self._items)

    def __reversed__(self) -> Iterator[T]:
        return (item for _, item in reversed(self._items))

    def __len__(self) -> int:
        return len(self._items)


class PerSecond:
    """How many of something there were in each second of wall time. Seconds that are older than `keep_s` are forgotten."""

    def __init__(self, keep_s: int = 600) -> None:
        self._keep_s = keep_s
        self._counts: dict[int, int] = {}

    def add(self, time_ms: int, count: int = 1) -> None:
        """Adds `count` to the second in which `time_ms` (since the epoch) lies."""
        second = time_ms // 1000
        self._counts[second] = self._counts.get(second, 0) + count
        if len(self._counts) > 2 * self._keep_s:
            oldest = max(self._counts) - self._keep_s
            self._counts = {each: number for each, number in self._counts.items() if each >= oldest}

    def rate(self, now_ms: int, span_s: int = 5) -> float:
        """How many a second, over the last `span_s` full seconds."""
        end = now_ms // 1000
        return sum(self._counts.get(second, 0) for second in range(end - span_s, end)) / span_s

    def series(self, now_ms: int, span_s: int, step_s: int) -> list[tuple[int, float]]:
        """Steps of full seconds up to now, oldest first: the step's start in ms since the epoch, and how many a second."""
        end = now_ms // 1000 // step_s * step_s
        return [
            (start * 1000, sum(self._counts.get(second, 0) for second in range(start, start + step_s)) / step_s)
            for start in range(end - span_s, end, step_s)
        ]


class Tail:
    """What of a table was read, by its rising ids, although a row may be committed after one with a higher id.

    Rows begin with their id and the time when it was given out, in ms since the epoch.

    Read the rows with an id above `floor` again and again; `fresh` gives each once.
    """

    def __init__(self) -> None:
        self.floor = 0
        self._above: set[int] = set()

    def fresh(self, rows: Iterable[tuple[int, int, *tuple[Any, ...]]], now_ms: int) -> list[tuple[Any, ...]]:
        """Those of the rows that were not there before. Those given out long ago are not asked for again."""
        new = []
        for row in rows:
            if row[0] not in self._above and row[0] > self.floor:
                new.append(row)
                self._above.add(row[0])
            if row[1] < now_ms - SETTLED_AFTER_MS:
                self.floor = max(self.floor, row[0])
        self._above = {each for each in self._above if each > self.floor}
        return new


class PaymentCount:
    """How many payments there are, in all and by second, counted on from where all of them are committed.

    Payments up to `floor` are counted and not asked for again.

    Nothing changes before `take`, so a look at the table that fails halfway has taken nothing.
    """

    def __init__(self) -> None:
        self.floor = 0
        self._settled = 0
        self._open: dict[int, int] = {}

    @property
    def total(self) -> int:
        """All payments that were seen."""
        return self._settled + sum(self._open.values())

    def take(self, floor: int, rows: Iterable[tuple[int, int, int]]) -> list[tuple[int, int]]:
        """Takes in the payments above the floor so far, of which those up to the new `floor` are settled.

        Args:
            floor: The newest payment before which no other can still be committed.
            rows: Whether they are settled, the second of their creation since the epoch, and how many they are.

        Returns:
            Seconds, with how many payments in them are new.
        """
        before, self._open = self._open, {}
        seen: dict[int, int] = {}
        for is_settled, second, count in rows:
            seen[second] = seen.get(second, 0) + count
            if is_settled:
                self._settled += count
            else:
                self._open[second] = count
        self.floor = floor
        return [
            (second, count - before.get(second, 0)) for second, count in seen.items() if count != before.get(second, 0)
        ]
