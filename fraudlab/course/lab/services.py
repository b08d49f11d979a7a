"""The consumers of activities: a crash on purpose, the pipeline's services, the inbox and the dashboard."""

import pandas as pd

from fraudlab.course import cards, consumers
from fraudlab.course import inbox as inbox_reader
from fraudlab.course.cards import Card, Done
from fraudlab.course.workspace import Workspace, wait_until
from fraudlab.errors import UserError

READERS = {"flagger", "notifier"}
"""Services that read activities, so that they have a backlog."""


def crash(workspace: Workspace, work_through: consumers.Round) -> pd.DataFrame:
    """Runs your consumer loop on the activities, crashes it halfway, starts it again, and counts.

    Args:
        work_through: Your function `(consumer, handle)`: polls once and calls `handle(record)` for each record. It is called again
            and again.

    Returns:
        How many activities were lost, handled once, and handled again.

    Example:
        lab.crash(work_through)
    """
    return consumers.crash(workspace, work_through).table()


def service(workspace: Workspace, *names: str) -> Done:
    """Starts services of the pipeline (`flagger`, `notifier`, `inbox`) and waits until they have cleared their backlog.

    They keep running after you close the notebook, and are restarted if they crash.

    Example:
        lab.service("flagger", "notifier")
    """
    for name in names:
        if name == "inbox":
            inbox_reader.serve(workspace)
        else:
            workspace.start_service(name)
    for name in READERS & set(names):
        wait_until(lambda name=name: consumers.lag(workspace, name) == 0, f"the {name} has read all activities")  # type: ignore[misc]
    return Done(
        f"Running: {', '.join(names)}.",
        ("They run without this notebook, too. One that ends is started again.",),
    )


def stop_service(workspace: Workspace, *names: str) -> None:
    """Stops services that you have started.

    Example:
        lab.stop_service("flagger", "notifier")
    """
    for name in names:
        workspace.stop_service(name)


def dashboard(workspace: Workspace) -> Done:
    """Starts the dashboard and says where its page is. A stack has room for one.

    Raises:
        UserError: Another learner's dashboard is running, or another program has its port.
    """
    try:
        workspace.start_service("analytics")
    except UserError as error:
        raise UserError(
            f"The dashboard was not started. {error}", f"{error.advice} Or look at your neighbour's, with their bank."
        ) from error
    where = cards.of_page(workspace.settings.dashboard_url, ". It needs some seconds to start.")
    return Done("The dashboard", (where,))


def inbox(workspace: Workspace, person: str = "", *, at_least: int = 0, last: int = 10) -> pd.DataFrame:
    """Shows the newest messages to your customers, or to one address or push topic. Waits until there are `at_least` messages.

    Returns:
        A row per message. One that was delivered twice is one row.

    Example:
        lab.inbox(lab.address("ada"), at_least=1)
    """
    wait_until(lambda: len(inbox_reader.messages(workspace, person)) >= at_least, f"{at_least} messages in the inbox")
    return inbox_reader.table(workspace, person, last)


def inbox_page(workspace: Workspace) -> Card:
    """Says where the inbox's page is."""
    where = cards.of_page(workspace.settings.inbox_page, ": mail on the left, a phone on the right.")
    return Card("The inbox", (where,))


def push_server(workspace: Workspace) -> str:
    """Returns the address of the inbox's push server."""
    return workspace.settings.inbox_url
