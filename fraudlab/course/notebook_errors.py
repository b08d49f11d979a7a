"""What a notebook shows of an error that is a wall of frames, or of a name that is not defined: sentences, and the rest on request."""

import dis
import json
import linecache
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from fraudlab.course import walls
from fraudlab.course.exercise import NotSolvedYet
from fraudlab.course.walls import Explanation
from fraudlab.settings import REPOSITORY, Settings


def install(shell: Any) -> None:
    """Shows explained errors of an IPython shell as sentences, all others as before."""
    shell.set_custom_exc((Exception,), _show)


def _show(
    shell: Any, kind: type[Exception], error: Exception, trace: TracebackType | None, tb_offset: int | None = None
) -> None:
    try:
        explained = explanation(shell, error, trace)
    except Exception:  # an explanation is a comfort: without one, the error is shown
        explained = None
    if explained is None:
        shell.showtraceback(running_compiled_code=True)
        return
    lines = [explained.what, explained.where, _place(trace), explained.advice, walls.IN_FULL]
    error._render_traceback_ = lambda: [line for line in lines if line]  # type: ignore[attr-defined]
    try:
        shell.showtraceback((kind, error, trace))
    finally:
        del error._render_traceback_  # type: ignore[attr-defined] # for %tb


def explanation(shell: Any, error: Exception, trace: TracebackType | None) -> Explanation | None:
    """An error in sentences; None for one that its traceback explains best."""
    if isinstance(error, NameError) and error.name and trace is not None and _is_of_a_cell(_last(trace)):
        ran = list(shell.user_ns.get("In", ()))
        return walls.of_name(error.name, cells_before(ran[-1] if ran else "", ran[:-1]))
    if name := placeholder(error, trace):
        ran = list(shell.user_ns.get("In", ()))
        return walls.of_placeholder(name, cells_before(ran[-1] if ran else "", ran[:-1]))
    module = type(error).__module__
    if module.startswith("mysql.connector") and getattr(error, "errno", None):
        return walls.of_mysql(int(error.errno), str(getattr(error, "msg", error)))  # type: ignore[attr-defined]
    if module.startswith(("py4j", "pyflink")) and walls.is_javas(text := str(error)):
        return walls.of_flink(text, walls.statement_of(trace))
    return None


def placeholder(error: Exception, trace: TracebackType | None) -> str:
    """The answer that is still `...` and that an error is about: a name that the failing lines of cells use; "" where there is none."""
    if isinstance(error, NotSolvedYet) or "ellipsis" not in str(error).lower():
        return ""
    names = ""
    while trace is not None:
        frame = trace.tb_frame
        if _is_of_a_cell(trace):
            known = frame.f_globals | frame.f_locals
            names = next((name for name in _names_used(trace) if known.get(name) is ...), names)
        trace = trace.tb_next
    return names


def _names_used(trace: TracebackType) -> list[str]:
    """The names that the failing line of a cell uses, or else its whole cell."""
    code = trace.tb_frame.f_code
    of_line = [one for one in dis.get_instructions(code) if one.positions and one.positions.lineno == trace.tb_lineno]
    loaded = [str(one.argval) for one in of_line if one.opname.startswith("LOAD_")]
    return [*loaded, *code.co_names, *code.co_varnames]


def cells_before(failed: str, ran: list[str]) -> list[tuple[str, bool]]:
    """The code cells of the learner's notebook before the one that has failed, each with whether it has run in this kernel."""
    for path in _notebooks():
        try:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        except (OSError, ValueError, KeyError):
            continue
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        if failed in sources:
            return [(source, source in ran) for source in sources[: sources.index(failed)]]
    return []


def _notebooks() -> Iterator[Path]:
    """The notebook that this kernel belongs to, as JupyterLab says; where it does not, those that it may be."""
    if own := os.environ.get("JPY_SESSION_NAME"):
        yield Path(own)
    yield from sorted(Settings().work.glob("*.ipynb"))
    yield from sorted(REPOSITORY.glob("labs/*.ipynb"))


def _last(trace: TracebackType) -> TracebackType:
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _is_of_a_cell(trace: TracebackType) -> bool:
    return bool(trace.tb_frame.f_globals.get("__name__") == "__main__")


def _place(trace: TracebackType | None) -> str:
    """The line of the learner's own code from which the failing call was made."""
    place = ""
    while trace is not None:
        if _is_of_a_cell(trace):
            source = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
            place = f"In your cell, line {trace.tb_lineno}: {source}"
        trace = trace.tb_next
    return place
