"""The newest few of something by time, whatever the order in which they come: a topic's partitions are replayed one by one."""

from bisect import insort
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Iterates from the oldest to the newest; of equal times the one that was added last is the newest."""

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
