"""What a long step shows on a terminal while it goes on."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextlib.contextmanager
def busy(console: Console, doing: str) -> Iterator[None]:
    """A moving sign and the time since the step began, below the lines that are printed meanwhile; nothing without a terminal."""
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn(doing), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        shown.add_task("")
        yield
