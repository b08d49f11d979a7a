"""The consumers of activities: a crash on purpose, the pipeline's services, the inbox and the dashboard."""

import pandas as pd

from fraudlab.course import consumers
from fraudlab.course import inbox as inbox_reader
from fraudlab.course.cards import Card
from fraudlab.course.world import World, wait_until
from fraudlab.stack.errors import StackError

READERS = {"flagger", "notifier"}
"""Services that read activities, so that they have a backlog."""


def crash(world: World, work_through: consumers.Round) -> pd.DataFrame:
    """Runs your consumer loop on the activities, crashes it halfway, starts it again, and counts.

    Args:
        work_through: Your function `(consumer, handle)`: polls once and calls `handle(record)` for each record. It is called again
            and again.

    Returns:
        How many activities were lost, handled once, and handled again.

    Example:
        lab.crash(work_through)
    """
    return consumers.crash(world, work_through).table()


def service(world: World, *names: str) -> Card:
    """Starts services of the pipeline (`flagger`, `notifier`, `inbox`) and waits until they have cleared their backlog.

    They keep running after you close the notebook, and are restarted if they crash.

    Example:
        lab.service("flagger", "notifier")
    """
    for name in names:
        if name == "inbox":
            inbox_reader.serve(world)
        else:
            world.start_service(name)
    for name in READERS & set(names):
        wait_until(lambda name=name: consumers.lag(world, name) == 0, f"the {name} has read all activities")  # type: ignore[misc]
    return Card(
        f"Running: {', '.join(names)}.",
        ("On their own, also when this notebook is closed; when one ends, it is started again.",),
    )


def stop_service(world: World, *names: str) -> None:
    """Stops services that you have started.

    Example:
        lab.stop_service("flagger", "notifier")
    """
    for name in names:
        world.stop_service(name)


def dashboard(world: World) -> Card:
    """Starts the dashboard and says where its page is. A stack has room for one; if another learner's is running, the card says so."""
    try:
        world.start_service("analytics")
    except StackError as error:
        return Card(
            "The dashboard cannot be started now.",
            (str(error), error.advice, "Or look at your neighbour's, with their bank."),
        )
    return Card(
        "The dashboard", (f"Open {world.settings.dashboard_url} in another tab. It needs some seconds to start.",)
    )


def inbox(world: World, person: str = "", *, at_least: int = 0, last: int = 10) -> pd.DataFrame:
    """Shows the newest messages to your customers, or to one address or push topic. Waits until there are `at_least` messages.

    Returns:
        A row per message. One that was delivered twice is one row.

    Example:
        lab.inbox(lab.address("ada"), at_least=1)
    """
    wait_until(lambda: len(inbox_reader.messages(world, person)) >= at_least, f"{at_least} messages in the inbox")
    return inbox_reader.table(world, person, last)


def inbox_page(world: World) -> Card:
    """Says where the inbox's page is."""
    return Card(
        "The inbox", (f"Open {world.settings.inbox_page} in another tab: mail on the left, a phone on the right.",)
    )


def push_server(world: World) -> str:
    """Returns the address of the inbox's push server."""
    return world.settings.inbox_url
