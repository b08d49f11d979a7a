"""What the supervisor runs: a program, and a service that is a program with preparation and a health check."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """One process that is kept running.

    `priority` orders the end: programs with a high one are stopped before those with a low one (the stack's own are
    below 100). `stop_wait_s` is how long it may take to end after SIGTERM before it is killed. `ports` maps each TCP
    port that an added program listens on to the setting that changes it; a service of the stack has its own.
    `before` are commands that run before each start, once the disk has free space; if one fails, the start is tried again.
    `problem` asks an added program, when it runs: None if it is ready, otherwise one line; it returns within about 3 s.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path | None = None
    stop_wait_s: int = 10
    priority: int = 500
    ports: dict[int, str] = field(default_factory=dict)
    before: tuple[tuple[str, ...], ...] = ()
    problem: Callable[[], str | None] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Service:
    """A program of the stack, with what must be done before it starts and how to ask whether it is ready.

    `prepare` writes its configuration and, the first time, its data folder. `problem` asks the running service and
    gives None if it is ready, otherwise one line that says what is missing; it returns within about 3 s.
    `ports` maps each TCP port that it listens on to the setting that changes it.
    """

    program: Program
    prepare: Callable[[], None]
    problem: Callable[[], str | None]
    ports: dict[int, str]
