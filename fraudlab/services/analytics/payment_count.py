"""How many payments there are, in all and by second, counted on from where all of them are committed."""

from collections.abc import Iterable


class PaymentCount:
    """Sums over the table of payments. Payments up to `floor` are counted and not asked for again.

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
