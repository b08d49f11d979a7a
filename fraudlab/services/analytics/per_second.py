"""How many of something there were in each second of the last minutes."""


class PerSecond:
    """Counts by second of wall time. Seconds that are older than `keep_s` are forgotten."""

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
