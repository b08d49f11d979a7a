"""What the commands of the course do: prepare the stack and the learner's folder, open JupyterLab, run a solution."""

import importlib.util
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from fraudlab import system
from fraudlab.course import grades, grading, kernel_startup, learner_folder, notebooks, submissions
from fraudlab.course.breaking import others
from fraudlab.course.grades import Book, Learner
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.progress import Progress, Record
from fraudlab.course.workspace import GRADER, Workspace, learner_settings
from fraudlab.errors import UserError
from fraudlab.settings import LOOPBACK, Settings
from fraudlab.stack import ports
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisor import Stack

JUPYTER_CONFIG = Path(__file__).with_name("jupyter_config")
KERNEL_SOCKET = len("/kernel--ipc-1") + 36
"""Bytes of the name of a kernel's socket within its folder; 36 are a UUID."""
LOOK_FOR_IDLE_KERNELS_S = 300
LAB_CONFIG = Path(__file__).with_name("jupyterlab_config")
"""Switches JupyterLab's debugger off, so that nobody sees its button."""
HEARD_BY_KERNELS = (
    *("kernel_info", "execute", "inspect", "complete", "history", "is_complete", "comm_info", "interrupt", "shutdown"),
    *("create_subshell", "delete_subshell", "list_subshell", "usage"),
)
"""Requests that JupyterLab passes on to kernels. `debug` isn't one of them: a kernel's debugger listens on a TCP port, and runs
whatever anyone there sends it, without asking for a key."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a learner stands in one exercise."""

    lab: str
    number: str
    title: str
    solved: bool
    tries: int
    hints: int


def prepare(say: Callable[[str], None]) -> Settings:
    """Starts the stack without the demo's jobs, makes the learner's database and topics, and lays out their notebooks."""
    settings = learner_settings()
    stack = Stack(settings, say)
    stack.install()
    stack.start()
    system.prepare(settings)
    say(f"database {settings.names.database} and topics {settings.names.group('*')} are there")
    if note := system.partitions_note(settings):
        say(note)
    for sentence in learner_folder.lay_out(settings.work):
        say(sentence)
    say(f"your notebooks are in {settings.work}")
    return settings


def fresh(number: str) -> str:
    """Puts a lab's notebook into the learner's folder as the course has it; says what became of their own, which is kept."""
    work, lab = learner_settings().work, lab_of(number)
    said = learner_folder.fresh(work, lab.file, datetime.now().astimezone())
    learner_folder.lay_out(work)
    return said


def jupyter(number: str, *, browser: bool) -> tuple[str, list[str], dict[str, str]]:
    """JupyterLab on a lab: its address, its command, and its environment, from which notebooks learn where the stack is.

    Raises UserError where it cannot be had.
    """
    settings, lab = learner_settings(), lab_of(number)
    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed here.", "`make lab` installs it.")
    if not ports.is_free(LOOPBACK, settings.jupyter_port):
        raise UserError(
            f"Port {settings.jupyter_port}, which JupyterLab needs, is held by {ports.holder(settings.jupyter_port)}.",
            "If that is your JupyterLab, use it. Otherwise choose another port: export FRAUDLAB_JUPYTER_PORT=<port>.",
        )
    path = f"/lab/tree/{quote(lab.file)}"
    # Who reaches the port can run programs as the learner: other users of this machine, and the neighbours of a container.
    token, folder = secrets.token_urlsafe(24), f"/{secrets.token_urlsafe(24)}"
    command = [
        *(
            sys.executable,
            "-P",
            "-m",
            "jupyterlab",
        ),  # its script has a path in it, which may be too long or oddly quoted
        f"--ServerApp.ip={settings.bind_address(LOOPBACK)}",
        f"--ServerApp.port={settings.jupyter_port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={settings.work}",
        f"--LabApp.default_url={path}",
        f"--LabApp.user_settings_dir={user_settings(settings.work)}",
        f"--LabApp.workspaces_dir={settings.work / '.jupyter' / 'workspaces'}",
        *server_options(settings),
    ]
    if os.geteuid() == 0:
        command.append("--allow-root")
    if not browser:
        command.append("--no-browser")
    config = [str(JUPYTER_CONFIG), str(LAB_CONFIG), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    environment = {
        **kernel_environment(),
        **os.environ,
        **settings.environment(),
        **private_kernels(settings),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(config),
        "JUPYTER_TOKEN": token,  # not where `ps` shows it
        "FRAUDLAB_JUPYTER_FOLDER": folder,
    }
    return f"http://{LOOPBACK}:{settings.jupyter_port}{folder}{path}?token={token}", command, environment


def server_options(settings: Settings) -> list[str]:
    """Options of each JupyterLab, alone or in a class. In containers nobody else reaches the ports of kernels."""
    kernels = [] if settings.in_container else ["--KernelManager.transport=ipc"]
    heard = [*(f"{one}_request" for one in HEARD_BY_KERNELS), "comm_open", "comm_msg", "comm_close", "input_reply"]
    return [
        # A kernel holds some 570 MB, of which a JVM is most.
        f"--MappingKernelManager.cull_idle_timeout={settings.kernel_idle_s}",
        f"--MappingKernelManager.cull_interval={min(LOOK_FOR_IDLE_KERNELS_S, max(1, settings.kernel_idle_s))}",
        "--MappingKernelManager.cull_connected=True",
        *kernels,
        *(f"--MappingKernelManager.allowed_message_types={one}" for one in heard),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--Application.log_level=WARN",
    ]


def private_kernels(settings: Settings) -> dict[str, str]:
    """Environment of a JupyterLab whose kernels talk through UNIX sockets, in a folder that nobody else enters.

    Over TCP a kernel tells every user of the machine what it runs and prints. The sockets' folder is Jupyter's runtime folder; the usual
    one, in the user's home, may have a path that is too long for a socket.
    """
    if settings.in_container:
        return {}
    return {"JUPYTER_RUNTIME_DIR": str(Layout(settings.home).make_sockets_folder(KERNEL_SOCKET))}


def kernel_environment() -> dict[str, str]:
    """What kernels have in their environment, unless it says otherwise."""
    return {"PYTHONSTARTUP": kernel_startup.__file__}


def user_settings(work: Path) -> Path:
    """JupyterLab's settings for this folder: without a question about news, which would need the network."""
    folder = work / ".jupyter"
    notification = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    if not notification.exists():
        notification.parent.mkdir(parents=True, exist_ok=True)
        notification.write_text('{"fetchNews": "false", "checkForUpdates": false}\n', encoding="utf-8")
    return folder


def progress() -> tuple[Path, list[Standing]]:
    """The file that holds a learner's progress, and how they stand in each exercise."""
    settings = learner_settings()
    kept = Progress.of_learner(settings)
    records = kept.records()
    standing = []
    for lab in all_labs():
        for exercise in lab.exercises:
            record = records.get(exercise.number, Record())
            standing.append(
                Standing(lab.number, exercise.number, exercise.title, record.solved, record.tries, record.hints)
            )
    return kept.path, standing


def run_solution(number: str) -> float:
    """Runs a solution in a workspace of its own on the running stack, and stores its outputs; gives the seconds.

    Raises:
        UserError: Somebody else uses the stack. What is stored would tell of them: Lab 06 would kill nothing.
    """
    lab = lab_of(number)
    with tempfile.TemporaryDirectory() as work:
        settings = learner_settings().model_copy(update={"work": Path(work)})
        if company := others(Workspace(settings)):
            raise UserError(
                f"{', '.join(company)} is using this stack, too, and a solution is recorded alone.",
                "Start a stack of its own for it, with FRAUDLAB_HOME and FRAUDLAB_PORT_BASE set: `fraudlab lab --no-serve`.",
            )
        system.prepare(settings)
        began = time.monotonic()
        usual = Settings.model_construct()
        pages = ("flink_page", "inbox_page", "dashboard_url")
        notebooks.run(
            notebooks.SOLUTIONS / lab.file,
            settings.environment(),
            {getattr(settings, page): getattr(usual, page) for page in pages}
            | {str(settings.home.expanduser().resolve()): "/home/you/fraudlab/.fraudlab"},
        )
        return time.monotonic() - began


def grade(
    folder: Path, numbers: Sequence[str], output: Path | None, cell_s: float, say: Callable[[str], None]
) -> tuple[Book, list[Learner]]:
    """Grades what is in a folder, on the running stack or one that it starts; gives the files with the grades, and the grades.

    The files are written after each lab. So they hold what is graded so far where Ctrl-C ends it, and then say that it is not complete.

    Args:
        folder: A folder per learner in it, or one learner's notebooks.
        numbers: The labs to grade; all where there is none.
        output: The folder of the two files; the one beside `folder` where it is None.
        cell_s: How long a cell may take.
        say: Where progress goes.

    Raises:
        UserError: There is nothing to grade, the files cannot be written, or the stack does not run.
    """
    labs = [lab for lab in all_labs() if not numbers or lab in map(lab_of, numbers)]
    submitted, notes = submissions.find(folder, all_labs())
    book = Book((output or folder.resolve().parent).expanduser().resolve())
    if not _may_write(book.folder):
        raise UserError(
            f"The grades cannot be written to {book.folder}.",
            "Name a folder that you may write to: `fraudlab course grade FOLDER --output grades`.",
        )
    for note in notes:
        say(grades.line(note))
    own = learner_settings().model_copy(update={"learner": GRADER})
    stack = Stack(own, say)
    stack.install()
    stack.start()
    graded: list[Learner] = []
    with closing(grading.grade(own, submitted, labs, cell_s, say)) as steps:
        for graded in steps:
            book.write(graded, at=datetime.now(UTC), complete=False)
    book.write(graded, at=datetime.now(UTC), complete=True)
    return book, graded


def _may_write(folder: Path) -> bool:
    """Whether files can be made in a folder, which may still have to be made itself."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
