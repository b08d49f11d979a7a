"""The terminal: text from strangers steers nothing there, and a long step shows that it goes on."""

import contextlib
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment

_STEERING = dict.fromkeys([*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)])


def printable(text: str) -> str:
    """The text without what steers a terminal, which could clear the screen, write to the clipboard or hide a line."""
    return text.translate(_STEERING)


class Terminal(Console):
    """A console on which only its own styles steer: names of customers and texts of servers come from strangers."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Console.render."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


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
