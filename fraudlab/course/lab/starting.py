"""Where a lab begins and ends: the stack is up, and the learner's data and jobs are at the lab's starting point."""

from fraudlab import system
from fraudlab.course import cards
from fraudlab.course.cards import Card
from fraudlab.course.labs import all_labs, lab_of
from fraudlab.course.progress import Progress
from fraudlab.course.workspace import Workspace
from fraudlab.errors import UserError
from fraudlab.pipeline.contracts import Names


def start(workspace: Workspace, number: int | str) -> Card:
    """Starts a lab: says whether the stack is running, under which name you work, and how far you are.

    Returns:
        A card. If something isn't running, it says what, and what to do.

    Example:
        lab.start("01")
    """
    lab = lab_of(number)
    if trouble := cards.of_problem(workspace.problem()):
        return trouble
    records = Progress.of_learner(workspace.settings).records()
    solved = sum(records[one.number].solved for one in lab.exercises if one.number in records)
    return cards.of_start(lab, workspace.settings, workspace.slots(), solved)


def up(workspace: Workspace) -> Card:
    """Starts whatever isn't running of MySQL, Kafka and Flink, and creates your database and topics if they are missing.

    Returns:
        A card that says that all of it is running, or what could not be started.
    """
    try:
        workspace.stack.start()
        system.prepare(workspace.settings)
    except UserError as error:
        return cards.down(str(error), error.advice)
    return Card("MySQL, Kafka and Flink serve.")


def catch_up(workspace: Workspace, number: int | str) -> Card:
    """Resets your database, topics, offsets and jobs to a lab's starting point. It doesn't matter what you did before.

    Your notebooks and your progress stay.

    Example:
        lab.catch_up("03")
    """
    lab = lab_of(number)
    if trouble := cards.of_problem(workspace.problem()):
        return trouble
    workspace.reset()
    for earlier in all_labs():
        if earlier.number < lab.number:
            earlier.outcome(workspace)
    return Card(f"Ready for Lab {lab.number}.", ("Your database, topics and jobs are as this lab expects them.",))


def reset(workspace: Workspace) -> Card:
    """Deletes your rows, records, offsets and jobs. Your notebooks and your progress stay."""
    if trouble := cards.of_problem(workspace.problem()):
        return trouble
    workspace.reset()
    return Card("Everything of yours is empty again.", ("Notebooks and progress are kept.",))


def names(workspace: Workspace) -> Names:
    """The full names of your database, topics, consumer groups and jobs.

    Example:
        lab.names().transactions     # the topic's name in Kafka
        lab.names().group("my-app")  # a consumer group that is yours
    """
    return workspace.names
