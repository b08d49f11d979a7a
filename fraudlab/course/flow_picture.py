"""How much flows through each stage of the pipeline, as a picture that is drawn anew while it flows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from fraudlab.clients.topics import length
from fraudlab.course.pictures import Lane, Picture, pulse
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError

STEP_S = 0.5
TOPICS = {"payments": "transactions", "joined": "transaction_mid", "activities": "suspicious_activities"}
REFUSED = "refused"
STAGES = (*TOPICS, REFUSED)
"""What can be watched: records of a topic, and payments that the bank has refused."""

Counts = Mapping[str, int]


@contextmanager
def counting(workspace: Workspace, stages: Sequence[str]) -> Iterator[Callable[[], Counts]]:
    """A function that says how many records each of the stages has had so far, for a `with` statement: it holds a connection.

    Raises:
        UserError: There is no such stage.
    """
    for stage in stages:
        if stage not in STAGES:
            raise UserError(f"There is no stage {stage!r}.", f"Stages: {', '.join(STAGES)}.")
    with closing(workspace.consumer()) as consumer:
        topics = {stage: workspace.topic(TOPICS[stage]) for stage in stages if stage in TOPICS}

        def count() -> Counts:
            counts = {stage: length(consumer, [topic]) for stage, topic in topics.items()}
            if REFUSED in stages:
                counts[REFUSED] = int(workspace.value("SELECT COUNT(*) AS n FROM declined_transactions"))
            return {stage: counts[stage] for stage in stages}

        yield count


def watch(
    count: Callable[[], Counts],
    seconds: float,
    show: Callable[[Picture], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Counts twice a second and shows the picture each time, for so many seconds; then it ends. It has no thread of its own."""
    first, began = count(), clock()
    samples: list[tuple[float, Counts]] = [(0.0, first)]
    while True:
        lanes = [Lane(stage, tuple((at, counts[stage] - first[stage]) for at, counts in samples)) for stage in first]
        show(pulse(lanes, seconds))
        passed = samples[-1][0]
        if passed >= seconds:
            return
        wait(min(STEP_S, seconds - passed))
        samples.append((clock() - began, count()))
