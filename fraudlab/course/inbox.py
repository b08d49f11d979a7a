"""The inbox as a notebook uses it: a mail server and a push server to send to, and what has arrived for this learner's people."""

import smtplib
from typing import Any

import httpx
import pandas as pd

from fraudlab.course.workspace import Workspace, wait_until

TIMEOUT_S = 10
PAGE = 5_000


def address(workspace: Workspace, name: str) -> str:
    """Returns an e-mail address that only your customers have.

    Example:
        lab.address("ada")
    """
    return f"{name}@{workspace.settings.learner}.example.com"


def push_topic(workspace: Workspace, user_id: int) -> str:
    """Returns the topic of the push server to which a user's push messages go.

    Example:
        lab.push_topic(ada)
    """
    return f"{workspace.settings.learner}-user-{int(user_id)}"


def serve(workspace: Workspace) -> None:
    """Starts the inbox where it does not run, and waits until it takes mail and shows its page."""
    workspace.start_service("inbox")

    def takes_mail() -> bool:
        try:
            with mail_server(workspace):
                messages(workspace)
                return True
        except (OSError, smtplib.SMTPException, httpx.HTTPError):
            return False

    wait_until(takes_mail, "the inbox takes mail")


def mail_server(workspace: Workspace) -> smtplib.SMTP:
    """Opens a connection to the inbox's mail server, for a `with` statement.

    Example:
        with lab.mail_server() as server:
            server.send_message(message)
    """
    return smtplib.SMTP(workspace.settings.inbox_host, workspace.settings.inbox_smtp_port, timeout=TIMEOUT_S)


def messages(workspace: Workspace, person: str = "") -> list[dict[str, Any]]:
    """What has arrived for this learner's people, oldest first, since the learner's database was made.

    The inbox is one for all learners. Theirs are the addresses of `address`, the topics of `push_topic`, and what their notifier sent.

    Args:
        workspace: The learner's workspace.
        person: Only what goes to this address or topic.
    """
    since = workspace.value(
        "SELECT CAST(UNIX_TIMESTAMP(create_time) * 1000 AS SIGNED) AS since FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = 'user_profile'"
    )
    sent = {row["message_id"] for row in workspace.rows("SELECT message_id FROM notifications")}
    mine = f"@{workspace.settings.learner}.example.com", push_topic(workspace, 0).removesuffix("0")
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=workspace.settings.inbox_url, timeout=TIMEOUT_S, trust_env=False) as client:
        while True:
            after = found[-1]["number"] if found else 0
            query: dict[str, str | int] = {"to": person, "since": int(since), "after": after, "limit": PAGE}
            answer = client.get("/api/messages", params=query)
            answer.raise_for_status()
            page = answer.json()["messages"]
            found += page
            if len(page) < PAGE:
                break
    return [
        one
        for one in found
        if one["recipient"].endswith(mine[0])
        or one["recipient"].startswith(mine[1])
        or one["message_id"].strip("<>").partition("@")[0] in sent
    ]


def table(workspace: Workspace, person: str = "", last: int = 10) -> pd.DataFrame:
    """The newest messages: kind, recipient, title, and how often each was delivered (a message that came twice is shown once)."""
    rows = [
        (one["kind"], one["recipient"], one["title"], one["deliveries"]) for one in messages(workspace, person)[-last:]
    ]
    return pd.DataFrame(rows, columns=["kind", "to", "title", "deliveries"])
