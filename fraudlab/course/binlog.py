"""MySQL's binlog read as a replica reads it: the changed rows, event by event."""

import logging
from contextlib import closing
from typing import Any
from uuid import uuid4

import pandas as pd

from fraudlab import system
from fraudlab.course.live import SERVER_IDS
from fraudlab.course.workspace import Workspace

# It asks for column names in the binlog; they are added here.
logging.getLogger("pymysqlreplication").setLevel(logging.ERROR)

COLUMNS = ["position", "event", "table", "before", "after"]


def position(workspace: Workspace) -> tuple[str, int]:
    """Returns where MySQL's binlog ends now: its newest file, and the byte in it. `binlog` shows what came after.

    Example:
        before = lab.binlog_position()
    """
    with closing(system.connect(workspace.settings, "cdc")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("SHOW MASTER STATUS")
        file, end, *_ = cursor.fetchone()
        return str(file), int(end)


def events(workspace: Workspace, since: tuple[str, int]) -> pd.DataFrame:
    """Shows the binlog's events for your database since a position, in order.

    Returns:
        A row per event: its `position` in the file; the `event` as MySQL names it (`Write_rows`, `Update_rows`, `Delete_rows`;
        `Xid` ends a transaction); the `table`; the row `before` and `after`, as dictionaries of column to value, or None.

    Example:
        before = lab.binlog_position()
        lab.pay(ada, "25.00", "EUR", "DE")
        lab.binlog(before)
    """
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.event import XidEvent
    from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

    endpoint = system.cdc_endpoint(workspace.settings)
    names = {WriteRowsEvent: "Write_rows", UpdateRowsEvent: "Update_rows", DeleteRowsEvent: "Delete_rows"}
    columns: dict[str, list[str]] = {}
    for row in workspace.rows(
        "SELECT table_name AS name, column_name AS col FROM information_schema.columns"
        " WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position"
    ):
        columns.setdefault(row["name"], []).append(row["col"])
    reader = BinLogStreamReader(
        connection_settings={
            "host": endpoint.host,
            "port": endpoint.port,
            "user": endpoint.user,
            "passwd": endpoint.password,
        },
        server_id=SERVER_IDS.start + uuid4().int % len(SERVER_IDS),
        only_events=[*names, XidEvent],
        only_schemas=[endpoint.database],
        log_file=since[0],
        log_pos=since[1],
        resume_stream=True,
        enable_logging=False,
    )
    found: list[tuple[int, str, str, Any, Any]] = []
    with closing(reader):
        for event in reader:
            if isinstance(event, XidEvent):
                # The end of a transaction of somebody else's database says nothing here.
                if found and found[-1][1] != "Xid":
                    found.append((event.packet.log_pos, "Xid", "", None, None))
                continue
            for row in event.rows:
                before, after = row.get("before_values", row.get("values")), row.get("after_values", row.get("values"))
                name = names[type(event)]
                known = columns[event.table]
                found.append(
                    (
                        event.packet.log_pos,
                        name,
                        event.table,
                        None if name == "Write_rows" else _named(before, known),
                        None if name == "Delete_rows" else _named(after, known),
                    )
                )
    return pd.DataFrame(found, columns=COLUMNS)


def _named(values: dict[str, Any], columns: list[str]) -> dict[str, Any]:
    """With the columns' names: the binlog itself knows their places only."""
    return dict(zip(columns, values.values(), strict=True))
