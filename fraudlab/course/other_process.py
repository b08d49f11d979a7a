"""A learner's function, called in a fresh process: what must be the same there may not depend on this one's memory or on chance."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from fraudlab.course.exercise import AnswerFailed, UnreadableError

_PROGRAM = """
import pickle, sys
function, calls = pickle.load(sys.stdin.buffer)
pickle.dump([function(*arguments) for arguments in calls], sys.stdout.buffer)
"""
_SECONDS = 30


def in_another_process(function: Callable[..., object], calls: Sequence[tuple[object, ...]]) -> list[Any]:
    """What a function returns for each of the calls in a fresh Python, where texts have other hashes.

    Raises:
        AnswerFailed: The function cannot be taken there, or fails there.
        UnreadableError: It is no function.
    """
    import pickle

    import cloudpickle

    if not callable(function):
        raise UnreadableError("not a function")
    if isinstance(function, FunctionType) and function.__module__ in sys.modules.keys() - {"__main__"}:
        # One of the tests: it goes there as a notebook's function does, without an import of its module.
        cloudpickle.register_pickle_by_value(sys.modules[function.__module__])
    try:
        packed = cloudpickle.dumps((function, list(calls)))
    except Exception as error:
        raise AnswerFailed(
            f"Another process cannot have this function, because it holds on to something of this one: {error}."
        ) from error
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=packed,
        capture_output=True,
        timeout=_SECONDS,
        env=environment,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines() or ["it ended without a message"]
        raise AnswerFailed(f"In another process, the function raised {said[-1]}.")
    return list(pickle.loads(ended.stdout))  # noqa: S301 - written by the process that this one has just started
