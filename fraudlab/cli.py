"""The `fraudlab` command."""

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraudlab.settings import Settings
from fraudlab.stack import doctor as stack_doctor
from fraudlab.stack.supervisor import Stack, StackError

app = typer.Typer(
    help="Detect payment fraud while it happens: the local stack and all that runs on it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
console = Console(highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """One line of progress."""
    console.print(f"  {escape(line)}")


def next_step(line: str) -> None:
    """What to do next, the last line of each command."""
    console.print(f"[bold]Next:[/bold] {escape(line)}")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Print an expected error with its advice and end with status 1, instead of a traceback."""
    try:
        yield
    except StackError as error:
        console.print(f"[bold red]{escape(str(error))}[/bold red]")
        next_step(error.advice)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        console.print("Interrupted.")
        next_step("`fraudlab up` completes what was begun, `fraudlab down` stops what runs.")
        raise typer.Exit(130) from interrupt


@app.command()
def setup() -> None:
    """Install what is missing of the local stack: Java, the jars, MySQL, Flink's home."""
    with explained():
        Stack(Settings(), say).install()
    next_step("`fraudlab up` starts the stack.")


@app.command()
def up() -> None:
    """Start the stack and wait until all of it serves."""
    settings = Settings()
    with explained():
        start_stack(settings)
    next_step(
        f"`fraudlab status` shows what runs; Flink's web page is {settings.flink_url}; `fraudlab down` stops it all."
    )


def start_stack(settings: Settings) -> None:
    """Start the local stack, with progress lines."""
    stack = Stack(settings, say)
    stack.install()
    stack.start()


@app.command()
def down() -> None:
    """Stop everything. Data stays."""
    with explained():
        Stack(Settings(), say).stop()
    next_step("`fraudlab up` starts it again with its data; `fraudlab reset` wipes the data.")


@app.command()
def status() -> None:
    """Show what runs, how much memory it takes and whether it serves."""
    with explained():
        services = Stack(Settings()).status()
    table = Table("service", "state", "pid", "resident", "up", "health")
    for one in services:
        health = "[green]serves[/green]" if one.healthy else f"[red]{escape(one.problem or '')}[/red]"
        running = (str(one.pid), f"{one.resident_mib} MiB", f"{one.uptime_s} s") if one.pid else ("", "", "")
        table.add_row(one.name, one.state.lower(), *running, health)
    table.caption = f"{sum(one.resident_mib for one in services)} MiB in all"
    console.print(table)
    ill = [one.name for one in services if not one.healthy]
    if not ill:
        next_step("`fraudlab logs NAME` shows a log; `fraudlab down` stops everything.")
    elif any(one.pid for one in services):
        next_step(
            f"`fraudlab logs {ill[0]}` shows why {ill[0]} does not serve; `fraudlab up` starts what does not run."
        )
    else:
        next_step("`fraudlab up` starts the stack.")
    raise typer.Exit(0 if not ill else 1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="a service or program as `fraudlab status` names it, or `supervisord`")],
    lines: Annotated[int, typer.Option(min=1, help="how many of the last lines")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
) -> None:
    """Print the end of a program's log."""
    with explained():
        stack = Stack(Settings())
        path = stack.log_file(name)
        if follow:
            subprocess.run(["tail", "-n", str(lines), "-F", str(path)], check=False)
            return
        for line in stack.logs(name, lines):
            print(line)
    next_step(f"the whole log is {path}; --follow shows new lines as they come.")


@app.command()
def doctor() -> None:
    """Check this machine: Python, Java, libraries, memory, disk, ports. Changes nothing."""
    with explained():
        checks = stack_doctor.examine(Settings())
    failing = [check for check in checks if not check.ok]
    for check in checks:
        sign = "[green]ok  [/green]" if check.ok else "[red]FAIL[/red]"
        console.print(f"{sign} {escape(check.name)}: {escape(check.found)}")
        if check.advice:
            console.print(f"     {escape(check.advice)}")
    next_step("`fraudlab up` starts the stack." if not failing else "put right what failed above, then run it again.")
    raise typer.Exit(1 if failing else 0)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> None:
    """Stop everything and wipe all data: database, topics, jobs and their state."""
    settings = Settings()
    if not yes:
        typer.confirm(f"Wipe all data under {settings.home}?", abort=True)
    with explained():
        Stack(settings, say).reset()
    next_step("`fraudlab up` starts an empty stack.")
