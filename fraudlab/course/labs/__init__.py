"""The labs: a folder each, `lab00` to `lab07`.

`checks.py` defines `LAB`. `answers.py` has the answers that its checks must tell apart; nothing here loads it.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from fraudlab.course.exercise import Exercise, Lab
from fraudlab.errors import UserError


@cache
def all_labs() -> tuple[Lab, ...]:
    """Every lab, in order."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name.startswith("lab"))
    found = [import_module(f"{__name__}.{name}.checks").LAB for name in names]
    assert all(isinstance(lab, Lab) and name == f"lab{lab.number}" for lab, name in zip(found, names, strict=True))
    return tuple(found)


def lab_of(number: int | str) -> Lab:
    """The lab of a number: `4`, `"4"` or `"04"`. Raises UserError where there is none."""
    wanted = str(number).zfill(2)
    for lab in all_labs():
        if lab.number == wanted:
            return lab
    raise UserError(f"There is no Lab {wanted}.", f"Labs: {', '.join(lab.number for lab in all_labs())}.")


def exercise_of(number: str) -> Exercise:
    """The exercise of a number like `"01.2"`. Raises UserError where there is none."""
    known = {exercise.number: exercise for lab in all_labs() for exercise in lab.exercises}
    if number not in known:
        lab = [one for one in known if one.startswith(number[:2])] or list(known)
        raise UserError(f"There is no exercise {number!r}.", f"Exercises: {', '.join(lab)}.")
    return known[number]
