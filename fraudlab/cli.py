"""The `fraudlab` command."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import mysql.connector
import typer
from kafka.errors import AuthorizationError, KafkaError, SaslAuthenticationFailedError
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Column, Table

from fraudlab import pages, system, tools
from fraudlab.clients.flink_rest import NoAnswer
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import doctor as stack_doctor
from fraudlab.stack import watch
from fraudlab.stack.flink_jobs import JobStatus
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisor import Stack
from fraudlab.terminal import Terminal, busy, printable

if TYPE_CHECKING:
    from fraudlab.classroom.commands import Open
    from fraudlab.course.grades import Learner

app = typer.Typer(
    help="Detect payment fraud while it happens: the local stack and all that runs on it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
course_app = typer.Typer(help="For authors of labs: check, build and run them.", no_args_is_help=True)
app.add_typer(course_app, name="course")
class_app = typer.Typer(
    help="For instructors: a JupyterLab for each learner of a class, behind one address.", no_args_is_help=True
)
app.add_typer(class_app, name="class")
console = Terminal(highlight=False, soft_wrap=True)


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
        with _expected():
            yield
    except UserError as error:
        console.print(f"[bold red]{escape(str(error))}[/bold red]")
        next_step(error.advice)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        console.print("Interrupted.")
        next_step("`fraudlab up` completes what was begun, `fraudlab down` stops what runs.")
        raise typer.Exit(130) from interrupt


@app.callback()
def check_settings() -> None:
    """Tell of a setting that cannot be used, before any command reads it."""
    with explained():
        try:
            Settings()
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(
                f"The setting FRAUDLAB_{str(first['loc'][0]).upper()} cannot be used: {first['msg']}.",
                "unset the variable, or give it a value as docs/settings.md shows.",
            ) from error


@contextlib.contextmanager
def _expected() -> Iterator[None]:
    """Errors that come from outside, as UserError."""
    try:
        yield
    except SaslAuthenticationFailedError as error:
        raise UserError(
            f"Kafka does not know who asks: {error}",
            "`fraudlab up` sets the passwords of the accounts. docs/scaling-out.md says how to log in to a Kafka of your own.",
        ) from error
    except AuthorizationError as error:
        raise UserError(
            f"Kafka does not let this account do that: {error}",
            "An account may use what its job needs, and a learner's what begins with the learner's name. `fraudlab up` sets these rights.",
        ) from error
    except (
        KafkaError,
        mysql.connector.Error,
        NoAnswer,
        ConnectionRefusedError,
        ConnectionResetError,
        TimeoutError,
    ) as error:
        raise UserError(
            f"MySQL, Kafka or Flink did not answer: {error}",
            "`fraudlab status` shows what runs, `fraudlab up` starts what does not.",
        ) from error


@app.command()
def setup() -> None:
    """Install what is missing of the local stack: Java, the jars, MySQL, Flink's home."""
    with explained(), busy(console, "installing"):
        Stack(Settings(), say).install()
    next_step("`fraudlab up` starts the stack.")


@app.command()
def up() -> None:
    """Start the stack and wait until all of it is ready."""
    with explained(), busy(console, "starting"):
        settings = Settings()
        system.up(settings, say)
    if settings.in_container:
        next_step(
            "nothing: the bank and its consumers start in containers of their own, and the dashboard's prints its address."
        )
        return
    next_step(
        f"the dashboard is at {settings.dashboard_url}; `fraudlab open flink` opens Flink's web page; "
        "`fraudlab status` shows what runs; `fraudlab down` stops it all."
    )


@app.command()
def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            envvar="DEMO_SECONDS",
            min=1,
            help="end after this many seconds; without it on Ctrl-C, or after 60 s without a terminal",
        ),
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="payments per second")] = 200,
    users: Annotated[int, typer.Option(min=100, help="users of the bank")] = 5000,
    seed: Annotated[int | None, typer.Option(help="the bank's seed; another one each time without it")] = None,
) -> None:
    """Start everything, let the synthetic bank pay, and see fraud being caught. Ends with a verdict."""
    from fraudlab import demo as live
    from fraudlab.verification.report import render as render_verdict

    if seconds is None and not console.is_terminal:
        seconds = 60
    with explained():
        settings = Settings()
        outcome = live.run(settings, console, seconds=seconds, rate=rate, users=users, seed=seed)
    render_verdict(outcome.verification, console)
    live.render(outcome, console, settings.home / "demo-report.json")
    if outcome.not_caught:
        console.print(f"[bold red]The demo's own fraud was not caught: {escape(outcome.not_caught)}.[/bold red]")
        next_step("`fraudlab status` shows what does not run, `fraudlab logs NAME` why.")
        raise typer.Exit(1)
    next_step("`make test` runs the tests; `fraudlab status` shows what still runs; `make stop` stops everything.")
    raise typer.Exit(0 if outcome.verification.exact else 1)


@app.command()
def reinstate(user: Annotated[int, typer.Argument(help="the user's id")]) -> None:
    """Clear the flag of a stopped account: it can pay again, and the next fraud alerts again."""
    with explained():
        was_stopped = system.reinstate(Settings(), user)
    console.print(f"User {user} can pay again." if was_stopped else f"User {user} was not stopped.")
    next_step(f"`fraudlab generate --commit-fraud {user}` commits the next fraud for that user.")


@app.command()
def resnapshot() -> None:
    """Make cdc-ingestion read the tables again, after the binlog was purged or columns moved."""
    with explained(), busy(console, "taking a new snapshot"):
        system.resnapshot(Settings(), say)
    next_step("`fraudlab verify` shows whether anything is missing.")


@app.command()
def skip(
    record: Annotated[
        str, typer.Argument(help="topic-partition-offset, as `fraudlab status` and dead letters name it")
    ],
) -> None:
    """Make a job continue without one record, from its last checkpoint. The record becomes a dead letter."""
    with explained(), busy(console, "restarting the job"):
        system.skip_record(Settings(), record, say)
    next_step(
        "`fraudlab status` shows whether the job runs; `fraudlab verify` says what follows from skipping the record."
    )


PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""For commands that pass all options on to another program."""


@app.command(context_settings=PASSED_ON)
def generate(context: typer.Context) -> None:
    """Run the data generator against this stack; takes all its options (`fraudlab generate --help`)."""
    with explained():
        settings = Settings()
        if settings.in_container and "--help" not in context.args:
            system.wait_for_account(settings, "generator", say)
        environment = os.environ | system.generator_environment(settings)
    _become([sys.executable, "-P", "-m", "data_generator", *context.args], environment)


@app.command(context_settings=PASSED_ON)
def sql(context: typer.Context) -> None:
    """Open the bank's database with this machine's `mysql`; takes its options (`fraudlab sql -e "SHOW TABLES"`)."""
    with explained():
        tool = tools.mysql(_stack_for_tools(), context.args)
    _become(*tool)


@app.command(context_settings=PASSED_ON)
def kafka(context: typer.Context) -> None:
    """Run a tool of Kafka with address and log-in filled in (`fraudlab kafka console-consumer --topic transactions --from-beginning`)."""
    with explained():
        name, *rest = context.args or [""]
        tool = tools.kafka(_stack_for_tools(), name, rest)
    _become(*tool)


@app.command(context_settings=PASSED_ON)
def flink(context: typer.Context) -> None:
    """Run Flink's command line on this cluster (`fraudlab flink list`)."""
    with explained():
        tool = tools.flink_cli(_stack_for_tools(), context.args)
    _become(*tool)


def _stack_for_tools() -> Settings:
    """Raises UserError in containers, which have tools of their own."""
    settings = Settings()
    if settings.in_container:
        raise UserError(
            "MySQL's, Kafka's and Flink's own tools are in their own containers.",
            "outside, run `docker compose exec mysql mysql`, `docker compose exec kafka …` or `docker compose exec jobmanager flink list`.",
        )
    return settings


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.execve(command[0], command, environment)  # noqa: S606 - it takes this process's place, and its Ctrl-C


@app.command()
def down() -> None:
    """Stop everything. Data stays."""
    with explained(), busy(console, "stopping"):
        Stack(Settings(), say).stop()
    next_step("`fraudlab up` starts it again with its data; `fraudlab reset` wipes the data.")


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="print it as one JSON object")] = False) -> None:
    """Show what runs, how much memory it takes, and how the jobs are. Ends with status 1 where something does not run."""
    with explained():
        settings = Settings()
        seen = system.status(settings)
    if as_json:
        print(json.dumps(dataclasses.asdict(seen)))
        raise typer.Exit(1 if seen.unhealthy else 0)
    table = Table("service", "state", "pid", "resident", "up", "health")
    for one in seen.programs:
        running = (str(one.pid), f"{one.resident_mib} MiB", f"{one.uptime_s} s") if one.pid else ("", "", "")
        table.add_row(one.name, one.state.lower(), *running, _health(one.problem, "ready"))
    table.caption = f"{sum(one.resident_mib for one in seen.programs)} MiB in all"
    console.print(table)
    _print_disk(settings, seen)
    if seen.jobs:
        console.print(_jobs_table(seen.jobs))
    for job in seen.jobs:
        if job.problem is not None:
            console.print(f"[red]{escape(f'{job.name} {job.problem}')}[/red]")
        if job.advice is not None:
            console.print(f"  {escape(job.advice)}")
    next_step(_after_status(settings, seen))
    raise typer.Exit(1 if seen.unhealthy else 0)


def _print_disk(settings: Settings, seen: system.Status) -> None:
    """The free space on the home's disk, and what the watcher did in the last hour."""
    color = "red" if seen.disk.warning else "default"
    console.print(f"[{color}]disk of {escape(str(settings.home))}: {escape(seen.disk.words)}[/{color}]")
    for name, what, at in watch.recent(Layout(settings.home)):
        console.print(f"watcher, {max(0, round(time.time() - at))} s ago: {name} was {escape(what)}")


def _jobs_table(jobs: list[JobStatus]) -> Table:
    table = Table("job", "state", "restarts", "last checkpoint", "health")
    for job in jobs:
        checkpoint = ""
        if job.checkpoint is not None:
            age_s = max(0, round(time.time() - job.checkpoint.completed_ms / 1000))
            checkpoint = f"{_size(job.checkpoint.size_bytes)}, {age_s} s ago"
        words = job.problem and job.problem.partition(":")[0]  # the whole reason is a line of its own, below
        table.add_row(job.name, job.state.lower(), str(job.restarts), checkpoint, _health(words, "runs"))
    return table


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB" if size_bytes >= 2**20 else f"{size_bytes / 2**10:.0f} KiB"


def _health(problem: str | None, fine: str) -> str:
    return f"[green]{fine}[/green]" if problem is None else f"[red]{escape(problem)}[/red]"


def _after_status(settings: Settings, seen: system.Status) -> str:
    """What to do next."""
    if settings.in_container:
        return "`docker compose logs NAME`, outside, shows a neighbour's log, `fraudlab logs NAME` that of a program of yours."
    unhealthy = next((one.name for one in seen.programs if one.problem is not None), None)
    told = next((one.advice for one in seen.jobs if one.advice is not None), None)
    if unhealthy is None and told is not None:
        return told
    if unhealthy is None and seen.unhealthy:
        return "`fraudlab up` submits a job that is not there, and says what to do about one that fails."
    if unhealthy is None:
        return "`fraudlab logs NAME` shows a log; `fraudlab down` stops everything."
    if any(one.pid for one in seen.programs):
        return (
            f"`fraudlab logs {unhealthy}` shows why {unhealthy} is not ready; `fraudlab up` starts what does not run."
        )
    return "`fraudlab up` starts the stack."


class Page(StrEnum):
    """Pages that a browser can open."""

    FLINK, DASHBOARD, INBOX = "flink", "dashboard", "inbox"


@app.command("open")
def open_page(
    page: Annotated[Page, typer.Argument(help="which page")] = Page.FLINK,
    browser: Annotated[bool, typer.Option(help="open a browser; without, only print the address")] = True,
) -> None:
    """Open a page. For Flink's, which knows no browser before, this is the key."""
    with explained():
        address = pages.address(Settings(), page.value)
        opened = browser and pages.show(Settings(), address)
    print(address)
    next_step(
        "if the browser shows nothing, open that address yourself." if opened else "open that address in your browser."
    )


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
            tail = ["tail", "-n", str(lines), "-F", str(path)]
            with subprocess.Popen(tail, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as following:
                for line in following.stdout or ():
                    print(printable(line), end="", flush=True)
            return
        for line in stack.logs(name, lines):
            print(printable(line))
    next_step(f"the whole log is {path}; --follow shows new lines as they come.")


@app.command()
def run(name: Annotated[str, typer.Argument(help="a program as `fraudlab status` names it")]) -> None:
    """Run one program in the foreground, as its container does. `fraudlab up` runs them all."""
    with explained():
        settings = Settings()
        program = system.program(settings, name)
        if settings.in_container:
            system.wait_for_needs(settings, name, say)
    os.chdir(program.directory or settings.home)
    os.execve(program.command[0], program.command, os.environ | program.environment)  # noqa: S606 - it takes this process's place


@app.command()
def health(name: Annotated[str, typer.Argument(help="a program as `fraudlab status` names it")]) -> None:
    """Say whether one program is ready, for health checks. Ends with status 1 if it is not."""
    settings = Settings()
    with explained():
        problem = system.problem(settings, name)
    if problem is not None:
        console.print(f"{name} {escape(problem)}")
        log = f"`docker compose logs {name}`, outside," if settings.in_container else f"`fraudlab logs {name}`"
        next_step(f"`fraudlab status` shows all programs, {log} what {name} says.")
        raise typer.Exit(1)
    console.print(f"{name} is ready")
    next_step("nothing: it is ready.")


@app.command()
def doctor() -> None:
    """Check this machine: Python, Java, libraries, memory, disk, ports. Changes nothing."""
    with explained():
        settings = Settings()
        checks = stack_doctor.examine(settings, system.services(settings))
    failing = [check for check in checks if not check.ok]
    for check in checks:
        sign = "[green]ok  [/green]" if check.ok else "[red]FAIL[/red]"
        console.print(f"{sign} {escape(check.name)}: {escape(check.found)}")
        if check.advice:
            console.print(f"     {escape(check.advice)}")
    if failing:
        next_step("put right what failed above, then run it again.")
    else:
        next_step("`fraudlab status` shows what runs." if settings.in_container else "`fraudlab up` starts the stack.")
    raise typer.Exit(1 if failing else 0)


@app.command()
def verify(
    settle_s: Annotated[
        float, typer.Option(min=0, help="how many seconds to wait at most for records that are on their way")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="print the verdict as one JSON object")] = False,
) -> None:
    """Recompute from MySQL what must have been found, and compare: nothing missing, nothing extra, nothing twice."""
    from fraudlab.verification.report import render
    from fraudlab.verification.verify import verify as verify_system

    with explained(), busy(console, "reading all topics, and waiting until nothing is on its way"):
        verification = verify_system(Settings(), settle_s)
    if as_json:
        print(json.dumps(verification.as_dict()))
    else:
        render(verification, console)
        next_step(
            "`fraudlab status` shows what runs."
            if verification.exact
            else "`fraudlab demo` lets the bank pay; then verify again."
            if verification.nothing
            else "`fraudlab status` shows whether all of it runs; `fraudlab verify` looks again."
        )
    raise typer.Exit(0 if verification.exact else 1)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> None:
    """Stop everything and wipe all data: database, topics, jobs and their state."""
    with explained():
        settings = Settings()
        if not yes:
            typer.confirm(f"Wipe all data under {settings.home}?", abort=True)
        Stack(settings, say).reset()
    next_step("`fraudlab up` starts an empty stack.")


@app.command()
def lab(
    number: Annotated[str, typer.Argument(help="which lab to open: 00, 01, …")] = "00",
    browser: Annotated[bool, typer.Option(help="open a browser; without, only print the address")] = True,
    serve: Annotated[bool, typer.Option(help="start JupyterLab; without, only what the labs need")] = True,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="only put a fresh copy of this lab's notebook there; yours is kept beside it"),
    ] = False,
) -> None:
    """Start the stack, bring the labs into your own folder, and open JupyterLab."""
    from fraudlab.course import commands

    with explained():
        if fresh:
            say(commands.fresh(number))
            next_step(f"in JupyterLab close its tab and open it again; `fraudlab lab {number}` opens JupyterLab.")
            return
        with busy(console, "starting"):
            commands.prepare(say)
        if not serve:
            next_step("`fraudlab lab` opens JupyterLab.")
            return
        address, command, environment = commands.jupyter(number, browser=browser)
        if Settings().in_container:
            next_step(f"open {address}")
        else:
            next_step(
                f"{address} answers in a few seconds (Ctrl-C twice ends JupyterLab; the stack goes on until `fraudlab down`)."
            )
        os.execve(command[0], command, environment)  # noqa: S606 - JupyterLab takes this process's place, and its Ctrl-C


@app.command()
def progress() -> None:
    """Show how far you are in the labs."""
    from fraudlab.course import commands

    with explained():
        file, standing = commands.progress()
    table = Table("lab", "exercise", "solved", "tries", "hints")
    for one in standing:
        table.add_row(
            one.lab, escape(f"{one.number} {one.title}"), "yes" if one.solved else "", str(one.tries), str(one.hints)
        )
    solved = sum(one.solved for one in standing)
    table.caption = f"{solved} of {len(standing)} exercises solved; kept in {escape(str(file))}"
    console.print(table)
    ahead = next((one.lab for one in standing if not one.solved), None)
    next_step(f"`fraudlab lab {ahead}` goes on." if ahead else "all is solved: make it yours.")


@course_app.command("check")
def course_check(
    complete: Annotated[bool, typer.Option(help="also require all labs of the agendas")] = True,
    mutants: Annotated[
        bool, typer.Option(help="also change the solutions, one thing at a time, and list what a check accepts")
    ] = False,
) -> None:
    """Check the whole course strictly: exercises, hints, minutes, links, terms, outputs. Starts nothing."""
    from fraudlab.course import review

    with explained():
        course = review.present()
        findings = review.review(course, complete=complete)
        if mutants:
            findings += review.mutations(course)
        for one, notebook in course.pairs():
            console.print(
                f"  Lab {one.number} {escape(one.title)}: {review.lab_minutes(notebook)} min, "
                f"{review.optional_minutes(notebook)} optional, {len(one.exercises)} exercises"
            )
        if mutants:
            console.print(f"  No mutants without a stack: {', '.join(review.not_attacked(course))}")
    for finding in findings:
        console.print(f"[red]✘[/red] {escape(str(finding))}")
    next_step("`pytest --nbval-lax solutions/` runs the labs." if not findings else "put right what is marked above.")
    raise typer.Exit(1 if findings else 0)


@course_app.command("build")
def course_build() -> None:
    """Generate the folder labs/ from solutions/."""
    from fraudlab.course import labs, notebooks

    with explained():
        changed = notebooks.build(labs.all_labs())
    for name in changed:
        say(f"labs/{name}")
    console.print(f"{len(changed)} files changed.")
    next_step("`fraudlab course check` checks the whole course.")


@course_app.command("run")
def course_run(number: Annotated[str, typer.Argument(help="which lab: 00, 01, …")]) -> None:
    """Run a solution on the running stack, and store its outputs in it."""
    from fraudlab.course import commands

    with explained():
        seconds = commands.run_solution(number)
    console.print(f"Lab {number} took {seconds:.0f} s; its outputs are stored.")
    next_step("`fraudlab course build`, then `fraudlab course check`.")


@course_app.command("grade")
def course_grade(
    folder: Annotated[Path, typer.Argument(help="a folder per learner in it, or the notebooks of one learner")],
    labs: Annotated[list[str] | None, typer.Option("--lab", help="only this lab; repeat it for several")] = None,
    output: Annotated[
        Path | None, typer.Option(help="the folder for grades.csv and grades.json; without it, the one beside FOLDER")
    ] = None,
    cell_timeout: Annotated[
        float, typer.Option(min=1, help="seconds after which a cell that still runs ends its notebook")
    ] = 180,
) -> None:
    """Run the checks on learners' notebooks, and write what each of them got. Ends with status 1 where something could not be graded."""
    from fraudlab.course import commands

    with explained():
        try:
            with busy(console, "grading"):
                book, learners = commands.grade(folder, labs or [], output, cell_timeout, say)
        except KeyboardInterrupt as interrupt:
            console.print("Interrupted. grades.csv and grades.json hold what was graded so far.")
            next_step("the same command begins again from the start.")
            raise typer.Exit(130) from interrupt
    console.print(_grades_table(learners))
    for learner in learners:
        for remark, exercises in learner.not_graded.items():
            said = f"{learner.name}, {', '.join(exercises)}: {remark}"
            console.print(f"[red]{escape(said)}[/red]")
    complete = not any(learner.not_graded for learner in learners)
    next_step(
        f"{book.csv} has a row for each exercise, with what its check said; {book.json} has the same for programs."
        if complete
        else f"look at what could not be graded above; everything else is in {book.csv}."
    )
    raise typer.Exit(0 if complete else 1)


def _grades_table(learners: "list[Learner]") -> Table:
    """Learners by labs, with how many of the exercises are solved."""
    labs = sorted({one.lab for learner in learners for one in learner.grades})
    table = Table(Column("learner", no_wrap=True), *labs, "all")
    for learner in learners:
        total = f"{learner.solved}/{len(learner.grades)}"
        table.add_row(escape(learner.name), *map(learner.of_lab, labs), total)
    table.caption = "solved/exercises of each lab; ! marks one in which something could not be graded"
    return table


@class_app.command("up")
def class_up(
    learners: Annotated[
        int | None, typer.Option(min=1, max=99, help="that many learners, named learner01, learner02 and so on")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="a file with the learners' names, one a line")] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="your certificate, a PEM file; without one, the server makes one")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="its key, a PEM file without a password")] = None,
    as_root: Annotated[
        bool,
        typer.Option("--as-root", help="also as root, on a machine that is for the class alone: so is every learner"),
    ] = False,
) -> None:
    """Open a class: start the stack and the class server, and show the address and the class code. Repeat it to add learners."""
    from fraudlab.classroom import commands, room

    with explained():
        if learners is not None and names is not None:
            raise UserError("Learners come either numbered or with names.", "give --learners or --names, not both.")
        listed = room.read_names(names) if names is not None else room.numbered(learners or 0)
        with busy(console, "starting"):
            opened = commands.up(Settings(), listed, (certificate, key), say, as_root=as_root)
    _show_class(opened)
    next_step(
        "show address and code on the projector; `fraudlab class page` shows the way to your own page; "
        "`fraudlab class down` ends it."
    )


@class_app.command("down")
def class_down(
    forget: Annotated[bool, typer.Option("--forget", help="also delete the learners' work, data and names")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Close the class: end the class server and the learners' JupyterLabs. Their work stays, and so does the stack."""
    from fraudlab.classroom import commands

    with explained():
        settings = Settings()
        if forget and not yes:
            typer.confirm(
                f"Delete all work in {settings.class_work}, and the learners' databases and topics?", abort=True
            )
        with busy(console, "ending"):
            commands.down(settings, say, forget=forget)
    next_step("`fraudlab down` stops MySQL, Kafka and Flink, too; `fraudlab class up` opens the class again.")


@class_app.command("status")
def class_status() -> None:
    """Show address, class code, and who is there. Ends with status 1 where the class server does not run."""
    from fraudlab.classroom import commands

    with explained():
        seen = commands.look(Settings())
    if seen.shown is not None:
        _show_class(seen.shown)
    table = Table("learner", "JupyterLab", "last seen")
    for one in seen.seats:
        last = seen.last_signs[one.name]
        table.add_row(one.name, "runs" if one.runs else "", "" if last is None else _ago(last))
    table.caption = f"{sum(one.runs for one in seen.seats)} of {len(seen.names)} learners are there"
    if seen.seats:
        console.print(table)
    for problem in seen.problems:
        console.print(f"[red]{escape(problem)}[/red]")
    next_step(
        "`fraudlab class up` starts the class server."
        if seen.problems
        else "`fraudlab class add NAME` adds a learner, `fraudlab class reset NAME` lets one begin again."
    )
    raise typer.Exit(1 if seen.problems else 0)


@class_app.command("add")
def class_add(name: Annotated[str, typer.Argument(help="the learner's name")]) -> None:
    """Add a learner to an open class."""
    from fraudlab.classroom import commands

    with explained(), busy(console, "making a database and topics"):
        added = commands.add(Settings(), name, say)
    next_step(f"{added} can log in now; `fraudlab class status` shows the address and the code.")


@class_app.command("reset")
def class_reset(name: Annotated[str, typer.Argument(help="the learner's name")]) -> None:
    """Let a learner begin again, with empty data and fresh notebooks. The old notebooks are kept beside."""
    from fraudlab.classroom import commands

    with explained(), busy(console, "emptying"):
        commands.reset(Settings(), name, say)
    next_step(f"{name} reloads the page, and finds Lab 00 as it was at the beginning.")


@class_app.command("catch-up")
def class_catch_up(
    lab: Annotated[str, typer.Argument(help="the lab's number")],
    names: Annotated[list[str] | None, typer.Argument(help="learners; all of them without a name")] = None,
) -> None:
    """Bring learners to the beginning of a lab: data, topics and jobs as it expects them. Ends with status 1 if one could not be."""
    from fraudlab.classroom import commands

    with explained(), busy(console, "bringing"):
        left = commands.catch_up(Settings(), lab, names or [], say)
    if left:
        next_step(f"run it again for them: `fraudlab class catch-up {lab} {' '.join(left)}`.")
        raise typer.Exit(1)
    next_step(f"they open the notebook of Lab {lab} and run its first cell.")


@class_app.command("page")
def class_page() -> None:
    """Show the address and the password of the instructor's page. Not for the projector."""
    from fraudlab.classroom import commands

    with explained():
        urls, password = commands.page(Settings())
    for url in urls:
        console.print(f"[bold]{escape(url)}[/bold]", soft_wrap=True)
    console.print(f"password     [bold]{escape(password)}[/bold]")
    next_step("open it on your own screen, and keep the password to yourself.")


def _show_class(opened: "Open") -> None:
    """What belongs on the projector, and below it what the instructor must know."""
    console.print()
    for url in opened.urls:
        console.print(f"[bold]{escape(url)}[/bold]")
    console.print(f"class code   [bold]{escape(opened.code)}[/bold]")
    console.print(f"certificate  SHA-256 {opened.fingerprint}", emoji=False)  # :CD: is a part of it, not a disc
    console.print()
    for caution in opened.cautions:
        console.print(f"[yellow]Not separated:[/yellow] {escape(caution)}")


def _ago(when: datetime) -> str:
    """How long ago something was, in words."""
    past_s = max(0, round((datetime.now(UTC) - when).total_seconds()))
    return f"{past_s} s ago" if past_s < 120 else f"{past_s // 60} min ago"
