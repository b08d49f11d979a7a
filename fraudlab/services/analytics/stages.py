"""The flow, stage by stage: how much came so far, how much is still to come, and whether it stands still."""

from dataclasses import dataclass
from enum import Enum

STALLED_AFTER_MS = 6_000
LOOKED_AT_WITHIN_MS = 6_000
"""A look that is older tells nothing of now: whoever looks is away, or what is looked at does not answer."""
FLOWING_FOR_MS = 12_000
"""A job tells how far it is with every checkpoint, each ten seconds."""
USUAL_BACKLOG_S = 2
"""So many seconds' worth of records are on their way when all is well: stages are not looked at in the same moment."""
USUAL_BACKLOG = 20


class State(Enum):
    """How a stage is. The value is what a person reads."""

    UNKNOWN = "not known"
    IDLE = "idle"
    FLOWING = "flowing"
    BEHIND = "catching up"
    STALLED = "stalled"


@dataclass(frozen=True)
class Reading:
    """A stage, looked at once.

    `count` is what people see; `progress` any number that changes when the stage has worked; `lag` how much the stage
    before has that this one does not, None where that cannot be told. `arriving_per_s` is how fast it gets work, where
    that is not how fast `count` grows. `overdue_ms`: what is in `lag` has been there that long, for the stage tells of
    its work no more often.
    """

    count: int
    progress: int
    lag: int | None
    arriving_per_s: float | None = None
    overdue_ms: int = 0


class Stage:
    """A stage over time."""

    def __init__(self) -> None:
        self.reading: Reading | None = None
        self.rate = 0.0
        self._counted_ms = 0
        self._progressed_ms = 0
        self._owing_since_ms: int | None = None

    def observe(self, reading: Reading, now_ms: int) -> None:
        """Takes in a look at the stage."""
        before, self.reading = self.reading, reading
        if before is not None and now_ms > self._counted_ms:
            sample = max(0, reading.count - before.count) * 1000 / (now_ms - self._counted_ms)
            self.rate = sample if self.rate == 0 else 0.6 * self.rate + 0.4 * sample
            if self.rate < 0.05:
                self.rate = 0.0
        self._counted_ms = now_ms
        if before is not None and before.progress != reading.progress:
            self._progressed_ms = now_ms
        if not reading.lag:
            self._owing_since_ms = None
        elif self._owing_since_ms is None:
            self._owing_since_ms = now_ms - reading.overdue_ms

    def state(self, now_ms: int) -> State:
        """How the stage is now: stalled where something is to be done, and for seconds nothing was."""
        if self.reading is None or now_ms - self._counted_ms > LOOKED_AT_WITHIN_MS:
            return State.UNKNOWN
        if self._owing_since_ms is not None:
            at_rest_ms = now_ms - max(self._owing_since_ms, self._progressed_ms)
            if at_rest_ms >= max(STALLED_AFTER_MS, self.reading.overdue_ms):
                return State.STALLED
        arriving_per_s = self.rate if self.reading.arriving_per_s is None else self.reading.arriving_per_s
        if (self.reading.lag or 0) > USUAL_BACKLOG + USUAL_BACKLOG_S * arriving_per_s:
            return State.BEHIND
        if now_ms - self._progressed_ms < FLOWING_FOR_MS:
            return State.FLOWING
        return State.IDLE
