"""How long a check looks: until the answer is right or wrong, until nothing moves any more, or until its patience ends."""

import time
from typing import Any

from fraudlab.course.exercise import AnswerFailed, Exercise, Kind, Verdict
from fraudlab.course.workspace import Workspace

POLL_S = 0.3
AT_REST_S = 5.0
"""What has not changed for this long while a check looked is no longer on its way. A busy machine pauses for less."""


def verdict_of(exercise: Exercise, workspace: Workspace, answers: tuple[Any, ...]) -> Verdict:
    """Observes and judges an answer again and again while the verdict is *not yet*.

    Returns:
        The first verdict that is not *not yet*; its `at_rest` once the observation has stopped changing; *not yet* when the
        exercise's patience ends.

    Raises:
        NotSolvedYet: There is no answer.
        Exception: Whatever `observe` raises when a part of the stack is away (`fraudlab.course.workspace.OUTAGES`).
    """
    began = moved = time.monotonic()
    seen: Any = None
    while True:
        try:
            observed = exercise.observe(workspace, *answers)
        except AnswerFailed as failure:
            return exercise.failed(failure)
        verdict = exercise.verdict(observed, answers)
        now = time.monotonic()
        if verdict.at_rest is not None:
            if observed != seen:
                seen, moved = observed, now
            elif now - moved >= AT_REST_S:
                return verdict.at_rest
        if verdict.kind is not Kind.NOT_YET or now - began > exercise.patience_s:
            return verdict
        time.sleep(POLL_S)
