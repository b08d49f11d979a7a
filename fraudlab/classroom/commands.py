"""What the commands of the class server do: open a class, close it, look at it, add a learner, begin again with one."""

import contextlib
import importlib.util
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

import psutil

from fraudlab import system
from fraudlab.classroom import certificate, inside, programs, telling
from fraudlab.classroom.programs import Hub, Seat
from fraudlab.classroom.room import (
    CODE,
    COOKIES,
    INSTRUCTOR,
    PAGE,
    PASSWORD,
    PROXY,
    SESSIONS,
    Room,
    checked,
)
from fraudlab.course import learner_folder
from fraudlab.course.breaking import CLASS, CLASS_HUB, CLASS_PAGE, CLASS_PROXY
from fraudlab.course.lab import starting
from fraudlab.course.labs import lab_of
from fraudlab.course.messages import OF_CLASS, Messages
from fraudlab.course.workspace import OUTAGES, SLOTS_PER_LEARNER, Workspace
from fraudlab.errors import UserError
from fraudlab.settings import Settings
from fraudlab.stack import flink
from fraudlab.stack.layout import private_folder
from fraudlab.stack.supervisor import Stack
from fraudlab.stack.supervisord import end_processes, marked_processes

SERVERS_END_S = 15

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Open:
    """An open class, as the instructor needs it for the projector."""

    urls: list[str]
    code: str
    fingerprint: str
    cautions: list[str]
    """What is not separated, a sentence each."""


@dataclass(frozen=True, slots=True)
class Look:
    """A class as it is now; `seats` is empty where the hub does not answer, and `problems` says why, a sentence each.

    `last_signs` is when each learner last ran a cell; None of one who never has.
    """

    names: list[str]
    shown: Open | None
    seats: list[Seat]
    last_signs: dict[str, datetime | None]
    problems: list[str]


def up(
    settings: Settings, names: Sequence[str], given: tuple[Path | None, Path | None], say: Say, *, as_root: bool = False
) -> Open:
    """Starts what does not run: the stack, each learner's database and topics, the class server. Can be repeated: it adds names.

    Args:
        settings: The environment.
        names: Learners who are new; with those on the class list they are the class.
        given: The instructor's own certificate and key.
        say: Where progress goes.
        as_root: Whether root may do it, too.

    Raises:
        UserError: Something of it can't be started; it says what, and what to do.
    """
    _require_usable(settings, as_root=as_root)
    room = Room(settings)
    private_folder(room.folder)
    room.add(names)
    if not (everybody := room.names()):
        raise UserError(
            "Nobody is on the class list.",
            "Say who comes: `--learners 30`, or `--names class.txt` with one name a line.",
        )
    code = room.code()
    settings, sentence = with_slots(settings, len(everybody))
    say(sentence)
    room = Room(settings)
    say(certificate.provide(room, *given))
    stack = Stack(settings, say)
    stack.install()
    stack.start()
    _require_slots(settings, len(everybody), say)
    for number, name in enumerate(everybody, 1):
        _seat_learner(room, name)
        say(f"{name} has a database, topics and notebooks ({number} of {len(everybody)})")
    if not inside.fingerprint(room) or not (set(CLASS) & set(stack.processes()) or _servers(settings)):
        inside.make(room)
    for program in programs.of_class(room):
        stack.add_program(program)
        stack.wait_for_program(program)
        say(f"{program.name} is ready")
    return _shown(room, code)


def down(settings: Settings, say: Say, *, forget: bool = False) -> None:
    """Ends the class server and all JupyterLabs of the class. With `forget`, deletes all that is the learners', too.

    Raises UserError where that can't be deleted because the stack does not run.
    """
    room, stack = Room(settings), Stack(settings, say)
    runs = stack.is_running()
    if forget and not runs:
        raise UserError(
            "MySQL and Kafka hold the learners' data, and are not running.",
            "Start them with `fraudlab class up`, then run `fraudlab class down --forget` again.",
        )
    if runs:
        for name in (CLASS_PAGE, CLASS_HUB, CLASS_PROXY):
            stack.remove_program(name)
    servers = _servers(settings)
    end_processes(servers, SERVERS_END_S)
    say(f"the class server has ended, and {len(servers)} processes of learners with it")
    if not forget:
        return
    for name in room.names():
        Workspace(room.learner(name)).erase()
        for folder in (room.work / name, *room.work.glob(f"{name}.*")):
            shutil.rmtree(folder)
        say(f"{name}: notebooks, database, topics, jobs and accounts are deleted")
    room.secrets.forget(lambda name: name in (CODE, COOKIES, PROXY, INSTRUCTOR, PASSWORD, SESSIONS, PAGE))
    shutil.rmtree(room.folder)
    with contextlib.suppress(OSError):  # what else is there is not the class's
        room.work.rmdir()
    for log in stack.layout.logs.glob("class-*.log*"):
        log.unlink(missing_ok=True)
    say("the class list and the class code are deleted")


def look(settings: Settings) -> Look:
    """The class as it is: who is on the list, who is there, and what does not run."""
    room = Room(settings)
    names = room.names()
    if not names:
        raise UserError("There is no class.", "`fraudlab class up --learners 30` opens one.")
    if not room.certificate.exists():
        return Look(names, None, [], {}, ["The class server was never started."])
    asked = {program.name: program.problem for program in programs.of_class(room)}
    found = {name: ask() for name, ask in asked.items() if ask is not None}
    problems = [f"{name}: {problem}" for name, problem in found.items() if problem is not None]
    seats = [] if found[CLASS_HUB] is not None else Hub(room).seats(names)
    last_signs = {name: Messages(room.learner(name)).last_sign() for name in names}
    return Look(names, _shown(room, room.code()), seats, last_signs, problems)


def add(settings: Settings, name: str, say: Say) -> str:
    """Adds a learner to an open class; gives the name as the learner types it. Raises UserError where the name can't be one."""
    room = Room(settings)
    if not room.names():
        raise UserError("There is no class.", "`fraudlab class up --learners 30` opens one.")
    name = checked(name)
    Workspace(room.learner(name)).require_running()
    if not room.add([name]):
        say(f"{name} was on the class list already")
    _require_slots(settings, len(room.names()), say)
    _seat_learner(room, name)
    return name


def reset(settings: Settings, name: str, say: Say) -> None:
    """Lets a learner begin again: ends their JupyterLab, empties their database, topics and jobs, and lays out fresh notebooks.

    The old notebooks and progress are kept in a folder beside, with the date. Raises UserError for one who is not in the class.
    """
    room = Room(settings)
    name = checked(name)
    if name not in room.names():
        raise UserError(f"{name} is not on the class list.", "`fraudlab class status` shows who is.")
    workspace = Workspace(room.learner(name))
    workspace.require_running()
    Hub(room).stop(name)
    say(f"{name}'s JupyterLab has ended")
    workspace.reset()
    say(f"{name}'s database and topics are empty, and no job runs")
    if kept := _set_aside(workspace.settings.work, datetime.now().astimezone()):
        say(f"the old notebooks and progress are in {kept}")
    learner_folder.lay_out(workspace.settings.work)


def catch_up(settings: Settings, lab: str, names: Sequence[str], say: Say) -> list[str]:
    """Brings learners, or all of them, to the beginning of a lab, one after the other. Their notebooks and progress stay.

    Returns:
        Those with whom it did not work; `say` has told why.

    Raises:
        UserError: There is no such lab or learner.
    """
    room = Room(settings)
    lab = lab_of(lab).number
    names = [checked(name) for name in names] or room.names()
    if unknown := [name for name in names if name not in room.names()]:
        raise UserError(f"{', '.join(unknown)}: not on the class list.", "`fraudlab class status` shows who is.")
    left = []
    for number, name in enumerate(names, 1):
        of = f"({number} of {len(names)})"
        try:
            starting.catch_up(Workspace(room.learner(name)), lab)
        except OUTAGES as error:
            left.append(name)
            say(f"{name} {of}: {error}")
        else:
            telling.announce(room, [name], f"You are at the beginning of Lab {lab}: open its notebook.")
            say(f"{name} {of} is at the beginning of Lab {lab}")
    return left


def page(settings: Settings) -> tuple[list[str], str]:
    """The addresses of the instructor's page, and its password. Raises UserError where there is no class."""
    room = Room(settings)
    if not room.names():
        raise UserError("There is no class.", "`fraudlab class up --learners 30` opens one.")
    return [f"{url.removesuffix('/')}{room.page_path}" for url in room.urls()], room.page_password()


def slots_for(learners: int, taskmanagers: int) -> int:
    """How many task slots each TaskManager needs."""
    return math.ceil(learners * SLOTS_PER_LEARNER / taskmanagers)


def with_slots(settings: Settings, learners: int) -> tuple[Settings, str]:
    """The settings with enough task slots, and a sentence that says so. A number that the instructor has set stays."""
    needed = slots_for(learners, settings.taskmanagers)
    words = f"{learners} learners need {needed} task slots ({SLOTS_PER_LEARNER} each)"
    if "task_slots" in settings.model_fields_set:
        enough = "enough" if settings.task_slots >= needed else "too few for all of them at once"
        return settings, f"{words}; FRAUDLAB_TASK_SLOTS is {settings.task_slots}, which is {enough}"
    slots = max(needed, settings.task_slots)
    return settings.model_copy(update={"task_slots": slots}), f"{words}: FRAUDLAB_TASK_SLOTS is {slots} for this class"


def cautions(settings: Settings) -> list[str]:
    """What a learner can do to others, because nothing separates them there."""
    user = "root" if os.geteuid() == 0 else "you, the user who ran `fraudlab class up`"
    found = [
        f"Learners' notebooks run as {user}: a learner can read and change the others' files, the stack's passwords, and whatever this "
        "user can. JupyterHub's log-in, folders and names keep learners apart who mean no harm.",
        "Jobs of all learners run in one TaskManager, and a learner who wants to can read what it can read.",
    ]
    if os.geteuid() == 0:
        found.insert(0, "This is root: every learner can do anything on this machine.")
    return found


def _require_usable(settings: Settings, *, as_root: bool) -> None:
    if os.geteuid() == 0 and not as_root:
        raise UserError(
            "This is root, and learners' notebooks would run as root: whoever knows the class code could do anything on this machine.",
            "Make a user for the class (`useradd --create-home workshop`) and run it as that user. On a machine that is for the class "
            "alone, `fraudlab class up --as-root` does it all the same.",
        )
    if settings.in_container:
        raise UserError(
            "A class server needs the stack as processes, and this is a container.",
            "Run `make class` outside, on Linux.",
        )
    if importlib.util.find_spec("jupyterhub") is None:
        raise UserError("JupyterHub is not installed here.", "`make class` installs it.")


def _require_slots(settings: Settings, learners: int, say: Say) -> None:
    """Says so where Flink was started with fewer task slots than the class needs."""
    there = int(flink.answered(lambda: flink.rest(settings).get("/overview"))["slots-total"])
    needed = learners * SLOTS_PER_LEARNER
    if there < needed:
        say(
            f"Flink runs with {there} task slots, {needed} are needed for all at once: end it with `fraudlab down`, then run "
            "`fraudlab class up` again"
        )


def _seat_learner(room: Room, name: str) -> None:
    """Makes a learner's database, topics, accounts and notebooks where they are missing."""
    own = room.learner(name)
    try:
        system.prepare(own)
    except UserError as error:
        raise UserError(f"{name} could not be prepared. {error}", error.advice) from error
    private_folder(own.work)
    learner_folder.lay_out(own.work)


def _shown(room: Room, code: str) -> Open:
    return Open(room.urls(), code, certificate.fingerprint(room), cautions(room.settings))


def _servers(settings: Settings) -> list[psutil.Process]:
    """Learners' JupyterLabs and all that they have started."""
    found = []
    for process in marked_processes(Stack(settings).layout.home):
        try:
            if OF_CLASS in process.environ():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _set_aside(work: Path, now: datetime) -> Path | None:
    """Renames a learner's folder; gives its new name, None where there is none."""
    if not work.exists():
        return None
    names = (f"{work.name}.{now:%Y-%m-%d-%H%M}{'' if number == 1 else f'-{number}'}" for number in count(1))
    kept = next(free for name in names if not (free := work.with_name(name)).exists())
    return work.rename(kept)
