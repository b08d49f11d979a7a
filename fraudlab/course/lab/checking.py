"""How long a check looks: until the answer is right or wrong, until nothing moves any more, or until its patience ends."""

import time
from typing import Any

from fraudlab.course.exercise import AnswerFailed, Exercise, Kind, Mistake, UnreadableError, Verdict, to_do_first, wrong
from fraudlab.course.workspace import Workspace

POLL_S = 0.3
AT_REST_S = 5.0
"""What has not changed for this long while a check looked is no longer on its way. A busy machine pauses for less."""


JOB_FAILS = Mistake("job_fails", "Your job keeps failing, so it writes nothing more.")


def verdict_of(exercise: Exercise, workspace: Workspace, answers: tuple[Any, ...]) -> Verdict:
    """Observes and judges an answer again and again while the verdict is *not yet*.

    Only what is on its way is waited for: not the results of a job that is not there, or that keeps failing.

    Returns:
        The first verdict that is not *not yet*; its `at_rest` once the observation has stopped changing; what is wrong with the
        exercise's job; *not yet* when the exercise's patience ends.

    Raises:
        NotSolvedYet: There is no answer.
        Exception: Whatever `observe` raises when a part of the stack is away (`fraudlab.course.workspace.OUTAGES`).
    """
    if not exercise.accepts(answers[0]):
        return exercise.unreadable(answers)
    began = moved = time.monotonic()
    seen: Any = None
    while True:
        try:
            observed = exercise.observe(workspace, *answers)
        except AnswerFailed as failure:
            return exercise.failed(failure)
        except UnreadableError:
            return exercise.unreadable(answers)
        verdict = exercise.verdict(observed, answers)
        if verdict.kind is not Kind.NOT_YET or not verdict.waits:
            return verdict
        if exercise.job and (about_the_job := _of_job(workspace, exercise.job)):
            return about_the_job
        now = time.monotonic()
        if verdict.at_rest is not None:
            if observed != seen:
                seen, moved = observed, now
            elif now - moved >= AT_REST_S:
                return verdict.at_rest
        if now - began > exercise.patience_s:
            return verdict
        time.sleep(POLL_S)


def _of_job(workspace: Workspace, name: str) -> Verdict | None:
    """Why a job's results need not be waited for; None where they may come."""
    state = workspace.job_state(name)
    if state.trouble:
        found = f"`{name}` {state.trouble}"
        return wrong(JOB_FAILS, found=found, expected="a job that runs: correct its cell and run it again")
    if not state.known:
        return to_do_first(f"No job of yours is named `{name}`: run the cell that starts it.")
    return None
