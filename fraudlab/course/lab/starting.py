"""Where a lab begins and ends: the stack is up, and the learner's data and jobs are at the lab's starting point."""

from fraudlab import system
from fraudlab.course import cards
from fraudlab.course.cards import Card, Done
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.progress import Progress
from fraudlab.course.workspace import Workspace
from fraudlab.pipeline.contracts import Names


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
    records = Progress.of_learner(workspace.settings).records()
    solved = sum(records[one.number].solved for one in lab.exercises if one.number in records)
    return cards.of_start(lab, workspace.settings, workspace.slots(), solved)


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
    workspace.reset()
    for earlier in all_labs():
        if earlier.number < lab.number:
            earlier.outcome(workspace)
    return Done(f"Ready for Lab {lab.number}.", ("Your database, topics and jobs are as this lab expects them.",))


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
