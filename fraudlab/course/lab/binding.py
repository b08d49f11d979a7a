"""Your workspace, and functions that get it without being asked."""

import inspect
import os
import sys
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from fraudlab.course.workspace import Workspace, learner_settings

P = ParamSpec("P")
R = TypeVar("R")


@cache
def workspace() -> Workspace:
    """Your part of the stack as an object: your database, topics, jobs and services.

    Use it where no other helper fits.

    Example:
        lab.workspace().slots()  # free task slots, and all of them
    """
    return Workspace(learner_settings())


def with_workspace(function: Callable[Concatenate[Workspace, P], R]) -> Callable[P, R]:
    """A function of a workspace as a learner calls it: without that argument. Docstring, types and the other arguments stay."""

    @wraps(function)
    def bound(*arguments: P.args, **options: P.kwargs) -> R:
        return function(workspace(), *arguments, **options)

    signature = inspect.signature(function)
    _, *others = signature.parameters.values()
    bound.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
    return bound


def tools_at_hand() -> None:
    """Lets a cell such as `!fraudlab flink list` find the command, and gives that command the learner's name."""
    commands = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if commands not in path:
        os.environ["PATH"] = os.pathsep.join([commands, *path])
    os.environ["FRAUDLAB_LEARNER"] = learner_settings().learner
