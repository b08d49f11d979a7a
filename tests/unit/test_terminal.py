"""What strangers typed, on the terminal of the person who runs the stack."""

import ast
import io

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fraudlab.settings import REPOSITORY
from fraudlab.terminal import Terminal, printable

NAME = "Ada\x1b]52;c;cm0=\x07\x1b[2J\x9b31m\rEve\x00"
"""It writes to the clipboard, clears the screen, changes the colour, and hides what was before it."""


def shown(*what: object) -> str:
    file = io.StringIO()
    terminal = Terminal(file=file, force_terminal=True, color_system="standard", highlight=False, width=100)
    for one in what:
        terminal.print(one)
    return file.getvalue()


def in_a_table() -> Table:
    table = Table("name")
    table.add_row(NAME)
    return table


@pytest.mark.parametrize(
    "what", [NAME, Text(NAME), Panel(Text(NAME)), in_a_table()], ids=["str", "text", "panel", "table"]
)
def test_a_name_steers_no_terminal(what: object) -> None:
    text = shown(what)
    assert "Ada" in text
    assert "Eve" in text
    assert not [one for one in ("\x1b]", "\x1b[2J", "\x9b", "\x07", "\r", "\x00") if one in text]


def test_our_own_colours_stay() -> None:
    assert "\x1b[1;31mred" in shown("[bold red]red[/bold red]")


def test_lines_and_tabs_stay() -> None:
    assert printable("a\tb\nGrüße 😀") == "a\tb\nGrüße 😀"


def test_every_console_of_the_command_is_such_a_terminal() -> None:
    made = [
        path.name
        for path in (REPOSITORY / "fraudlab").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console"
    ]
    assert made == []
