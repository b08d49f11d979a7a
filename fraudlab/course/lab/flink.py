"""Flink: its page, the learner's jobs, and what a job needs to reach MySQL and Kafka."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from fraudlab import pages, system
from fraudlab.clients.waiting import until
from fraudlab.course import cards
from fraudlab.course.cards import Done
from fraudlab.course.exercise import PLACEHOLDER, NotSolvedYet
from fraudlab.course.workspace import Workspace
from fraudlab.kafka_access import KafkaAccess
from fraudlab.pipeline import statements as pipeline

if TYPE_CHECKING:
    from fraudlab.pipeline.flink import MySqlEndpoint


def flink_page(workspace: Workspace) -> Done:
    """Opens Flink's web page in your browser. From then on this browser can open it without this call.

    Returns:
        A card. If this machine has no screen, it has the address to open; the address is a key, so don't share it.
    """
    workspace.require_running()
    address = pages.address(workspace.settings, "flink")
    return cards.of_flink_page(address, opened=pages.show(workspace.settings, address))


def jobs(workspace: Workspace) -> pd.DataFrame:
    """Shows your running jobs in Flink: name, state, and since when. If one is failing, a further column says why."""
    known, troubles = workspace.jobs(), workspace.job_troubles()
    rows = [(job.name, job.state, job.started) for job in known]
    table = pd.DataFrame(rows, columns=["job", "state", "running since"])
    if troubles:
        table["health"] = [troubles.get(job.id, "") for job in known]
    return table


def watermarks(workspace: Workspace, name: str) -> pd.DataFrame:
    """Shows where the watermark of a job of yours is, as Flink's web page does under Watermarks.

    Flink's page is some seconds behind. Waits until it knows a watermark, for up to 20 seconds.

    Returns:
        A row per step and subtask: `watermark` is a time in UTC, or NaT if there is none yet.

    Example:
        lab.watermarks("windows-live")
    """

    def known() -> list[tuple[str, int, int]]:
        found = workspace.watermarks(name)
        return found if any(time_ms > 0 for _, _, time_ms in found) else []

    rows = until(known, 20) or workspace.watermarks(name)
    table = pd.DataFrame(rows, columns=["step", "subtask", "watermark"])
    table["watermark"] = pd.to_datetime(table["watermark"].where(table["watermark"] > 0), unit="ms")
    return table


def instead_of(file: str, *yours: Any) -> Callable[[str, Mapping[str, object]], list[str]]:
    """Replaces the SQL of one of the pipeline's jobs with yours.

    Args:
        file: The pipeline's file, such as `join.sql`.
        yours: Your statements.

    Returns:
        A function `statements(file, values)`: what a job of the pipeline takes its SQL from.

    Raises:
        NotSolvedYet: One of your statements still has the placeholder.

    Example:
        statements = lab.instead_of("join.sql", table, insert)
    """
    if any(statement is ... or PLACEHOLDER in statement for statement in yours):
        raise NotSolvedYet(f"A statement is still to do: put your own lines where it says `{PLACEHOLDER}` or `...`.")

    def statements(name: str, values: Mapping[str, object]) -> list[str]:
        return pipeline.fill("\n//\n".join(yours), values) if name == file else pipeline.statements(name, values)

    return statements


def mysql(workspace: Workspace) -> "MySqlEndpoint":
    """Returns MySQL's address, and the account with which a job reads the binlog."""
    return system.cdc_endpoint(workspace.settings)


def kafka(workspace: Workspace) -> KafkaAccess:
    """Returns Kafka's address and your account, for jobs and for clients of your own.

    Example:
        consumer = KafkaConsumer(lab.names().transactions, **lab.kafka().options())
    """
    return workspace.kafka
