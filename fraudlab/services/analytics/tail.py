"""Reading on in a table by its rising ids, although a row may be committed after one with a higher id."""

from collections.abc import Iterable
from typing import Any

SETTLED_AFTER_MS = 5_000
"""How long after its id was given out a row may be committed and still be seen."""


class Tail:
    """What of a table was read. Rows begin with their id and the time when it was given out, in ms since the epoch.

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
