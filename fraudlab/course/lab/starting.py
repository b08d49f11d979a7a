"""Where a lab begins and ends: the stack is up, and the learner's data and jobs are at the lab's starting point."""

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from fraudlab import system
from fraudlab.course import cards
from fraudlab.course.cards import Card, Done
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.progress import Progress
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.contracts import Names
from fraudlab.settings import Settings
from fraudlab.stack.layout import Layout
from fraudlab.stack.supervisord import module, open_notebooks


def start(workspace: Workspace, number: int | str) -> Card:
    """Starts a lab: says whether the stack is running, under which name you work, and how far you are.

    Returns:
        A card.

    Raises:
        UserError: Something isn't running; it says what, and what to do.

    Example:
        lab.start("01")
    """
    lab = lab_of(number)
    workspace.require_running()
    progress = Progress.of_learner(workspace.settings)
    progress.began(lab.number)
    records = progress.records()
    solved = sum(records[one.number].solved for one in lab.exercises if one.number in records)
    return cards.of_start(lab, workspace.settings, workspace.slots(), solved, other_kernels(workspace.settings))


def other_kernels(settings: Settings) -> list[tuple[str, int]]:
    """The kernels of a learner's other notebooks: the notebook's name, and the MB that it holds with its JVM."""
    found = []
    for process in open_notebooks(Layout(settings.home).home):
        with suppress(psutil.Error):
            environment = process.environ()
            own = environment.get("FRAUDLAB_LEARNER", settings.learner) == settings.learner
            if own and module(process) == "ipykernel_launcher":
                name = Path(environment.get("JPY_SESSION_NAME", f"process {process.pid}")).name
                tree = [process, *process.children(recursive=True)]
                found.append((name, round(sum(one.memory_info().rss for one in tree) / 1_000_000)))
    return sorted(found)


def up(workspace: Workspace) -> Done:
    """Starts whatever isn't running of MySQL, Kafka and Flink, and creates your database and topics if they are missing.

    Raises:
        UserError: Something could not be started; it says what, and what to do.
    """
    workspace.stack.start()
    system.prepare(workspace.settings)
    return Done("MySQL, Kafka and Flink are running.")


def catch_up(workspace: Workspace, number: int | str) -> Done:
    """Resets your database, topics, offsets and jobs to a lab's starting point. It doesn't matter what you did before.

    Your notebooks and your progress stay.

    Example:
        lab.catch_up("03")
    """
    lab = lab_of(number)
    workspace.require_running()
    show_progress("Emptying your database, topics and jobs …")
    workspace.reset()
    before = [earlier for earlier in all_labs() if earlier.number < lab.number]
    for earlier in before:
        show_progress(f"Lab {earlier.number} of {before[-1].number}: {earlier.title} …")
        earlier.outcome(workspace)
    show_progress()
    return Done(f"Ready for Lab {lab.number}.", ("Your database, topics and jobs are as this lab expects them.",))


def show_progress(what: str = "") -> None:
    """Says in a notebook what is being done, in the place of what it said before; "" at the end, when the answer takes that place."""
    if (ipython := sys.modules.get("IPython")) is None or ipython.get_ipython() is None:
        return
    from IPython.display import clear_output, display

    clear_output(wait=True)
    if what:
        display(Card("Catching up takes up to a minute.", (what,)))


def reset(workspace: Workspace) -> Done:
    """Deletes your rows, records, offsets and jobs. Your notebooks and your progress stay."""
    workspace.require_running()
    workspace.reset()
    return Done("Everything of yours is empty again.", ("Notebooks and progress are kept.",))


def names(workspace: Workspace) -> Names:
    """The full names of your database, topics, consumer groups and jobs.

    Example:
        lab.names().transactions     # the topic's name in Kafka
        lab.names().group("my-app")  # a consumer group that is yours
    """
    return workspace.names
